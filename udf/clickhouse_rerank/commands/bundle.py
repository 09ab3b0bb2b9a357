"""The ZIP that ClickHouse Cloud takes as an executable function, and what its console asks beside it.

The package itself is inside, with the configuration if there is one. Third-party packages are pinned in
requirements.txt; the service installs them, for each of its processors. There are no variables, no cloud identity and
no files but the bundle's where it runs.
"""

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
from .install import artifacts

RUNTIME = "python3.11"
_ENTRY, _REQUIREMENTS = "main.py", "requirements.txt"
_ELSEWHERE = {
    "api_key_file": "names a file of this machine",
    "api_key_env": "names a variable, and the sandbox has none",
    "aws_identity": "needs a role, and the sandbox has none",
    "ca_file": "names a file of this machine",
}
_BEGINNING = (1980, 1, 1, 0, 0, 0)  # of time, for a ZIP


def archive(format_name: str, configuration: bytes | None = None) -> bytes:
    """The ZIP; the same bytes for the same version, format and configuration. Nothing of it is compressed."""
    contents = {
        _ENTRY: artifacts.source(_ENTRY).replace('"JSONEachRow"', f'"{format_name}"').encode(),
        _REQUIREMENTS: artifacts.source(_REQUIREMENTS).encode(),
        **dict(_modules(files(artifacts.PACKAGE), artifacts.PACKAGE)),
    }
    if configuration is not None:
        contents[BUNDLED_CONFIG] = configuration
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for name, data in sorted(contents.items()):
            about = zipfile.ZipInfo(name, _BEGINNING)
            about.create_system = 3  # Unix, or the mode means nothing
            about.external_attr = (0o100755 if name == _ENTRY else 0o100644) << 16
            file.writestr(about, data)
    return made.getvalue()


def _modules(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        name = f"{prefix}/{entry.name}"
        if entry.is_dir() and (entry / "__init__.py").is_file():
            yield from _modules(entry, name)
        elif name.endswith(".py"):
            yield name, entry.read_bytes()


def configuration(file: Path) -> tuple[bytes, list[str]]:
    """The bytes of a config.toml that can be used in the sandbox, and what its owner must know.

    Errors: CONFIG for a mistake, for a file with keys that every user can read, and for what is not there; OSError.
    """
    data = file.read_bytes()
    try:
        document = tomllib.loads(data.decode())
    except ValueError:
        document = {}  # `load` says what is wrong with it
    for where, table in _tables(document, str(file)):
        for key in _ELSEWHERE.keys() & table.keys():
            fix = "Name no certificates" if key == "ca_file" else 'Write api_key = "..." into a copy for the service'
            raise wrong(where, f"{key} {_ELSEWHERE[key]}. {fix}.")
    settings = load({CONFIG_VARIABLE: str(file)})
    notes = [
        f"{where} {key} = {value!r}: whether the sandbox has a disk to write to is not documented."
        for where, table in _tables(document, file.name)
        for key, value in table.items()
        if isinstance(value, str) and value.startswith("/")
    ]
    if settings.credentials:
        notes.append("The keys of the configuration are in the ZIP: whoever can read it has them.")
    return data, notes


def _tables(document: Mapping[str, object], file: str, prefix: str = "") -> Iterator[tuple[str, Mapping[str, object]]]:
    for name, table in document.items():
        if isinstance(table, dict):
            if name == "credentials" and not prefix:
                yield from _tables(table, file, "credentials.")
            else:
                yield f"{file} [{prefix}{name}]", table


def values(format_name: str) -> list[tuple[str, str]]:
    """What to enter in the console: (field, value), as the registration of a server has it."""
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
    """Put the ZIP in place at once; `private`: for its owner alone, because there are keys in it."""
    if path.is_dir() or not path.name:
        raise wrong(str(path), "is a folder. Name the file to write.")
    scratch = path.with_name(f".{path.name}.new")
    scratch.unlink(missing_ok=True)
    try:
        scratch.touch(0o600 if private else 0o644, exist_ok=False)
        scratch.write_bytes(data)
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)  # there may be keys in it
        raise
