"""Sends recorded requests again with the vendors' own clients, and prints what they put on the wire, a line each.

    python chat_clients.py FILE...      (needs openai, anthropic and pydantic)

The clients speak to a server on loopback in this process. The schema of an answer is made by the clients too, from a
class: what they make of it is the schema that we send.
"""

import http.server
import json
import sys
import threading
from pathlib import Path

from anthropic import Anthropic
from openai import OpenAI
from pydantic import BaseModel

ARRIVED = []
WRITTEN = '{"ranking": [1]}'
COMPLETION = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": WRITTEN}}],
}
MESSAGE = {
    "id": "1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": WRITTEN}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 1},
}


class Ranking(BaseModel):
    """The answer."""

    ranking: list[int]


class Recorder(http.server.BaseHTTPRequestHandler):
    """Keeps the request, and answers it."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        ARRIVED.append({"path": self.path, "headers": headers, "json": asked})
        body = json.dumps(MESSAGE if self.path.endswith("/messages") else COMPLETION).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def without_words(value):
    """A schema without the words that the clients take from the class."""
    if isinstance(value, dict):
        return {name: without_words(one) for name, one in value.items() if name not in ("title", "description")}
    return [without_words(one) for one in value] if isinstance(value, list) else value


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = f"http://127.0.0.1:{server.server_port}"
    openai = OpenAI(api_key="key-for-tests", base_url=f"{root}/v1")
    anthropic = Anthropic(api_key="key-for-tests", base_url=root)
    for name in sys.argv[1:]:
        file = Path(name)
        asked = json.loads(file.read_text("utf-8"))["request"]["json"]
        if file.parent.name == "Anthropic":
            asked.pop("output_config")
            anthropic.messages.parse(**asked, output_format=Ranking)
            form = ARRIVED[-1]["json"]["output_config"]["format"]
            form["schema"] = without_words(form["schema"])
        elif asked.pop("response_format", None):
            openai.chat.completions.parse(**asked, response_format=Ranking)
            ARRIVED[-1]["json"].pop("stream")  # false, which `parse` says and `create` does not
            form = ARRIVED[-1]["json"]["response_format"]["json_schema"]
            form["schema"], form["name"] = without_words(form["schema"]), form["name"].lower()
        else:
            openai.chat.completions.create(**asked)
        print(json.dumps(ARRIVED[-1]))


if __name__ == "__main__":
    main()
