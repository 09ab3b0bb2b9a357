"""The real worker with the network taken out: every request has its answer at once. What is left is what we cost."""

import asyncio
import sys
from collections.abc import Mapping

from clickhouse_rerank import transport, worker

from .provider_server import prepared

_, _ANSWER = prepared(b"/0/10/200")
_REPLY = transport.Reply(200, {"content-type": "application/json"}, _ANSWER.partition(b"\r\n\r\n")[2])


async def _post(self: transport.Transport, url: str, headers: Mapping[str, str], body: bytes) -> transport.Reply:
    await asyncio.sleep(0)
    return _REPLY


if __name__ == "__main__":
    transport.Transport.post = _post  # type: ignore[method-assign]
    worker.main(sys.argv[1:])
