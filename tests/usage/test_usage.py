"""What calls cost and how they went, in SQL: the numbers are those that the provider counted, and no line is lost."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import re
import stat
import subprocess
import sys
import threading
import tomllib
from collections import Counter
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

import engine_bytes
from asking import DOCUMENTS, KEY, QUERY, RIGHT, asked, asked_together, row, settings
from clickhouse_rerank.config.settings import Settings, parse
from clickhouse_rerank.config.tables import CacheSettings, UsageSettings
from clickhouse_rerank.errors import CallerError, RerankError
from clickhouse_rerank.providers import PROVIDERS
from clickhouse_rerank.providers.wires import WIRES
from clickhouse_rerank.request.endpoint import resolve
from clickhouse_rerank.types import BilledUnits, Row
from clickhouse_rerank.usage import jsonl_file, recorder
from clickhouse_rerank.usage.jsonl_file import UsageFile
from conftest import ROOT, Sql, Worker
from own_engine import printed
from provider import Provider, Reply, Request, cohere

Start = Callable[..., Worker]
VIEWS = (ROOT / "sql" / "views" / "usage.sql").read_text("utf-8")


def lines(folder: Path) -> list[dict[str, Any]]:
    """Every line written, the oldest file first; each must be JSON."""
    files = sorted(folder.glob("usage*.jsonl"), key=lambda file: (file.name == "usage.jsonl", file.name))
    return [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]


def summed(found: list[dict[str, Any]], *names: str) -> list[float]:
    return [sum(line[name] for line in found) for name in names]


def recording(folder: Path, **more: Any) -> Settings:
    """Settings of this process that write usage into a folder."""
    return replace(settings(**more), usage=UsageSettings(str(folder / "usage.jsonl")))


def configured(folder: Path, usage_more: str = "", more: str = "") -> dict[str, str]:
    """The variable that names a configuration with a usage file in `folder`."""
    path = folder / "config.toml"
    path.write_text(f'[usage]\npath = "{folder}/kept/usage.jsonl"\n{usage_more}\n[log]\npath = "{folder}/log"\n{more}')
    return {"CLICKHOUSE_RERANK_CONFIG": str(path)}


class Misbehaving:
    """A provider's script: refuses, fails, is silent or answers by what the query says; counts what it did."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self._tries: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Reply:
        query = request.json["query"]
        with self._lock:
            self.counted["requests"] += 1
            self._tries[query] += 1
            if "often" in query and self._tries[query] == 1:
                self.counted["429"] += 1
                return Reply(429, {"message": "slow down"}, headers={"Retry-After": "0"})
            if "broken" in query or ("shaky" in query and self._tries[query] == 1):
                self.counted["failed"] += 1
                return Reply(500, {"message": "oops"}, headers={"Retry-After": "0"})
            if "silent" in query:
                self.counted["silent"] += 1
                return Reply(never=True)
            self.counted["answered"] += 1
            self.counted["documents"] += len(request.json["documents"])
            self.counted["units"] += 2
        answer = cohere(request).json
        return Reply(json={**answer, "meta": {"billed_units": {"search_units": 2}}})


def in_engine(folder: Path, *statements: str, **more: str) -> list[dict[str, Any]]:
    """The rows of statements on an engine of their own, whose workers have a folder's configuration."""
    lines = printed(*statements, format_name="JSONEachRow", folder=folder, **more).splitlines()
    return [json.loads(line) for line in lines]


def test_sql_shows_what_the_provider_counted(provider: Provider, tmp_path: Path) -> None:
    """Retries, refusals, silence, duplicates, known scores, fallbacks, degraded rows, processes, small files."""
    script = provider.script = Misbehaving()
    url = f"{provider.url}/v2/rerank"
    fallback = '"fallback":[{"provider":"BM25"}]'
    asks = [
        # (rows, the query of a row, others): 40 distinct documents a row unless the query is a constant
        (64, "concat('fine ', toString(number))", "{}"),
        (30, "materialize('the same')", "{}"),
        (20, "concat('often ', toString(number))", "{}"),
        (20, "concat('shaky ', toString(number))", "{}"),
        # Before those that fail: a process whose requests mostly failed sends no more.
        (8, "concat('split ', toString(number))", '{"batch_size":15}'),
        (6, "concat('broken ', toString(number))", '{"on_error":"passthrough"}'),
        (5, "concat('broken too ', toString(number))", f'{{"model":"other",{fallback}}}'),
        (3, "concat('silent ', toString(number))", '{"timeout_s":0.3,"on_error":"empty"}'),
    ]
    calls = [
        f"SELECT count(length(Rerank({query}, arrayMap(i -> concat('doc ', toString(i)), range(40)), 3, 'Cohere', "
        f"'{url}', 'the-key', '{others}')) AS n) FROM numbers_mt({rows}) "
        "SETTINGS max_block_size = 8, max_threads = 4"
        for rows, query, others in asks
    ]
    views = VIEWS.replace("'rerank/usage*.jsonl'", f"'{tmp_path}/kept/usage*.jsonl'")
    selected = [f"SELECT '{view}' AS view, * FROM rerank.{view}" for view in ("cost_per_day", "errors_per_day")]
    by_error = "SELECT error, status, sum(rows) AS rows, sum(degraded) AS degraded FROM rerank.usage GROUP BY ALL"
    by_provider = "SELECT provider, model, sum(rows) AS rows FROM rerank.usage GROUP BY ALL ORDER BY ALL"
    documents_sent = "SELECT sum(documents) - sum(cached) AS sent FROM rerank.usage WHERE answered > 0"
    price = "INSERT INTO rerank.prices VALUES ('Cohere', 'rerank-v3.5', '2025-01-01', 0.25, 0, 0)"
    cost = "SELECT sum(cost) AS cost, sumIf(unpriced, model = 'other') AS unpriced FROM rerank.cost_per_day"
    rows = in_engine(
        tmp_path,
        *calls,
        *calls[:1],
        views,
        price,
        *selected,
        by_error,
        by_provider,
        documents_sent,
        cost,
        **configured(tmp_path, "max_bytes = 4096\nkept = 10000", '[cache]\npath = "' + f'{tmp_path}/scores/s"'),
    )
    total = sum(count for count, _, _ in asks) + 64
    found = lines(tmp_path / "kept")
    assert len(list((tmp_path / "kept").glob("usage*.jsonl"))) > 5
    assert len(provider.requests) == script.counted["requests"]
    assert summed(found, "attempts", "answered", "rate_limited", "search_units") == [
        script.counted[name] for name in ("requests", "answered", "429", "units")
    ]
    rest = rows[len(asks) + 1 :]

    def total_of(view: str, *names: str) -> list[float]:
        return summed([one for one in rest if one.get("view") == view], *names)

    assert total_of("cost_per_day", "attempts", "rows", "search_units") == [
        script.counted["requests"],
        total,
        script.counted["units"],
    ]
    assert total_of("errors_per_day", "attempts", "failed", "rate_limited") == [
        script.counted["requests"],
        script.counted["requests"] - script.counted["answered"],
        20,
    ]
    assert total_of("errors_per_day", "errors", "rows_by_fallback", "rows_degraded") == [14, 5, 9]
    errors = {one["error"]: one for one in rest if "degraded" in one}
    assert [(code, one["rows"], one["degraded"]) for code, one in sorted(errors.items())] == [
        ("", total - 9, 0),
        ("PROVIDER", 6, 6),
        ("TIMEOUT", 3, 3),
    ]
    assert [one for one in rest if one.keys() == {"provider", "model", "rows"}] == [
        {"provider": "BM25", "model": "", "rows": 5},
        {"provider": "Cohere", "model": "other", "rows": 0},
        {"provider": "Cohere", "model": "rerank-v3.5", "rows": total - 5},
    ]
    assert [one["sent"] for one in rest if "sent" in one] == [script.counted["documents"]]
    assert sum(line["cached"] for line in found) > 0
    assert rest[-1] == {"cost": script.counted["units"] * 0.25, "unpriced": 0}
    text = "".join(file.read_text("utf-8") for file in (tmp_path / "kept").iterdir())
    assert not re.search(r"doc |fine|broken|the same|the-key", text)


def test_a_hedge_is_no_failure_in_the_views(tmp_path: Path) -> None:
    """A request that was sent twice fails once if neither was answered; both answers of a tie are no failure less."""
    (tmp_path / "kept").mkdir()
    counted = [(2, 1, 1), (2, 1, 0), (2, 1, 2), (1, 0, 0), (1, 0, 1)]
    written = [
        {
            "time": "2026-01-01 00:00:00",
            "status": "ok",
            "documents": 1,
            "attempts": sent,
            "hedged": again,
            "answered": got,
        }
        for sent, again, got in counted
    ]
    (tmp_path / "kept" / "usage.jsonl").write_text("".join(json.dumps(line) + "\n" for line in written))
    views = VIEWS.replace("'rerank/usage*.jsonl'", f"'{tmp_path}/kept/usage*.jsonl'")
    failed, hedged = in_engine(
        tmp_path, views, "SELECT failed FROM rerank.errors_per_day", "SELECT hedged FROM rerank.latency_per_day"
    )
    assert (int(failed["failed"]), int(hedged["hedged"])) == (2, 3)


def answered(one: Worker, *rows: Row) -> None:
    one.send(engine_bytes.chunk(list(rows), "JSONEachRow"))
    one.lines(len(rows))


def test_lines_are_there_when_the_answer_is(worker: Start, provider: Provider, tmp_path: Path) -> None:
    """Of a chunk that was answered and of one that failed; the credential by its name; times in UTC."""
    config = tmp_path / "config.toml"
    config.write_text(
        f'[credentials.prod]\nprovider = "Cohere"\napi_key = "{KEY}"\nbase_url = "{provider.url}"\n'
        f'[network]\nallow_private = ["127.0.0.1"]\n[usage]\npath = "{tmp_path}/usage.jsonl"\n'
    )
    config.chmod(0o600)
    one = worker(CLICKHOUSE_RERANK_CONFIG=str(config), TZ="Asia/Tokyo")
    for number in range(3):
        answered(one, row("", key="cred:prod", query=f"one zebra {number}"))
        assert len(lines(tmp_path)) == number + 1
    provider.script = lambda _: Reply(403, {"message": "no"})
    answered(one, row("", key="cred:prod", query="other"))
    first, *_, last = lines(tmp_path)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", first["time"])
    now = subprocess.run(["date", "-u", "+%F %H"], capture_output=True, text=True, check=True).stdout
    assert abs(int(first["time"][11:13]) - int(now.split()[1])) in (0, 1, 23)
    host = provider.url.removeprefix("http://")
    assert first == first | {
        "provider": "Cohere", "host": host, "model": "rerank-v3.5", "credential": "prod", "fallback": 0,
        "status": "ok", "error": "", "rows": 1, "degraded": 0, "documents": 4, "cached": 0, "requests": 1,
        "attempts": 1, "answered": 1, "rate_limited": 0, "tokens": 0, "search_units": 0,
    }  # fmt: skip
    assert (last["status"], last["error"], last["attempts"], last["answered"]) == ("error", "AUTH", 1, 0)
    assert stat.S_IMODE((tmp_path / "usage.jsonl").stat().st_mode) & 0o137 == 0
    assert KEY not in (tmp_path / "usage.jsonl").read_text()


def test_equal_rows_count_in_one_line_or_in_one_more(
    worker: Start, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that comes when the line of its equal is written adds itself, and nothing else."""
    one = worker("--embedded", **configured(tmp_path))
    same = row(provider.url)
    one.send(engine_bytes.chunk([same] * 5, "JSONEachRow"))
    one.lines(5)
    assert [line["rows"] for line in lines(tmp_path / "kept")] == [5]
    kept = recorder.UsageRecorder(UsageSettings(str(tmp_path / "usage.jsonl")))
    usage = recorder.RowUsage()
    with kept.line(_endpoint(provider.url), 0, usage) as line:
        line.documents = 3
    usage.decide(degraded=True)
    kept.repeat(usage)
    assert kept._try_to_write()
    for _ in range(3):
        kept.repeat(usage)
    kept.close()
    first, second = lines(tmp_path)
    assert (first["rows"], first["degraded"], first["documents"]) == (2, 2, 3)
    assert (second["rows"], second["degraded"], second["documents"]) == (3, 3, 0)
    assert second["provider"] == first["provider"]


def _endpoint(url: str) -> Any:
    return resolve("Cohere", url, KEY, "", settings())


def test_a_call_that_nobody_waits_for_is_written_down(worker: Start, provider: Provider, tmp_path: Path) -> None:
    """The engine goes away while the provider is silent: the request was sent, and it counts."""
    provider.script = lambda _: Reply(never=True)
    one = worker("--embedded", **configured(tmp_path))
    one.send(engine_bytes.chunk([row(provider.url)], "JSONEachRow"))
    assert provider.arrived.acquire(timeout=10)
    one.finish()
    (line,) = lines(tmp_path / "kept")
    assert (line["status"], line["rows"], line["attempts"], line["answered"]) == ("cancelled", 1, 1, 0)


def test_rows_that_ask_nobody_have_no_line(provider: Provider, tmp_path: Path) -> None:
    """Nothing to score, a wrong argument, a host that may not be asked; BM25 has one, with no request."""
    within = recording(tmp_path)
    asked(
        row(provider.url, documents=[]), row(provider.url, documents=[" "]), row(provider.url, query=" "), within=within
    )
    assert lines(tmp_path) == []
    asked(row("http://internal.example/v1/rerank"), row("", provider="BM25", key=""), within=within)
    blocked, local = lines(tmp_path)
    assert (blocked["error"], blocked["attempts"], blocked["rows"]) == ("BLOCKED", 0, 1)
    assert (local["provider"], local["documents"], local["requests"], local["host"]) == ("BM25", 4, 0, "")


def test_nothing_is_written_where_nobody_asks_for_it(provider: Provider, tmp_path: Path) -> None:
    """No file, and no line kept in memory."""
    kept = recorder.UsageRecorder(UsageSettings())
    usage = recorder.RowUsage()
    with kept.line(_endpoint(provider.url), 0, usage):
        pass
    kept.repeat(usage)
    assert not kept.is_due() and kept._pending == {}


@pytest.mark.parametrize(
    ("url", "others", "provider_name", "model"),
    [
        ("", {}, "Cohere", "rerank-v3.5"),
        ("", {"model": "other"}, "Cohere", "other"),
        ("", {}, "HuggingFace", "BAAI/bge-reranker-v2-m3"),
        ("https://mine.example/path", {}, "HuggingFace", ""),
        ("http://localhost:8080", {}, "TEI", ""),
        ("http://localhost:8080", {"model": "m"}, "LocalAI", "m"),
        ("", {"region_name": "us-east-1", "access_key_id": "AKIA"}, "Bedrock", "cohere.rerank-v3-5:0"),
        ("name", {"region_name": "us-east-1", "access_key_id": "AKIA"}, "SageMaker", ""),
        ("", {}, "DeepInfra", PROVIDERS["deepinfra"].model),
    ],
)
def test_the_model_is_the_one_that_is_asked(url: str, others: dict[str, str], provider_name: str, model: str) -> None:
    """As the user names it; none where the server decides, whatever the default would be."""
    text = json.dumps(others) if others else ""
    assert resolve(provider_name, url, "k", text, settings()).named_model == model


BILLED = {
    "Azure": (0, 1), "Cohere": (0, 1), "DashScope": (79, 0), "DeepInfra": (60, 0), "Fireworks": (60, 0),
    "Infinity": (142, 0), "Jina": (58, 0), "LiteLLM": (142, 0), "LlamaCpp": (19, 0), "LocalAI": (111, 0),
    "Mixedbread": (60, 0), "NIM": (60, 0), "NVIDIA": (60, 0), "Nebius": (65, 0), "OpenRouter": (60, 1),
    "Pinecone": (0, 1), "SiliconFlow": (60, 0), "Together": (60, 0), "Vercel": (0, 1), "Voyage": (26, 0),
    "ZeroEntropy": (90, 0), "vLLM": (56, 0), "TypeSafe": (296, 0), "OpenAI": (296, 0), "Gemini": (296, 0),
    "Chat": (120, 0), "Anthropic": (120, 0),
    "Cloudflare": (296, 0), "Ollama": (296, 0), "SGLang": (296, 0),
}  # fmt: skip
"""(tokens, search units) in the recorded answers of those who say any."""


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "tests" / "providers" / "recorded_pairs").glob("*/success.json")),
    ids=lambda p: p.parent.name,
)
def test_each_wire_reads_what_its_answers_charge(path: Path) -> None:
    """Wherever a recorded answer has a number of tokens or units, it is found."""
    record, name = json.loads(path.read_text("utf-8")), path.parent.name
    response = record.get("response") or record["exchanges"][0]["response"]
    assert WIRES[PROVIDERS[name.lower()].wire].billed_units(response.get("json"), {}) == BILLED.get(name, (0, 0))


def test_some_say_it_elsewhere() -> None:
    """In a header, and in members that other versions of a server have."""
    assert WIRES["tei"].billed_units([], {"x-compute-tokens": "12"}) == BilledUnits(12)
    assert WIRES["deepinfra"].billed_units({"inference_status": {"tokens_input": 7}}, {}) == BilledUnits(7)
    assert WIRES["cohere"].billed_units({"meta": {"billed_units": {"input_tokens": 5}}}, {}) == BilledUnits(5)
    assert WIRES["cohere"].billed_units({"meta": {"tokens": {"input_tokens": 6}}}, {}) == BilledUnits(6)


@pytest.mark.parametrize("wire", sorted(WIRES))
@pytest.mark.parametrize(
    "answer",
    [None, [], {}, {"usage": None}, {"usage": {"total_tokens": "9"}}, {"usage": {"total_tokens": -1}},
     {"usage": {"total_tokens": True}}, {"meta": {"billed_units": {"search_units": float("nan")}}}, {"tokens": 1e300},
     {"usage": [1]}, {"input_tokens": float("inf")}],
)  # fmt: skip
def test_an_odd_charge_is_none(wire: str, answer: object) -> None:
    """Whatever stands where a number should be, scores are not affected."""
    assert WIRES[wire].billed_units(answer, {"x-compute-tokens": "many"}) == BilledUnits()


APPEND = """
import sys
from clickhouse_rerank.config.tables import UsageSettings
from clickhouse_rerank.usage.jsonl_file import UsageFile
file = UsageFile(UsageSettings(sys.argv[1], max_bytes=3000, kept=100000))
print("ready", flush=True)
sys.stdin.readline()
for number in range(400):
    line = b'{"who":%s,"number":%d,"filler":"%s"}\\n' % (sys.argv[2].encode(), number, b"x" * (number % 700))
    while not file.append(line):
        pass
"""


def test_processes_append_while_the_file_is_renamed(sql: Sql, tmp_path: Path) -> None:
    """Five at a time, files of a few lines: each line is there once, whole, and no file is much too large."""
    path = tmp_path / "usage.jsonl"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", APPEND, str(path), str(who)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for who in range(5)
    ]
    try:
        for one in started:
            assert one.stdout is not None and one.stdout.readline() == "ready\n"
        for one in started:
            assert one.stdin is not None
            one.stdin.write("\n")
            one.stdin.flush()
        for one in started:
            assert one.wait(60) == 0
    finally:
        for one in started:
            one.kill()
            one.communicate()
    found = lines(tmp_path)
    assert sorted((line["who"], line["number"]) for line in found) == [(w, n) for w in range(5) for n in range(400)]
    assert all(file.stat().st_size <= 3000 for file in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) > 100
    counted = f"SELECT count(), uniqExact(who, number) FROM file('{tmp_path}/usage*.jsonl', JSONEachRow)"
    assert sql.rows(counted) == [(2000, 2000)]


def written(path: Path, *texts: str, **more: Any) -> UsageFile:
    file = UsageFile(UsageSettings(str(path), **more))
    for text in texts:
        assert file.append(f'"{text}"\n'.encode())
    return file


def test_the_oldest_files_go(tmp_path: Path) -> None:
    """Those beyond `kept`; files with other names stay, also when the clock stands still."""
    path = tmp_path / "usage.jsonl"
    foreign = [tmp_path / name for name in ("usage.mine.jsonl", "usage.20250101T000000.000000Z.txt", "other.jsonl")]
    for file in foreign:
        file.write_text("")
    one = UsageFile(UsageSettings(str(path), max_bytes=5, kept=3), now=lambda: 1e9)
    for number in range(9):
        assert one.append(f"{number}\n".encode() * 2)
    kept = sorted(set(tmp_path.iterdir()) - {*foreign, path})
    assert [file.read_text()[0] for file in kept] == ["5", "6", "7"]
    assert path.read_text() == "8\n8\n"
    assert all(file.exists() for file in foreign)


@pytest.mark.parametrize("files", range(1, 9))
def test_none_goes_while_there_are_few(tmp_path: Path, files: int) -> None:
    """All that were written are there until there are more than `kept`."""
    written(tmp_path / "usage.jsonl", *map(str, range(files)), max_bytes=3, kept=7)
    assert len(lines(tmp_path)) == files


def test_a_file_grows_without_a_limit(tmp_path: Path) -> None:
    """max_bytes = 0."""
    written(tmp_path / "usage.jsonl", *"abcdef", max_bytes=0)
    assert len(list(tmp_path.iterdir())) == 1


def test_half_a_line_of_before_stays_alone(tmp_path: Path) -> None:
    """What a machine that went down left is one line that cannot be read."""
    path = tmp_path / "usage.jsonl"
    path.write_text('"a"\n"hal')
    written(path, "b", "c")
    assert path.read_text() == '"a"\n"hal\n"b"\n"c"\n'


def test_a_file_that_is_moved_or_deleted_is_begun_anew(tmp_path: Path) -> None:
    """As logrotate does; who holds the old one notices."""
    path = tmp_path / "usage.jsonl"
    one = written(path, "a")
    path.rename(tmp_path / "usage.old.jsonl")
    assert one.append(b'"b"\n')
    path.unlink()
    assert one.append(b'"c"\n')
    assert path.read_text() == '"c"\n'


def symlink(path: Path) -> None:
    path.symlink_to(path.parent.parent / "elsewhere")


def everybody(path: Path) -> None:
    path.write_text("")
    path.chmod(0o666)


def open_folder(path: Path) -> None:
    path.parent.chmod(0o777)


def folder_link(path: Path) -> None:
    path.parent.rmdir()
    target = path.parent.parent / "target"
    target.mkdir()
    path.parent.symlink_to(target)


def no_parent(path: Path) -> None:
    path.parent.rmdir()
    path.parent.parent.joinpath("a").write_text("")
    path.parent.symlink_to(path.parent.parent / "none" / "none")


HINDRANCES: dict[str, tuple[Callable[[Path], object], str]] = {
    "symlink": (symlink, "Too many levels of symbolic links"),
    "fifo": (os.mkfifo, "it is not a file, or another user owns it or may write to it"),
    "folder": (lambda path: path.mkdir(), "Is a directory"),
    "everybody may write": (everybody, "it is not a file, or another user owns it or may write to it"),
    "everybody may write to the folder": (open_folder, "is no folder of the server's user alone"),
    "the folder is a link": (folder_link, "is no folder of the server's user alone"),
    "the folder is a dangling link": (no_parent, "is no folder of the server's user alone"),
}


@pytest.mark.parametrize("how", HINDRANCES)
def test_a_file_that_cannot_be_used_fails_no_query(
    provider: Provider, tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Answers are right, one line in the log says why, and nothing is followed or written."""
    hinder, words = HINDRANCES[how]
    path = tmp_path / "kept" / "usage.jsonl"
    path.parent.mkdir()
    hinder(path)
    before = sorted(file.name for file in tmp_path.rglob("*"))
    within = replace(settings(), usage=UsageSettings(str(path)))
    with caplog.at_level(logging.WARNING, "clickhouse_rerank"):
        assert asked(row(provider.url), within=within) == [RIGHT]
    (said,) = [record.getMessage() for record in caplog.records if record.name == "clickhouse_rerank"]
    assert said.startswith(f"The usage file {path} is not written for the time being: ") and words in said
    assert sorted(file.name for file in tmp_path.rglob("*")) == before


def test_a_full_disk_tears_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What does not fit is taken back; the file is tried again a minute later."""
    path = tmp_path / "usage.jsonl"
    now = [100.0]
    one = UsageFile(UsageSettings(str(path)), clock=lambda: now[0])
    assert one.append(b'"a"\n')
    write = os.write
    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING, "clickhouse_rerank"):
        patched.setattr(jsonl_file.os, "write", lambda file, data: write(file, data[: len(data) // 2]))
        for _ in range(3):
            assert one.append(b'"lost"\n')
            now[0] += 61
    assert path.read_text() == '"a"\n'
    assert len(caplog.records) == 1
    assert one.append(b'"b"\n')
    assert path.read_text() == '"a"\n"b"\n'


def test_a_lock_that_is_not_let_go_is_waited_for_but_not_for_ever(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The lines of that time are lost; the loop goes on meanwhile."""
    monkeypatch.setattr(recorder, "_MAX_TRIES", 3)
    path = tmp_path / "usage.jsonl"
    with path.open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        kept = recorder.UsageRecorder(UsageSettings(str(path)))
        with kept.line(_endpoint(provider.url), 0, recorder.RowUsage()):
            pass
        with caplog.at_level(logging.WARNING, "clickhouse_rerank"):
            asyncio.run(kept.write())
    assert ["another process holds its lock" in record.getMessage() for record in caplog.records] == [True]
    assert path.read_text() == "" and kept._pending == {}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"usage": {"file": "/a"}}, "[usage] has the unknown key file. Known: path, max_bytes, kept."),
        ({"usage": {"path": "usage.jsonl"}}, "[usage] path must be the absolute path of a file."),
        ({"usage": {"kept": -1}}, "[usage] kept must be an integer, 0 or more."),
        ({"usage": {"prices": 1}}, "[usage.prices] must be a table."),
        ({"usage": {"prices": {"Nobody": {}}}}, "[usage.prices] has Nobody, which is no provider. Correct it."),
        (
            {"usage": {"prices": {"Cohere": 1}}},
            '[usage.prices] Cohere must be a table such as Cohere = { "MODEL" = { search_unit = 0.002 } }.',
        ),
        (
            {"usage": {"prices": {"Cohere": {"m": {"token": 1}}}}},
            '[usage.prices] Cohere."m" has the unknown key token. Known: search_unit, million_tokens, request.',
        ),
        (
            {"usage": {"prices": {"Cohere": {"m": {}}}}},
            '[usage.prices] Cohere."m" must be a table of search_unit, million_tokens, request.',
        ),
        (
            {"usage": {"prices": {"Choere": {}}}},
            "[usage.prices] has Choere, which is no provider. Did you mean Cohere? Correct it.",
        ),
        (
            {"usage": {"prices": {"Cohere": {"m": {"request": True}}}}},
            '[usage.prices] Cohere."m" request must be a number, 0 or more.',
        ),
    ],
)
def test_a_mistake_in_the_table_is_named(document: dict[str, object], words: str) -> None:
    """Unknown keys, wrong types, relative paths, unknown providers."""
    with pytest.raises(CallerError) as raised:
        parse(document, {}, where="config.toml")
    assert str(raised.value) == f"Rerank: CONFIG: config.toml {words}"


def test_rows_at_the_same_time_have_lines_of_their_own(provider: Provider, tmp_path: Path) -> None:
    """Each with its own numbers."""
    provider.script = lambda request: (
        Reply(500, {"message": "oops"}, headers={"Retry-After": "0"})
        if "bad" in request.json["query"]
        else cohere(request)
    )
    rows = [
        row(provider.url, query=f"{QUERY} {kind}", others={"on_error": "empty"}) for kind in ("good", "bad", "fine")
    ]
    results = asked_together(rows, recording(tmp_path))
    assert not any(isinstance(result, RerankError) for result in results)
    found = sorted((line["status"], line["attempts"], line["degraded"]) for line in lines(tmp_path))
    assert found == [("error", 3, 1), ("ok", 1, 0), ("ok", 1, 0)]
    assert len(DOCUMENTS) == 4


def test_known_scores_are_counted(provider: Provider, tmp_path: Path) -> None:
    """By call in memory, by document in a file."""
    within = recording(tmp_path, cache=CacheSettings(memory_s=10))
    asked(row(provider.url), row(provider.url), within=within)
    assert [(line["documents"], line["cached"], line["requests"]) for line in lines(tmp_path)] == [(4, 0, 1), (4, 4, 0)]
    within = replace(within, cache=CacheSettings(path=str(tmp_path / "c" / "scores")))
    asked(row(provider.url), row(provider.url, documents=[*DOCUMENTS, "new", "new"]), within=within)
    assert [(line["documents"], line["cached"], line["requests"]) for line in lines(tmp_path)[2:]] == [
        (4, 0, 1),
        (5, 4, 1),
    ]


PAGE = ROOT / "docs" / "usage.md"


def test_the_page_has_the_views_and_every_column() -> None:
    """Its SQL is the file's, its table the columns of a line, in order, and its configuration is one."""
    text = PAGE.read_text("utf-8")
    shown = re.search(r"<!-- views -->\n```sql\n(.*?)```", text, re.DOTALL)
    assert shown is not None and shown[1] == VIEWS
    rows = re.findall(r"^\| (`.*?) \|", text[text.index("| column |") : text.index("## The views")], re.MULTILINE)
    columns = [field.name for field in fields(recorder.UsageLine) if not field.name.startswith("_")]
    assert re.findall(r"`(\w+)`", " ".join(rows)) == columns
    typed = re.search(r"\$\$(.*?)\$\$", VIEWS, re.DOTALL)
    assert typed is not None and re.findall(r"(\w+) (?=String|UInt|Float|Date)", typed[1]) == columns
    for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL):
        parse(tomllib.loads(block), {}, where="config.toml")


def test_prices_of_the_page_and_of_the_table_agree() -> None:
    """What is seeded is what the documentation shows."""
    (block,) = [b for b in re.findall(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL) if "prices" in b]
    shown = parse(tomllib.loads(block), {}, where="config.toml").prices
    per_token, default = shown["Cohere", "rerank-v5.0-pro"], shown["Cohere", PROVIDERS["cohere"].model]
    assert f"('Cohere', 'rerank-v5.0-pro', '2026-11-03', 0, {per_token.million_tokens}, 0)" in VIEWS
    assert f"('Cohere', '{PROVIDERS['cohere'].model}', '2024-12-02', {default.search_unit}, 0, 0)" in VIEWS
