"""Every example of sql/examples as it is written there, on the real engine; only its URLs lead to loopback here."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT, Sql
from provider import Provider, Reply, Request, cohere, overlap

FOLDER = ROOT / "sql" / "examples"
FOOD = json.loads((Path(__file__).parent / "examples_data" / "localai-food.json").read_text("utf-8"))
FOOD_BODY = FOOD["request"]["json"]

_ORIGIN = re.compile(r"https?://[^/'\"\s]+")
_REGION = '"region_name": "us-east-1"'
_LAST_FOUR = re.compile(r"'(\w+)',\s*'([^']*)',\s*'([^']*)',\s*'([^']*)'\)")


def example(name: str) -> str:
    return (FOLDER / name).read_text("utf-8")


def on_loopback(text: str, provider: Provider) -> str:
    """The SQL with the origin of each URL replaced; fails unless every call in it stays on loopback."""
    text = _ORIGIN.sub(provider.url, text)
    # An AWS endpoint has a name for a URL: its origin goes where the service's is derived from.
    text = text.replace(_REGION, f'{_REGION}, "endpoint_url": "{provider.url}"')
    calls = _LAST_FOUR.findall(text)
    assert len(calls) == len(re.findall(r"\bRerank\(", text)), "a call whose last four arguments are no plain literals"
    for name, base_url, _, others in calls:
        url = json.loads(others)["endpoint_url"] if name == "SageMaker" else base_url
        assert name == "BM25" or url == provider.url or url.startswith(f"{provider.url}/"), (name, url)
    created = re.findall(r"CREATE OR REPLACE FUNCTION (\w+)", text)
    assert set(re.findall(r"\b(\w+Rerank)\(", text)) <= set(created), "a wrapper whose URL is not the example's"
    assert set(_ORIGIN.findall(text)) <= {provider.url}
    return text


def statements(text: str) -> list[str]:
    """The statements of an example, without its comments."""
    code = re.sub(r"^--.*\n", "", text, flags=re.MULTILINE)
    return [part.strip() for part in re.split(r";$", code, flags=re.MULTILINE) if part.strip()]


def script(request: Request) -> Reply:
    """Answer as the provider would whose body this is: text pairs, the recorded exchange, or Cohere's shape."""
    asked = request.json
    if asked == FOOD_BODY:
        return Reply(status=FOOD["response"]["status"], json=FOOD["response"]["json"])
    if "inputs" in asked:
        shares = [overlap(pair["text"], pair["text_pair"]) for pair in asked["inputs"]]
        return Reply(json=[[{"label": "LABEL_0", "score": 1 - x}, {"label": "LABEL_1", "score": x}] for x in shares])
    return cohere(request)


class Examples:
    """Runs examples."""

    def __init__(self, sql: Sql, provider: Provider) -> None:
        provider.reset(script)
        self.provider = provider
        self._client = sql.client

    def run(self, text: str) -> str:
        """What a client prints for the SELECTs of an example, TabSeparated with names, a blank line between two."""
        safe = on_loopback(text, self.provider)
        return "\n".join(output for statement in statements(safe) if (output := self._output(statement)))

    def _output(self, statement: str) -> str:
        read = statement.startswith(("SELECT", "WITH", "EXPLAIN"))
        return self._client.raw_query(statement, fmt="TabSeparatedWithNames" if read else None).decode()


@pytest.fixture
def examples(sql: Sql, provider: Provider) -> Iterator[Examples]:
    """The examples' engine, with the table they search; afterwards it is as it was."""
    runner = Examples(sql, provider)
    runner.run(example("articles.sql"))
    yield runner
    sql.client.command("DROP DATABASE rerank_examples")
    made = sql.rows("SELECT name FROM system.functions WHERE origin = 'SQLUserDefined' AND name ILIKE 'example%'")
    for (name,) in made:
        sql.client.command(f"DROP FUNCTION {name}")


FRANCE = ["Lyon lies on the Rhone", "Paris is the capital of France", "the capital of Italy is Rome"]
LYON = ["Lyon has a river", "Paris is the capital of France", "a river runs through Rome"]
COHERE = ("/v1/rerank", "Bearer YOUR_COHERE_API_KEY")
JINA = ("/v1/rerank", "Bearer YOUR_JINA_API_KEY")
SAGEMAKER = ("/endpoints/my-reranker/invocations", "AWS4-HMAC-SHA256 Credential=YOUR_AWS_ACCESS_KEY_ID")
LITELLM = ("/v1/rerank", "Bearer sk-YOUR_LITELLM_KEY")


def strings(model: str, query: str, documents: list[str] | int, top_n: int, **more: Any) -> dict[str, Any]:
    return {"model": model, "query": query, "documents": documents, "top_n": top_n, **more}


def pairs(query: str, *documents: str, parameters: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    inputs = [{"text": query, "text_pair": document} for document in documents]
    return {"inputs": inputs, "parameters": {"truncation": True, "top_k": 100, **(parameters or {})}, **more}


ARRIVED: dict[str, list[tuple[str, str, dict[str, Any]]]] = {
    "articles.sql": [],
    "batch.sql": [
        (*COHERE, strings("rerank-v3.5", question, 20, 2))
        for question in ("coal power was taxed", "fish and tidal power", "solar power is cheap")
    ],
    "call_once.sql": [
        (*COHERE, strings("rerank-v3.5", "coffee from Kona", ["coffee from Kona", "cold coffee"], 2)),
        (*COHERE, strings("rerank-v3.5", "cold coffee please", ["hot coffee", "cold coffee"], 2)),
        (*COHERE, strings("rerank-v3.5", "tea from Assam", ["green tea", "black tea from Assam"], 2)),
        (*COHERE, strings("rerank-v3.5", "tea from Uji", ["green tea from Uji", "black tea"], 2)),
    ],
    "cohere.sql": [
        (
            "/v2/rerank",
            "Bearer YOUR_COHERE_API_KEY",
            strings(
                "rerank-v3.5",
                "bridge across the Seine",
                ["a bridge across the Tiber", "the oldest bridge across the Seine"],
                1,
                max_tokens_per_doc=512,
            ),
        ),
        (*COHERE, strings("rerank-v3.5", "capital of France", FRANCE, 2)),
        (*COHERE, strings("rerank-v3.5", "river through Lyon", LYON, 2, max_chunks_per_doc=10)),
    ],
    "huggingface.sql": [
        (
            "/",
            "Bearer YOUR_HF_TOKEN",
            pairs(
                "apples from Aomori",
                "pears from Tottori",
                "sweet apples from Aomori",
                parameters={"function_to_apply": "sigmoid"},
                options={"wait_for_model": True},
            ),
        ),
        (
            "/hf-inference/models/BAAI/bge-reranker-v2-m3",
            "Bearer YOUR_HF_TOKEN",
            pairs("how tall is Fuji", "Fuji is tall", "Fuji apples are sweet", "a tall tale"),
        ),
    ],
    "hybrid.sql": [
        (*JINA, strings("jina-reranker-v3", "what did the wind plant cost in 1921", 14, 4, return_documents=False))
    ],
    "insert.sql": [],
    "jina.sql": [
        (
            *JINA,
            strings(
                "jina-reranker-v3",
                "organic skin care",
                ["mechanical keyboards", "organic care for sensitive skin", "skin of a drum"],
                2,
                return_documents=False,
            ),
        ),
        (
            *JINA,
            strings(
                "jina-reranker-v2-base-multilingual",
                "quiet keyboard",
                ["loud keyboard", "a quiet mechanical keyboard", "organic skin care"],
                2,
                return_documents=False,
            ),
        ),
    ],
    "localai.sql": [("/v1/rerank", "", FOOD_BODY)],
    "localai_litellm.sql": [
        (*LITELLM, strings("my-reranker", "food for a picnic", ["a picnic in the rain", "cold food for a picnic"], 1)),
        (*LITELLM, FOOD_BODY),
    ],
    "rag.sql": [(*COHERE, strings("rerank-v3.5", "wind power storage for nights", 50, 5))],
    "sagemaker.sql": [
        (*SAGEMAKER, pairs("opening hours of the museum", "museum opening hours", "the museum shop")),
        (
            *SAGEMAKER,
            pairs(
                "tickets for students",
                "tickets for groups",
                "cheaper tickets for students",
                parameters={"max_length": 256},
            ),
        ),
    ],
}
"""Example -> (path, Authorization without scope and signature, body), by query; many documents are only counted."""


def arrived(provider: Provider) -> list[tuple[str, str, dict[str, Any]]]:
    seen = []
    for request in provider.requests:
        body = request.json
        if len(body.get("documents", ())) > len(FOOD_BODY["documents"]):
            body = {**body, "documents": len(body["documents"])}
        seen.append((request.path, request.headers.get("authorization", "").partition("/")[0], body))
    return sorted(seen, key=lambda one: one[2].get("query") or one[2]["inputs"][0]["text"])


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.sql")))
def test_an_example_sends_what_it_says_and_prints_what_is_expected(examples: Examples, name: str) -> None:
    """Exact output, and exact path, key and body of every request."""
    assert examples.run(example(name)) == (FOLDER / name).with_suffix(".expected").read_text("utf-8")
    assert arrived(examples.provider) == ARRIVED[name]


def test_the_examples_change_nothing_else(examples: Examples, sql: Sql) -> None:
    """Tables and functions with the names that a user may have are the same after all of them."""
    tables = ("articles", "questions", "answers", "ranked")
    for table in tables:
        sql.client.command(f"CREATE TABLE {table} ENGINE = Memory AS SELECT 'mine' AS text")
    sql.client.command("CREATE OR REPLACE FUNCTION embed_text AS (text) -> [length(text)]")
    try:
        before = _others(sql)
        for path in FOLDER.glob("*.sql"):
            examples.run(path.read_text("utf-8"))
        assert _others(sql) == before
        assert [sql.rows(f"SELECT text FROM {table}") for table in tables] == [[("mine",)]] * len(tables)
    finally:
        for table in tables:
            sql.client.command(f"DROP TABLE {table}")
        sql.client.command("DROP FUNCTION embed_text")


def _others(sql: Sql) -> list[list[tuple]]:
    """Databases, tables and functions, without those of the examples."""
    return [
        sql.rows("SELECT name FROM system.databases WHERE name != 'rerank_examples' ORDER BY name"),
        sql.rows(
            "SELECT database, name, create_table_query FROM system.tables WHERE database NOT IN "
            "('rerank_examples', 'system', 'information_schema', 'INFORMATION_SCHEMA') ORDER BY 1, 2"
        ),
        sql.rows(
            "SELECT name, create_query FROM system.functions "
            "WHERE origin = 'SQLUserDefined' AND NOT name ILIKE 'example%' ORDER BY name"
        ),
    ]


def test_every_example_is_expected_somewhere() -> None:
    """No output without its example, no example without its requests."""
    assert {path.stem for path in FOLDER.glob("*.expected")} == {name.removesuffix(".sql") for name in ARRIVED}


def test_sagemaker_requests_are_signed_in_the_region_and_carry_the_session_token(examples: Examples) -> None:
    """The scope names region and service; only the call that has a token sends one."""
    examples.run(example("sagemaker.sql"))
    first, second = examples.provider.requests
    for request in (first, second):
        scope = request.headers["authorization"].split(",")[0].split("/")[2:]
        assert scope == ["us-east-1", "sagemaker", "aws4_request"]
        assert "YOUR_AWS_SECRET" not in str(request.headers)
    assert "x-amz-security-token" not in first.headers
    assert second.headers["x-amz-security-token"] == "YOUR_AWS_SESSION_TOKEN"


def test_the_rag_query_uses_the_vector_index(examples: Examples) -> None:
    """EXPLAIN names the index, and calls no provider: the documents are a column."""
    assert "vector_similarity" in examples.run(f"EXPLAIN indexes = 1 {statements(example('rag.sql'))[0]};")
    assert examples.provider.requests == []


def test_each_spelling_that_calls_once_does(examples: Examples) -> None:
    """One request per statement, counted one by one."""
    for statement in statements(example("call_once.sql")):
        before = len(examples.provider.requests)
        examples.run(f"{statement};")
        assert len(examples.provider.requests) == before + 1, statement


def test_the_spelling_that_is_warned_of_calls_more_than_once(examples: Examples) -> None:
    """The commented statement, run as it stands there."""
    wrong = "\n".join(re.findall(r"^--     (.*)$", example("call_once.sql"), flags=re.MULTILINE))
    assert "first\tscores\n" in examples.run(wrong)
    assert len(examples.provider.requests) > 1


@pytest.mark.parametrize(
    "text",
    (
        "SELECT Rerank('q', ['a'], 1, 'Cohere', '', 'k', '');",
        "SELECT Rerank('q', ['a'], 1, 'Cohere', 'api.cohere.ai', 'k', '');",
        "SELECT Rerank('q', ['a'], 1, 'SageMaker', 'name', 'k', '{\"region_name\":\"us-east-1\"}');",
        "SELECT Rerank('q', ['a'], 1, 'Cohere', url, 'k', '') FROM urls;",
        "SELECT CohereRerank('q', ['a'], 1);",
    ),
)
def test_an_example_that_could_leave_loopback_is_not_run(examples: Examples, text: str) -> None:
    """Default URLs, URLs from elsewhere and shipped wrappers stop the test before the engine sees them."""
    with pytest.raises((AssertionError, KeyError)):
        examples.run(text)
