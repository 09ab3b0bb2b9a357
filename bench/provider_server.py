"""The provider all contestants ask: a process of its own that reads no body and answers after a fixed time.

The path says how: `/LATENCY_MS/ITEMS/STATUS/...` gives a prepared answer with so many scored items. STATUS@PER_MINUTE
or STATUS@PER_MINUTE+hint refuses with 429, perhaps with Retry-After, what a bucket does not allow that fills at this
rate and holds a second of it. With LATENCY_MS~PERCENT~SLOW_MS, so many of the answers, drawn at random, are slow. With
LATENCY_MS+US, a request takes so many microseconds more for each of its documents, which contain one `#` each, and the
answer scores all. `GET /stats` tells what happened since it was last asked. One thread, epoll, no HTTP library: it must
cost less than what it measures.
"""

import heapq
import json
import random
import re
import select
import socket
import time

_BUFFER = bytearray(1 << 20)
_VIEW = memoryview(_BUFFER)
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_STATS = b"/stats"
_LIMIT = re.compile(rb"@([0-9]+)(\+hint)?")
_EACH = re.compile(rb"/([0-9]+)\+([0-9]+)/")
_TAIL = re.compile(rb"/[0-9]+~([0-9]+)~([0-9]+)/")


class _Connection:
    __slots__ = ("documents", "left", "partial", "path", "socket")

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.left = 0
        self.partial = b""
        self.path = b""
        self.documents = 0


class _Bucket:
    def __init__(self, per_minute: int, hint: bool) -> None:
        self._rate = self._tokens = per_minute / 60
        self._filled_at = time.monotonic()
        self.refusal = _framed(429, b'{"message":"too many"}', "Retry-After: 1\r\n" if hint else "")

    def takes(self) -> bool:
        now = time.monotonic()
        self._tokens = min(self._rate, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class _Server:
    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._epoll.register(0, select.EPOLLIN)  # closes when the process that started this one is gone
        self._connections: dict[int, _Connection] = {}
        self._answers: dict[tuple[bytes, int], tuple[float, bytes]] = {}
        self._buckets: dict[bytes, _Bucket] = {}
        self._tails: dict[bytes, tuple[float, float]] = {}
        """Path -> (share of its answers that are slow, their latency in seconds)."""
        self._chance = random.Random(7)
        self._due: list[tuple[float, int, _Connection, bytes]] = []
        self._number = 0
        self._in_flight = 0
        self._reset()

    def _reset(self) -> None:
        self._requests = self._bytes = self._most = self._opened = 0
        self._first_byte_at = 0.0
        self._late_s = 0.0
        self._since = time.monotonic()
        self._cpu_since = time.process_time()

    def serve(self) -> None:
        """Answer until stdin is closed."""
        while True:
            if self._due:
                # epoll counts in milliseconds, select in microseconds.
                select.select((self._epoll,), (), (), max(0.0, self._due[0][0] - time.monotonic()))
                events = self._epoll.poll(0)
            else:
                events = self._epoll.poll()
            for fd, _ in events:
                if fd == self._listener.fileno():
                    self._accept()
                elif fd == 0:
                    return
                else:
                    self._receive(self._connections[fd])
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                due, _, connection, answer = heapq.heappop(self._due)
                self._late_s += now - due
                self._in_flight -= 1
                self._send(connection, answer)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections[sock.fileno()] = _Connection(sock)
            self._epoll.register(sock, select.EPOLLIN)
            self._opened += 1

    def _receive(self, connection: _Connection) -> None:
        try:
            count = connection.socket.recv_into(_BUFFER)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if not count:
            self._drop(connection)
            return
        if connection.left:
            connection.left -= count
            if _EACH.match(connection.path):
                connection.documents += _BUFFER.count(b"#", 0, count)
        else:
            if not self._first_byte_at:
                self._first_byte_at = time.monotonic()
            end = _BUFFER.find(b"\r\n\r\n", 0, count)
            if connection.partial or end < 0:
                connection.partial += bytes(_VIEW[:count])
                end = connection.partial.find(b"\r\n\r\n")
                if end < 0:
                    return
                received, connection.partial = connection.partial, b""
            else:
                received = bytes(_VIEW[:count])
            head, count = received[: end + 2], len(received)
            length = _LENGTH.search(head)
            connection.path = head.split(b" ", 2)[1]
            connection.left = (int(length[1]) if length else 0) + end + 4 - count
            connection.documents = received.count(b"#") if _EACH.match(connection.path) else 0
        if connection.left == 0:
            self._answer(connection)

    def _answer(self, connection: _Connection) -> None:
        if connection.path == _STATS:
            self._send(connection, self._stats())
            self._reset()
            return
        known = self._answers.get((connection.path, connection.documents))
        if known is None:
            known = prepared(connection.path, connection.documents)
            self._answers[connection.path, connection.documents] = known
            limit = _LIMIT.search(connection.path)
            if limit:
                self._buckets[connection.path] = _Bucket(int(limit[1]), bool(limit[2]))
            tail = _TAIL.match(connection.path)
            if tail:
                self._tails[connection.path] = (int(tail[1]) / 100, int(tail[2]) / 1000)
        latency_s, answer = known
        self._requests += 1
        if connection.path in self._buckets and not self._buckets[connection.path].takes():
            self._send(connection, self._buckets[connection.path].refusal)
            return
        if connection.path in self._tails:
            share, slow_s = self._tails[connection.path]
            latency_s = slow_s if self._chance.random() < share else latency_s
        self._number += 1
        self._in_flight += 1
        self._most = max(self._most, self._in_flight)
        if latency_s:
            heapq.heappush(self._due, (time.monotonic() + latency_s, self._number, connection, answer))
        else:
            self._in_flight -= 1
            self._send(connection, answer)

    def _send(self, connection: _Connection, answer: bytes) -> None:
        try:
            sent = connection.socket.send(answer)
        except OSError:
            return  # its epoll event follows, or it has been dropped
        assert sent == len(answer), "an answer does not fit into the socket's buffer"

    def _drop(self, connection: _Connection) -> None:
        del self._connections[connection.socket.fileno()]
        connection.socket.close()

    def _stats(self) -> bytes:
        wall_s = time.monotonic() - self._since
        stats = {
            "requests": self._requests,
            "connections": self._opened,
            "most_in_flight": self._most,
            "first_byte_at": self._first_byte_at,
            "cpu_s": time.process_time() - self._cpu_since,
            "wall_s": wall_s,
            "late_us": 1e6 * self._late_s / max(1, self._requests),
        }
        return _framed(200, json.dumps(stats).encode())


def prepared(path: bytes, documents: int = 0) -> tuple[float, bytes]:
    latency_ms: float
    latency_ms, items, status = (int(re.split(b"[@~+]", part)[0]) for part in path.split(b"/")[1:4])
    if each := _EACH.match(path):
        latency_ms, items = latency_ms + int(each[2]) / 1000 * documents, documents
    if status != 200:
        return latency_ms / 1000, _framed(status, b'{"message":"out of order"}')
    if path.endswith(b"/chat/completions"):
        written = json.dumps({"ranking": list(range(items, 0, -1))})
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": written}}
        return latency_ms / 1000, _framed(200, json.dumps({"choices": [choice]}).encode())
    # Best first, as providers answer; positions in no particular order.
    results = [{"index": i * 7 % items if items % 7 else i, "relevance_score": 1 - i / 1024} for i in range(items)]
    answer = {"id": "b2f1", "results": results, "meta": {"api_version": {"version": "2"}, "billed_units": {}}}
    return latency_ms / 1000, _framed(200, json.dumps(answer).encode())


def _framed(status: int, body: bytes, more: str = "") -> bytes:
    head = f"HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def main() -> None:
    """Print the port and serve."""
    server = _Server()
    print(server.port, flush=True)
    server.serve()


if __name__ == "__main__":
    main()
