"""query_masking_rules, by RE2 as the server applies them; `make generate` rewrites docker's copy."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from clickhouse_rerank.commands import masking
from clickhouse_rerank.providers import PROVIDERS
from conftest import ROOT

COPY = ROOT / "docker" / "config.d" / masking.FILE
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "sql").rglob("*.sql")))
KEYS = re.compile(r"YOUR_[A-Z_]+")


def rules() -> list[tuple[str, str]]:
    """(regexp, replacement) of each rule, as a server reads them."""
    root = ElementTree.fromstring(masking.xml())
    elements = list(root[0])
    assert (root.tag, root[0].tag) == ("clickhouse", "query_masking_rules")
    assert all(element.tag.startswith("rule") for element in elements)
    assert len({element.tag for element in elements}) == len({e.findtext("name") for e in elements}) == len(elements)
    return [(element.findtext("regexp", ""), element.findtext("replace", "")) for element in elements]


def masked(text: str) -> str:
    """The text as it stands in the server's log."""
    re2 = pytest.importorskip("re2", reason="needs google-re2")
    for regexp, replace in rules():
        text = re2.sub(regexp, replace, text)
    return text


def queries() -> list[str]:
    """Every statement of the documentation and the examples that holds a key."""
    found: list[str] = []
    for path in DOCUMENTS:
        text = path.read_text("utf-8")
        blocks = [text] if path.suffix == ".sql" else re.findall(r"```(?:sql|sh)\n(.*?)```", text, re.DOTALL)
        found += [statement for block in blocks for statement in block.split(";\n") if KEYS.search(statement)]
    return found


@pytest.mark.parametrize("query", queries())
def test_every_key_of_the_documentation_is_masked(query: str) -> None:
    """And nothing else of the query is lost."""
    key = "canary'' \\'quoted\\' 0123"
    text = masked(KEYS.sub(lambda _: key, query))
    assert "canary" not in text and "HIDDEN" in text
    assert "Rerank" in text and query.split("(", maxsplit=1)[0] in text


def test_the_documentation_has_queries_with_keys() -> None:
    """Or the test above shows nothing."""
    assert len(queries()) >= 8


SHAPES = (
    "SELECT Rerank('q', ['d'], 2, '{provider}', '', '{key}', '')",
    "SELECT Rerank('q', ['d'], 2, '{provider}', 'https://h/v1', '{key}', '{{\"model\":\"m\"}}')",
    "rerank ( q , d , 2 ,\n  '{provider}' ,\n  '' ,\n\t'{key}' , '' )",
    "In scope SELECT Rerank(q, d, 2_UInt8, '{provider}'_String, ''_String, '{key}'_String, ''_String) FROM t",
    "_CAST('{provider}'_Nullable(String), 'Nullable(String)'_String), _CAST(''_String, 'String'_String), "
    "_CAST('{key}'_Nullable(String), 'String'_String)",
    "CREATE FUNCTION F AS (q, d, k) -> Rerank(q, d, k, '{provider}', '', '{key}', '')",
    "Rerank(__table1.q, __table1.d, 2_UInt8, '{provider}'_String, 'it\\'s'_String, '{key}'_String, ''_String)",
    "SELECT Rerank('a', ['it''s, ''Cohere'', '''], 2, '{provider}', '', '{key}', '')",
)
"""How a call stands in a query, an EXPLAIN, an error or a log."""


@pytest.mark.parametrize("record", [record for record in PROVIDERS.values() if record.key != "none"])
def test_every_provider_is_masked_however_it_is_written(record: object) -> None:
    """In each shape and spelling that the function takes; the rest of the text stays as it was."""
    name = record.name  # type: ignore[attr-defined]
    for provider in (name, name.lower(), name.upper(), f" {name} ", "_".join(name), name.replace("F", " F")):
        for shape in SHAPES:
            text = shape.format(provider=provider, key="canary' '0123".replace("'", "\\'"))
            wanted = shape.format(provider=provider, key="[HIDDEN]")
            assert masked(text) == wanted


OTHERS = (
    '\'{"access_key_id":"canary","session_token": "canary"}\'',
    '\'{\\"fallback\\":[{\\"provider\\":\\"Jina\\",\\"api_key\\":\\"canary\\"}]}\'',
    '{"fallback": [{"provider": "Jina", "api_key" : "canary"}], "model": "stays"}',
)


@pytest.mark.parametrize("others", OTHERS)
def test_keys_in_others_are_masked(others: str) -> None:
    """Those of AWS and of fallbacks, as written and as the engine quotes them; models stay."""
    text = masked(others)
    assert "canary" not in text and ("stays" in text) == ("stays" in others)


@pytest.mark.parametrize("prefix", sorted({record.key_prefix for record in PROVIDERS.values() if record.key_prefix}))
def test_keys_with_a_shape_are_masked_wherever_they_stand(prefix: str) -> None:
    """Behind a WITH, in a table of secrets, in a parameter: where the call's shape does not show."""
    key = prefix + "a1B2c3D4e5F6g7H8i9J0k1"
    assert masked(f"WITH '{key}' AS k SELECT Rerank(q, d, 2, p, '', k, '')") == (
        "WITH '[HIDDEN]' AS k SELECT Rerank(q, d, 2, p, '', k, '')"
    )


@pytest.mark.parametrize(
    "query",
    [
        "SELECT Rerank('q', ['d'], 2, 'BM25', '', '', '')",
        "SELECT Rerank('q', ['d'], 2, p, u, k, '')",
        "SELECT 'Cohere', 'a' FROM t WHERE x IN ('Cohere', 'Jina')",
        'SELECT id, hf_score, sk FROM "spa-treatments-2024-of-the-year" WHERE task-1 < 2',
        "CREATE FUNCTION CohereRerank AS (q, d, k) -> Rerank(q, d, k, 'Cohere', u, x, '')",
    ],
)
def test_other_queries_stay_as_they_are(query: str) -> None:
    """No key, no change."""
    assert masked(query) == query


def test_a_key_that_no_rule_reaches_is_documented() -> None:
    """What is neither in place nor of a shape stays: the page on security says so."""
    query = "WITH 'plain' AS k SELECT Rerank('q', ['d'], 2, 'Cohere', '', k, '')"
    assert masked(query) == query
    page = (ROOT / "docs" / "security.md").read_text("utf-8")
    assert "WITH" in page and "system.functions" in page and "EXPLAIN" in page


def test_the_copy_for_docker_is_current() -> None:
    """It is what the command prints today."""
    assert COPY.read_text("utf-8") == masking.xml(), "run: make generate"


if __name__ == "__main__":
    COPY.parent.mkdir(parents=True, exist_ok=True)
    COPY.write_text(masking.xml(), "utf-8")
