"""What a server's own configuration says of where functions and their commands are: config.xml and config.d.

Elements that stand there as plain text are understood. Where YAML or an included value has a say, nothing is claimed.
"""

import fnmatch
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

_FUNCTIONS, _SCRIPTS = "user_defined_executable_functions_config", "user_scripts_path"


def mistakes(config_dir: Path, registration: Path, user_scripts: Path) -> Iterator[str]:
    """What keeps the server from a registration or its command, each with what to change; errors: OSError."""
    main = config_dir / "config.xml"
    if not main.is_file():
        return
    patterns = _values(config_dir, _FUNCTIONS)
    if patterns is not None and not any(fnmatch.fnmatch(str(registration), str(config_dir / p)) for p in patterns):
        says = f"has {_FUNCTIONS} {', '.join(patterns)}" if patterns else f"has no {_FUNCTIONS}"
        yield (
            f"{main} {says}, so that the server does not read {registration}. Add to a file in {config_dir}/config.d: "
            f"<clickhouse><{_FUNCTIONS}>*_function.xml</{_FUNCTIONS}></clickhouse>, and restart the server."
        )
    places = _values(config_dir, _SCRIPTS)
    if places and Path(places[-1]).is_absolute() and Path(places[-1]).resolve() != user_scripts.resolve():
        yield (
            f"{main} has {_SCRIPTS} {places[-1]}, so that the server looks for no command in {user_scripts}. "
            f"Install with --user-scripts {places[-1]}"
        )


def _values(config_dir: Path, name: str) -> list[str] | None:
    """The texts of a top-level element; the last file that has it counts. None: what counts cannot be told."""
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
