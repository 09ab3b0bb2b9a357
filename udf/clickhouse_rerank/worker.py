"""The process that ClickHouse starts: the only module that knows a worker's command line and exit codes.

Contract with the engine: rows come in on fd 0. Exactly as many answers go out on fd 1, each as soon as it is ready. On
fd 2 goes at most one line per chunk, before the chunk's last answer: a later line would fail the next query. Both
outputs are moved to private descriptors first (`engine.streams`), so that no print, warning or library can reach them.

Exit codes: 0 when the input has ended and all of its rows are answered; 1 for anything else.
"""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from .engine import process_hardening
from .engine.streams import Streams
from .errors import CallerError, ProtocolError, RerankError

if TYPE_CHECKING:
    from .config.settings import Settings
    from .network.transport import Transport

_USAGE = (
    "clickhouse-rerank worker [--format JSONEachRow|TabSeparated|RowBinary] [--read-timeout-ms N] [--embedded] "
    "[--bundled FOLDER] [--progress FOLDER] [--usage FOLDER] [--dry-run]"
)
_AFTER_EOF_S = 0.8
"""Time to answer the last rows after the input has ended."""
_POLL_FOR_EOF_S = 0.2
USAGE_LOG = "usage.jsonl"
"""Name of the file in the folder that `--usage` names."""
READ_TIMEOUT_MS = 120_000
"""command_read_timeout of the registration; `--read-timeout-ms` names another value."""
_MARGIN_S = 5.0
_GC_THRESHOLD = 20_000
"""New objects before a garbage collection: rows leave little garbage, and collections took a tenth of the time."""


def _settings(arguments: "_Arguments") -> "Settings":
    """Read the configuration, then delete the environment variables that may hold keys. Errors: CONFIG."""
    from .config.settings import load
    from .config.tables import UsageSettings

    settings = load(os.environ, embedded=arguments.embedded, bundled=arguments.bundled)
    process_hardening.drop_secrets(
        os.environ, keep_aws=any(credential.uses_server_identity for credential in settings.credentials.values())
    )
    if arguments.usage:
        settings = replace(settings, usage=UsageSettings(path=f"{arguments.usage}/{USAGE_LOG}", max_bytes=0))
    limits = settings.limits
    if limits.row_deadline_s + limits.rate_limit_wait_s + _MARGIN_S > arguments.read_timeout_ms / 1000:
        raise CallerError(
            "CONFIG",
            f"limits.row_deadline_s plus limits.rate_limit_wait_s must be at least {_MARGIN_S:g} s below "
            f"command_read_timeout, {arguments.read_timeout_ms} ms. Lower one of them, or raise that timeout in "
            "rerank_function.xml, and pass the new number in the command there as --read-timeout-ms.",
        )
    return settings


def _log_to(path: str) -> None:
    """From now on, append what this package logs to the file, if there is one. Errors: CONFIG."""
    if not path:
        return
    try:
        handler = logging.FileHandler(path)
    except OSError as error:
        raise CallerError(
            "CONFIG", f"[log] path {path} cannot be written ({error.strerror}). Correct it or its mode."
        ) from None
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(message)s"))
    logging.getLogger("clickhouse_rerank").addHandler(handler)


def _bound_threads() -> None:
    """Leave half the processors to the server: the library that cuts texts into tokens reads the variable."""
    from .config.models import half_the_processors

    os.environ.setdefault("RAYON_NUM_THREADS", str(half_the_processors()))


def _collect_garbage_less() -> None:
    gc.freeze()  # all objects so far live as long as the process
    gc.set_threshold(_GC_THRESHOLD)


async def _end_process(error: RerankError) -> NoReturn:
    """Report an error by ending the process: only this fails the query where stderr_reaction cannot be set."""
    raise error


async def _serve(streams: Streams, arguments: "_Arguments", transport: "Transport | None") -> int:
    """Answer chunks until the input ends, and return the exit code."""
    from .engine.chunks import Answerer, Chunk
    from .engine.formats import FORMATS
    from .engine.framing import Framing
    from .reranker import Reranker
    from .usage.counters import publish

    settings = _settings(arguments)
    _log_to(settings.log.path)
    fmt = FORMATS[arguments.format_name]
    framing = Framing(fmt)
    chunks: asyncio.Queue[Chunk] = asyncio.Queue()
    reranker = Reranker(settings, transport, is_dry_run=arguments.dry_run)
    report = _end_process if arguments.bundled else streams.report
    answerer = Answerer(reranker, fmt, settings.limits, streams.write, report)

    async def read_chunks() -> None:
        chunk = Chunk(0)
        while data := await streams.read():
            for item in framing.feed(data):
                if isinstance(item, bytes):
                    chunk.add(item)
                else:
                    chunk = Chunk(item)
                    chunks.put_nowait(chunk)
            await asyncio.sleep(0)
            while chunk.is_full():
                if streams.is_input_closed():
                    return
                await chunk.freed(_POLL_FOR_EOF_S)

    async def answer_chunks() -> NoReturn:
        while True:
            chunk = await chunks.get()
            await answerer.answer(chunk)
            chunks.task_done()
            if chunks.empty():
                reranker.flush_cache()

    _collect_garbage_less()
    _bound_threads()
    if arguments.progress:
        publish(reranker.counts, Path(arguments.progress))
    reading = asyncio.create_task(read_chunks())
    answering = asyncio.create_task(answer_chunks())
    await asyncio.wait((reading, answering), return_when=asyncio.FIRST_COMPLETED)
    if answering.done():
        answering.result()
    reading.result()
    if not framing.between_chunks:
        reranker.close_files()
        return 1
    # The input has ended: the session is over, or a user piped rows in and waits for the answers.
    unanswered = asyncio.create_task(chunks.join())
    await asyncio.wait((unanswered, answering), return_when=asyncio.FIRST_COMPLETED, timeout=_AFTER_EOF_S)
    if answering.done():
        answering.result()
    reranker.close_files()
    return 0 if unanswered.done() else 1


class _Arguments(NamedTuple):
    """The worker's command line, which the registration, the embedded engine or a bundle writes."""

    format_name: str = "JSONEachRow"
    embedded: bool = False
    read_timeout_ms: int = READ_TIMEOUT_MS
    bundled: str = ""
    """Folder of the bundle that contains this worker; its registration has no stderr_reaction. "" for no bundle."""
    progress: str = ""
    """Folder for the file with the worker's progress; "" for none."""
    usage: str = ""
    """Folder for the usage log, instead of the configured one; "" for none."""
    dry_run: bool = False
    """Whether nothing is sent: the usage log says what the calls would cost."""


def _arguments(argv: Sequence[str]) -> _Arguments:
    from .engine.formats import FORMATS

    found: dict[str, str] = {}
    flags = {"--embedded": False, "--dry-run": False}
    rest = iter(argv)
    for argument in rest:
        if argument in flags:
            flags[argument] = True
        elif argument in ("--format", "--read-timeout-ms", "--bundled", "--progress", "--usage"):
            found[argument] = next(rest, "")
        else:
            raise ProtocolError(f"The worker does not know {argument[:40]!r}. Usage: {_USAGE}")
    format_name = found.get("--format", "JSONEachRow")
    timeout_ms = found.get("--read-timeout-ms", str(READ_TIMEOUT_MS))
    if format_name not in FORMATS:
        raise ProtocolError(f"The worker has no format {format_name[:40]!r}. Usage: {_USAGE}")
    if not timeout_ms.isdecimal():
        raise ProtocolError(f"The worker needs --read-timeout-ms as a number. Usage: {_USAGE}")
    return _Arguments(
        format_name,
        flags["--embedded"],
        int(timeout_ms),
        bundled=found.get("--bundled", ""),
        progress=found.get("--progress", ""),
        usage=found.get("--usage", ""),
        dry_run=flags["--dry-run"],
    )


def _internal(error: Exception) -> RerankError:
    """The INTERNAL error of an unexpected exception: its type, and the line of code that raised it."""
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    place = f"{where.tb_frame.f_code.co_filename.rpartition('/')[2]}:{where.tb_lineno}" if where else "?"
    return RerankError("INTERNAL", f"{type(error).__name__} at {place}. Report it to clickhouse-rerank.")


def main(argv: Sequence[str], transport: "Transport | None" = None) -> NoReturn:
    """Run until the input ends, then end the process without waiting for threads or connections.

    `transport` carries the requests; by default, over HTTP.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the client that started the engine
    streams = Streams()
    process_hardening.disable_core_dumps()
    code = 1
    try:
        # Not asyncio.run, which would wait for threads that resolve a name.
        code = asyncio.new_event_loop().run_until_complete(_serve(streams, _arguments(argv), transport))
    except RerankError as error:
        streams.write_error(error)
    except BrokenPipeError:
        pass  # the engine has closed the pipes
    except Exception as error:  # noqa: BLE001 - its text may hold a key or a document; its type and place cannot
        streams.write_error(_internal(error))
    finally:
        os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
