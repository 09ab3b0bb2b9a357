"""`clickhouse-rerank evaluate` as a user runs it: where questions are, what is asked, and what the figures say."""

from __future__ import annotations

import json
import math
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import decision_model
from clickhouse_rerank.config.settings import load
from conftest import worker_environment
from provider import Provider, Reply, Request, cohere

COMMAND = (sys.executable, "-m", "clickhouse_rerank.commands.cli", "evaluate")
CONFIG = """
[usage.prices.Cohere]
"m" = { search_unit = 0.002 }
"""

ROWS = [
    # Question, document's id, document, grade.
    ("red fruit", "d1", "a blue stone", 0),
    ("red fruit", "d2", "a red brick", 0),
    ("red fruit", "d3", "a red fruit", 2),
    ("old boat", "d4", "an old boat", 1),
    ("old boat", "d5", "a boat", 1),
    ("old boat", "d6", "an old hat", 0),
    ("warm sea", "d7", "a cold sea", 0),
    ("warm sea", "d8", "warm milk", 0),
    ("warm sea", "d9", "a warm sea", 1),
]
"""The provider of the tests ranks by shared words: every question's best document is first, or stays so."""


class Evaluate:
    """The command with a home of its own, so that nothing is known from another test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        config = folder / "config.toml"
        config.write_text(CONFIG)
        self.environment = worker_environment(
            XDG_CACHE_HOME=str(folder / "cache"), HOME=str(folder), CLICKHOUSE_RERANK_CONFIG=str(config)
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        done = self.run("--json", *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def error(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert (done.returncode, done.stdout) == (1, "")
        return done.stderr


@pytest.fixture
def evaluate(tmp_path: Path) -> Evaluate:
    return Evaluate(tmp_path)


def ranker(provider: Provider, **others: object) -> str:
    """A ranker named `mine`: the provider on loopback."""
    call = {"provider": "Cohere", "base_url": provider.url, "api_key": "k", "others": {"model": "m", **others}}
    return f"mine={json.dumps(call)}"


def as_sql(rows: list[tuple[str, str, str, int]] = ROWS) -> str:
    values = ", ".join(map(str, rows))
    structure = "question String, document_id String, document String, grade UInt8"
    return f"SELECT * FROM values('{structure}', {values})"


def as_query(folder: Path) -> list[str]:
    return ["--questions", as_sql()]


def as_csv(folder: Path) -> list[str]:
    text = "".join(f'"{question}",{id_},"{document}",{grade}\n' for question, id_, document, grade in ROWS)
    (folder / "questions.csv").write_text("question,document_id,document,grade\n" + text)
    return ["--questions", str(folder / "questions.csv")]


def as_jsonl(folder: Path) -> list[str]:
    members = ("question", "document_id", "document", "grade")
    lines = [json.dumps(dict(zip(members, row, strict=True))) + "\n" for row in ROWS]
    (folder / "questions.jsonl").write_text("".join(lines))
    return ["--questions", str(folder / "questions.jsonl")]


def as_beir(folder: Path) -> list[str]:
    texts = list(dict.fromkeys(question for question, *_ in ROWS))
    queries = [{"_id": f"q{n}", "text": text} for n, text in enumerate(texts)]
    corpus = [{"_id": id_, "title": "", "text": document} for _, id_, document, _ in ROWS]
    for name, found in (("queries", queries), ("corpus", corpus)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in found))
    (folder / "qrels").mkdir()
    judged = [f"q{texts.index(question)}\t{id_}\t{grade}\n" for question, id_, _, grade in ROWS]
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(judged))
    run = [
        f"q{texts.index(question)} Q0 {id_} {place + 1} {1 / (place + 1)} first\n"
        for place, (question, id_, _, _) in enumerate(ROWS)
    ]
    (folder / "first.run").write_text("".join(reversed(run)))
    return ["--questions", str(folder), "--run", str(folder / "first.run")]


def as_qrels(folder: Path) -> list[str]:
    judged = [f"{question.replace(' ', '-')} 0 {id_} {grade}\n" for question, id_, _, grade in ROWS]
    (folder / "judged.qrels").write_text("".join(judged))
    sql = f"SELECT replace(question, ' ', '-') AS question_id, question, document_id, document FROM ({as_sql()})"
    return ["--questions", sql, "--qrels", str(folder / "judged.qrels")]


def as_marks(folder: Path) -> list[str]:
    """The JSON lines that the report's page writes."""
    lines = [{"question": question, "document": id_, "grade": grade} for question, id_, _, grade in ROWS]
    (folder / "judgements.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    sql = f"SELECT question, document_id, document FROM ({as_sql()})"
    return ["--questions", sql, "--qrels", str(folder / "judgements.jsonl")]


@pytest.mark.parametrize("given", [as_query, as_csv, as_jsonl, as_beir, as_qrels, as_marks])
def test_the_same_figures_wherever_the_questions_are(
    evaluate: Evaluate, provider: Provider, tmp_path: Path, given: Callable[[Path], list[str]]
) -> None:
    """Orders, measures by hand, and the first stage as the baseline."""
    found = evaluate.json(*given(tmp_path), "--ranker", ranker(provider))
    assert [question["text"] for question in found["questions"]] == ["red fruit", "old boat", "warm sea"]
    assert [question["orders"]["mine"]["indexes"] for question in found["questions"]] == [
        [2, 1, 0],
        [0, 1, 2],
        [2, 0, 1],
    ]
    assert [[one["grade"] for one in question["candidates"]] for question in found["questions"]] == [
        [0, 0, 2],
        [1, 1, 0],
        [0, 0, 1],
    ]
    first, mine = found["rankers"]
    assert (first["name"], found["baseline"], mine["name"], mine["model"]) == (
        "first stage",
        "first stage",
        "mine",
        "m",
    )
    assert {name: estimate["mean"] for name, estimate in mine["measures"].items()} == {
        "nDCG@10": 1,
        "MRR@10": 1,
        "recall@10": 1,
        "hit@1": 1,
    }
    assert first["measures"]["nDCG@10"]["mean"] == pytest.approx((1 / math.log2(4) + 1 + 1 / math.log2(4)) / 3)
    assert first["measures"]["MRR@10"]["mean"] == pytest.approx((1 / 3 + 1 + 1 / 3) / 3)
    assert first["measures"]["hit@1"]["mean"] == pytest.approx(1 / 3)
    assert first["p_value"] is None and 0 < mine["p_value"] <= 1
    assert [request.json["documents"] for request in provider.requests] == [
        [document for question, _, document, _ in ROWS if question == text]
        for text in ("red fruit", "old boat", "warm sea")
    ]


def test_judged_documents_that_were_not_found_count(evaluate: Evaluate, provider: Provider, tmp_path: Path) -> None:
    """A relevant document outside the candidates lowers recall and nDCG; what nobody judged is not relevant."""
    (tmp_path / "judged.qrels").write_text("red-fruit 0 d3 1\nred-fruit 0 far 1\n")
    sql = f"SELECT replace(question, ' ', '-') AS question_id, * FROM ({as_sql()})"
    found = evaluate.json("--questions", sql, "--qrels", str(tmp_path / "judged.qrels"), "--ranker", ranker(provider))
    mine = found["rankers"][1]["measures"]
    assert mine["recall@10"]["mean"] == 0.5
    assert mine["nDCG@10"]["mean"] == pytest.approx(1 / (1 + 1 / math.log2(3)))
    assert found["questions"][0]["candidates"][0]["grade"] is None
    assert found["questions"][1]["orders"]["mine"]["measures"] == {}
    text = evaluate.run("--questions", sql, "--qrels", str(tmp_path / "judged.qrels"), "--ranker", ranker(provider))
    assert "2 questions without judgements" in text.stdout


def billed(request: Request) -> Reply:
    reply = cohere(request)
    return Reply(json={**reply.json, "meta": {"billed_units": {"search_units": 2, "input_tokens": 70}}})


def test_cost_and_tokens_are_what_the_provider_bills(evaluate: Evaluate, provider: Provider) -> None:
    provider.reset(billed)
    mine = evaluate.json("--questions", as_sql(), "--ranker", ranker(provider))["rankers"][1]
    assert (mine["cost_per_1000"], mine["errors"], mine["degraded"]) == (4.0, 0, 0)
    assert 0 < mine["seconds_p50"] <= mine["seconds_p95"]


def test_an_answered_question_is_not_asked_again(evaluate: Evaluate, provider: Provider) -> None:
    """Neither for the same command, nor with one more ranker or question; --fresh asks. The numbers stay the same."""
    provider.reset(billed)
    first = evaluate.json("--questions", as_sql(), "--ranker", ranker(provider))
    assert len(provider.requests) == 3
    second = evaluate.json("--questions", as_sql(), "--ranker", ranker(provider))
    assert len(provider.requests) == 3
    assert {**first, "made": ""} == {**second, "made": ""}
    more = [*ROWS, ("new", "d10", "a new one", 1)]
    third = evaluate.json("--questions", as_sql(more), "--ranker", ranker(provider), "--ranker", "BM25")
    assert len(provider.requests) == 4
    assert [one["name"] for one in third["rankers"]] == ["first stage", "mine", "BM25"]
    evaluate.json("--questions", as_sql(), "--ranker", ranker(provider), "--fresh")
    assert len(provider.requests) == 7
    files = list((evaluate.folder / "cache").rglob("*.jsonl"))
    assert files and all(b"fruit" not in file.read_bytes() and file.stat().st_mode & 0o077 == 0 for file in files)


def test_an_interrupted_evaluation_goes_on(evaluate: Evaluate, provider: Provider) -> None:
    """A signal during the second question: the next run asks the second and the third."""
    provider.reset(lambda request: Reply(never=True) if request.number == 2 else billed(request))
    arguments = [*COMMAND, "--questions", as_sql(), "--ranker", ranker(provider)]
    started = subprocess.Popen(arguments, env=evaluate.environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    while len(provider.requests) < 2:
        assert provider.arrived.acquire(timeout=60)
    started.send_signal(signal.SIGTERM)
    _, said = started.communicate(timeout=60)
    assert started.returncode == -signal.SIGTERM
    assert b"The same command goes on where it was" in said
    provider.reset(billed)
    found = evaluate.json("--questions", as_sql(), "--ranker", ranker(provider))
    assert [request.json["query"] for request in provider.requests] == ["old boat", "warm sea"]
    assert found["rankers"][1]["measures"]["nDCG@10"]["mean"] == 1


def test_a_question_that_fails_has_its_error_and_counts(evaluate: Evaluate, provider: Provider) -> None:
    """With 0 in the measures; the next run asks it again, and nothing else."""
    provider.reset(lambda request: Reply(status=400) if request.json["query"] == "old boat" else cohere(request))
    found = evaluate.json("--questions", as_sql(), "--ranker", ranker(provider))
    order = found["questions"][1]["orders"]["mine"]
    assert order["indexes"] == [] and order["error"].startswith("Rerank: ") and order["measures"]["nDCG@10"] == 0
    assert found["rankers"][1]["errors"] == 1
    provider.reset()
    assert evaluate.json("--questions", as_sql(), "--ranker", ranker(provider))["rankers"][1]["errors"] == 0
    assert len(provider.requests) == 1


def test_a_ranker_that_never_answers_ends_the_evaluation(evaluate: Evaluate, provider: Provider) -> None:
    provider.reset(lambda request: Reply(status=401))
    said = evaluate.error("--questions", as_sql(), "--ranker", ranker(provider))
    assert said.splitlines()[-1].startswith("mine: Rerank: AUTH: ") and "goes on where it was" in said
    assert len(provider.requests) == 3


def test_what_a_fallback_answered_is_degraded(evaluate: Evaluate, provider: Provider) -> None:
    provider.reset(lambda request: Reply(status=500))
    mine = ranker(provider, fallback=[{"provider": "BM25"}], timeout_s=1)
    found = evaluate.json("--questions", as_sql(), "--ranker", mine)["rankers"][1]
    assert (found["errors"], found["degraded"]) == (0, 3)
    provider.reset(lambda request: Reply(status=500))
    kept = evaluate.json("--questions", as_sql(), "--ranker", ranker(provider, on_error="passthrough", timeout_s=1))
    assert (kept["rankers"][1]["errors"], kept["rankers"][1]["degraded"]) == (0, 3)
    assert kept["questions"][0]["orders"]["mine"] == {
        "indexes": [0, 1, 2],
        "scores": [None] * 3,
        "measures": kept["questions"][0]["orders"]["first stage"]["measures"],
        "seconds": kept["questions"][0]["orders"]["mine"]["seconds"],
        "error": "",
    }


def test_more_than_the_user_wants_to_spend_is_not_spent(evaluate: Evaluate, provider: Provider) -> None:
    """The estimate of three requests at 0.002 each; without a terminal nothing is sent."""
    arguments = ["--questions", as_sql(), "--ranker", ranker(provider)]
    said = evaluate.error(*arguments, "--max-cost", "0.005")
    assert "mine: 3 questions, 3 requests" in said and "about $0.006" in said
    assert "more than --max-cost 0.005. Nothing was sent" in said
    assert provider.requests == []
    assert evaluate.run(*arguments, "--max-cost", "0.006").returncode == 0


@pytest.mark.parametrize(("answer", "requests", "code"), [("y", 3, 0), ("n", 0, 1)])
def test_a_terminal_is_asked(evaluate: Evaluate, provider: Provider, answer: str, requests: int, code: int) -> None:
    ours, theirs = pty.openpty()
    arguments = [*COMMAND, "--questions", as_sql(), "--ranker", ranker(provider), "--max-cost", "0"]
    started = subprocess.Popen(
        arguments, env=evaluate.environment, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, encoding="utf-8"
    )
    os.close(theirs)
    said = b""
    while b"[y/N]" not in said:
        said += os.read(ours, 4096)
    os.write(ours, answer.encode() + b"\n")
    printed = started.communicate(timeout=60)[0]
    os.close(ours)
    assert (started.returncode, len(provider.requests), "mine" in printed) == (code, requests, bool(requests))


def test_without_judgements_rankers_are_compared(evaluate: Evaluate, provider: Provider) -> None:
    sql = f"SELECT question, document FROM ({as_sql()})"
    found = evaluate.json("--questions", sql, "--ranker", ranker(provider), "--ranker", "BM25", "--top-k", "1")
    assert found["measures"] == [] and all(one["measures"] == {} for one in found["rankers"])
    pairs = {(one["first"], one["second"]): one["overlap"] for one in found["agreements"]}
    assert pairs[("first stage", "mine")] == pytest.approx(1 / 3)
    assert set(pairs) == {("first stage", "mine"), ("first stage", "BM25"), ("mine", "BM25")}
    text = evaluate.run("--questions", sql, "--ranker", ranker(provider), "--top-k", "1").stdout
    assert "first stage and mine differ most here" in text and "nDCG" not in text


def decisions(request: Request) -> Reply:
    """A probability of 0.9 for documents with a word of the query, else 0.5 or 0.1."""
    found = decision_model.documents(request.json)
    return Reply(
        json=decision_model.answer(
            request.json,
            {name: 0.9 if "red" in text else 0.5 if "boat" in text else 0.1 for name, text in found.items()},
            10,
        )
    )


def judge(provider: Provider) -> str:
    call = {"provider": "TypeSafe", "base_url": provider.url, "api_key": "k", "others": {"model": "judge-1"}}
    return f"the judge={json.dumps(call)}"


def test_a_decision_model_judges_and_the_figures_say_so(evaluate: Evaluate, provider: Provider) -> None:
    """Its yes from 0.5 on; every mean is marked in the table."""
    provider.reset(lambda request: cohere(request) if "documents" in request.json else decisions(request))
    sql = f"SELECT question, document FROM ({as_sql()})"
    arguments = ["--questions", sql, "--ranker", ranker(provider), "--judge", judge(provider)]
    found = evaluate.json(*arguments)
    assert found["judge"] == "the judge"
    assert [one["name"] for one in found["rankers"]] == ["first stage", "mine"]
    assert {one["grade"] for question in found["questions"] for one in question["candidates"]} == {0, 1}
    assert "nDCG@10 ◇" in evaluate.run(*arguments).stdout


SILLY = [
    (["--ranker", "BM25"], "Name --questions"),
    (["--questions", "none.csv", "--ranker", "BM25"], "neither a SELECT nor a file"),
    (["--questions", "SELECT 1 AS question", "--ranker", "BM25"], "no column document"),
    (["--questions", "SELECT 'q' AS question, 'd' AS document, 'x' AS grade", "--ranker", "BM25"], "no number"),
    (["--questions", "SELECT 'q' AS question, 'd' AS document LIMIT 0", "--ranker", "BM25"], "no questions"),
    (["--questions", "SELECT question FROM nowhere", "--ranker", "BM25"], "nowhere"),
    (["--questions", as_sql(), "--ranker", "BM26"], "Did you mean BM25?"),
    (["--questions", as_sql(), "--ranker", "a=BM25", "--ranker", "a=BM25"], "Two rankers have the name a"),
    (
        ["--questions", as_sql(), "--ranker", '{"provider":"BM25","modell":"m"}'],
        "no member 'modell'".replace("no ", ""),
    ),
    (["--questions", as_sql(), "--ranker", '{"provider":'], "no valid JSON"),
    (["--questions", as_sql(), "--ranker", "BM25", "--baseline", "b"], "--baseline b is no ranker"),
    (["--questions", as_sql(), "--ranker", "BM25", "--judge", "BM25"], "--judge needs a decision model"),
    (["--questions", as_sql(), "--ranker", "TypeSafe", "--judge", "TypeSafe"], "cannot judge"),
    (["--questions", as_sql(), "--ranker", "BM25", "--judge", "TypeSafe"], "have judgements"),
    (["--questions", as_sql(), "--ranker", "Cohere"], "Cohere: Rerank: BAD_KEY"),
    (["--questions", as_sql(), "--ranker", 'a={"provider":"BM25","others":{"k2":1}}'], "a: Rerank: BAD_OTHERS"),
]


@pytest.mark.parametrize(("arguments", "sentence"), SILLY, ids=[sentence for _, sentence in SILLY])
def test_a_mistake_has_a_sentence(evaluate: Evaluate, arguments: list[str], sentence: str) -> None:
    said = evaluate.error(*arguments)
    assert sentence in said and said.count("\n") == 1


FALLBACK = {"provider": "BM25", "others": {"fallback": [{"provider": "TypeSafe", "model": "j"}]}}


@pytest.mark.parametrize(
    "own", ["TypeSafe/j", "Cohere/j", f"chain={json.dumps(FALLBACK)}"], ids=["provider", "gateway", "fallback"]
)
def test_no_model_judges_itself(evaluate: Evaluate, own: str) -> None:
    """Under another name, through another provider, or as a fallback."""
    sql = "SELECT 'q' AS question, 'd' AS document"
    said = evaluate.error("--questions", sql, "--ranker", own, "--judge", "silver=TypeSafe/j")
    assert "cannot judge" in said


def test_documents_are_bytes(evaluate: Evaluate, provider: Provider) -> None:
    """A document that is no UTF-8, a NUL and quotes are asked as they are, and shown as well as they can be."""
    sql = "SELECT 'it''s \\\\' AS question, arrayJoin(['\\xff it''s', 'a\\0b', '<b>']) AS document"
    found = evaluate.json("--questions", sql, "--ranker", ranker(provider), "--report", str(evaluate.folder / "r.html"))
    assert provider.requests[0].json["documents"][1] == "a\0b"
    assert [one["text"] for one in found["questions"][0]["candidates"]] == ["\ufffd it's", "a\0b", "<b>"]
    assert "<b>" not in (evaluate.folder / "r.html").read_text("utf-8").partition("<script")[2]


def test_the_demonstration_needs_nothing(evaluate: Evaluate) -> None:
    """Its own questions, the scorers of the worker, a report; no CrossEncoder where there is no model."""
    report = evaluate.folder / "report.html"
    done = evaluate.run("--demo", "--report", str(report))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "Demonstration: 16 questions, 320 candidates."
    assert [line.split("  ")[0] for line in lines[2:7:2]] == ["ranker", "BM25", ""] or lines[3].startswith(
        "first stage"
    )
    assert "CrossEncoder" not in done.stdout
    assert "BM25" in report.read_text("utf-8")


def test_settings_of_the_demonstration(tmp_path: Path) -> None:
    """The models of the user's folder make CrossEncoder a ranker of the demonstration: one, or a default."""
    from clickhouse_rerank.commands.evaluate.demo import rankers

    settings = load({"HOME": str(tmp_path)}, embedded=True)
    assert rankers(settings) == ["BM25"]
    folder = tmp_path / ".local" / "share" / "clickhouse-rerank" / "models" / "tiny"
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").write_text("{}")
    assert set(rankers(load({"HOME": str(tmp_path)}, embedded=True))) == {"BM25", "CrossEncoder"}
