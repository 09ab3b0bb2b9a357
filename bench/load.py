"""The provider's limit: a client that sends one prepared request over and over and reads no answer's text."""

import json
import select
import socket
import time

from .work import KEY, MODEL, Work


def request(port: int, path: str, work: Work, row: int = 0, query: str = "") -> bytes:
    """The bytes of a rerank request as the worker would send it."""
    body = json.dumps(
        {
            "model": MODEL,
            "query": query or work.query("load", row),
            "documents": work.texts(row, work.corpus),
            "top_n": work.top_k,
        },
        separators=(",", ":"),
    ).encode()
    head = (
        f"POST {path}/v2/rerank HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def requests_per_s(port: int, path: str, work: Work, connections: int, seconds: float) -> float:
    """Requests that the provider answers in a second, when each connection asks again as soon as it has its answer."""
    data = request(port, path, work)
    epoll = select.epoll()
    socks = {}
    for _ in range(connections):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * len(data))
        socks[sock.fileno()] = sock
        epoll.register(sock, select.EPOLLIN)
        sock.sendall(data)
    answered = 0
    began = time.monotonic()
    while (took_s := time.monotonic() - began) < seconds:
        for fd, _ in epoll.poll(1):
            socks[fd].recv(1 << 16)
            answered += 1
            socks[fd].sendall(data)
    for sock in socks.values():
        sock.close()
    return answered / took_s


def ask(sock: socket.socket, data: bytes) -> None:
    """One request and its answer, as directly as it goes."""
    sock.sendall(data)
    answer = sock.recv(1 << 16)
    head, _, body = answer.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
    while len(body) < length:
        body += sock.recv(1 << 16)
