"""The real worker with the network taken out: every request has its answer at once. What is left is what we cost."""

import asyncio
import sys
from collections.abc import Mapping

from clickhouse_rerank import worker
from clickhouse_rerank.network import http

from .provider_server import prepared

_, _ANSWER = prepared(b"/0/10/200")
_REPLY = http.Response(200, {"content-type": "application/json"}, _ANSWER.partition(b"\r\n\r\n")[2])


async def _post(self: http.Transport, url: str, headers: Mapping[str, str], body: bytes) -> http.Response:
    await asyncio.sleep(0)
    return _REPLY


if __name__ == "__main__":
    http.Transport.post = _post  # type: ignore[method-assign]
    worker.main(sys.argv[1:])
