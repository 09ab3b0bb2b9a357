"""What a provider's error body says -> one printable line that shows neither a key nor a text of the row's.

Providers echo what they were sent: keys in complaints about keys, whole documents in complaints about their size.
"""

import contextlib
import html
import re
from collections.abc import Iterable, Iterator, Mapping

import orjson

from ..types import printable

_MAX_READ = 600  # longer than what is shown, so that a text cut at the end of that is still recognised
_MAX_SHOWN = 200
_MAX_DEPTH = 6
_KEYS = (
    "OriginalMessage", "message", "Message", "msg", "reason", "detail", "error", "errors", "error_description", "title",
)  # fmt: skip
_QUOTED = re.compile(
    rb"""["'](?:OriginalMessage|message|msg|Message|detail|error|reason)["']\s*:\s*"""
    rb"""("(?:[^"\\]|\\.){1,2000}"?|'(?:[^'\\]|\\.){1,2000}'?)""",
    re.DOTALL,
)
_DATA = re.compile(r"""[{\[]\s*(?:\\*["'{\[]|[}\]])""")
"""Where JSON, or the like, begins within prose."""
_MARKUP = re.compile(r"\s*<")
_MARKED = re.compile(r"<(?:message|title)>\s*([^<]{1,2000})", re.IGNORECASE)
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\-_])")
_PIECE = 12
_FRAGMENT = 2 * _PIECE  # any run as long holds one of the pieces that are looked up
_WHOLE, _WHOLE_WORD = 8, 16  # shorter texts, and shorter single words, are everyone's
_HIDDEN = "***"


def error_message(body: bytes, secrets: Iterable[str] = (), texts: Iterable[str] = ()) -> str:
    """The sentence in an error body of whatever shape, at most 200 characters; "" for none.

    `secrets` are masked wherever they stand; so are `texts`, if not very short, and long fragments of them.
    """
    hidden = [secret for secret in secrets if secret]
    said = _masked(_line(_masked(_said(body), hidden)[: _MAX_READ * 10])[:_MAX_READ], hidden)
    return _without(said, texts)[:_MAX_SHOWN].rstrip().rstrip(".")


def _masked(text: str, hidden: Iterable[str]) -> str:
    for secret in hidden:
        text = text.replace(secret, _HIDDEN)
    return text


def _line(text: str) -> str:
    """The text on one line, without terminal sequences and with a space for what cannot be printed."""
    return " ".join(printable(_ANSI.sub("", text)).split())


def _without(said: str, texts: Iterable[str]) -> str:
    if len(said) < _WHOLE:
        return said
    lines = [text if text.isascii() and text.isprintable() else _line(text) for text in texts]
    for text in lines:
        if len(text) >= (_WHOLE if " " in text else _WHOLE_WORD) and text in said:
            said = re.sub(rf"(?<!\w){re.escape(text)}(?!\w)", _HIDDEN, said)
    everything = "\0".join(lines)
    shown = list(said)
    for at in range(0, len(said) - _PIECE + 1, _PIECE):
        for start, end in _runs(said, at, everything):
            if end - start >= _FRAGMENT:
                shown[start:end] = [_HIDDEN, *[""] * (end - start - 1)]
    return "".join(shown).replace(_HIDDEN * 2, _HIDDEN)


def _runs(said: str, at: int, everything: str) -> Iterator[tuple[int, int]]:
    """What `said` has in common with `everything` around the piece at `at`, for the first places where it stands."""
    place = -1
    for _ in range(10):
        place = everything.find(said[at : at + _PIECE], place + 1)
        if place < 0:
            return
        start, end = at, at + _PIECE
        while start and place - (at - start) and said[start - 1] == everything[place - (at - start) - 1]:
            start -= 1
        while end < len(said) and said[end : end + 1] == everything[place + end - at : place + end - at + 1]:
            end += 1
        yield start, end


def _said(body: bytes) -> str:
    text = body.decode("utf-8", "replace").lstrip("\ufeff")
    if _MARKUP.match(text):
        marked = _MARKED.search(text)
        return html.unescape(marked[1]) if marked else ""
    try:
        return next(_sentences(orjson.loads(body), 0), "")
    except orjson.JSONDecodeError:
        said = _prose(text, 0)
        return "" if said.lstrip()[:1] in ("{", "[") else said


def _prose(text: str, depth: int) -> str:
    """The text up to the data that stands in it, and the sentence in that: what follows may be what was sent."""
    data = _DATA.search(text)
    if data is None:
        return text
    before = text[: data.start()].rstrip(" \t\r\n-:=('\"b")
    inner = ""
    if depth < _MAX_DEPTH:
        end = max(text.rfind("}"), text.rfind("]")) + 1
        with contextlib.suppress(orjson.JSONDecodeError):
            inner = next(_sentences(orjson.loads(text[data.start() : end]), depth + 1), "")
    if not inner:
        # Cut off, or not quite JSON: the first quoted message.
        quoted = _QUOTED.search(text[data.start() :].encode("utf-8", "replace"))
        inner = _prose(_unquoted(quoted[1]), _MAX_DEPTH) if quoted else ""
    return ": ".join(part for part in (before, inner) if part.strip())


def _unquoted(text: bytes) -> str:
    """The string in quotation marks, the second of which may be missing."""
    for whole in (text, text + b'"'):
        with contextlib.suppress(orjson.JSONDecodeError):
            return str(orjson.loads(whole))
    return text.decode("utf-8", "replace").strip("\"'")


def _sentences(value: object, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        said = _prose(value, depth)
        if said.strip():
            yield said
    elif depth < _MAX_DEPTH and isinstance(value, Mapping):
        for key in _KEYS:
            if key in value:
                yield from _sentences(value[key], depth + 1)
    elif depth < _MAX_DEPTH and isinstance(value, list):
        for item in value[:5]:
            yield from _sentences(item, depth + 1)
