"""`clickhouse-rerank bundle`: the ZIP file that ClickHouse Cloud takes as an executable function.

The ZIP holds the package, and a configuration if the user names one. Third-party packages are pinned in
requirements.txt; the service installs them for each of its processors. In the service's sandbox there are no
environment variables, no cloud identity and no files but the bundle's.
"""

import argparse
import io
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from xml.etree import ElementTree

from ..config.schema import wrong
from ..config.settings import BUNDLED_CONFIG, CONFIG_VARIABLE, load
from .atomic_file import write_atomically
from .console import Console
from .install import artifacts

RUNTIME = "python3.11"
_ENTRY, _REQUIREMENTS = "main.py", "requirements.txt"
_ONLY_OUTSIDE = {
    "api_key_file": "names a file of this machine",
    "api_key_env": "names an environment variable, and the sandbox has none",
    "aws_identity": "needs a role, and the sandbox has none",
    "ca_file": "names a file of this machine",
}
_NEXT = """
Run next, in SQL:

    SELECT Rerank('red apple', ['green pear', 'red apple'], 1, 'BM25', '', '', '');

To get the wrappers, which you can paste into the SQL console: clickhouse-rerank functions
To get the library of measures and fusions: clickhouse-rerank functions --library
"""
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Write the ZIP and print what to enter in the console."""
    content, notes = configuration(arguments.config) if arguments.config else (None, [])
    data = archive(arguments.format, content)
    write(arguments.output, data, private=content is not None)
    console.stdout.write(f"wrote {arguments.output} ({len(data):,} bytes)\n")
    console.stdout.writelines(f"note: {note}\n" for note in notes)
    console.stdout.write('\nIn the console, "User-defined functions", "Set up a UDF", upload it and enter:\n\n')
    console.stdout.writelines(f"    {field:<28}{value}\n" for field, value in values(arguments.format))
    console.stdout.write(_NEXT)
    return 0


def archive(format_name: str, configuration: bytes | None = None) -> bytes:
    """The ZIP, uncompressed; the same bytes for the same version, format and configuration."""
    contents = {
        _ENTRY: artifacts.source(_ENTRY).replace('"JSONEachRow"', f'"{format_name}"').encode(),
        _REQUIREMENTS: artifacts.source(_REQUIREMENTS).encode(),
        **dict(_modules(files(artifacts.PACKAGE), artifacts.PACKAGE)),
    }
    if configuration is not None:
        contents[BUNDLED_CONFIG] = configuration
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w") as file:
        for name, data in sorted(contents.items()):
            entry = zipfile.ZipInfo(name, _ZIP_EPOCH)
            entry.create_system = 3  # Unix; for other systems the mode has no meaning
            entry.external_attr = (0o100755 if name == _ENTRY else 0o100644) << 16
            file.writestr(entry, data)
    return output.getvalue()


def _modules(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        name = f"{prefix}/{entry.name}"
        if entry.is_dir() and (entry / "__init__.py").is_file():
            yield from _modules(entry, name)
        elif name.endswith(".py"):
            yield name, entry.read_bytes()


def configuration(file: Path) -> tuple[bytes, list[str]]:
    """The bytes of a configuration that the sandbox can use, and notes for its owner.

    Errors: CONFIG for a mistake, for a file with keys that every user can read, and for a setting that names something
    outside the sandbox; OSError.
    """
    data = file.read_bytes()
    try:
        document = tomllib.loads(data.decode())
    except ValueError:
        document = {}  # `load` reports what is wrong with it
    for where, table in _tables(document, str(file)):
        for key in _ONLY_OUTSIDE.keys() & table.keys():
            fix = "Remove ca_file" if key == "ca_file" else 'Write api_key = "..." instead'
            raise wrong(where, f"{key} {_ONLY_OUTSIDE[key]}. {fix} in a copy of the file for the service.")
    settings = load({CONFIG_VARIABLE: str(file)})
    notes = [
        f"{where} {key} = {value!r}: the service does not document whether its sandbox has a writable disk."
        for where, table in _tables(document, file.name)
        for key, value in table.items()
        if isinstance(value, str) and value.startswith("/")
    ]
    if settings.credentials:
        notes.append("The ZIP contains the keys of the configuration: everyone who can read it has them.")
    return data, notes


def _tables(document: Mapping[str, object], file: str, prefix: str = "") -> Iterator[tuple[str, Mapping[str, object]]]:
    for name, table in document.items():
        if isinstance(table, dict):
            if name == "credentials" and not prefix:
                yield from _tables(table, file, "credentials.")
            else:
                yield f"{file} [{prefix}{name}]", table


def values(format_name: str) -> list[tuple[str, str]]:
    """The (field, value) pairs to enter in the console; the values are those of a server's registration."""
    function = ElementTree.fromstring(artifacts.registration(format_name))[0]  # noqa: S314 - our own file

    def text(tag: str) -> str:
        return function.findtext(tag, "")

    def flag(tag: str) -> str:
        return "true" if text(tag) == "1" else "false"

    arguments = [f"{argument.findtext('name')} {argument.findtext('type')}" for argument in function.iter("argument")]
    return [
        ("Name", text("name")),
        ("Type", text("type")),
        ("Runtime type", RUNTIME),
        ("Arguments", ", ".join(arguments)),
        ("Return type", text("return_type")),
        ("Format", text("format")),
        ("Send chunk header", flag("send_chunk_header")),
        ("Network access", "enabled"),
        ("Deterministic", flag("deterministic")),
        ("Pool size", text("pool_size")),
        ("Max command exec time (s)", text("max_command_execution_time")),
        ("Command read timeout (ms)", text("command_read_timeout")),
        ("Command write timeout (ms)", text("command_write_timeout")),
    ]


def write(path: Path, data: bytes, *, private: bool) -> None:
    """Put the ZIP in place at once; with `private`, for a ZIP with keys, only its owner can read it.

    Errors: CONFIG for a folder, OSError.
    """
    if path.is_dir() or not path.name:
        raise wrong(str(path), "is a folder. Name the file to write.")
    write_atomically(path, data, 0o600 if private else 0o644)
