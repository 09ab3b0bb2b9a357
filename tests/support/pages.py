"""The documentation as tests read it: its pages, their fenced blocks, links and headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
"""What has SQL that runs."""
LINKED = (*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "SECURITY.md")

_FENCE = re.compile(r"^(?P<mark><!-- engine: cluster -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
_COMMENT = re.compile(r"<!--.*?-->", re.S)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.M)
_STATEMENT = re.compile(r"(?:'(?:\\.|[^'\\])*'|--[^\n]*|[^;'])+")


@dataclass(frozen=True)
class Block:
    """A fenced block; `shown` is the output that follows it, for SQL that has one."""

    language: str
    text: str
    line: int
    on_cluster: bool = False
    """Needs a server or a cluster: it is only parsed."""
    shown: str | None = None
    place: tuple[int, int] = (0, 0)
    """Where `shown` stands in the page's text."""


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found = list(_FENCE.finditer(text))
    made = []
    for fence, after in zip_longest(found, found[1:]):
        is_shown = after is not None and after["language"] == "text" and not text[fence.end() : after.start()].strip()
        output = after if is_shown and fence["language"] == "sql" else None
        made.append(
            Block(
                language=fence["language"],
                text=fence["text"],
                line=text.count("\n", 0, fence.start()) + 1,
                on_cluster=bool(fence["mark"]),
                shown=output["text"] if output else None,
                place=output.span("text") if output else (0, 0),
            )
        )
    return made


def statements(block: str) -> list[str]:
    """The statements of a SQL block, without comments that stand alone."""
    found = (re.sub(r"^--.*\n?", "", part, flags=re.M).strip() for part in _STATEMENT.findall(block))
    return [part for part in found if part]


def generated(text: str, name: str) -> str:
    """What stands in a page between the comments of a name."""
    return _part(name).findall(text)[0][1]


def with_generated(text: str, name: str, part: str) -> str:
    """A page's text with `part`, which ends with a line feed, at the one place between the comments of a name."""
    text, found = _part(name).subn(lambda match: f"{match[1]}{part}{match[3]}", text)
    assert found == 1, f"the page has {found} blocks {name}"
    return text


def _part(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name} -->\n)(.*?)(<!-- /{name} -->)", re.DOTALL)


def links(text: str) -> list[str]:
    """The targets of a page's links, outside of code and comments."""
    prose = re.sub(r"`[^`\n]*`", "", _COMMENT.sub("", _FENCE.sub("", text)))
    return _LINK.findall(prose)


def anchors(text: str) -> set[str]:
    """What a # link may name in a page, as code hosts derive it from headings."""
    names: set[str] = set()
    for heading in _HEADING.findall(_FENCE.sub("", text)):
        base = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        names.add(next(name for name in _numbered(base) if name not in names))
    return names


def _numbered(base: str) -> Iterator[str]:
    yield base
    number = 1
    while True:
        yield f"{base}-{number}"
        number += 1
