"""ClickHouse inside this process (chDB), with Rerank and the wrappers registered; no server, no installation."""

import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from ..errors import missing_library
from . import functions
from .install import artifacts

_OURS = re.compile(r"Executable generates stderr: (Rerank: .*?) \(UNSUPPORTED_METHOD\)", re.DOTALL)
_TRACE = re.compile(r",? ?Stack trace \(when copying.*?(?= \(version |$)", re.DOTALL)


class QueryError(Exception):
    """What the engine says of a query, without its stack trace; for an error of Rerank, that sentence alone."""


class Engine:
    """An embedded ClickHouse; one per process. Its workers may reach loopback, for the caller owns the machine.

    `progress` is the folder where they write down how far they are.
    """

    def __init__(self, path: str = "", format_name: str = "JSONEachRow") -> None:
        try:
            from chdb.session import Session
        except ModuleNotFoundError:
            raise QueryError(missing_library("The embedded engine", "chdb", "embedded")) from None
        if set(path) & set("?&"):
            raise QueryError("The path of the tables must not contain ? or &.")
        self._folder = tempfile.TemporaryDirectory(prefix="clickhouse-rerank-")
        if set(self._folder.name) & set("?&%"):
            self._folder.cleanup()
            raise QueryError("The temporary folder must not contain ?, & or %. Set TMPDIR to another.")
        udf = Path(self._folder.name) / "udf"
        self.progress = Path(self._folder.name) / "progress"
        self.progress.mkdir()
        # The engine splits a command at spaces and has no quotes.
        told = () if re.search(r"[\s<&]", str(self.progress)) else ("--progress", str(self.progress))
        for file in artifacts.plan(udf, udf, format_name, ("--embedded", *told)):
            artifacts.write(file)
        place = Path(path).absolute() if path else Path(self._folder.name) / "data"
        try:
            self._session = Session(f"{place}?udf_path={udf}")
        except RuntimeError as error:
            self._folder.cleanup()
            raise QueryError(f"The tables in {place} cannot be opened. {_sentence(str(error))}") from None
        for _, statement in functions.statements(replace=True):
            self.query(statement)

    def query(
        self, sql: str, format_name: str = "TabSeparated", parameters: Mapping[str, object] | None = None
    ) -> bytes:
        """The formatted result of a statement, or of several; errors: QueryError."""
        try:
            sql.encode()
        except UnicodeEncodeError:
            raise QueryError("The SQL is not valid UTF-8. Write other bytes with unhex('...').") from None
        try:
            return bytes(self._session.query(sql, format_name, params=dict(parameters or {})).bytes())
        except UnicodeDecodeError as error:  # the engine's message quotes invalid bytes
            raise QueryError(_sentence(error.object.decode("utf-8", "replace"))) from None
        except RuntimeError as error:
            raise QueryError(_sentence(str(error))) from None

    def abandon(self) -> None:
        """Remove what was temporary, although a query runs; the process must end next, and its workers with it."""
        shutil.rmtree(self._folder.name, ignore_errors=True)

    def close(self) -> None:
        """End the session and its workers; remove what was temporary."""
        self._session.close()
        self._folder.cleanup()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _sentence(text: str) -> str:
    ours = _OURS.search(text)
    return ours[1].strip() if ours else " ".join(_TRACE.sub("", text).split())
