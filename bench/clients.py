"""HTTP clients alone: the same POSTs to the benchmark's provider by ours and by the libraries that it could be.

`make bench-clients` prints, for each client, wall time / ideal and processor time a call, a round after the other.
Ours runs in this environment, the others in the bench environment, each in a process of its own.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from statistics import median
from typing import Any

from .processes import BENCH_PYTHON, printed
from .provider import Provider
from .work import KEY

_CALLS, _BYTES, _LATENCY_MS, _ROUNDS = 2000, 50_000, 100, 3
_IN_FLIGHT = (64, 256)
_PATIENCE_S = 300
_HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}

Post = Callable[[str, bytes], Awaitable[bytes]]


async def _ours(in_flight: int) -> Post:
    from clickhouse_rerank.config.settings import Limits, Network
    from clickhouse_rerank.network.http import HttpTransport

    transport = HttpTransport(Network(allow_loopback=True), Limits())

    async def post(url: str, body: bytes) -> bytes:
        return (await transport.post(url, _HEADERS, body)).body

    return post


async def _aiohttp(in_flight: int) -> Post:
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=_PATIENCE_S)
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout, headers=_HEADERS)

    async def post(url: str, body: bytes) -> bytes:
        async with session.post(url, data=body) as response:
            return await response.read()

    return post


async def _httpx(in_flight: int) -> Post:
    import httpx

    # It keeps 20 connections, as it comes: when it keeps all, the search of its own pool costs more than opening anew.
    limits = httpx.Limits(max_connections=in_flight, max_keepalive_connections=20)
    client = httpx.AsyncClient(limits=limits, timeout=_PATIENCE_S, trust_env=False, headers=_HEADERS)

    async def post(url: str, body: bytes) -> bytes:
        return (await client.post(url, content=body)).content

    return post


async def _pyreqwest(in_flight: int) -> Post:
    from pyreqwest.client import ClientBuilder

    client = ClientBuilder().http1_only().no_proxy().pool_max_idle_per_host(in_flight).build()

    async def post(url: str, body: bytes) -> bytes:
        response = await client.post(url).headers(_HEADERS).body_bytes(body).build().send()
        return bytes(await response.bytes())

    return post


CLIENTS: dict[str, Callable[[int], Awaitable[Post]]] = {
    "ours": _ours,
    "aiohttp": _aiohttp,
    "httpx": _httpx,
    "pyreqwest": _pyreqwest,
}


async def _measure(name: str, url: str, in_flight: int) -> dict[str, float]:
    post = await CLIENTS[name](in_flight)
    body = b'"' + b"x" * (_BYTES - 2) + b'"'
    await post(url, body)
    room = asyncio.Semaphore(in_flight)

    async def one() -> int:
        async with room:
            return len(await post(url, body))

    began, cpu_before = time.perf_counter(), time.process_time()
    lengths = await asyncio.gather(*(one() for _ in range(_CALLS)))
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu_before
    assert len(set(lengths)) == 1 and lengths[0] > 0
    return {"ratio": wall_s / (_CALLS * _LATENCY_MS / 1000 / in_flight), "cpu_ms": 1000 * cpu_s / _CALLS}


def main(arguments: Sequence[str]) -> None:
    """Measure one client and print it; without arguments, all of them."""
    if arguments:
        name, url, in_flight = arguments
        print(json.dumps(asyncio.run(_measure(name, url, int(in_flight)))), flush=True)
        os._exit(0)  # open clients have nothing more to say
    found: dict[tuple[int, str], list[dict[str, float]]] = {}
    with Provider() as provider:
        url = f"{provider.url(_LATENCY_MS, 10)}/v2/rerank"
        for in_flight in _IN_FLIGHT:
            for _ in range(_ROUNDS):
                for name in CLIENTS:
                    python = sys.executable if name == "ours" else BENCH_PYTHON
                    measured = printed(python, "bench.clients", name, url, in_flight, environment={})
                    found.setdefault((in_flight, name), []).append(measured)
    print(f"{_CALLS:,} POSTs of {_BYTES:,} B, {_LATENCY_MS} ms; the median of {_ROUNDS} rounds, and all rounds")
    for (in_flight, name), rounds in found.items():
        print(
            f"{in_flight:4} in flight  {name:10} {_line('ratio', rounds)} x ideal   {_line('cpu_ms', rounds)} ms a call"
        )


def _line(key: str, rounds: Sequence[dict[str, Any]]) -> str:
    return f"{median(one[key] for one in rounds):.3f} ({', '.join(f'{one[key]:.3f}' for one in rounds)})"


if __name__ == "__main__":
    main(sys.argv[1:])
