"""The real worker with the network taken out: every request has its answer at once. What is left is what we cost."""

import asyncio
import sys
from collections.abc import Mapping

from clickhouse_rerank import worker
from clickhouse_rerank.network.transport import Response

from .provider_server import prepared

_, _ANSWER = prepared(b"/0/10/200")
_RESPONSE = Response(200, {"content-type": "application/json"}, _ANSWER.partition(b"\r\n\r\n")[2])


class _InstantTransport:
    """Answers at once, with the same response to every request."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        await asyncio.sleep(0)
        return _RESPONSE

    async def aclose(self) -> None:
        pass


if __name__ == "__main__":
    worker.main(sys.argv[1:], transport=_InstantTransport())
