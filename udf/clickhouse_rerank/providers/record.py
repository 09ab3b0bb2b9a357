"""What a provider is, as data. Knows no provider by name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

RERANK_PATHS = r".*(/rerank|/reranks|/reranking|/ranking|:rank|/invocations)"
"""Paths that need nothing added: how rerank APIs end theirs."""

_LISTWISE = r"(?i).*(jina-reranker-v3|listwise).*"


@dataclass(frozen=True, slots=True)
class Option:
    """One key of `others`: its JSON type, its bounds, and the request field it becomes ("" when it becomes none)."""

    type: str
    """text, integer, number, boolean, object or objects."""
    field: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    credential_only: bool = False
    """Part of where a key goes, such as a region: SQL cannot set it beside a credential of the server."""
    in_template: bool = False
    """Fills {its name} in the URL and header templates of the record instead of becoming a request field."""
    default: str = ""
    """What fills a template when the key is absent; "" when there is no default."""
    pattern: str = r"[A-Za-z0-9._~:@-]{1,200}"
    """Regular expression that a value for a template must match."""


@dataclass(frozen=True, slots=True)
class AwsService:
    """An AWS service that is called with a signature instead of a key in a header."""

    endpoint: str
    """Name in botocore's endpoint rules."""
    signing: str
    """Name in the signature's scope."""
    path: str
    """Path of requests; with {name}, base_url is no URL but that name."""
    model: str = ""
    """Template of the model in requests, with {partition}, {region} and {model}; "" when requests name no model."""


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """The most that one request may hold; None where the provider states no limit."""

    documents: int | None = None
    body_bytes: int | None = None
    text_chars: int | None = None
    """Characters of the query and of each document."""
    query_chars: int | None = None
    pair_bytes: int | None = None
    """UTF-8 bytes of the query and a document and `pair_extra_bytes`, summed over the documents."""
    pair_extra_bytes: int = 0

    def within(self, other: "RequestLimits") -> "RequestLimits":
        """The stricter of both, each number for itself."""
        return RequestLimits(
            _least(self.documents, other.documents),
            _least(self.body_bytes, other.body_bytes),
            _least(self.text_chars, other.text_chars),
            _least(self.query_chars, other.query_chars),
            _least(self.pair_bytes, other.pair_bytes),
            max(self.pair_extra_bytes, other.pair_extra_bytes),
        )


def _least(one: int | None, other: int | None) -> int | None:
    numbers = [number for number in (one, other) if number is not None]
    return min(numbers) if numbers else None


@dataclass(frozen=True, slots=True)
class Provider:
    """How one provider is reached and spoken to.

    URLs, paths and headers are templates: {names} are filled from `others`, {model} from the model.
    """

    name: str
    wire: str = ""
    """Key of wires.WIRES; "" for a provider that scores in the worker."""
    url: str = ""
    """Where requests go without base_url; "" when base_url is required."""
    path: str = "/v1/rerank"
    """What a base_url with no path means; "/" when a base_url is always meant as it is."""
    complete: str = RERANK_PATHS
    """Regular expression of paths that need nothing added."""
    aws: AwsService | None = None
    """Set where botocore signs; others carry the key in a header."""
    key: str = "required"
    """required, optional (self-hosted servers) or none."""
    key_header: str = "Authorization"
    key_format: str = "Bearer {}"
    key_prefix: str = ""
    """The beginning that all its keys have, if they have one: the server's logs mask keys by it."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of every request; a header whose {name} has no value is left out."""
    env: str = ""
    """The variable that conventionally holds the key, which then goes to `url`."""
    model: str = ""
    """The default model; "" when the server has its own, or others.model is required."""
    needs_model: bool = False
    retired: Mapping[str, str] = field(default_factory=dict)
    """Model that was shut down -> what replaced it."""
    path_models: Mapping[str, str] = field(default_factory=dict)
    """Model -> what {model} is in a path, where that is not the model with `path_dot` for each dot."""
    path_dot: str = "."
    listwise: str = _LISTWISE
    """Regular expression of models whose scores depend on the other documents of the request."""
    scores: str = "0 to 1"
    """Range of scores, for people."""
    limits: RequestLimits = RequestLimits()
    wire_limits: Mapping[str, RequestLimits] = field(default_factory=dict)
    """Wires that others.wire may name, with what each adds to `limits`."""
    options: Mapping[str, Option] = field(default_factory=dict)
    """Keys of `others` that it takes."""
    fixed: Mapping[str, object] = field(default_factory=dict)
    """Members that every request carries."""
    takes_top_n: bool = True
    """Whether requests may say how many documents to return."""
    variants: tuple[tuple[str, "Provider"], ...] = ()
    """(part of a base_url's path, the record that is spoken to where the path has it)."""

    @property
    def is_local(self) -> bool:
        """Whether it scores in the worker: no URL, no key, no request."""
        return not self.wire

    def variant(self, path: str) -> "Provider":
        """The record that is spoken to at a base_url with this path."""
        for part, variant in self.variants:
            if part in path + "/":
                return variant
        return self

    def is_listwise(self, model: str) -> bool:
        """Whether a model's scores depend on the other documents, so that they are not comparable across requests."""
        return _is_listwise(self.listwise, model)


@lru_cache(maxsize=256)
def _is_listwise(pattern: str, model: str) -> bool:
    return re.fullmatch(pattern, model) is not None
