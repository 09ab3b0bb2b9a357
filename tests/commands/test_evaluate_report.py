"""The HTML report of an evaluation: what it says, what hostile text cannot do, and how it behaves in a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import browser
from clickhouse_rerank.commands.evaluate.report import figures, labels, page, scales, verdict
from clickhouse_rerank.commands.evaluate.report.data import MAX_TEXT
from clickhouse_rerank.commands.evaluate.results import Estimate, Evaluation, Order, Ranker
from sample_evaluation import sample, unjudged

HOSTILE = (
    "</script><script>window.hostile=1</script><img src='http://192.0.2.1/x' onerror='window.hostile=1'>"
    "<!-- <script> -->\u2028\u2029\udc80\x00\u202e\"'&lt;${title}$title"
)
VOID = {"meta", "path", "br", "img", "link", "input"}


class Parsed(HTMLParser):
    """The elements of a page in order: (tag, attributes), the text in each, and whether all are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[int] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.append("")
        if tag not in VOID:
            self._open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.elements[self._open.pop()][0] == tag

    def handle_data(self, data: str) -> None:
        for number in self._open:
            self.texts[number] += data

    def all(self, tag: str, **attributes: str) -> list[str]:
        """The text of each element with the tag and the attributes."""
        return [
            text
            for (name, found), text in zip(self.elements, self.texts, strict=True)
            if name == tag and attributes.items() <= found.items()
        ]


def hostile(evaluation: Evaluation) -> Evaluation:
    """The evaluation with hostile text in every place that takes text."""
    names = {ranker.name: f"{ranker.name}{HOSTILE}" for ranker in evaluation.rankers}
    return replace(
        evaluation,
        title=HOSTILE,
        made=HOSTILE,
        judge=HOSTILE,
        baseline=names[evaluation.baseline],
        rankers=tuple(
            replace(ranker, name=names[ranker.name], provider=HOSTILE, model=HOSTILE) for ranker in evaluation.rankers
        ),
        questions=tuple(
            replace(
                question,
                id=HOSTILE + question.id,
                text=HOSTILE,
                candidates=tuple(replace(one, id=one.id + HOSTILE, text=HOSTILE) for one in question.candidates),
                orders={
                    names[name]: replace(order, error=order.error and HOSTILE)
                    for name, order in question.orders.items()
                },
            )
            for question in evaluation.questions
        ),
        agreements=tuple(
            replace(pair, first=names[pair.first], second=names[pair.second]) for pair in evaluation.agreements
        ),
    )


SAMPLE = sample()
EMPTY = replace(sample(0), rankers=SAMPLE.rankers)
CASES = {
    "judged": SAMPLE,
    "silver": replace(SAMPLE, judge="a model"),
    "unjudged": unjudged(SAMPLE),
    "hostile": hostile(SAMPLE),
    "no questions": EMPTY,
    "nothing": sample(0),
    "one ranker": replace(SAMPLE, rankers=SAMPLE.rankers[:1], agreements=()),
    "no price": replace(SAMPLE, rankers=tuple(replace(ranker, cost_per_1000=None) for ranker in SAMPLE.rankers)),
    "no measured time": replace(
        SAMPLE, rankers=tuple(replace(ranker, seconds_p50=0.0, seconds_p95=0.0) for ranker in SAMPLE.rankers)
    ),
    "equal figures": replace(
        SAMPLE,
        rankers=tuple(
            replace(ranker, measures=dict.fromkeys(SAMPLE.measures, Estimate(1.0, 1.0, 1.0)))
            for ranker in SAMPLE.rankers
        ),
    ),
}


@pytest.mark.parametrize("evaluation", CASES.values(), ids=CASES)
def test_a_page_is_well_formed_and_loads_nothing(evaluation: Evaluation) -> None:
    """Every tag is closed, ids are unique, and no attribute makes the browser ask for something or run something."""
    text = page(evaluation)
    assert text == page(evaluation)
    parsed = Parsed(text.encode().decode())
    for tag, attributes in parsed.elements:
        assert tag not in ("img", "link", "iframe", "object", "embed", "base", "form")
        assert not any(name.startswith("on") or name in ("src", "style", "action") for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids)) and "url(" not in parsed.all("style")[0]
    assert [tag for tag, _ in parsed.elements].count("h1") == 1
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes in parsed.elements if tag == "th")


@pytest.mark.parametrize("evaluation", CASES.values(), ids=CASES)
def test_the_policy_allows_the_pages_own_script_and_style_only(evaluation: Evaluation) -> None:
    """The hashes are those of the two elements; nothing else may load or run."""
    parsed = Parsed(page(evaluation))
    policy = next(a["content"] for tag, a in parsed.elements if tag == "meta" and a.get("http-equiv"))
    scripts, styles = parsed.all("script"), parsed.all("style")
    assert (len(scripts), len(styles)) == (2, 1)
    hashes = [base64.b64encode(hashlib.sha256(t.encode()).digest()).decode() for t in (scripts[1], styles[0])]
    assert policy == (
        f"default-src 'none'; script-src 'sha256-{hashes[0]}'; style-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|\bfetch\b", scripts[1])


def content(text: str) -> dict[str, Any]:
    """The embedded data."""
    found: dict[str, Any] = json.loads(Parsed(text).all("script", id="data")[0])
    return found


@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)))
def test_any_text_survives(question: str, document: str) -> None:
    """The data has the text of questions and documents as it was, surrogates too."""
    base = sample(1, 2)
    one = base.questions[0]
    changed = replace(one, text=question, candidates=(replace(one.candidates[0], text=document), one.candidates[1]))
    text = page(replace(base, title=question, questions=(changed,)))
    text.encode()
    found = content(text)
    assert found["questions"][0]["text"] == question
    assert found["documents"][0] == [one.candidates[0].id, document, 0]


def test_the_data_is_what_was_recorded() -> None:
    """Orders, scores and grades are equal to the records; a document of two questions is there once."""
    first = SAMPLE.questions[0]
    found = content(page(replace(SAMPLE, questions=(first, replace(first, id="again")))))
    assert len(found["documents"]) == len(first.candidates)
    for question in found["questions"]:
        assert question["grades"] == [one.grade for one in first.candidates]
        for ranker, order in zip(SAMPLE.rankers, question["orders"], strict=True):
            record = first.orders[ranker.name]
            assert (tuple(order["indexes"]), tuple(order["scores"])) == (record.indexes, record.scores)
            assert order["value"] == pytest.approx(record.measures["nDCG@10"], rel=1e-5)


def test_numbers_that_json_has_no_word_for_and_long_documents() -> None:
    """Infinite scores are unknown; of a long document the page says how much it leaves out."""
    first = sample(1, 2).questions[0]
    long = replace(first.candidates[0], text="x" * (MAX_TEXT + 7))
    order = Order((0, 1), (float("inf"), float("nan")), {"nDCG@10": float("nan")}, 0.1, "")
    changed = replace(first, candidates=(long, first.candidates[1]), orders={"BM25": order})
    found = content(page(replace(SAMPLE, questions=(changed,))))
    assert found["documents"][0][1:] == ["x" * MAX_TEXT, 7]
    assert found["questions"][0]["orders"][0] is None
    assert found["questions"][0]["orders"][1] == {"indexes": [0, 1], "scores": [None, None], "value": None, "error": ""}


def rows(evaluation: Evaluation) -> dict[str, list[str]]:
    """The cells of each ranker's row by its name."""
    table = re.search(r'<table class="rankers">.*?</table>', page(evaluation), re.S)
    assert table
    body = table[0].partition("<tbody>")[2]
    found = {}
    for row in body.split("</tr>")[:-1]:
        parsed = Parsed(row + "</tr>")
        found[parsed.all("span", dir="auto")[0]] = parsed.all("td")
    return found


def test_the_table_has_the_records_figures() -> None:
    """Best first; every mean, interval, p-value, time, price and count."""
    found = rows(SAMPLE)
    assert list(found) == ["hosted, large", "hosted, small", "CrossEncoder", "BM25", "first stage"]
    for ranker in SAMPLE.rankers:
        cells = found[ranker.name]
        main, chance, *rest = cells
        for name, cell in zip(SAMPLE.measures, [main, *rest[:3]], strict=True):
            estimate = ranker.measures[name]
            assert cell == f"{estimate.mean:.3f}{estimate.low:.3f}–{estimate.high:.3f}"
        expected = {None: "–", 0.21: "0.210may be chance", 0.0004: "< 0.001real"}[ranker.p_value]
        assert chance == expected
        assert rest[5:] == [
            f"{ranker.tokens:,}",
            figures.dollars(ranker.cost_per_1000),
            str(ranker.errors),
            str(ranker.degraded),
        ]
    assert found["hosted, large"][5:7] == ["610 ms", "1.16 s"]


def test_every_judged_figure_is_marked_if_a_model_judged() -> None:
    """The mark is on all measures and p-values, in the charts and in the verdict, and is explained."""
    silver = CASES["silver"]
    for name, cells in rows(silver).items():
        assert all("◇" in cell for cell in (cells[0], *cells[2:5]))
        assert ("◇" in cells[1]) == (name != "first stage")
        assert not any("◇" in cell for cell in cells[5:])
    text = page(silver)
    assert text.count("↑ nDCG@10 ◇") == 4 and "<strong>silver</strong>" in text
    assert "◇" not in re.sub(r"<script>.*?</script>", "", page(SAMPLE), flags=re.S)


def test_without_judgements_agreement_is_the_news() -> None:
    """No measure, no p-value and no chart; the agreements come before the table of rankers."""
    parsed = Parsed(page(CASES["unjudged"]))
    assert not parsed.all("svg") and "nDCG@10" not in "".join(parsed.texts[:1]).replace(parsed.all("script")[1], "")
    assert parsed.all("h2")[1:3] == ["How alike the rankers are", "The rankers"]
    pair = SAMPLE.agreements[0]
    assert f"{pair.rbo:.3f}{pair.overlap * 10:.1f} of 10" in parsed.all("td")


def two(base: float, other: float, p_value: float | None, cost: float | None = 1.5) -> Evaluation:
    """An evaluation of a baseline and one ranker."""
    figures_ = [
        ({"nDCG@10": Estimate(mean, mean - 0.1, mean + 0.1)}, p) for mean, p in ((base, None), (other, p_value))
    ]
    rankers = tuple(
        Ranker(name, "", "", measures, p, 0.2, 0.4, 0, price, 0, 0)
        for name, price, (measures, p) in zip(("none", "new"), (0.0, cost), figures_, strict=True)
    )
    return replace(SAMPLE, measures=("nDCG@10",), baseline="none", rankers=rankers, agreements=())


@pytest.mark.parametrize(
    ("evaluation", "said"),
    [
        (two(0.3, 0.8, 0.001), ["new ranks best, and clearly better than the baseline none.", "costs $1.50 for 1,000"]),
        (
            two(0.6, 0.61, 0.4),
            ["may be chance.", "With 24 questions", "p = 0.400", "Cheaper and inside", "none with 0.600"],
        ),
        (two(0.6, 0.5, 0.4), ["No ranker is better than the baseline none.", "It costs nothing"]),
        (two(0.6, 0.6, 1.0), ["No ranker is better than the baseline none."]),
        (two(0.3, 0.8, 0.0001, None), ["p < 0.001", "Its price is not known"]),
        (CASES["one ranker"], ["Only the baseline first stage was measured."]),
        (EMPTY, ["Nothing was evaluated"]),
        (CASES["unjudged"], ["Nobody has judged the documents yet", "Most alike are", "Least alike are"]),
        (SAMPLE, ["hosted, large did not rank all questions: 1 error, 0 degraded."]),
    ],
)
def test_the_verdict_is_in_plain_words(evaluation: Evaluation, said: list[str]) -> None:
    """Who is best, whether it is chance, and at which price."""
    text = re.sub(r"<[^>]+>", "", " ".join(verdict.sentences(evaluation))).replace("&lt;", "<")
    assert all(part in text for part in said), text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0.0, "$0"),
        (0.0042, "$0.0042"),
        (0.42, "$0.42"),
        (0.05, "$0.050"),
        (12.5, "$12.50"),
        (2100, "$2,100.00"),
    ],
)
def test_prices(value: float | None, shown: str) -> None:
    """Small prices keep two significant digits."""
    assert figures.dollars(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0 ms"), (0.0002, "< 1 ms"), (0.2304, "230 ms"), (0.9997, "1.00 s"), (1.234, "1.23 s"), (75, "75 s")],
)
def test_durations(value: float, shown: str) -> None:
    """Milliseconds, then seconds."""
    assert figures.seconds(value) == shown


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=8))
def test_an_axis_of_amounts_has_room_for_all(values: list[float]) -> None:
    """Every value and every tick is between the ends, and a larger value is never further left."""
    axis = scales.amounts(values, 60, 560)
    places = [axis.position(value) for value in sorted(values)]
    assert places == sorted(places)
    assert all(59.9 <= place <= 560.1 for place in [*places, *map(axis.position, axis.ticks)])


@given(st.lists(st.tuples(st.integers(60, 500), st.integers(40, 300)), min_size=1, max_size=6, unique=True))
def test_labels_do_not_cover_each_other(places: list[tuple[int, int]]) -> None:
    """Names of six rankers are moved apart wherever the points are."""
    points = [(float(x), float(y), f"ranker {number}") for number, (x, y) in enumerate(places)]
    boxes = labels.place(points, [], labels.Box(46, 14, 600, 330))
    assert all(one.shared(other) == 0 for one, other in combinations(boxes, 2))


needs_browser = pytest.mark.skipif(not browser.CHROMIUM, reason="there is no Chromium on PATH")


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Tab]:
    with browser.tab(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


def shown(tab: browser.Tab, folder: Path, evaluation: Evaluation, **window: Any) -> Path:
    """Opens the report in the tab."""
    tab.said.clear()
    tab.requests.clear()
    file = folder / "report.html"
    file.write_text(page(evaluation), "utf-8")
    tab.open(file, **window)
    return file


def assert_quiet(tab: browser.Tab, file: Path) -> None:
    """The page asked for nothing but itself, and the console is empty."""
    assert [url for url in tab.requests if not url.startswith("blob:")] == [file.as_uri()]
    assert tab.said == []


LISTED = "[...document.querySelectorAll('.questions h3')].map(node => node.textContent)"


@needs_browser
@pytest.mark.parametrize("evaluation", CASES.values(), ids=CASES)
def test_a_browser_draws_it_without_a_word(evaluation: Evaluation, tab: browser.Tab, tmp_path: Path) -> None:
    """Light and dark, wide and narrow: no request, no message, nothing wider than the window, no foreign script."""
    for width, scheme in ((1400, "light"), (360, "dark")):
        file = shown(tab, tmp_path, evaluation, width=width, scheme=scheme)
        tab.run("document.querySelectorAll('.questions details').forEach(node => { node.open = true })")
        tab.run("new Promise(done => setTimeout(done))")
        assert tab.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        assert tab.run("typeof window.hostile") == "undefined"
        assert tab.run("document.querySelectorAll('img, main script').length") == 0
        assert tab.run("document.querySelectorAll('.questions > li').length") == len(evaluation.questions)
        assert_quiet(tab, file)


@needs_browser
def test_filter_search_and_sort(tab: browser.Tab, tmp_path: Path) -> None:
    """Won and lost questions are those of the records; words are found in questions and documents."""
    file = shown(tab, tmp_path, SAMPLE)
    assert tab.run("document.querySelector('select').selectedOptions[0].textContent") == "hosted, large"
    compare = (
        "(ranker => { const box = document.querySelector('select');"
        " box.value = ranker; box.dispatchEvent(new Event('change')) })"
    )
    tab.run(f"{compare}('1')")
    by = {
        q.text: q.orders["BM25"].measures["nDCG@10"] - q.orders["first stage"].measures["nDCG@10"]
        for q in SAMPLE.questions
    }
    assert tab.run(LISTED) == sorted(by, key=lambda text: -by[text])
    tab.run("document.querySelector('[data-kind=lost]').click()")
    lost = {text for text in by if by[text] < 0}
    assert lost and set(tab.run(LISTED)) == lost
    assert tab.run("document.querySelector('[data-kind=lost]').getAttribute('aria-pressed')") == "true"
    tab.run("document.querySelector('[data-kind=all]').click()")
    search = (
        "(words => { const box = document.querySelector('input');"
        " box.value = words; box.dispatchEvent(new Event('input')) })"
    )
    tab.run(f"{search}('RECEIPT unopened parcel')")
    found = tab.run(LISTED)
    assert found and all("parcel" in text for text in found)
    tab.run(f"{search}('no such word')")
    assert tab.run(LISTED) == []
    tab.run(f"{search}('')")
    tab.run(f"{compare}('4')")
    tab.run("document.querySelector('[data-kind=error]').click()")
    assert tab.run(LISTED) == [SAMPLE.questions[3].text]
    assert_quiet(tab, file)


@needs_browser
def test_orders_stand_side_by_side(tab: browser.Tab, tmp_path: Path) -> None:
    """The first question is open: documents in each ranker's order, what is relevant in words, how far each moved."""
    one = SAMPLE.questions[0]
    file = shown(tab, tmp_path, replace(SAMPLE, questions=(one,)))
    tab.run("new Promise(done => setTimeout(done))")
    texts = (
        "[...document.querySelectorAll('.order')]"
        ".map(order => [...order.querySelectorAll('.document')].map(one => one.textContent))"
    )
    columns = ("first stage", "hosted, large", "BM25", "CrossEncoder", "hosted, small")
    assert tab.run(texts) == [
        [one.candidates[at].text[:300] for at in one.orders[name].indexes[:10]] for name in columns
    ]
    sides = tab.run(
        "[...document.querySelectorAll('.order')[1].querySelectorAll('.facts')]"
        ".map(f => [...f.children].map(c => c.textContent))"
    )
    for place, (at, (mark, move)) in enumerate(zip(one.orders["hosted, large"].indexes, sides, strict=False)):
        assert mark.startswith("● relevant" if one.candidates[at].grade else "○ not relevant")
        assert move == ("=" if at == place else f"▲ {at - place}" if at > place else f"▼ {place - at}")
    tab.run("document.querySelector('.document').click()")
    assert one.candidates[0].text in tab.run("document.querySelector('.reader').textContent")
    tab.run("document.querySelector('details .more').click()")
    assert tab.run("document.querySelectorAll('.order')[1].querySelectorAll('li').length") == len(one.candidates)
    assert_quiet(tab, file)


@needs_browser
def test_judgements_are_made_and_downloaded(tab: browser.Tab, tmp_path: Path) -> None:
    """A mark goes from not judged to relevant to not relevant and back; both files have what was marked."""
    one = unjudged(SAMPLE).questions[0]
    file = shown(tab, tmp_path, replace(unjudged(SAMPLE), questions=(one,)))
    tab.run("new Promise(done => setTimeout(done))")
    disabled = "[...document.querySelectorAll('.marks button')].map(node => node.disabled)"
    assert tab.run(disabled) == [True, True]
    mark = "document.querySelectorAll('.order')[0].querySelectorAll('.mark')[{}].click()"
    for place in (0, 1, 1, 2, 2, 2):
        tab.run(mark.format(place))
    assert tab.run("document.querySelector('.mark').textContent") == "● relevant"
    assert tab.run("document.querySelector('.marks [role=status]').textContent") == "2 judgements"
    save = (
        "new Promise(done => {{ const make = URL.createObjectURL; URL.createObjectURL = blob => {{"
        " URL.createObjectURL = make; blob.text().then(done); return make.call(URL, blob) }};"
        " document.querySelectorAll('.marks button')[{}].click() }})"
    )
    ids = [one.candidates[at].id for at in (0, 1)]
    lines = [json.loads(line) for line in tab.run(save.format(0)).splitlines()]
    assert lines == [{"question": "q1", "document": id_, "grade": 1 - at} for at, id_ in enumerate(ids)]
    assert tab.run(save.format(1)) == f"q1 0 {ids[0]} 1\nq1 0 {ids[1]} 0\n"
    assert_quiet(tab, file)


@needs_browser
def test_a_thousand_questions_are_drawn_on_demand(tab: browser.Tab, tmp_path: Path) -> None:
    """Of 1,000 questions with 50 candidates each, only a batch and the open one are in the document."""
    few = sample(8, 50)
    many = tuple(replace(few.questions[number % 8], id=f"q{number}") for number in range(1000))
    file = shown(tab, tmp_path, replace(few, questions=many))
    tab.run("new Promise(done => setTimeout(done))")
    assert tab.run("document.querySelectorAll('.questions > li').length") == 40
    assert tab.run("document.querySelectorAll('*').length") < 2000
    tab.run("[...document.querySelectorAll('#questions > .more')].at(-1).click()")
    assert tab.run("document.querySelectorAll('.questions > li').length") == 80
    assert tab.run("document.querySelectorAll('.orders').length") == 1
    assert_quiet(tab, file)
