"""`others`: the JSON text of the seventh argument -> Options, checked against the keys in the provider's record."""

import json
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import CallerError
from ..providers import Option, Provider
from ..types import did_you_mean
from .passages import Rules, rules

_MAX_TEXT = 65_536
_MAX_DEPTH = 32
_TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "objects": (list,),
    "switch": (bool, dict),
}
_ARTICLES = {
    "text": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "object": "an object",
    "objects": "a list of objects",
    "switch": "true, false or an object",
}


@dataclass(frozen=True, slots=True)
class Options:
    """The keys of `others`, typed; a key that is absent has the default here."""

    model: str = ""
    model_args: Mapping[str, object] = field(default_factory=dict)
    timeout_s: float | None = None
    deadline_s: float | None = None
    """Seconds for all rows of a block; None: each row has its own time only."""
    hedge_ms: float | None = None
    """Milliseconds without an answer after which a request is sent a second time; None: never."""
    bytes_per_token: float = 3.0
    """What tokens are estimated with, where a request has a limit of tokens."""
    method: str = "listwise"
    """How a chat model ranks: listwise or pointwise."""
    window: int = 20
    """Documents that a chat model orders in one request."""
    step: int | None = None
    """By how many documents the next window is nearer to the front; None: by half a window."""
    passes: int = 1
    """How often the windows slide over the list."""
    max_tokens_per_doc: int | None = None
    """What a document is cut to; None: as the provider's record says."""
    batch_size: int | None = None
    """Documents per request, in place of the provider's limit."""
    min_score: float | None = None
    normalize: str = "none"
    on_error: str = "throw"
    """What a row becomes when its provider fails: throw, empty or passthrough."""
    fallback: Sequence[Mapping[str, object]] = field(default=(), repr=False)
    """Endpoints to ask next when the provider fails: `provider`, `base_url`, `api_key` and keys of `others`."""
    cache: bool = True
    """Whether cached scores may be used, and the scores of this call are cached."""
    dry_run: bool = False
    """Whether to report what would be sent instead of sending it."""
    listwise: bool | None = None
    """Whether the model scores documents against each other; None: as the provider's record says of the model."""
    passages: Rules | None = None
    """How documents are cut; None: they are scored whole."""
    wire: str = ""
    score_label: str = ""
    access_key_id: str = field(default="", repr=False)
    region_name: str = ""
    session_token: str = field(default="", repr=False)
    endpoint_url: str = ""
    fields: Mapping[str, object] = field(default_factory=dict)
    """Request fields that the provider's own keys become."""
    template_values: Mapping[str, str] = field(default_factory=dict)
    """Values of the provider's own keys that fill its URL and header templates."""


def parse_object(text: str) -> Mapping[str, object]:
    """`others` as written -> its members; '' is no members."""
    if not text:
        return {}
    if len(text) > _MAX_TEXT:
        raise CallerError("BAD_OTHERS", f"others is longer than {_MAX_TEXT} characters. Pass only the keys you need.")
    try:
        members = json.loads(text, object_pairs_hook=_unique, parse_float=_float, parse_int=_int, parse_constant=_float)
    except (ValueError, RecursionError):
        raise CallerError(
            "BAD_OTHERS", "others is not valid JSON. Pass '' or an object such as '{\"model\":\"...\"}'."
        ) from None
    if not isinstance(members, dict):
        raise CallerError(
            "BAD_OTHERS", "others is not a JSON object. Pass '' or an object such as '{\"model\":\"...\"}'."
        )
    if _is_deeper(members, _MAX_DEPTH):
        raise CallerError("BAD_OTHERS", f"others is nested more than {_MAX_DEPTH} levels deep. Pass a flatter object.")
    return members


def parse_options(members: Mapping[str, object], provider: Provider, siblings: Collection[str] = ()) -> Options:
    """Members of `others` -> Options.

    `siblings` are the keys that an entry of `fallback` may have beside the keys of `others`; an error lists them too.
    Errors: BAD_OTHERS names the key and, for an unknown one, the known ones.
    """
    values: dict[str, object] = {}
    fields: dict[str, object] = {}
    template_values: dict[str, str] = {}
    for key, value in members.items():
        option = provider.options.get(key)
        if option is None:
            known = sorted({*provider.options, *siblings})
            place = "an entry of others.fallback" if siblings else "others"
            raise CallerError(
                "BAD_OTHERS",
                f"{provider.name} has no key {key[:60]!r} in {place}.{did_you_mean(key, known)} "
                f"Known keys: {', '.join(known)}.",
            )
        _check(key, value, option, provider)
        if option.field:
            fields[option.field] = value
        elif option.in_template:
            template_values[key] = str(value)
        else:
            values[key] = rules(value) if option.type == "switch" else value
    make: Callable[..., Options] = Options  # each value has the type that its Option says
    return make(**values, fields=fields, template_values=template_values)


def _check(key: str, value: object, option: Option, provider: Provider) -> None:
    is_typed = type(value) in _TYPES[option.type]
    if not is_typed or (isinstance(value, list) and not all(isinstance(item, dict) for item in value)):
        raise CallerError("BAD_OTHERS", f"others.{key} must be {_ARTICLES[option.type]}.")
    if option.in_template and (
        not re.fullmatch(option.pattern, str(value)) or {".", ".."} & set(str(value).split("/"))
    ):
        raise CallerError("BAD_OTHERS", f"others.{key} has characters that cannot stand there. Correct it.")
    for refused, why in option.refused:
        if value == refused:
            raise CallerError("BAD_OTHERS", f"others.{key} cannot be {value} with {provider.name}. {why}")
    if option.choices and value not in option.choices:
        raise CallerError("BAD_OTHERS", f"others.{key} must be one of {', '.join(option.choices)}.")
    if isinstance(value, int | float):
        if option.low is not None and value < option.low:
            raise CallerError("BAD_OTHERS", f"others.{key} must be at least {option.low}.")
        if option.high is not None and value > option.high:
            raise CallerError("BAD_OTHERS", f"others.{key} must be at most {option.high}.")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise CallerError("BAD_OTHERS", f"others has the key {twice[:60]!r} twice. Keep one.")
    return members


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise CallerError("BAD_OTHERS", f"others has the number {text[:20]}. Pass a finite one.")
    return value


def _int(text: str) -> int:
    if len(text) > 19:
        raise CallerError(
            "BAD_OTHERS", f"others has the number {text[:20]}..., which exceeds 64 bits. Pass a smaller one."
        )
    return int(text)


def _is_deeper(value: object, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(levels == 0 or _is_deeper(member, levels - 1) for member in inner)
