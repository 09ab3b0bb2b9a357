"""`clickhouse-rerank model` in a process of its own, with a hub on loopback that speaks as the real one does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from conftest import worker_environment
from model_folder import make

REPOSITORY = "someone/words-reranker"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Has one repository with the files of a folder; `requests` are (method, path, range) of all that came."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[tuple[str, str, str]] = []
        self.breaks_once_after = 0
        """Bytes of a network after which the connection is closed, the first time; 0: never."""
        self.gone_after_it_broke = False
        """Whether the files are no longer there once the connection was closed."""
        self.gone = False
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                hub.answer(self, with_body=False)

            def do_GET(self) -> None:
                hub.answer(self, with_body=True)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.folder)): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()
        }

    def answer(self, handler: BaseHTTPRequestHandler, *, with_body: bool) -> None:
        path = handler.path.partition("?")[0]
        wanted = handler.headers.get("Range", "")
        self.requests.append((handler.command, path, wanted))
        if path.startswith(f"/api/models/{REPOSITORY}"):
            body, headers, status = json.dumps(self._description()).encode(), {}, 200
        elif path.startswith(f"/{REPOSITORY}/resolve/{COMMIT}/") and not self.gone:
            name = path.split(f"/{COMMIT}/")[1]
            body = self.files()[name]
            headers = {"ETag": f'"{sha256(body).hexdigest()}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
            status = 200
            if found := re.fullmatch(r"bytes=(\d+)-(\d*)", wanted):
                headers["Content-Range"] = f"bytes {found[1]}-{len(body) - 1}/{len(body)}"
                body, status = body[int(found[1]) :], 206
        else:
            body, headers, status = b'{"error":"Repository not found"}', {"X-Error-Code": "RepoNotFound"}, 404
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if with_body:
            if ".onnx" in path and 0 < self.breaks_once_after < len(body):
                body, self.breaks_once_after = body[: self.breaks_once_after], 0
                handler.close_connection = True
                self.gone = self.gone_after_it_broke
            handler.wfile.write(body)

    def _description(self) -> dict[str, object]:
        siblings = [
            {
                "rfilename": name,
                "size": len(content),
                "blobId": sha256(content).hexdigest()[:40],
                **(
                    {"lfs": {"sha256": sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}}
                    if ".onnx" in name
                    else {}
                ),
            }
            for name, content in sorted(self.files().items())
        ]
        return {
            "_id": "1",
            "id": REPOSITORY,
            "modelId": REPOSITORY,
            "sha": COMMIT,
            "private": False,
            "tags": [],
            "cardData": {"license": "apache-2.0"},
            "siblings": siblings,
        }


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    made = Hub(make(tmp_path / "repository"))
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    return tmp_path / "home" / ".local" / "share" / "clickhouse-rerank" / "models"


def run(
    tmp_path: Path, *arguments: str, command: str = "model", endpoint: str = "http://127.0.0.1:9"
) -> tuple[int, str, str]:
    """(exit code, output, errors)."""
    done = subprocess.run(
        [sys.executable, "-m", "clickhouse_rerank.commands.cli", command, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=worker_environment(
            HOME=str(tmp_path / "home"), HF_ENDPOINT=endpoint, HF_HUB_DISABLE_PROGRESS_BARS="1", HF_HUB_ETAG_TIMEOUT="5"
        ),
    )
    return done.returncode, done.stdout, done.stderr


def test_a_model_is_fetched_checked_used_and_removed(tmp_path: Path, hub: Hub, shelf: Path) -> None:
    """From nothing to a ranking in SQL; only the four files are fetched, at one commit."""
    (hub.folder / "pytorch_model.bin").write_bytes(b"pickle")
    (hub.folder / "onnx" / "model_fp16.onnx").write_bytes(b"other")
    code, out, err = run(tmp_path, "pull", REPOSITORY, "--name", "words", endpoint=hub.url)
    assert code == 0, err
    assert out.startswith(f"{REPOSITORY} at {COMMIT[:12]}: onnx/model.onnx, 0.0 MB, licence apache-2.0\n")
    assert f'[models.words]\npath = "{shelf}/words"' in out
    fetched = {path.split(f"/{COMMIT}/")[1] for _, path, _ in hub.requests if "/resolve/" in path}
    assert fetched == {"onnx/model.onnx", "tokenizer.json", "config.json", "tokenizer_config.json"}
    assert [path.name for path in shelf.iterdir()] == ["words"]
    assert len([*(shelf / "words").glob("prepared-*/model.onnx")]) == 1
    note = json.loads((shelf / "words" / "clickhouse-rerank.json").read_text())
    assert (note["source"], note["revision"], note["licence"]) == (REPOSITORY, COMMIT, "apache-2.0")
    assert note["sha256"]["onnx/model.onnx"] == sha256(hub.files()["onnx/model.onnx"]).hexdigest()
    assert run(tmp_path, "list") == (0, f"words  0.0 MB  {REPOSITORY}@{COMMIT[:12]}, licence apache-2.0\n", "")
    code, out, err = run(tmp_path, "SELECT CrossEncoderRerank('red apple', ['pear', 'red'], 1)", command="sql")
    assert (code, out) == (0, "[(1,'red',0)]\n"), err
    code, out, err = run(tmp_path, "check", "words")
    assert code == 0 and re.search(r"[\d,]+ pairs a second of \d+ tokens", out), err
    assert run(tmp_path, "remove", "words")[0] == 0 and list(shelf.iterdir()) == []


def test_a_connection_that_breaks_is_no_end(tmp_path: Path, hub: Hub, shelf: Path) -> None:
    """The rest of the file is asked for: of one so small, all of it."""
    size = len(hub.files()["onnx/model.onnx"])
    hub.breaks_once_after = size // 2
    code, _, err = run(tmp_path, "pull", REPOSITORY, endpoint=hub.url)
    assert code == 0, err
    asked = [wanted for method, path, wanted in hub.requests if method == "GET" and path.endswith(".onnx")]
    assert len(asked) == 2
    assert (shelf / "words-reranker" / "onnx" / "model.onnx").stat().st_size == size


def test_a_command_that_failed_goes_on_where_it_stopped(tmp_path: Path, hub: Hub, shelf: Path) -> None:
    """What came before the hub was gone is not fetched again; nothing is listed meanwhile, and nothing left after."""
    (hub.folder / "onnx" / "model.onnx_data").write_bytes(bytes(range(256)) * 100_000)
    hub.breaks_once_after, hub.gone_after_it_broke = 15_000_000, True
    code, _, err = run(tmp_path, "pull", REPOSITORY, endpoint=hub.url)
    assert code == 1 and err.endswith("run the command again: it goes on where it stopped.\n"), err
    assert run(tmp_path, "list")[1].startswith(f"{shelf} has no models.")
    hub.requests.clear()
    hub.gone = False
    code, _, err = run(tmp_path, "pull", REPOSITORY, endpoint=hub.url)
    assert code == 0, err
    asked = {path.split(f"/{COMMIT}/")[1]: wanted for _, path, wanted in hub.requests if "/resolve/" in path}
    begun = int(asked["onnx/model.onnx_data"].removeprefix("bytes=").rstrip("-"))
    assert 5_000_000 < begun <= 15_000_000 and "onnx/model.onnx" not in asked
    copied = shelf / "words-reranker" / "onnx" / "model.onnx_data"
    assert copied.read_bytes() == bytes(range(256)) * 100_000
    assert [path.name for path in shelf.iterdir()] == ["words-reranker"]


def test_a_file_that_is_not_what_the_hub_says_is_fetched_anew(tmp_path: Path, hub: Hub, shelf: Path) -> None:
    """A part of something else, from whatever wrote there."""
    part = shelf / ".words-reranker.part" / COMMIT / "onnx" / "model.onnx"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"junk")
    code, _, err = run(tmp_path, "pull", REPOSITORY, endpoint=hub.url)
    assert code == 1 and "onnx/model.onnx is not what the hub says it is. Run the command again." in err
    assert run(tmp_path, "pull", REPOSITORY, endpoint=hub.url)[0] == 0


def test_a_model_is_prepared_anew(tmp_path: Path, hub: Hub, shelf: Path) -> None:
    """Where it is not, or no longer, `check` says so."""
    assert run(tmp_path, "add", str(hub.folder), "--name", "words.v2")[0] == 0
    (place,) = (shelf / "words.v2").glob("prepared-*")
    assert "are not shared" not in run(tmp_path, "check", "words.v2")[1]
    place.rename(place.with_name("prepared-0123456789abcdef"))
    assert "clickhouse-rerank model prepare words.v2" in run(tmp_path, "check", "words.v2")[1]
    assert run(tmp_path, "prepare", "words.v2")[1].startswith(f"Prepared words.v2: {place}, ")
    assert [*(shelf / "words.v2").glob("*prepared-*")] == [place]
    assert "There is no model 'wrods'" in run(tmp_path, "prepare", "wrods")[2]


def test_what_the_hub_does_not_have_is_one_sentence(tmp_path: Path, hub: Hub) -> None:
    """A repository, a file, a network of another kind; a hub that is not there."""
    code, _, err = run(tmp_path, "pull", "no/such", endpoint=hub.url)
    assert code == 1 and "no/such" in err and err.count("\n") == 1
    code, _, err = run(tmp_path, "pull", REPOSITORY, "--file", "onnx/model_q4.onnx", endpoint=hub.url)
    assert code == 1 and err.endswith("has no onnx/model_q4.onnx. It has: onnx/model.onnx.\n")
    (hub.folder / "tokenizer.json").unlink()
    code, _, err = run(tmp_path, "pull", REPOSITORY, endpoint=hub.url)
    assert code == 1 and "has no tokenizer.json, which the worker needs." in err
    code, _, err = run(tmp_path, "pull", REPOSITORY)
    assert code == 1 and err.count("\n") == 1


def test_what_cannot_score_is_not_added(tmp_path: Path, hub: Hub, shelf: Path) -> None:
    (hub.folder / "onnx" / "model.onnx").write_bytes(b"junk")
    code, _, err = run(tmp_path, "pull", REPOSITORY, endpoint=hub.url)
    assert code == 1 and "has no usable network" in err
    code, _, err = run(tmp_path, "add", str(hub.folder))
    assert code == 1 and "has no usable network" in err
    assert run(tmp_path, "list")[1].startswith(f"{shelf} has no models. To fetch one: ")


def test_a_folder_is_added_without_a_network(tmp_path: Path, hub: Hub, shelf: Path) -> None:
    """By any of its networks; a changed file is told."""
    (hub.folder / "onnx" / "model.onnx").rename(hub.folder / "mine.onnx")
    code, _, err = run(tmp_path, "add", str(hub.folder), "--file", "mine.onnx", "--name", "mine")
    assert code == 0, err
    assert run(tmp_path, "list")[1] == f"mine  0.0 MB  {hub.folder}\n"
    with (shelf / "mine" / "config.json").open("a") as file:
        file.write(" ")
    assert run(tmp_path, "check", "mine")[1].startswith("Changed since it was added: config.json\n")
    code, _, err = run(tmp_path, "add", str(hub.folder), "--name", "../mine")
    assert code == 1 and "cannot be a model's name" in err
    code, _, err = run(tmp_path, "remove", "other")
    assert code == 1 and "has no model other. It has: mine." in err
    code, _, err = run(tmp_path, "check", "mnie")
    assert code == 1 and "There is no model 'mnie'. Did you mean mine?" in err
