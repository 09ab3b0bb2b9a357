"""Redaction of a provider's words: an error body -> one printable line that shows neither a key nor a text of the row.

Providers echo what they were sent: keys in complaints about keys, whole documents in complaints about their size.
The steps: find the sentence in the body, without the data inside it; mask keys; put it on one line; mask texts.
"""

import contextlib
import html
import re
from collections.abc import Iterable, Iterator, Mapping

import orjson

from ..types import printable

_MAX_SHOWN = 200
_MAX_READ = 600  # more than is shown, so that a text of the row is recognized where the shown part ends inside it
_MAX_DEPTH = 6
_MAX_ITEMS = 5
_MAX_PLACES = 10
_SENTENCE_MEMBERS = (
    "OriginalMessage", "message", "Message", "msg", "reason", "detail", "error", "errors", "error_description", "title",
)  # fmt: skip
"""Members of a JSON body that hold the sentence; the first that holds one counts."""
_QUOTED_SENTENCE = re.compile(
    rb"""["'](?:OriginalMessage|message|msg|Message|detail|error|reason)["']\s*:\s*"""
    rb"""("(?:[^"\\]|\\.){1,2000}"?|'(?:[^'\\]|\\.){1,2000}'?)""",
    re.DOTALL,
)
_DATA = re.compile(r"""[{\[]\s*(?:\\*["'{\[]|[}\]])""")
"""Where JSON, or the like, begins within prose."""
_MARKUP = re.compile(r"\s*<")
_MARKED_UP_SENTENCE = re.compile(r"<(?:message|title)>\s*([^<]{1,2000})", re.IGNORECASE)
_ANSI_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\-_])")
_PROBE = 12
"""Characters of the pieces of a sentence that are looked up in the row's texts."""
_MIN_FRAGMENT = 2 * _PROBE
"""Shortest fragment of a text that is masked: wherever it stands, it contains a whole piece of `_PROBE` characters."""
_MIN_TEXT, _MIN_WORD = 8, 16
"""Shortest text, and shortest text without a space, that is masked as a whole: a shorter one may be anybody's word."""
_MASK = "***"


def error_message(body: bytes, secrets: Iterable[str] = (), texts: Iterable[str] = ()) -> str:
    """The sentence in an error body of any shape, on one line of at most 200 characters; "" for none.

    `secrets` are masked wherever they occur. `texts`, the query and the documents, are masked unless they are very
    short, and so are long fragments of them.
    """
    secrets = [secret for secret in secrets if secret]
    sentence = _mask_secrets(_find_sentence(body), secrets)[: _MAX_READ * 10]
    # Once more: a key that was broken up by terminal sequences is whole only now.
    sentence = _mask_secrets(_one_line(sentence)[:_MAX_READ], secrets)
    return _mask_texts(sentence, texts)[:_MAX_SHOWN].rstrip().rstrip(".")


def _find_sentence(body: bytes) -> str:
    text = body.decode("utf-8", "replace").lstrip("\ufeff")
    if _MARKUP.match(text):
        marked_up = _MARKED_UP_SENTENCE.search(text)
        return html.unescape(marked_up[1]) if marked_up else ""
    try:
        return next(_sentences(orjson.loads(body), 0), "")
    except orjson.JSONDecodeError:
        sentence = _without_data(text, 0)
        return "" if sentence.lstrip()[:1] in ("{", "[") else sentence


def _sentences(value: object, depth: int) -> Iterator[str]:
    """The sentences in a JSON value, the most telling one first."""
    if isinstance(value, str):
        sentence = _without_data(value, depth)
        if sentence.strip():
            yield sentence
    elif depth < _MAX_DEPTH and isinstance(value, Mapping):
        for member in _SENTENCE_MEMBERS:
            if member in value:
                yield from _sentences(value[member], depth + 1)
    elif depth < _MAX_DEPTH and isinstance(value, list):
        for item in value[:_MAX_ITEMS]:
            yield from _sentences(item, depth + 1)


def _without_data(text: str, depth: int) -> str:
    """The prose before the JSON in a text, and the sentence in that JSON: the rest may be what was sent."""
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
        # Cut off, or not quite JSON: the first quoted sentence.
        quoted = _QUOTED_SENTENCE.search(text[data.start() :].encode("utf-8", "replace"))
        inner = _without_data(_unquoted(quoted[1]), _MAX_DEPTH) if quoted else ""
    return ": ".join(part for part in (before, inner) if part.strip())


def _unquoted(text: bytes) -> str:
    """The string in quotation marks, the second of which may be missing."""
    for whole in (text, text + b'"'):
        with contextlib.suppress(orjson.JSONDecodeError):
            return str(orjson.loads(whole))
    return text.decode("utf-8", "replace").strip("\"'")


def _mask_secrets(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, _MASK)
    return text


def _one_line(text: str) -> str:
    """The text on one line, without terminal sequences and with a space for what cannot be printed."""
    return " ".join(printable(_ANSI_SEQUENCE.sub("", text)).split())


def _mask_texts(sentence: str, texts: Iterable[str]) -> str:
    """The sentence with the row's texts masked, and with every fragment of them of `_MIN_FRAGMENT` or more."""
    if len(sentence) < _MIN_TEXT:
        return sentence
    lines = [text if text.isascii() and text.isprintable() else _one_line(text) for text in texts]
    for line in lines:
        if len(line) >= (_MIN_TEXT if " " in line else _MIN_WORD) and line in sentence:
            sentence = re.sub(rf"(?<!\w){re.escape(line)}(?!\w)", _MASK, sentence)
    joined = "\0".join(lines)
    characters = list(sentence)
    for at in range(0, len(sentence) - _PROBE + 1, _PROBE):
        for start, end in _shared_spans(sentence, at, joined):
            if end - start >= _MIN_FRAGMENT:
                characters[start:end] = [_MASK, *[""] * (end - start - 1)]
    return "".join(characters).replace(_MASK * 2, _MASK)


def _shared_spans(sentence: str, at: int, texts: str) -> Iterator[tuple[int, int]]:
    """(start, end) in `sentence` of what it shares with `texts` around the piece at `at`.

    One span for each of the first places in `texts` where that piece stands.
    """
    place = -1
    for _ in range(_MAX_PLACES):
        place = texts.find(sentence[at : at + _PROBE], place + 1)
        if place < 0:
            return
        start, end = at, at + _PROBE
        while start and place - (at - start) and sentence[start - 1] == texts[place - (at - start) - 1]:
            start -= 1
        while end < len(sentence) and sentence[end : end + 1] == texts[place + end - at : place + end - at + 1]:
            end += 1
        yield start, end
