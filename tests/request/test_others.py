"""`others`: JSON text -> typed options, and what is refused with which sentence."""

from __future__ import annotations

import json

import pytest

from clickhouse_rerank.errors import CallerError
from clickhouse_rerank.providers import PROVIDERS, Option, Provider
from clickhouse_rerank.request.others import Options, parse_object, parse_options
from clickhouse_rerank.request.passages import rules


def read(provider: str, text: str) -> Options:
    return parse_options(parse_object(text), PROVIDERS[provider.lower()])


def refused(provider: str, text: str) -> str:
    with pytest.raises(CallerError) as raised:
        read(provider, text)
    assert raised.value.code == "BAD_OTHERS"
    return str(raised.value).removeprefix("Rerank: BAD_OTHERS: ")


def test_nothing_means_the_defaults() -> None:
    """Neither text nor members."""
    assert read("Cohere", "") == read("Cohere", "{}") == Options()


NO_OBJECT = ("{", "[]", "1", "null", '"x"', "model=x", "{'model':'m'}", "[" * 60_000, '{"a":' * 10_000, "\x00", "{}x")


@pytest.mark.parametrize("text", NO_OBJECT)
def test_what_is_no_json_object(text: str) -> None:
    """Says what others must be; never a traceback, however deep."""
    assert "Pass '' or an object" in refused("Cohere", text)


SENTENCES = (
    (
        "Cohere",
        '{"modle":"m"}',
        "Cohere has no key 'modle' in others. Did you mean model? Known keys: batch_size, cache, deadline_s, ",
    ),
    ("Cohere", '{"max_tokens_per_doc":5}', "Cohere has no key 'max_tokens_per_doc' in others. Did you mean max_chunks"),
    ("Cohere", '{"Batchsize":5}', "Cohere has no key 'Batchsize' in others. Did you mean batch_size? Known keys: "),
    ("Cohere", '{"question":5}', "Cohere has no key 'question' in others. Known keys: "),
    (
        "Cohere",
        '{"max_chunks_per_doc%s":5}' % ("x" * 22),
        f"Cohere has no key 'max_chunks_per_doc{'x' * 22}' in others. Did ",
    ),
    (
        "Cohere",
        '{"max_chunks_per_doc%s":5}' % ("x" * 23),
        f"Cohere has no key 'max_chunks_per_doc{'x' * 23}' in others. Kno",
    ),
    ("Cohere", '{"model":"a","model":"b"}', "others has the key 'model' twice. Keep one."),
    ("Cohere", '{"model_args":{"a":1,"a":2}}', "others has the key 'a' twice. Keep one."),
    ("Cohere", '{"model":1}', "others.model must be a string."),
    ("Cohere", '{"model":null}', "others.model must be a string."),
    ("Cohere", '{"max_chunks_per_doc":"1"}', "others.max_chunks_per_doc must be an integer."),
    ("Cohere", '{"max_chunks_per_doc":1.0}', "others.max_chunks_per_doc must be an integer."),
    ("Cohere", '{"max_chunks_per_doc":true}', "others.max_chunks_per_doc must be an integer."),
    ("Cohere", '{"max_chunks_per_doc":0}', "others.max_chunks_per_doc must be at least 1."),
    ("Cohere", '{"batch_size":0}', "others.batch_size must be at least 1."),
    ("Cohere", '{"batch_size":2.5}', "others.batch_size must be an integer."),
    ("Cohere", '{"timeout_s":0}', "others.timeout_s must be at least 0.001."),
    ("Cohere", '{"timeout_s":true}', "others.timeout_s must be a number."),
    ("Cohere", '{"min_score":NaN}', "others has the number NaN. Pass a finite one."),
    ("Cohere", '{"min_score":1e999}', "others has the number 1e999. Pass a finite one."),
    ("Cohere", '{"min_score":99999999999999999999}', "others has the number 99999999999999999999..., which exceeds 64"),
    ("Cohere", '{"normalize":"softmax"}', "others.normalize must be one of none, sigmoid."),
    ("Cohere", '{"model_args":[]}', "others.model_args must be an object."),
    ("Jina", '{"truncation":1}', "others.truncation must be true or false."),
    ("Jina", '{"max_doc_length":8193}', "others.max_doc_length must be at most 8192."),
    ("ZeroEntropy", '{"latency":"medium"}', "others.latency must be one of fast, slow."),
    ("NVIDIA", '{"truncate":true}', "others.truncate must be a string."),
    ("HuggingFace", '{"wire":"cohere"}', "others.wire must be one of pairs, tei, text_ranking."),
    ("Google", '{"project":"a/b"}', "others.project has characters that cannot stand there. Correct it."),
    ("Cohere", '{"fallback":{}}', "others.fallback must be a list of objects."),
    ("Cohere", '{"fallback":[1]}', "others.fallback must be a list of objects."),
    (
        "BM25",
        '{"batch_size":2}',
        "BM25 has no key 'batch_size' in others. Known keys: b, dry_run, k1, min_score, normalize, passages.",
    ),
    ("BM25", '{"timeout_s":2}', "BM25 has no key 'timeout_s' in others."),
    ("BM25", '{"b":1.5}', "others.b must be at most 1."),
)


@pytest.mark.parametrize(("provider", "text", "sentence"), SENTENCES)
def test_a_wrong_member_is_named(provider: str, text: str, sentence: str) -> None:
    """Key, type and bound; for an unknown key the known ones."""
    assert refused(provider, text).startswith(sentence)


def test_a_text_beyond_its_size_is_refused() -> None:
    """Before it is parsed."""
    assert refused("Cohere", '{"model":"' + "x" * 65_536).startswith("others is longer than 65536 characters.")


def fitting(option: Option) -> object:
    """A value that an option takes."""
    if option.choices:
        return option.choices[0]
    high = option.high if option.high is not None else 5
    number = max(option.low or 0, min(5, high))
    return {
        "text": "x",
        "integer": int(number),
        "number": number,
        "boolean": True,
        "object": {"a": 1},
        "objects": [{"provider": "BM25"}],
        "switch": {"size": 9},
    }[option.type]


@pytest.mark.parametrize("record", PROVIDERS.values(), ids=lambda record: record.name)
def test_every_key_of_every_provider_is_taken(record: Provider) -> None:
    """Each becomes a request field, a part of URL and headers, or one of the worker's own options."""
    members = {key: fitting(option) for key, option in record.options.items()}
    found = read(record.name, json.dumps(members))
    for key, option in record.options.items():
        if option.field:
            assert found.fields[option.field] == members[key]
        elif option.in_template:
            assert found.template_values[key] == members[key]
        elif option.type == "switch":
            assert getattr(found, key) == rules(members[key])
        else:
            assert getattr(found, key) == members[key]


def test_secrets_do_not_show() -> None:
    """An AWS session token is not in the representation of options."""
    found = read("SageMaker", '{"session_token":"TOKEN1","access_key_id":"AKID"}')
    assert found.session_token == "TOKEN1" and "TOKEN1" not in repr(found)


@pytest.mark.parametrize(("levels", "good"), [(30, True), (31, False), (900, False), (20_000, False)])
def test_nesting_has_a_limit(levels: int, good: bool) -> None:
    """Deep objects are refused in a sentence before anything walks them."""
    text = '{"model_args":{"a":' + "[" * levels + "1" + "]" * levels + "}}"
    if good:
        assert parse_object(text)
    else:
        with pytest.raises(CallerError, match="BAD_OTHERS"):
            parse_object(text)
