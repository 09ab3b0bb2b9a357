"""The process that ClickHouse starts: the only place with stdin, stdout, stderr and an exit code.

Contract with the engine: rows in on fd 0; exactly as many answers out on fd 1, flushed as they are ready; at most one
line a chunk on fd 2, before the chunk's last answer, since anything later fails the next query. Both outputs are moved
to private descriptors first, so that no print, warning or library can reach them.
"""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from .engine import process_hardening
from .engine.streams import Streams
from .errors import CallerError, ProtocolError, RerankError

if TYPE_CHECKING:
    from .config.settings import Settings

_USAGE = (
    "clickhouse-rerank worker [--format JSONEachRow|TabSeparated|RowBinary] [--read-timeout-ms N] [--embedded] "
    "[--bundled FOLDER] [--progress FOLDER]"
)
_AFTER_EOF_S = 0.8
_LOOK_FOR_END_S = 0.2
READ_TIMEOUT_MS = 120_000
"""command_read_timeout of the registration, which `--read-timeout-ms` names where it was changed."""
_MARGIN_S = 5.0
_GARBAGE_AFTER = 20_000
"""New objects that start a search for unreachable ones: rows leave few, and searches took a tenth of the time."""


def _settings(arguments: "_Arguments") -> "Settings":
    """The configuration, after which the variables are gone. Errors: CONFIG."""
    from .config.settings import load

    settings = load(os.environ, embedded=arguments.embedded, bundled=arguments.bundled)
    process_hardening.drop_secrets(
        os.environ, keep_aws=any(credential.uses_server_identity for credential in settings.credentials.values())
    )
    limits = settings.limits
    if limits.row_deadline_s + limits.rate_limit_wait_s + _MARGIN_S > arguments.read_timeout_ms / 1000:
        raise CallerError(
            "CONFIG",
            f"limits.row_deadline_s plus rate_limit_wait_s must stay {_MARGIN_S:g} s below the registration's "
            f"command_read_timeout, {arguments.read_timeout_ms} ms. Raise that in rerank_function.xml and name it in "
            "the command by --read-timeout-ms.",
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


def _search_garbage_less() -> None:
    gc.freeze()  # what is here now stays
    gc.set_threshold(_GARBAGE_AFTER)


async def _raised(error: RerankError) -> NoReturn:
    """Report an error by ending the process: what is on stderr then is the query's, whatever the registration says."""
    raise error


async def _serve(streams: Streams, arguments: "_Arguments") -> int:
    """Answer chunks until the input ends; the exit code."""
    from .engine.chunks import Answerer, Chunk
    from .engine.formats import FORMATS
    from .engine.framing import Framing
    from .reranker import Reranker
    from .usage.counters import tell

    settings = _settings(arguments)
    _log_to(settings.log.path)
    fmt = FORMATS[arguments.format_name]
    framing = Framing(fmt)
    chunks: asyncio.Queue[Chunk] = asyncio.Queue()
    reranker = Reranker(settings)
    report = _raised if arguments.bundled else streams.report
    answerer = Answerer(reranker, fmt, settings.limits.max_in_flight, streams.write, report)

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
                if streams.abandoned():
                    return
                await chunk.freed(_LOOK_FOR_END_S)

    async def answer_chunks() -> NoReturn:
        while True:
            chunk = await chunks.get()
            await answerer.answer(chunk)
            chunks.task_done()
            if chunks.empty():
                reranker.settle()

    _search_garbage_less()
    if arguments.progress:
        tell(reranker.counts, Path(arguments.progress))
    reading = asyncio.create_task(read_chunks())
    answering = asyncio.create_task(answer_chunks())
    await asyncio.wait((reading, answering), return_when=asyncio.FIRST_COMPLETED)
    if answering.done():
        answering.result()
    reading.result()
    if not framing.between_chunks:
        reranker.leave()
        return 1
    # The input has ended: the session is over, or a person piped one chunk in and reads on.
    unanswered = asyncio.create_task(chunks.join())
    await asyncio.wait((unanswered, answering), return_when=asyncio.FIRST_COMPLETED, timeout=_AFTER_EOF_S)
    if answering.done():
        answering.result()
    reranker.leave()
    return 0 if unanswered.done() else 1


class _Arguments(NamedTuple):
    """What the command line says, which the registration, the embedded engine or a bundle writes."""

    format_name: str = "JSONEachRow"
    embedded: bool = False
    read_timeout_ms: int = READ_TIMEOUT_MS
    bundled: str = ""
    """The folder of the bundle that this runs from, under a registration without stderr_reaction; "" for none."""
    progress: str = ""
    """The folder to tell how far it is in; "" for none."""


def _arguments(argv: Sequence[str]) -> _Arguments:
    from .engine.formats import FORMATS

    found: dict[str, str] = {}
    embedded = False
    rest = iter(argv)
    for argument in rest:
        if argument == "--embedded":
            embedded = True
        elif argument in ("--format", "--read-timeout-ms", "--bundled", "--progress"):
            found[argument] = next(rest, "")
        else:
            raise ProtocolError(f"The worker does not know {argument[:40]!r}. Usage: {_USAGE}")
    format_name = found.get("--format", "JSONEachRow")
    timeout_ms = found.get("--read-timeout-ms", str(READ_TIMEOUT_MS))
    if format_name not in FORMATS:
        raise ProtocolError(f"The worker has no format {format_name[:40]!r}. Usage: {_USAGE}")
    if not timeout_ms.isdecimal():
        raise ProtocolError(f"The worker needs --read-timeout-ms as a number. Usage: {_USAGE}")
    return _Arguments(format_name, embedded, int(timeout_ms), found.get("--bundled", ""), found.get("--progress", ""))


def main(argv: Sequence[str]) -> NoReturn:
    """Run until the input ends; leaves the process without waiting for threads or connections."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the client that started the engine
    streams = Streams()
    process_hardening.disable_core_dumps()
    code = 1
    try:
        # Not asyncio.run: it would wait for threads that look up a name.
        code = asyncio.new_event_loop().run_until_complete(_serve(streams, _arguments(argv)))
    except RerankError as error:
        streams.say(error)
    except BrokenPipeError:
        pass  # the engine has gone
    except Exception as error:  # noqa: BLE001 - the last resort: the text may hold a key or a document, the type cannot
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        at = f"{where.tb_frame.f_code.co_filename.rpartition('/')[2]}:{where.tb_lineno}" if where else "?"
        streams.say(RerankError("INTERNAL", f"{type(error).__name__} at {at}. Report it to clickhouse-rerank."))
    finally:
        os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
