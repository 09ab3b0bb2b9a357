"""`python -m peers [-v] [NAME...]`: one line for each peer; exit code 1 when a check failed."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping

from clickhouse_rerank.commands.embedded_engine import Engine

from . import chat, cross_encoders, decisions, infinity, litellm, llama_cpp, measures, moto, sagemaker
from .checks import Checks
from .environment import SkippedError
from .server import NotStartedError

PEERS: Mapping[str, Callable[[Checks], None]] = {
    "infinity": infinity.check,
    "litellm": litellm.check,
    "sagemaker": sagemaker.check,
    "moto": moto.check,
    "llama.cpp": llama_cpp.check,
    "decisions": decisions.check,
    "chat": chat.check,
    "sentence-transformers": cross_encoders.check,
    "measures": measures.check,
}


def _line(name: str, checks: Checks, peer: Callable[[Checks], None]) -> str:
    """Run a peer's checks; what to print about it."""
    started = time.monotonic()
    try:
        peer(checks)
    except SkippedError as reason:
        if not checks.failed:
            return f"{name:<10} skipped: {reason}"
        checks.failed.append(str(reason))
    except NotStartedError as error:
        checks.failed.append(str(error))
    except Exception as error:  # noqa: BLE001 - the other peers run all the same
        checks.failed.append(f"{type(error).__name__}: {error}"[:1000])
    took = f"{time.monotonic() - started:.0f} s"
    if not checks.failed:
        return f"{name:<10} ok: {checks.passed} checks, {took}"
    reasons = "".join(f"\n{'':<10} - {reason}" for reason in checks.failed)
    return f"{name:<10} FAILED: {len(checks.failed)} of {checks.passed + len(checks.failed)} checks, {took}{reasons}"


def main() -> int:
    """Run the named peers, or all."""
    parser = argparse.ArgumentParser(prog="peers", description=__doc__)
    parser.add_argument("-v", "--verbose", action="store_true", help="print each check and what it saw")
    parser.add_argument("peers", nargs="*", metavar="NAME", help=f"one of {', '.join(PEERS)}")
    arguments = parser.parse_args()
    if unknown := set(arguments.peers) - set(PEERS):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers end with this process
    for name in [name for name in os.environ if name.startswith("CLICKHOUSE_RERANK") or name.endswith("_API_KEY")]:
        del os.environ[name]
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    code = 0
    with Engine() as engine:
        engine.query("SET max_query_size = 100000000")
        for name in arguments.peers or PEERS:
            checks = Checks(engine, arguments.verbose)
            print(_line(name, checks, PEERS[name]), flush=True)
            code |= bool(checks.failed)
    return code


if __name__ == "__main__":
    sys.exit(main())
