"""ClickHouse's HTTP interface on loopback, before the embedded engine, which has none; tests may change answers."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from clickhouse_connect.driver.exceptions import DatabaseError


class Failure(Exception):
    """An exception of the server's: code, name, text."""

    def __init__(self, code: int, name: str, text: str) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {text} ({name}) (version 25.8.1.1 (official build))")
        self.code = code


class Server:
    """Takes one user. `change` sees each statement first: it may give another one in its place, or raise a Failure."""

    def __init__(self, client: Any, user: str = "default", password: str = "") -> None:
        self.statements: list[str] = []
        self.change: Callable[[str], str | None] = lambda _: None
        lock = threading.Lock()
        outer = self
        right = base64.b64encode(f"{user}:{password}".encode()).decode()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
                sql = body or parse_qs(urlsplit(self.path).query)["query"][0]
                try:
                    if self.headers.get("authorization") != f"Basic {right}":
                        raise Failure(516, "AUTHENTICATION_FAILED", f"{user}: Authentication failed")
                    with lock:
                        data = outer.answer(client, sql)
                except Failure as failure:
                    status = 403 if failure.code == 516 else 500
                    self.reply(status, str(failure).encode(), {"X-ClickHouse-Exception-Code": str(failure.code)})
                else:
                    self.reply(200, data, {})

            do_GET = do_POST

            def reply(self, status: int, data: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()
        self.address = f"127.0.0.1:{self.server.server_port}"

    def answer(self, client: Any, sql: str) -> bytes:
        self.statements.append(sql)
        sql, native = re.subn(r"\s+FORMAT Native\s*$", "", sql)
        sql = self.change(sql) or sql
        try:
            return bytes(client.raw_query(sql, fmt="Native" if native else "TabSeparated"))
        except DatabaseError as error:
            code = re.search(r"Code: (\d+)", str(error))
            raise Failure(int(code[1]) if code else 0, "ERROR", str(error)) from None

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
