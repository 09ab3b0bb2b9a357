"""The server's own configuration, config.xml and config.d: where it looks for functions and their commands.

Only elements with plain text are understood. If YAML or an included value can decide, nothing is reported.
"""

import fnmatch
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

_FUNCTIONS, _SCRIPTS = "user_defined_executable_functions_config", "user_scripts_path"


def mistakes(config_dir: Path, registration: Path, user_scripts: Path) -> Iterator[str]:
    """Why the server does not find the registration or its command, each with what to change. Errors: OSError."""
    main = config_dir / "config.xml"
    if not main.is_file():
        return
    patterns = _values(config_dir, _FUNCTIONS)
    if patterns is not None and not any(fnmatch.fnmatch(str(registration), str(config_dir / p)) for p in patterns):
        found = f"has {_FUNCTIONS} {', '.join(patterns)}" if patterns else f"has no {_FUNCTIONS}"
        yield (
            f"{main} {found}, so the server does not read {registration}. Add to a file in {config_dir}/config.d: "
            f"<clickhouse><{_FUNCTIONS}>*_function.xml</{_FUNCTIONS}></clickhouse>, and restart the server."
        )
    folders = _values(config_dir, _SCRIPTS)
    if folders and Path(folders[-1]).is_absolute() and Path(folders[-1]).resolve() != user_scripts.resolve():
        yield (
            f"{main} has {_SCRIPTS} {folders[-1]}, so the server does not look for commands in {user_scripts}. "
            f"Run install with --user-scripts {folders[-1]}"
        )


def _values(config_dir: Path, name: str) -> list[str] | None:
    """The texts of a top-level element in the last file that has it; None if this cannot be determined."""
    files = [config_dir / "config.xml", *sorted((config_dir / "config.d").glob("*"))]
    found: list[str] = []
    for file in files:
        if file.suffix in (".yaml", ".yml") and name in file.read_text("utf-8", "replace"):
            return None
        if file.suffix not in (".xml", ".conf"):
            continue
        try:
            elements = ElementTree.parse(file).getroot().findall(name)  # noqa: S314 - the server's own files
        except ElementTree.ParseError:
            return None
        if any(element.attrib for element in elements):  # from_env, incl, remove
            return None
        if elements:
            found = [(element.text or "").strip() for element in elements]
    return found
