"""Every provider against recorded pairs: our request equals the file's, its answer becomes the file's ranking.

A file under recorded_pairs/<Provider>/ holds `arguments`, then `request` and `response` (or `exchanges`, several of
them), then `ranking` or `error`. Hosts are replaced by a provider on loopback; paths, headers and bodies are not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from asking import asked, float32, settings
from clickhouse_rerank.config.settings import Settings
from clickhouse_rerank.errors import CallerError, ProviderFailedError, RerankError
from clickhouse_rerank.network import responses
from clickhouse_rerank.network.transport import Response as Answer
from clickhouse_rerank.providers import PROVIDERS
from clickhouse_rerank.providers.base_url import parse_url
from clickhouse_rerank.providers.wires import WIRES, MalformedError
from clickhouse_rerank.request import plan
from clickhouse_rerank.request.endpoint import Endpoint, resolve
from clickhouse_rerank.types import Call, Row
from provider import Provider, Reply, Request

FOLDER = Path(__file__).parent / "recorded_pairs"
FILES = sorted(FOLDER.glob("*/*.json"))
RETRIED = ("RATE_LIMIT", "LOADING")
"""Codes of answers that are asked for again after a pause, which these tests do not wait for."""


class Case:
    """One file."""

    def __init__(self, path: Path) -> None:
        self.record = json.loads(path.read_text("utf-8"))
        self.provider = path.parent.name
        self.arguments = self.record["arguments"]
        one = {key: self.record[key] for key in ("request", "response") if key in self.record}
        self.exchanges = self.record.get("exchanges", [one] if one else [])
        self.ranking = [(index, float32(score)) for index, score in self.record.get("ranking", ())]
        self.error = self.record.get("error")

    def row(self, host: str = "") -> Row:
        """The arguments as SQL gives them; with a `host`, that one in place of the documented one."""
        given = self.arguments
        base_url, others = given["base_url"], dict(given["others"])
        if host:
            base_url = re.sub("^https?://[^/]+", host, base_url)
            if not base_url and PROVIDERS[self.provider.lower()].url:
                base_url = host
            if "endpoint_url" in others:
                others["endpoint_url"] = host
        text = json.dumps(others) if others else ""
        documents, key = list(given["documents"]), given["api_key"]
        return Row(given["query"], documents, given["top_k"], self.provider, base_url, key, text)

    def endpoint(self) -> Endpoint:
        row = self.row()
        return resolve(row.provider, row.base_url, row.api_key, row.others, Settings())

    def script(self, request: Request) -> Reply:
        """The recorded answer to a request; 599 to any other."""
        for exchange in self.exchanges:
            if exchange["request"]["path"] == request.path and exchange["request"]["json"] == request.json:
                response = exchange["response"]
                body = response["body"].encode() if "body" in response else None
                return Reply(response["status"], response.get("json"), body, response.get("headers", {}))
        return Reply(599, json={"message": f"not recorded: {request.method} {request.path} {request.body[:500]!r}"})


def cases(*, failed: bool) -> list[Any]:
    """The files that end in a ranking, or in an error."""
    return [
        pytest.param(case, id=f"{path.parent.name}-{path.stem}")
        for path in FILES
        if bool((case := Case(path)).error) is failed
    ]


def check_requests(case: Case, came: list[Request]) -> None:
    """Exactly the recorded requests came, in any order."""
    assert len(came) == len(case.exchanges)
    for exchange in case.exchanges:
        wanted = exchange["request"]
        (request,) = [request for request in came if request.json == wanted["json"]]
        assert (request.method, request.path) == (wanted["method"], wanted["path"])
        for name, value in wanted["headers"].items():
            assert fnmatchcase(request.headers[name.lower()], value), name


@pytest.mark.parametrize("case", cases(failed=False))
def test_a_recorded_exchange_gives_its_ranking(case: Case, provider: Provider) -> None:
    """The request is the recorded one, byte for meaning, and the ranking is the recorded answer's."""
    provider.reset(case.script)
    (ranking,) = asked(case.row(provider.url))
    assert ranking == case.ranking
    check_requests(case, provider.requests)


@pytest.mark.parametrize("case", cases(failed=True))
def test_a_recorded_refusal_gives_its_sentence(case: Case, provider: Provider) -> None:
    """The provider's own words, the code, what to do; the request was the recorded one."""
    if case.error["code"] in RETRIED:
        error = _read(case)
    else:
        provider.reset(case.script)
        (error,) = asked(case.row(provider.url))
        check_requests(case, provider.requests)
    assert isinstance(error, RerankError)
    assert error.code == case.error["code"]
    assert case.error["contains"] in str(error)
    assert case.arguments["api_key"] == "" or case.arguments["api_key"] not in str(error)


def _read(case: Case) -> RerankError:
    """What the recorded answer is taken for; it must be worth another attempt."""
    (exchange,) = case.exchanges
    wanted = exchange["request"]
    response = case.script(Request(1, "POST", wanted["path"], {}, json.dumps(wanted["json"]).encode()))
    headers = {name.lower(): value for name, value in response.headers.items()}
    with pytest.raises(ProviderFailedError) as raised:
        responses.payload(Answer(response.status, headers, response.wire()[1]), case.endpoint())
    assert raised.value.retryable
    return raised.value


@pytest.mark.parametrize(
    "case", [case for case in cases(failed=False) + cases(failed=True) if case.values[0].exchanges]
)
def test_the_documented_url_is_asked(case: Case) -> None:
    """With the documented host, or no base_url at all, requests go to the documented path of that host."""
    endpoint = case.endpoint()
    url = parse_url(endpoint.url)
    assert {url.path} == {exchange["request"]["path"] for exchange in case.exchanges}
    base_url = case.arguments["base_url"]
    if "://" in base_url:
        assert str(url).startswith(base_url[: base_url.find("/", 8)] if "/" in base_url[8:] else base_url)
    elif endpoint.provider.url:
        assert str(url).startswith(endpoint.provider.url.partition("{")[0])


def test_every_provider_has_its_files() -> None:
    """Each that is asked over the network: a success, an error of its API, and a limit; and no folder is left over."""
    asked_over_the_network = {record.name for record in PROVIDERS.values() if record.key != "none"}
    assert {path.parent.name for path in FILES} == asked_over_the_network
    for name in asked_over_the_network:
        stems = {path.stem.partition("_")[0] for path in FILES if path.parent.name == name}
        assert {"success", "error", "limit"} <= stems, name


INDICES = ("index", "id")
SCORES = ("relevance_score", "score", "logit", "relevanceScore")


def entries(payload: Any) -> list[Any]:
    """The list in a recorded answer that has an entry per document."""
    if isinstance(payload, list):
        return payload
    nested = payload.get("output", payload)
    return next(nested[key] for key in ("results", "data", "rankings", "rerank", "records", "scores") if key in nested)


def malformed(answer: Any) -> Iterator[tuple[str, Any]]:
    """(what is wrong, a recorded answer made wrong in that way)."""

    def changed(change: Any) -> Any:
        copy = json.loads(json.dumps(answer))
        change(entries(copy))
        return copy

    first = entries(answer)[0]
    for wrong in ({}, [], None, "text", 1, {"results": None}, {"results": {}}, {"results": "text"}, {"data": [None]}):
        yield f"is {wrong!r}", wrong
    yield "no entries", changed(lambda items: items.clear())
    yield "an entry of another type", changed(lambda items: items.__setitem__(0, "text"))
    yield "an entry of another type", changed(lambda items: items.__setitem__(0, None))
    yield "an entry twice", changed(lambda items: items.append(items[0]))
    for value in (None, True, "0.9", [], {}, float("inf"), float("nan"), 1e39):
        yield f"a score of {value!r}", changed(lambda items, value=value: _set(items, SCORES, value))
    if isinstance(first, dict) and any(key in first for key in INDICES):
        for value in (None, True, -1, 99, 1.5, "x", "-1", [], 10**12):
            yield f"an index of {value!r}", changed(lambda items, value=value: _set(items, INDICES, value))


def malformed_decisions(answer: Any) -> Iterator[tuple[str, Any]]:
    """(what is wrong, a recorded answer of a decision model made wrong in that way)."""

    def changed(change: Any) -> Any:
        copy = json.loads(json.dumps(answer))
        change(copy.get("result", copy)["answers"])
        return copy

    answers = answer.get("result", answer)["answers"]
    key = next(iter(answers)) if isinstance(answers, dict) else 0
    named = {"name": "d7"} if isinstance(answers, list) else {}
    other = {"type": "noul", "noul": 0.5, "probability": 0.5, **named}
    for wrong in ({}, [], None, "text", 1, {"answers": None}, {"answers": "text"}, {"answers": []}, {"answers": {}}):
        yield f"is {wrong!r}", wrong
    if "result" in answer:
        yield "a failure with answers", answer | {"success": False}
    yield "a missing answer", changed(lambda found: found.pop(key))
    yield "an answer of another type", changed(lambda found: found.__setitem__(key, "text"))
    yield "an answer that cannot be given", changed(lambda found: found[key].update(type="unsupported"))
    add = (lambda found: found.append(other)) if isinstance(answers, list) else (lambda found: found.update(d7=other))
    yield "an answer to another question", changed(add)
    if isinstance(answers, list):
        yield "an answer twice", changed(lambda found: found.append(found[1]))
    member = "probability" if isinstance(answers, list) else "noul"
    for value in (None, True, "0.9", [], {}, -0.01, 1.01, float("inf"), float("nan")):
        wrong = {"type": "predicate", member: value}
        yield f"a probability of {value!r}", changed(lambda found, wrong=wrong: found[key].update(wrong))


def _set(items: list[Any], keys: tuple[str, ...], value: Any) -> None:
    """Put a value where the first entry has its score or index."""
    for place in items[0] if isinstance(items[0], list) else [items[0]]:
        if isinstance(place, dict):
            place[next(key for key in keys if key in place)] = value
        else:
            items[0] = value


def malformed_writings(answer: Any) -> Iterator[tuple[str, Any]]:
    """(what is wrong, a recorded answer of a chat model made wrong in that way)."""
    for wrong in ({}, [], None, "text", 1, {"choices": None}, {"choices": []}, {"choices": [None]}, {"content": None}):
        yield f"is {wrong!r}", wrong
    place, member = (
        (answer["content"][0], "text") if "content" in answer else (answer["choices"][0]["message"], "content")
    )
    for text in (None, "", " ", "none of them", '{"ranking": []}', '{"ranking": [0, 4]}'):
        place[member] = text
        yield f"writes {text!r}", answer


@pytest.mark.parametrize("case", [case for case in cases(failed=False) if len(case.values[0].exchanges) == 1])
def test_a_recorded_answer_made_wrong_is_refused(case: Case) -> None:
    """Missing, repeated and foreign entries and scores that are no finite numbers never become a ranking."""
    endpoint, row = case.endpoint(), case.row()
    call = plan.call(row, plan.scored_positions(row), endpoint)
    answer = case.exchanges[0]["response"]["json"]
    read = WIRES[endpoint.wire].scores
    if not endpoint.asks_questions:
        assert len(read(answer, call)) >= row.top_k
    if endpoint.wire == "chat_question":
        answer["choices"][0]["logprobs"] = None
        made = iter((("has no logprobs", answer),))
    elif endpoint.writes_order:
        made = malformed_writings(answer)
    else:
        made = malformed_decisions(answer) if endpoint.asks_questions else malformed(answer)
    for what, wrong in made:
        with pytest.raises(MalformedError):
            pytest.fail(f"{what}: {read(wrong, call)}")


def test_one_refused_part_stops_the_others(provider: Provider) -> None:
    """A list in several requests: one fails, its error is the row's, and the others are not waited for."""
    row = Row("q", ["text 0", "text 1", "text 2"], 1, "Cohere", provider.url, "k", '{"batch_size":1}')
    provider.reset(lambda request: Reply(402) if request.json["documents"] == ["text 1"] else Reply(never=True))
    (error,) = asked(row, within=settings(row_deadline_s=60.0))
    assert isinstance(error, RerankError)
    assert error.code == "QUOTA"


def test_the_parts_of_a_row_are_asked_at_the_same_time(provider: Provider) -> None:
    """Every part is under way before any has an answer."""
    documents = [f"part {i}" for i in range(5)]
    answer = Reply(json={"results": [{"index": 0, "relevance_score": 0.5}]}, delay_s=0.3)
    provider.reset(lambda request: answer)
    (ranking,) = asked(Row("q", documents, 5, "Cohere", provider.url, "k", '{"batch_size":1}'))
    assert ranking == [(i, 0.5) for i in range(5)]
    own = [request for request in provider.requests if b"part" in request.body]  # not a late one of another test
    assert len(own) == 5 and provider.most_in_flight >= 5


def wired(wire: str, documents: int, *, top_n: int = 1, label: str = "") -> tuple[Any, Call]:
    texts = [f"text {i}" for i in range(documents)]
    return WIRES[wire], Call("q", texts, top_n, "m", {}, label)


ITEM = {"index": 1, "relevance_score": 0.5}
TOLERATED = (
    {"results": [ITEM]},
    {"results": [ITEM | {"document": {"text": "another"}, "extra": [1]}], "meta": None, "id": None},
    {"results": [ITEM | {"document": None}]},
    {"results": [ITEM | {"document": "another"}]},
    {"results": [{"index": 1.0, "relevance_score": 0.5}]},
    {"results": None, "data": [{"index": 1, "score": 0.5}]},
    {"data": [{"index": 1, "score": 0.5}]},
    {"rankings": [{"index": 1, "logit": 0.5}]},
    {"rerank": [{"index": 1, "relevance_score": 0.5}]},
    {"results": [{"index": 1, "relevanceScore": 0.5}]},
    {"output": {"results": [ITEM]}},
    [{"index": 1, "score": 0.5}],
)


@pytest.mark.parametrize("payload", TOLERATED)
def test_an_answer_is_read_whatever_it_calls_things(payload: object) -> None:
    """One reader for the shapes that servers of one API differ in."""
    wire, call = wired("cohere", 2)
    assert wire.scores(payload, call) == [(1, 0.5)]


def test_an_answer_nested_beyond_reason_is_refused() -> None:
    """It has no results where results are."""
    payload: object = {"results": [ITEM]}
    for _ in range(900):
        payload = {"output": payload}
    wire, call = wired("cohere", 2)
    with pytest.raises(MalformedError):
        wire.scores(payload, call)


def labelled(*scores: tuple[str, float]) -> list[dict[str, object]]:
    return [{"label": label, "score": score} for label, score in scores]


NO, YES = "LABEL_0", "LABEL_1"
PAIRS = (
    ("one label", labelled((NO, 0.25), (NO, 0.5)), "", [0.25, 0.5]),
    ("no label", [{"score": 0.25}, {"score": 0.5}], "", [0.25, 0.5]),
    ("a list of one each", [labelled((NO, 0.25)), labelled((NO, 0.5))], "", [0.25, 0.5]),
    ("all labels each", [labelled((NO, 0.75), (YES, 0.25)), labelled((YES, 0.5), (NO, 0.5))], "", [0.25, 0.5]),
    ("the best of two labels", labelled((NO, 0.75), (YES, 0.5)), "", [0.25, 0.5]),
    ("flattened in a list", [labelled((NO, 0.75), (YES, 0.5))], "", [0.25, 0.5]),
    ("words as labels", [labelled(("no", 0.75), ("YES", 0.25)), labelled(("YES", 0.5), ("no", 0.5))], "", [0.25, 0.5]),
    ("a named label", [labelled(("good", 0.25), ("bad", 0.75)), labelled(("good", 0.5))], "good", [0.25, 0.5]),
)


@pytest.mark.parametrize(("payload", "label", "scores"), [case[1:] for case in PAIRS], ids=[case[0] for case in PAIRS])
def test_labelled_scores_of_two_pairs(payload: object, label: str, scores: list[float]) -> None:
    """In input order, whichever of the pipeline's shapes came."""
    wire, call = wired("pairs", 2, label=label)
    assert wire.scores(payload, call) == list(enumerate(scores))


@pytest.mark.parametrize(
    "payload",
    [
        {"label": YES, "score": 0.5},
        labelled((YES, 0.5)),
        [labelled((NO, 0.5), (YES, 0.5))],
        labelled((NO, 0.5), (YES, 0.5)),
    ],
)
def test_labelled_scores_of_one_pair(payload: object) -> None:
    """A single pair has shapes of its own."""
    wire, call = wired("pairs", 1)
    assert wire.scores(payload, call) == [(0, 0.5)]


UNCLEAR = (
    (labelled(("good", 0.5), ("bad", 0.5)), ""),
    (labelled(("good", 0.5), ("bad", 0.5)), "relevant"),
    ([labelled(("a", 0.25), ("b", 0.5), ("c", 0.25)), labelled(("b", 0.5))], "a"),
)


@pytest.mark.parametrize(("payload", "label"), UNCLEAR)
def test_labels_that_do_not_say_which_is_relevant(payload: object, label: str) -> None:
    """The error lists them, and names the option that decides."""
    wire, call = wired("pairs", 2, label=label)
    with pytest.raises(CallerError, match=r"BAD_OTHERS: .*others\.score_label.*b"):
        wire.scores(payload, call)


def test_an_error_that_echoes_megabytes_is_one_short_sentence(provider: Provider) -> None:
    """Of 8 MB, only the beginning is read and only the sentence is repeated."""
    detail = {"type": "string_too_long", "loc": ["body"], "msg": "String should have at most 122880 characters"}
    provider.reset(lambda request: Reply(422, json={"detail": [detail | {"input": "x" * 8_000_000}]}))
    (error,) = asked(Row("q", ["text"], 1, "Infinity", provider.url, "", ""))
    assert str(error) == (
        "Rerank: BAD_REQUEST: Infinity answered 422 (String should have at most 122880 characters). "
        "Check the model, others and the documents' size."
    )
