"""A running server, through its HTTP interface: whether it has loaded the function, answers, and has the wrappers."""

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from ...errors import CallerError
from ...types import Secret, printable
from .. import functions
from ..extras import missing_library
from .finding import Finding

Ask = Callable[[str], Sequence[Sequence[object]]]
"""SQL -> rows. Errors: ServerError."""

_UNKNOWN_TABLE, _NO_ACCESS = 60, 497
_LOGIN_ERRORS = (192, 193, 194, 516)
_TIMEOUT_S = 60
_HARMFUL_SETTINGS = {
    "output_format_json_validate_utf8": "JSONEachRow does not return invalid UTF-8 as it was",
    "input_format_tsv_skip_first_lines": "a query hangs with TabSeparated",
}
_ANSWER = "SELECT Rerank('red apple', ['green pear', 'red apple'], 1, 'BM25', '', '', '')[1].2"
_MAX_TEXT = 400
_SERVER_MESSAGE = re.compile(r"DB::Exception: (.*?)(?= \(version |\. Stack trace|$)")
_RERANK_ERROR = re.compile(
    r"Rerank: [A-Z_]+: .*?(?= \(UNSUPPORTED_METHOD\)|: while executing|: In scope|\. Stack trace|$)"
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is, and the user who logs in."""

    scheme: str
    host: str
    port: int
    user: str
    password: Secret

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


class ServerError(Exception):
    """The server's error: its code, and its message on one line."""

    def __init__(self, code: int | None, text: str) -> None:
        line = " ".join(printable(text).split())
        rerank, server = _RERANK_ERROR.search(line), _SERVER_MESSAGE.search(line)
        super().__init__(rerank[0] if rerank else (server[1] if server else line)[:_MAX_TEXT])
        self.code = code


def address(url: str, user: str, password: str) -> Address:
    """A URL -> Address; `user` and `password` are used if the URL has none. Errors: BAD_URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise CallerError("BAD_URL", "--url must be of the form http://host:8123/ or https://host:8443/.")
    port = port or (8123 if parts.scheme == "http" else 8443)
    name, key = unquote(parts.username or user), unquote(parts.password or password)
    return Address(parts.scheme, parts.hostname, port, name, Secret(key))


def findings(where: Address) -> Iterator[Finding]:
    """Findings on one server."""
    try:
        from clickhouse_connect import get_client
        from clickhouse_connect.driver.exceptions import Error
    except ImportError:
        yield Finding(False, missing_library("--url", "clickhouse-connect", "check"))
        return
    logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())  # its errors are reported below
    try:
        client = get_client(
            interface=where.scheme,
            host=where.host,
            port=where.port,
            username=where.user,
            password=where.password.reveal(),
            compress=False,
            query_retries=0,
            connect_timeout=10,
            send_receive_timeout=_TIMEOUT_S,
            autogenerate_session_id=False,
            dedicated_pool=True,
        )
    except Error as error:
        yield Finding(False, _unreachable(where, error.code, str(error)))
        return

    def ask(sql: str) -> Sequence[Sequence[object]]:
        try:
            return client.query(sql).result_rows
        except Error as error:
            raise ServerError(error.code, str(error)) from None

    try:
        yield Finding(True, f"{where} is ClickHouse {client.server_version}")
        yield from look(ask)
    finally:
        client.close()


def _unreachable(where: Address, code: int | None, text: str) -> str:
    if code in _LOGIN_ERRORS:
        return f"{where} does not accept the user {where.user!r} with this password. Set CLICKHOUSE_PASSWORD."
    if code is not None:
        return f"{where} reports an error: {ServerError(code, text)}"
    return f"{where} does not answer like a ClickHouse server. Check host, port (8123 or 8443, not 9000) and http_port."


def look(ask: Ask) -> Iterator[Finding]:
    """Whether the server has Rerank, whether that answers, and which wrappers there are."""
    try:
        origins = [str(row[0]) for row in ask("SELECT origin FROM system.functions WHERE name = 'Rerank'")]
        if origins == ["ExecutableUserDefined"]:
            yield Finding(True, "the server has loaded Rerank")
        elif origins:
            yield Finding(
                False, f"the server has another function named Rerank ({origins[0]}). Drop it if you created it."
            )
            return
        else:
            yield _not_loaded(ask)
            return
        yield _answers(ask)
        yield _wrappers(ask)
        yield _settings(ask)
    except ServerError as error:
        if error.code == _NO_ACCESS:
            yield Finding(False, f"the user has no access: {error}. Use another user, or GRANT SELECT ON system.*")
        else:
            yield Finding(False, f"the server reports an error: {error}. Correct that first.")


def _settings(ask: Ask) -> Finding:
    """Settings of the user that change rows between server and worker, in one of the formats."""
    rows = ask("SELECT name, value FROM system.settings WHERE changed")
    found = [str(name) for name, value in rows if name in _HARMFUL_SETTINGS and value not in ("", "0")]
    if found:
        harms = "; ".join(f"{name} = 0, else {_HARMFUL_SETTINGS[name]}" for name in found)
        return Finding(False, f"settings of the user change rows on their way to Rerank. Set {harms}")
    return Finding(True, "no setting of the user changes rows on their way")


def _not_loaded(ask: Ask) -> Finding:
    """Why a server has no Rerank, as far as it reports the reason."""
    try:
        rows = ask("SELECT load_status, loading_error_message FROM system.user_defined_functions WHERE name = 'Rerank'")
    except ServerError as error:
        if error.code != _UNKNOWN_TABLE:
            raise
        return Finding(
            False,
            "the server has not loaded Rerank, and before 26.2 it does not report why. Run: SYSTEM RELOAD FUNCTIONS. "
            "If it fails, its error is the reason; if it succeeds, see the findings on files.",
        )
    if rows:
        return Finding(
            False,
            f"the server cannot load Rerank: {ServerError(None, str(rows[0][1]))} "
            "Correct it, then run: SYSTEM RELOAD FUNCTIONS",
        )
    return Finding(
        False, "the server has no Rerank. Run clickhouse-rerank install on its machine, then: SYSTEM RELOAD FUNCTIONS"
    )


def _answers(ask: Ask) -> Finding:
    try:
        rows = ask(_ANSWER)
    except ServerError as error:
        return Finding(False, f"the server's Rerank fails: {error} Run check on the server's machine.")
    if [tuple(row) for row in rows] == [("red apple",)]:
        return Finding(True, "the server answers Rerank with BM25")
    return Finding(
        False,
        "the server's Rerank gives a wrong answer. Run: clickhouse-rerank install, then SYSTEM RELOAD FUNCTIONS",
    )


def _wrappers(ask: Ask) -> Finding:
    """Wrappers are optional, so no wrapper at all is no mistake. If only some exist, an older version made them."""
    known = {name for name, _ in functions.statements()}
    present = known & {str(row[0]) for row in ask("SELECT name FROM system.functions WHERE origin = 'SQLUserDefined'")}
    create = "clickhouse-rerank functions | clickhouse-client --multiquery"
    if not present:
        return Finding(True, f"the server has no wrappers; to create them: {create}")
    if missing := sorted(known - present):
        return Finding(False, f"the server has {len(present)} wrappers, but not {', '.join(missing)}. Run: {create}")
    return Finding(True, f"the server has all {len(present)} wrappers")
