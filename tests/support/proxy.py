"""An HTTP proxy on loopback."""

from __future__ import annotations

import asyncio


class Proxy:
    """Takes CONNECT and leads, wherever it is told to, to one port on loopback; or refuses."""

    def __init__(self, port: int, status: int = 200) -> None:
        self.heads: list[bytes] = []
        self._leads_to, self._status = port, status

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 %d x\r\n\r\n" % self._status)
        if self._status != 200:
            writer.close()
            return
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._leads_to)
        await asyncio.gather(self._pass(reader, inner_writer), self._pass(inner_reader, writer))

    @staticmethod
    async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
        writer.close()
