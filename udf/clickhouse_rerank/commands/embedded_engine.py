"""ClickHouse inside this process (chDB), with Rerank, the wrappers and the library; no server, no installation."""

import re
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from . import functions
from .extras import missing_library
from .install import artifacts
from .interruption import Interrupted
from .temporary_folder import TemporaryFolder

_RERANK_ERROR = re.compile(r"Executable generates stderr: (Rerank: .*?) \(UNSUPPORTED_METHOD\)", re.DOTALL)
_TRACE = re.compile(r",? ?Stack trace \(when copying.*?(?= \(version |$)", re.DOTALL)


class QueryError(Exception):
    """The engine's error for a query, without its stack trace; for an error of Rerank, only Rerank's sentence."""


class Engine:
    """An embedded ClickHouse; one per process. Its workers may reach loopback, because the caller owns the machine.

    path: the folder of the tables, "" for a temporary one. format_name: the row format between engine and workers.
    In a dry run the workers send nothing, and tables that are kept cannot be written. `progress` is the folder in
    which the workers write their counts, `usage` the folder of the log of a dry run or of `has_usage`, and `files` a
    folder for what the caller's SQL reads. Errors: QueryError.
    """

    def __init__(
        self, path: str = "", format_name: str = "JSONEachRow", *, is_dry_run: bool = False, has_usage: bool = False
    ) -> None:
        try:
            from chdb.session import Session
        except ModuleNotFoundError:
            raise QueryError(missing_library("The embedded engine", "chdb", "embedded")) from None
        if set(path) & set("?&"):
            raise QueryError("The path of the tables must not contain ? or &.")
        self._folder = TemporaryFolder()
        try:
            if set(str(self._folder.path)) & set("?&%"):
                raise QueryError("The temporary folder must not contain ?, & or %. Set TMPDIR to another.")
            self.progress = self._folder.progress
            self.usage = self._folder.usage
            self.files = self._folder.files
            self.progress.mkdir()
            self.files.mkdir()
            udf = self._folder.udf
            options = _worker_options(self._folder, is_dry_run=is_dry_run, has_usage=is_dry_run or has_usage)
            for file in artifacts.plan(udf, udf, format_name, options):
                artifacts.write(file)
            tables = Path(path).absolute() if path else self._folder.data
            try:
                self._session = Session(f"{tables}?udf_path={udf}")
            except RuntimeError as error:
                raise QueryError(f"The tables in {tables} cannot be opened. {one_line_error(str(error))}") from None
            for _, statement in (*functions.statements(replace=True), *functions.library(replace=True)):
                self.query(statement)
            if is_dry_run and path:
                self.query("SET readonly = 2")
        except BaseException:
            self._folder.remove()
            raise

    def query(
        self, sql: str, format_name: str = "TabSeparated", parameters: Mapping[str, object] | None = None
    ) -> bytes:
        """The formatted result of a statement, or of several. Errors: QueryError."""
        try:
            sql.encode()
        except UnicodeEncodeError:
            raise QueryError("The SQL is not valid UTF-8. Write other bytes with unhex('...').") from None
        try:
            return bytes(self._session.query(sql, format_name, params=dict(parameters or {})).bytes())
        except UnicodeDecodeError as error:  # the engine's message quotes invalid bytes
            raise QueryError(one_line_error(error.object.decode("utf-8", "replace"))) from None
        except RuntimeError as error:
            raise QueryError(one_line_error(str(error))) from None

    def abandon(self) -> None:
        """Remove the temporary folder while a query may run. The process must end next; its workers end with it."""
        self._folder.remove()

    def close(self) -> None:
        """End the session and its workers; remove the temporary folder."""
        try:
            self._session.close()
        finally:
            self._folder.remove()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Interrupted):
            self.abandon()  # closing would wait for the query
        else:
            self.close()


def _worker_options(folder: TemporaryFolder, *, is_dry_run: bool, has_usage: bool) -> tuple[str, ...]:
    # The engine splits a command at spaces and has no quotes.
    if re.search(r"[\s<&]", str(folder.path)):
        if has_usage:
            raise QueryError("The temporary folder must not contain white space, < or &. Set TMPDIR to another.")
        return ("--embedded",)
    options: tuple[str, ...] = ("--embedded", "--progress", str(folder.progress))
    if has_usage:
        options += ("--usage", str(folder.usage))
    return (*options, "--dry-run") if is_dry_run else options


def one_line_error(text: str) -> str:
    """An error of the engine on one line, without its stack trace; for an error of Rerank, only Rerank's sentence."""
    found = _RERANK_ERROR.search(text)
    return found[1].strip() if found else " ".join(_TRACE.sub("", text).split())
