"""A model that a test makes, in the worker: its scores are known, and what is wrong with it is one sentence."""

from __future__ import annotations

import asyncio
import json
import math
import random
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import engine_bytes
import model_folder
import page_engine
from asking import Outcome, asked, asked_together, row, settings
from clickhouse_rerank.config.models import Model
from clickhouse_rerank.config.settings import Settings, load, parse
from clickhouse_rerank.config.tables import CacheSettings
from clickhouse_rerank.errors import CallerError, ProviderFailedError, RerankError
from clickhouse_rerank.request import endpoints
from clickhouse_rerank.reranker import Reranker
from clickhouse_rerank.scorers import cross_encoder
from clickhouse_rerank.types import Row
from conftest import Worker, worker_environment
from model_folder import WORDS, logit, make
from provider import Provider, Reply


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make(tmp_path / "model")


def having(*models: Model, **more: object) -> Settings:
    return replace(settings(**more), models={model.name: model for model in models})


def ranked(query: str, *documents: str, **others: object) -> Row:
    fields = {"provider": "CrossEncoder", "key": "", "query": query, "documents": list(documents), "top_k": 100}
    return row("", **fields, others=others)


def scored(model: Model, query: str, *documents: str, **others: object) -> list[float]:
    """The scores of documents, in their order; the ranking must be theirs."""
    (ranking,) = asked(ranked(query, *documents, **others), within=having(model))
    assert not isinstance(ranking, RerankError), ranking
    scores = [score for _, score in ranking]
    assert scores == sorted(scores, reverse=True)
    return [score for _, score in sorted(ranking)]


def failure(model: Model, **others: object) -> RerankError:
    (error,) = asked(ranked("red apple", "red", "apple", **others), within=having(model))
    assert isinstance(error, RerankError)
    return error


def test_through_sql(folder: Path, tmp_path: Path) -> None:
    """Ranking, scores, blank documents, a score per row, a dry run, and a model that does not exist."""
    config = tmp_path / "config.toml"
    config.write_text(f'[models.words]\npath = "{folder}"\ndefault = true\n')
    documents = "['green pear', 'red apple', '', 'apple']"
    outcomes = page_engine.run(
        [
            f"SELECT CrossEncoderRerank('red apple', {documents}, 4) FORMAT JSONCompactEachRow",
            "SELECT CrossEncoderScore('red apple', text) FROM values('text String', 'apple', 'red apple red') "
            "FORMAT TSV",
            f"SELECT Rerank('red', {documents}, 4, 'CrossEncoder', '', '', '{{\"dry_run\":true}}')[1].2 FORMAT TSVRaw",
            f"SELECT Rerank('red', {documents}, 4, 'CrossEncoder', '', '', '{{\"model\":\"wrods\"}}')",
            f"SELECT Rerank('red', {documents}, 4, 'CrossEncoder', '{folder}', '', '')",
        ],
        worker_environment(CLICKHOUSE_RERANK_CONFIG=str(config)),
    )
    assert [good for good, _ in outcomes] == [True, True, True, False, False]
    (ranking,) = json.loads(outcomes[0][1])
    assert ranking == [[1, "red apple", 1], [3, "apple", 0], [0, "green pear", -1], [2, "", None]]
    assert outcomes[1][1] == "0\n2\n"
    dry = json.loads(outcomes[2][1])
    assert (dry["model"], dry["documents"], dry["requests"], dry["cost"]) == ("words", 3, 0, 0.0)
    assert outcomes[3][1].startswith("Rerank: BAD_OTHERS: There is no model 'wrods'. Did you mean words? Known: words.")
    assert "scores in the worker. Pass '' for base_url and api_key." in outcomes[4][1]


@pytest.mark.parametrize("labels", [1, 2])
def test_scores_are_those_of_the_network(tmp_path: Path, labels: int) -> None:
    """Texts of every length and three languages: cut as the tokenizer cuts, in whatever batch."""
    model = Model("m", make(tmp_path / "m", labels=labels))
    chance = random.Random(7)

    def text(most: int) -> str:
        return " ".join(chance.choice((*WORDS, "unknown")) for _ in range(chance.randint(1, most)))

    for _ in range(20):
        query, documents = text(12), [text(30) for _ in range(50)]
        expected = [logit(query, document) for document in documents]
        if labels == 2:
            expected = [1 / (1 + math.exp(-2 * value)) for value in expected]
        assert scored(model, query, *documents) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, 1.0),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid"}}, 0.7310586),
        ({"sentence_transformers": None}, 0.7310586),
        (
            {
                "sentence_transformers": {"version": "5.0"},
                "sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity",
            },
            1.0,
        ),
    ],
)
def test_the_activation_is_that_of_the_configuration(
    tmp_path: Path, config: dict[str, object], expected: float
) -> None:
    """As sentence-transformers reads it: its own key, the older one, else a sigmoid."""
    model = Model("m", make(tmp_path / "m", **config))
    assert scored(model, "red apple", "apple red") == pytest.approx([expected], abs=1e-6)


def test_labels(tmp_path: Path) -> None:
    """The label that means relevant, by its name or by score_label; several that are no alternatives."""
    named = Model("m", make(tmp_path / "named", labels=2, id2label={"0": "relevant", "1": "off"}))
    assert scored(named, "red", "red red") == pytest.approx([1 / (1 + math.exp(2))], abs=1e-6)
    assert scored(named, "red", "red red", score_label="off") == pytest.approx([1 / (1 + math.exp(-2))], abs=1e-6)
    alone = {"problem_type": "multi_label_classification"}
    many = Model("m", make(tmp_path / "many", labels=2, **alone))
    assert scored(many, "red", "red red") == pytest.approx([1 / (1 + math.exp(-1))], abs=1e-6)
    unclear = Model("m", make(tmp_path / "unclear", labels=2, id2label={"0": "a", "1": "b"}))
    assert str(failure(unclear)).startswith("Rerank: BAD_OTHERS: Which label means relevant?")
    assert "no label 'c'" in str(failure(unclear, score_label="c"))


def test_a_network_without_token_types(tmp_path: Path) -> None:
    """Two inputs: the words of both texts count on both sides."""
    model = Model("m", make(tmp_path / "m", inputs=2))
    assert scored(model, "red", "red", "apple") == pytest.approx([3.0, 1.0])


def test_the_configuration_may_cut_earlier(tmp_path: Path) -> None:
    """By max_tokens; never later than the model."""
    folder = make(tmp_path / "m", max_tokens=16)
    document = "pear " * 4 + "red"
    assert scored(Model("m", folder), "red", document) == pytest.approx([0.0])
    assert scored(Model("m", folder, max_tokens=8), "red", document) == pytest.approx([-1.0])
    assert scored(Model("m", folder, max_tokens=600), "red", "pear " * 12 + "red") == pytest.approx([-1.0])


def damaged(folder: Path, what: str) -> None:
    network, config = folder / "onnx" / "model.onnx", folder / "config.json"
    match what:
        case "no network":
            network.unlink()
        case "corrupt network":
            network.write_bytes(network.read_bytes()[:100])
        case "no tokenizer":
            (folder / "tokenizer.json").unlink()
        case "corrupt tokenizer":
            (folder / "tokenizer.json").write_text("{")
        case "corrupt configuration":
            config.write_text("{")
        case "other configuration":
            config.write_text("[]")
        case "strange activation":
            config.write_text(json.dumps({"sentence_transformers": {"activation_fn": "os.system"}}))
        case "link":
            network.rename(folder.parent / "elsewhere.onnx")
            network.symlink_to(folder.parent / "elsewhere.onnx")
        case "other inputs":
            import onnx

            onnx.save(model_folder.network(1, 3), str(network))
            graph = onnx.load(str(network))
            graph.graph.input[0].name = graph.graph.node[0].input[0] = graph.graph.node[8].input[0] = "pixels"
            graph.graph.node[9].input[0] = "pixels"
            onnx.save(graph, str(network))
        case "operator":
            import onnx

            graph = onnx.load(str(network))
            graph.graph.node[0].domain = "com.example"
            graph.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
            onnx.save(graph, str(network))


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("no network", "has no file onnx/model.onnx in "),
        ("corrupt network", "has no usable network: model.onnx cannot be loaded ("),
        ("no tokenizer", "has no file tokenizer.json in "),
        ("corrupt tokenizer", "has no usable tokenizer: tokenizer.json cannot be read ("),
        ("corrupt configuration", "has a file config.json that cannot be read ("),
        ("other configuration", "has a file config.json that is no JSON object"),
        ("strange activation", "has the activation os.system, which is not known"),
        ("link", "has a file onnx/model.onnx that leads out of "),
        ("other inputs", "cannot score ("),
        ("operator", "has no usable network: model.onnx cannot be loaded ("),
    ],
)
def test_what_is_wrong_with_a_model_is_one_sentence(folder: Path, what: str, words: str) -> None:
    """It names the file and the command that says more; on_error and fallback apply to it."""
    damaged(folder, what)
    model = Model("mine", folder)
    error = failure(model)
    assert str(error).startswith("Rerank: MODEL: The model mine ") and words in str(error)
    assert str(error).endswith(". clickhouse-rerank model check mine says more.")
    fallen = {"fallback": [{"provider": "BM25"}]}
    empty, by_words = asked(
        ranked("red", "red", "pear", on_error="empty"), ranked("red", "red", "pear", **fallen), within=having(model)
    )
    assert empty == [] and not isinstance(by_words, RerankError) and [index for index, _ in by_words] == [0, 1]


def test_it_is_the_fallback_of_a_provider_that_fails(folder: Path, provider: Provider) -> None:
    provider.reset(lambda _: Reply(503, {}))
    one = row(
        provider.url,
        query="red",
        documents=["pear", "red"],
        others={"timeout_s": 2, "fallback": [{"provider": "CrossEncoder"}]},
    )
    (ranking,) = asked(one, within=having(Model("m", folder, default=True)))
    assert ranking == [(1, 0.0), (0, -1.0)]


def test_packages_that_are_missing_are_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    error = failure(Model("m", folder))
    assert "needs the package onnxruntime" in str(error) and "pip install 'clickhouse-rerank[local]'" in str(error)


def test_a_model_that_is_replaced_scores_anew(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the few seconds for which an endpoint holds; what the cache knew of the old one does not count."""
    now = [1000.0]
    monkeypatch.setattr(endpoints, "time", SimpleNamespace(monotonic=lambda: now[0]))
    within = having(Model("m", folder), cache=CacheSettings(path=str(tmp_path / "c" / "scores")))
    one = ranked("red apple", "red apple")

    async def run() -> list[Outcome]:
        reranker = Reranker(within)
        first = await reranker.rank(one)
        make(tmp_path / "new", sentence_transformers=None)
        for name in ("config.json", "onnx/model.onnx"):
            (tmp_path / "new" / name).replace(folder / name)
        now[0] += 60
        second = await reranker.rank(one)
        await reranker.aclose()
        return [first, second]

    first, second = asyncio.run(run())
    assert first == [(0, 1.0)] and second == [(0, pytest.approx(0.7310586))]


def test_ten_thousand_pairs_of_many_rows(folder: Path, tmp_path: Path, worker: Callable[..., Worker]) -> None:
    """Through the launcher: exact scores, in order; other providers in between."""
    config = tmp_path / "config.toml"
    config.write_text(f'[models.words]\npath = "{folder}"\ndefault = true\n')
    one = worker(CLICKHOUSE_RERANK_CONFIG=str(config))
    chance = random.Random(3)
    rows = []
    for number in range(500):
        documents = [" ".join(chance.choices(WORDS, k=chance.randint(1, 12))) for _ in range(20)]
        name = "BM25" if number % 50 == 7 else "CrossEncoder"
        rows.append(row("", provider=name, key="", query="red apple coffee", documents=documents, top_k=20))
    one.send(engine_bytes.chunk(rows, "JSONEachRow"))
    for asked_row, line in zip(rows, one.lines(len(rows), timeout_s=120), strict=True):
        result = json.loads(line)["result"]
        assert len(result) == 20
        if asked_row.provider == "CrossEncoder":
            for index, document, score in result:
                assert document == asked_row.documents[index] and score == logit(asked_row.query, document)
    assert one.finish() == (0, b"", b"")


def test_pairs_are_cached_one_by_one(folder: Path, tmp_path: Path) -> None:
    """Another list with known documents scores the new ones only."""
    seen: list[int] = []
    load_really = cross_encoder.CrossEncoder.encode

    def encode(self: cross_encoder.CrossEncoder, pairs: list[tuple[str, str]]) -> list[object]:
        seen.append(len(pairs))
        return load_really(self, pairs)

    within = having(Model("m", folder), cache=CacheSettings(path=str(tmp_path / "c" / "scores")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cross_encoder.CrossEncoder, "encode", encode)
        asked(ranked("red", "red", "pear", "red"), ranked("red", "red", "apple", "pear"), within=within)
    assert seen == [2, 1]


def test_rows_share_batches(folder: Path) -> None:
    """Rows of the same time are encoded together."""
    seen: list[int] = []
    encode = cross_encoder.CrossEncoder.encode
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            cross_encoder.CrossEncoder, "encode", lambda self, pairs: (seen.append(len(pairs)), encode(self, pairs))[1]
        )
        rows = [ranked("red", f"red {number}", "apple") for number in range(100)]
        found = asked_together(rows, within=having(Model("m", folder)))
    assert found == [[(0, 0.0), (1, -1.0)]] * 100 and sum(seen) == 200 and len(seen) <= 4


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "[models.m] needs path, the folder of the model."),
        ({"path": "relative"}, "[models.m] path must be the absolute path of a folder."),
        ({"path": "/m", "file": "../x.onnx"}, "[models.m] file must be a name inside the folder"),
        ({"path": "/m", "file": "/x.onnx"}, "[models.m] file must be a name inside the folder"),
        ({"path": "/m", "threads": 0}, "[models.m] threads must be a positive integer."),
        ({"path": "/m", "thread": 1}, "[models.m] has the unknown key thread. Did you mean threads?"),
    ],
)
def test_a_mistake_in_a_table_is_named(table: dict[str, object], words: str) -> None:
    with pytest.raises(CallerError, match="CONFIG") as raised:
        parse({"models": {"m": table}}, {}, where="config.toml")
    assert words in str(raised.value)


def test_there_is_one_default(tmp_path: Path) -> None:
    tables = {name: {"path": "/m", "default": True} for name in ("a", "b")}
    with pytest.raises(CallerError, match="has 2 default models, a, b"):
        parse({"models": tables}, {}, where="config.toml")
    within = parse({"models": {name: {"path": "/m"} for name in ("a", "b")}}, {}, where="config.toml")
    (error,) = asked(ranked("q", "d"), within=replace(settings(), models=within.models))
    assert "Name one of the server's models in others.model. Known: a, b." in str(error)
    (error,) = asked(ranked("q", "d"))
    assert "There is no model on this server." in str(error)


def test_a_user_has_models_of_their_own(tmp_path: Path) -> None:
    """In the embedded engine, by the names of their folders; the only one is the default."""
    environment = {"HOME": str(tmp_path), "CLICKHOUSE_RERANK_CONFIG": str(tmp_path / "c.toml")}
    (tmp_path / "c.toml").write_text("")
    home = tmp_path / ".local" / "share" / "clickhouse-rerank" / "models"
    make(home / "one")
    (home / "nothing").mkdir()
    assert not load(environment).models
    within = load(environment, embedded=True)
    assert within.model("").name == "one" and within.models["one"].folder == home / "one"
    make(tmp_path / "xdg" / "clickhouse-rerank" / "models" / "two")
    assert [*load(environment | {"XDG_DATA_HOME": str(tmp_path / "xdg")}, embedded=True).models] == ["two"]


def test_nothing_but_a_model_error_is_a_fallback(folder: Path) -> None:
    """A wrong label is the caller's mistake."""
    assert isinstance(failure(Model("m", folder / "none")), ProviderFailedError)
    labels = make(folder / "labels", labels=2)
    assert isinstance(failure(Model("m", labels, default=True), score_label="x"), CallerError)
