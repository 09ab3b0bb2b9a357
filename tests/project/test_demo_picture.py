"""docs/demo.svg, the picture at the top of the README: drawn from what the demonstration's SQL returns.

`make generate` draws it anew.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from conftest import ROOT, worker_environment

PICTURE = ROOT / "docs" / "demo.svg"
COMMAND = Path(sys.executable).with_name("clickhouse-rerank")

WIDTH, MARGIN = 840, 24
LEFT, RIGHT = MARGIN, 464
"""Where the halves begin."""
TOP, ROW, CARD, LINE = 116, 34, 66, 19
"""Where the rows begin; heights of a row on the left, of a row on the right, and of a line of text."""

STYLE = """
text { font: 14px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
.title { font-size: 19px; font-weight: 600 }
.head { font-weight: 600 }
.quiet { fill: #656d76 }
.small { font-size: 12px }
.page { fill: #ffffff; stroke: #d0d7de }
.hit { fill: #dafbe1; stroke: #4ac26b }
.miss { fill: #f6f8fa; stroke: #d0d7de }
.mark { fill: none; stroke: #1a7f37; stroke-width: 2.4; stroke-linecap: round; stroke-linejoin: round }
.way { fill: none; stroke: #4ac26b; stroke-width: 2 }
.cut { stroke: #656d76; stroke-dasharray: 4 4 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .quiet { fill: #9198a1 }
  .page { fill: #0d1117; stroke: #3d444d }
  .hit { fill: #12261e; stroke: #2ea043 }
  .miss { fill: #151b23; stroke: #3d444d }
  .mark { stroke: #3fb950 }
  .way { stroke: #2ea043 }
  .cut { stroke: #9198a1 }
}
"""


class Found(NamedTuple):
    """A document as vector search or Rerank returned it."""

    answers: bool
    text: str
    was: int
    """Its place in the vector search, from 1."""
    score: float = 0.0


def found() -> tuple[str, list[Found], list[Found]]:
    """The first question of the demonstration, its candidates by distance, and the best by Rerank.

    The demonstration cuts texts to the terminal's width; the SQL that it prints returns them whole.
    """
    printed = _run("demo")
    question = printed.partition("Question: ")[2].partition("\n")[0]
    script = printed.partition("The SQL that ran")[2].partition("\n\n")[2]
    rows = [json.loads(line) for line in _run("sql", "--format", "JSONCompactEachRow", "-", given=script).splitlines()]
    wanted = rows[0][0]
    before, after = [], []
    for row in rows:
        if len(row) == 4:
            answers, was, score, text = row
            after.append(Found(bool(answers), text, was, score))
        elif after:
            break
        else:
            answers, text, _ = row
            before.append(Found(bool(answers), text, len(before) + 1))
    assert wanted == "en" and before and after
    return question, before, after


def _run(*arguments: str, given: str = "") -> str:
    return subprocess.run(
        [COMMAND, *arguments],
        input=given,
        env=worker_environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=True,
    ).stdout


def picture(question: str, before: list[Found], after: list[Found]) -> str:
    """The SVG: on the left the first candidates and those that Rerank raised, on the right its result."""
    kept = len(after)
    shown = [one for one in before if one.was <= kept or one.was in {best.was for best in after}]
    parts, middle, y = [], {}, TOP
    for one in shown:
        if middle and one.was - 1 not in middle:
            parts.append(_text(LEFT + 22, y + 10, "⋮", "quiet"))
            y += LINE
        parts += _candidate(one, y)
        middle[one.was] = y + ROW // 2 - 3
        y += ROW
        if one.was == kept:
            parts.append(f'<line class="cut" x1="{LEFT}" x2="{RIGHT - 60}" y1="{y + 6}" y2="{y + 6}"/>')
            parts.append(_text(LEFT, y + 24, f"the first {kept} end here", "quiet small"))
            y += ROW
    left_end = y
    for place, one in enumerate(after):
        top = TOP + place * CARD
        start, end = middle[one.was], top + CARD // 2 - 5
        parts.append(
            f'<path class="way" d="M{RIGHT - 60} {start} C{RIGHT - 28} {start} {RIGHT - 32} {end} {RIGHT} {end}"/>'
        )
        parts += _best(place + 1, one, top)
    height = max(left_end - 6, TOP + kept * CARD - 10) + MARGIN
    hits = [sum(one.answers for one in half[:kept]) for half in (before, after)]
    said = (
        f"The question: {question} Before: of the first {kept} by vector search, {hits[0]} answer it. "
        f"After Rerank: {hits[1]} of {kept} answer it."
    )
    heads = [
        _text(MARGIN, 44, f"“{question}”", "title"),
        _text(LEFT, 80, f"Before: {len(before)} candidates by vector search", "head"),
        _text(LEFT, 100, f"{hits[0]} of the first {kept} answer the question", "quiet"),
        _text(RIGHT, 80, f"After: the best {kept} by Rerank, BM25", "head"),
        _text(RIGHT, 100, f"{hits[1]} of {kept} answer the question", "quiet"),
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            'role="img" aria-labelledby="title">',
            f'<title id="title">{escape(said)}</title>',
            f"<style>{STYLE}</style>",
            f'<rect class="page" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
            *heads,
            *parts,
            "</svg>\n",
        ]
    )


def _candidate(one: Found, y: int) -> list[str]:
    width = RIGHT - 60 - LEFT
    return [
        _box(one, LEFT, y, width, ROW - 6),
        _text(LEFT + 28, y + 19, str(one.was), "quiet", "end"),
        *([_check(LEFT + 36, y + 9)] if one.answers else []),
        _text(LEFT + 56, y + 19, _cut(one.text, width - 60), "" if one.answers else "quiet"),
    ]


def _best(place: int, one: Found, y: int) -> list[str]:
    width = WIDTH - MARGIN - RIGHT
    lines = _wrapped(one.text, width - 60)
    first = y + (CARD - 10 - len(lines) * LINE) // 2 + 14
    return [
        _box(one, RIGHT, y, width, CARD - 10),
        _text(RIGHT + 26, first, str(place), "head", "end"),
        *([_check(RIGHT + 34, first - 10)] if one.answers else []),
        *(_text(RIGHT + 54, first + number * LINE, line) for number, line in enumerate(lines)),
    ]


def _box(one: Found, x: int, y: int, width: int, height: int) -> str:
    kind = "hit" if one.answers else "miss"
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="5"/>'


def _text(x: int, y: int, text: str, kind: str = "", anchor: str = "") -> str:
    attributes = f' class="{kind}"' if kind else ""
    attributes += f' text-anchor="{anchor}"' if anchor else ""
    return f'<text x="{x}" y="{y}"{attributes}>{escape(text)}</text>'


def _check(x: int, y: int) -> str:
    return f'<path class="mark" d="M{x} {y + 5} l4 5 l8 -9"/>'


def _pixels(text: str) -> float:
    """The width in DejaVu Sans, the widest of the fonts: which of them a reader has is not known."""
    return sum(next((pixels for pixels, letters in _WIDTHS if c in letters), 8.9) for c in text)


_WIDTHS = ((4.6, "ijl.,:;'!| "), (5.9, "frt"), (8.2, "ckvxyzs"), (13.7, "mwMW"))


def _cut(text: str, pixels: int) -> str:
    if _pixels(text) <= pixels:
        return text
    while _pixels(text) > pixels - 14:
        text = text[:-1]
    return f"{text.rstrip(' ,;:.')}…"


def _wrapped(text: str, pixels: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if _pixels(longer) > pixels and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def test_the_picture_is_what_the_demonstration_returns() -> None:
    """Drawn again from the demonstration's SQL, it has the same bytes."""
    assert picture(*found()) == PICTURE.read_text("utf-8"), "run: make generate"


def test_the_picture_carries_its_words_and_loads_nothing() -> None:
    """A title for readers who do not see it; no script, no reference to another file."""
    tree = ElementTree.fromstring(PICTURE.read_text("utf-8"))
    names = {element.tag.rpartition("}")[2] for element in tree.iter()}
    assert names == {"svg", "title", "style", "rect", "text", "path", "line"}
    (title,) = (element.text or "" for element in tree.iter() if element.tag.endswith("title"))
    assert title.startswith("The question: ") and title.endswith(" answer it.")
    text = PICTURE.read_text("utf-8")
    assert "url(" not in text and "@import" not in text and "href" not in text


if __name__ == "__main__":
    PICTURE.write_text(picture(*found()), "utf-8")
