"""Python: that what the launcher names is there, has this version of the package, and answers as the server asks it."""

import contextlib
import os
import select
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ... import __version__
from ...config.settings import CONFIG_VARIABLE
from ...types import printable
from ...worker import READ_TIMEOUT_MS
from ..install import artifacts
from ..install.accounts import Account, kept_from_running
from ..install.manifest import Places
from .files import said_of_credentials, there
from .finding import Finding

_MIN_PYTHON = (3, 11)
_VERSIONS = """
import sys
print(*sys.version_info[:2])
from clickhouse_rerank import __version__
print(__version__)
"""
_TIMEOUT_S = 30.0
_HANDED_ON = frozenset(("PATH", "LANG", "LC_ALL", "TZ", CONFIG_VARIABLE))
_AGAIN = "Run clickhouse-rerank install from an environment that has it."
_CHUNKS = {
    "JSONEachRow": b'{"query":"red apple","documents":["green pear","red apple"],"top_k":1,'
    b'"provider":"BM25","base_url":"","api_key":"","others":""}\n',
    "TabSeparated": b"red apple\t['green pear','red apple']\t1\tBM25\t\t\t\n",
    "RowBinary": b"\x09red apple\x02\x0agreen pear\x09red apple\x01\0\0\0\x04BM25\0\0\0",
}
"""One row as the server sends it."""


def findings(environment: Mapping[str, str], places: Places, who: Account) -> Iterator[Finding]:
    """Of the launcher's environment; nothing of it is run as root where the server has another account."""
    try:
        python = artifacts.interpreter(places.launcher.read_text("utf-8", "replace"))
    except OSError:
        return  # `files` has said so
    wrong = list(_interpreter(places.launcher, python, who)) or list(_versions(places.launcher, python, who))
    yield from wrong
    if all(finding.good for finding in wrong):
        yield _answer(environment, places, who)


def _interpreter(launcher: Path, python: str, who: Account) -> Iterator[Finding]:
    """What keeps the server from it."""
    if not python:
        yield Finding(False, f"{launcher} is no launcher of clickhouse-rerank. Move it away. {_AGAIN}")
    elif not there(Path(python)):
        yield Finding(False, f"{launcher} names {python}, which is gone. {_AGAIN}")
    elif reason := kept_from_running(who, python):
        yield Finding(False, reason)


def _versions(launcher: Path, python: str, who: Account) -> Iterator[Finding]:
    """Python's and the package's."""
    code, out, _ = _run([python, "-I", "-c", _VERSIONS], b"", {}, who)
    version, _, package = out.decode("utf-8", "replace").strip().partition("\n")
    number = tuple(int(part) for part in version.split() if part.isdecimal())
    if len(number) != 2:
        yield Finding(False, f"{python} does not run as {who.name} (exit code {code}). {_AGAIN}")
    elif number < _MIN_PYTHON:
        yield Finding(False, f"{python} is Python {number[0]}.{number[1]}, and 3.11 is needed. {_AGAIN}")
    elif not package:
        yield Finding(False, f"{python} has no clickhouse_rerank that {who.name} can import. {_AGAIN}")
    elif package != __version__:
        yield Finding(
            False, f"{launcher} runs clickhouse-rerank {package} of {python}; this is {__version__}. {_AGAIN}"
        )
    else:
        yield Finding(True, f"{launcher} runs clickhouse-rerank {package} on Python {number[0]}.{number[1]}")


def _answer(environment: Mapping[str, str], places: Places, who: Account) -> Finding:
    """One row through the launcher, called as the registration says."""
    again = "Run: clickhouse-rerank install"
    try:
        root = ElementTree.parse(places.registration).getroot()  # noqa: S314 - the server's own files
    except (OSError, ElementTree.ParseError):
        return Finding(False, f"{places.registration} cannot be read as XML. Move it away. {again}")
    function = next((f for f in root.iterfind("function") if f.findtext("name") == "Rerank"), None)
    words = (function.findtext("command") or "").split() if function is not None else []
    chunk = _CHUNKS.get(function.findtext("format") or "") if function is not None else None
    if chunk is None or not words or words[0] != places.launcher.name:
        return Finding(
            False, f"{places.registration} registers no Rerank with the command {places.launcher.name}. {again}"
        )
    unlike = "" if function is None else _unlike(function)
    if unlike:
        return Finding(
            False, f"{places.registration} has another {unlike} than its worker needs. Move it away. {again}"
        )
    # Whether variables with keys are there matters to the row, and not what is in them.
    keys = {name: "-" for name in said_of_credentials(places.config, "api_key_env") if environment.get(name)}
    code, out, errors = _run([str(places.launcher), *words[1:]], b"1\n" + chunk, {**environment, **keys}, who, keys)
    said = printable(errors.decode("utf-8", "replace")).strip()
    if code == 0 and b"red apple" in out and not said:
        return Finding(True, f"{places.launcher} answers as {who.name}")
    if said.startswith("Rerank: CONFIG: "):
        return Finding(False, said.removeprefix("Rerank: CONFIG: "))
    return Finding(False, f"{places.launcher} does not answer as {who.name} (exit code {code}). {said[:500] or again}")


def _unlike(function: ElementTree.Element) -> str:
    """The element of a registration that its worker cannot do with; "" for none."""
    ours = ElementTree.fromstring(artifacts.registration(function.findtext("format") or ""))[0]  # noqa: S314 - our own file
    for tag in ("return_type", "execute_direct", "send_chunk_header", "stderr_reaction"):
        if (function.findtext(tag) or "").strip() != ours.findtext(tag):
            return tag
    if [_argument(one) for one in function.iter("argument")] != [_argument(one) for one in ours.iter("argument")]:
        return "argument"
    words = (function.findtext("command") or "").split()
    told = words[words.index("--read-timeout-ms") + 1 :][:1] if "--read-timeout-ms" in words else []
    silence = (function.findtext("command_read_timeout") or "10000").strip()
    if not silence.isdecimal() or int(silence) < int(told[0] if told and told[0].isdecimal() else READ_TIMEOUT_MS):
        return "command_read_timeout"
    return ""


def _argument(one: ElementTree.Element) -> tuple[str, str]:
    return (one.findtext("name") or "").strip(), (one.findtext("type") or "").strip()


def _run(
    command: list[str], sent: bytes, environment: Mapping[str, str], who: Account, also: Iterable[str] = ()
) -> tuple[int, bytes, bytes]:
    """(exit code, stdout, stderr), as the server's account where this may choose; -1 for what does not start or end."""
    as_server: dict[str, Any] = {}
    environment = dict(environment)
    if os.geteuid() == 0 and who.uid != 0:
        # What runs then may have been put there by the server's user, and root's variables are not for it.
        environment = {name: environment[name] for name in {*_HANDED_ON, *also} & environment.keys()}
        as_server = {"user": who.uid, "group": who.gid, "extra_groups": who.groups}
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(  # noqa: S603 - what the server runs
            command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, cwd="/", **as_server
        )
    except OSError as error:
        return -1, b"", f"{error.strerror}.".encode()
    with process:
        assert process.stdin and process.stdout and process.stderr
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(sent)
                process.stdin.flush()
            # Not before it says something: a worker whose input has ended soon gives up.
            select.select((process.stdout, process.stderr), (), (), _TIMEOUT_S)
            out, errors = process.communicate(timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return -1, b"", b"It does not end."
    return process.returncode, out, errors
