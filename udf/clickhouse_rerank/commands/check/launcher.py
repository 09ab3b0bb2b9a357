"""The launcher: whether its Python exists, has this version of the package, and answers a row."""

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
from ..install.accounts import SystemAccount, interpreter_problem
from ..install.paths import InstallPaths
from .files import INSTALL, credential_values, may_exist
from .finding import Finding

_MIN_PYTHON = (3, 11)
_VERSIONS = """
import sys
print(*sys.version_info[:2])
from clickhouse_rerank import __version__
print(__version__)
"""
_TIMEOUT_S = 30.0
_INHERITED = frozenset(("PATH", "LANG", "LC_ALL", "TZ", CONFIG_VARIABLE))
_REINSTALL = "Run clickhouse-rerank install from an environment with this version of it."
_CHUNKS = {
    "JSONEachRow": b'{"query":"red apple","documents":["green pear","red apple"],"top_k":1,'
    b'"provider":"BM25","base_url":"","api_key":"","others":""}\n',
    "TabSeparated": b"red apple\t['green pear','red apple']\t1\tBM25\t\t\t\n",
    "RowBinary": b"\x09red apple\x02\x0agreen pear\x09red apple\x01\0\0\0\x04BM25\0\0\0",
}
"""One row as the server sends it."""


def findings(environment: Mapping[str, str], paths: InstallPaths, account: SystemAccount) -> Iterator[Finding]:
    """Findings on the launcher and its environment. If root runs this, the launcher runs as the server's account."""
    try:
        python = artifacts.interpreter(paths.launcher.read_text("utf-8", "replace"))
    except OSError:
        return  # `files` reports it
    found = list(_interpreter(paths.launcher, python, account)) or list(_versions(paths.launcher, python, account))
    yield from found
    if all(finding.good for finding in found):
        yield _answer(environment, paths, account)


def _interpreter(launcher: Path, python: str, account: SystemAccount) -> Iterator[Finding]:
    """Why the server cannot run the interpreter."""
    if not python:
        yield Finding(False, f"{launcher} is not a launcher of clickhouse-rerank. Move it away. {_REINSTALL}")
    elif not may_exist(Path(python)):
        yield Finding(False, f"{launcher} names {python}, which does not exist. {_REINSTALL}")
    elif problem := interpreter_problem(account, python):
        yield Finding(False, problem)


def _versions(launcher: Path, python: str, account: SystemAccount) -> Iterator[Finding]:
    """Findings on the versions of Python and of the package."""
    code, out, _ = _run([python, "-I", "-c", _VERSIONS], b"", {}, account)
    version, _, package = out.decode("utf-8", "replace").strip().partition("\n")
    number = tuple(int(part) for part in version.split() if part.isdecimal())
    if len(number) != 2:
        yield Finding(False, f"{python} does not run as {account.name} (exit code {code}). {_REINSTALL}")
    elif number < _MIN_PYTHON:
        yield Finding(
            False, f"{python} is Python {number[0]}.{number[1]}, but 3.11 is the oldest that works. {_REINSTALL}"
        )
    elif not package:
        yield Finding(False, f"{python} has no package clickhouse_rerank that {account.name} can import. {_REINSTALL}")
    elif package != __version__:
        yield Finding(
            False, f"{launcher} runs clickhouse-rerank {package} with {python}, but this is {__version__}. {_REINSTALL}"
        )
    else:
        yield Finding(True, f"{launcher} runs clickhouse-rerank {package} on Python {number[0]}.{number[1]}")


def _answer(environment: Mapping[str, str], paths: InstallPaths, account: SystemAccount) -> Finding:
    """One row through the launcher, called as the registration says."""
    try:
        root = ElementTree.parse(paths.registration).getroot()  # noqa: S314 - the server's own files
    except (OSError, ElementTree.ParseError):
        return Finding(False, f"{paths.registration} cannot be read as XML. Move it away. {INSTALL}")
    function = next((f for f in root.iterfind("function") if f.findtext("name") == "Rerank"), None)
    words = (function.findtext("command") or "").split() if function is not None else []
    chunk = _CHUNKS.get(function.findtext("format") or "") if function is not None else None
    if chunk is None or not words or words[0] != paths.launcher.name:
        return Finding(
            False,
            f"{paths.registration} does not register Rerank with the command {paths.launcher.name}. "
            f"Move it away. {INSTALL}",
        )
    difference = "" if function is None else _difference(function)
    if difference:
        return Finding(
            False, f"{paths.registration} has a {difference} that the worker does not support. Move it away. {INSTALL}"
        )
    # The configuration needs variables with keys to be set, but the row needs none of the keys.
    keys = {name: "-" for name in credential_values(paths.config, "api_key_env") if environment.get(name)}
    code, out, errors = _run([str(paths.launcher), *words[1:]], b"1\n" + chunk, {**environment, **keys}, account, keys)
    message = printable(errors.decode("utf-8", "replace")).strip()
    if code == 0 and b"red apple" in out and not message:
        return Finding(True, f"{paths.launcher} answers as {account.name}")
    if message.startswith("Rerank: CONFIG: "):
        return Finding(False, message.removeprefix("Rerank: CONFIG: "))
    return Finding(
        False, f"{paths.launcher} does not answer as {account.name} (exit code {code}). {message[:500] or INSTALL}"
    )


def _difference(function: ElementTree.Element) -> str:
    """The first element of a registration with a value that the worker does not support; "" if there is none."""
    ours = ElementTree.fromstring(artifacts.registration(function.findtext("format") or ""))[0]  # noqa: S314 - our own file
    for tag in ("return_type", "execute_direct", "send_chunk_header", "stderr_reaction"):
        if (function.findtext(tag) or "").strip() != ours.findtext(tag):
            return tag
    if [_argument(one) for one in function.iter("argument")] != [_argument(one) for one in ours.iter("argument")]:
        return "argument"
    words = (function.findtext("command") or "").split()
    named_ms = words[words.index("--read-timeout-ms") + 1 :][:1] if "--read-timeout-ms" in words else []
    needed_ms = int(named_ms[0]) if named_ms and named_ms[0].isdecimal() else READ_TIMEOUT_MS
    timeout_ms = (function.findtext("command_read_timeout") or "10000").strip()
    if not timeout_ms.isdecimal() or int(timeout_ms) < needed_ms:
        return "command_read_timeout"
    return ""


def _argument(one: ElementTree.Element) -> tuple[str, str]:
    return (one.findtext("name") or "").strip(), (one.findtext("type") or "").strip()


def _run(
    command: list[str],
    data: bytes,
    environment: Mapping[str, str],
    account: SystemAccount,
    inherited: Iterable[str] = (),
) -> tuple[int, bytes, bytes]:
    """Exit code, stdout and stderr of a command with `data` as stdin; the exit code is -1 if it does not start or end.

    If root runs this, the command runs as the server's account, with no variables but the `inherited` ones and those
    that every account may see.
    """
    as_server: dict[str, Any] = {}
    environment = dict(environment)
    if os.geteuid() == 0 and account.uid != 0:
        # The server's user may have written the command, and must not get root's variables.
        environment = {name: environment[name] for name in {*_INHERITED, *inherited} & environment.keys()}
        as_server = {"user": account.uid, "group": account.gid, "extra_groups": account.groups}
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
                process.stdin.write(data)
                process.stdin.flush()
            # Wait for output before closing stdin: a worker exits soon after its input has ended.
            select.select((process.stdout, process.stderr), (), (), _TIMEOUT_S)
            out, errors = process.communicate(timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return -1, b"", b"It does not exit."
    return process.returncode, out, errors
