"""Sends recorded requests again with the vendors' own clients, and prints what they put on the wire, a line each.

    python decision_clients.py FILE...      (needs typesafe-sdk, openai, google-genai)

The clients speak to a server on loopback in this process.
"""

import http.server
import json
import sys
import threading
from pathlib import Path

from google import genai
from google.genai import types
from openai import OpenAI
from typesafe_sdk import Noul, TypeSafeClient

ARRIVED = []


class Recorder(http.server.BaseHTTPRequestHandler):
    """Keeps the request, and answers every question."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        ARRIVED.append({"path": self.path, "headers": headers, "json": asked})
        questions = asked["questions"]
        usage = {"input_tokens": 1, "output_tokens": 0, "total_tokens": 1}
        if isinstance(questions, dict):
            answers = {name: {"type": "noul", "noul": 0.5, "confidence": 0.5} for name in questions}
        else:
            answers = [{"type": "predicate", "name": one["name"], "probability": 0.5} for one in questions]
            usage |= {"input_tokens_details": {"cache_write_tokens": 0, "cached_tokens": 0}}
            usage |= {"output_tokens_details": {"reasoning_tokens": 0}}
        body = json.dumps({"model": "m", "answers": answers, "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = f"http://127.0.0.1:{server.server_port}"
    key = "key-for-tests"
    typesafe = TypeSafeClient(api_key=key, base_url=root)
    openai = OpenAI(api_key=key, base_url=f"{root}/v1")
    google = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=root))
    for name in sys.argv[1:]:
        file = Path(name)
        asked = json.loads(file.read_text("utf-8"))["request"]["json"]
        match file.parent.name:
            case "TypeSafe":
                questions = {
                    name: Noul(instructions=one["instructions"], criteria=one.get("criteria"))
                    for name, one in asked["questions"].items()
                }
                typesafe.system_one(asked["state"], questions, model=asked["model"])
                for one in ARRIVED[-1]["json"]["questions"].values():
                    if one.get("criteria") is None:
                        one.pop("criteria", None)
            case "OpenAI":
                openai.decisions.create(**asked)
            case "Gemini":
                google.decisions.create(**asked)
        print(json.dumps(ARRIVED[-1]))


if __name__ == "__main__":
    main()
