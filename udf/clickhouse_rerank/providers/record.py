"""What a provider is, as data. Knows no provider by name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from .error_rules import ErrorRule, InnerStatus

RERANK_PATHS = r".*(/rerank|/reranks|/reranking|/ranking|:rank|/invocations)"
"""Regular expression of complete paths: how the paths of rerank APIs end."""

_LISTWISE = r"(?i).*(jina-reranker-v3|listwise).*"


@dataclass(frozen=True, slots=True)
class Option:
    """One key of `others`: its JSON type, its bounds, and the request field that it becomes; "" for no field."""

    type: str
    """text, integer, number, boolean, object, objects, or switch: a boolean or an object."""
    field: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    credential_only: bool = False
    """Part of the place that a key is sent to, such as a region: SQL cannot set it for a credential of the server."""
    in_template: bool = False
    """Fills {its name} in the URL and header templates of the record instead of becoming a request field."""
    default: str = ""
    """What fills a template when the key is absent; "" when there is no default."""
    refused: tuple[tuple[str, str], ...] = ()
    """(value that another provider takes, the sentence that says why this one cannot and what to do)."""
    pattern: str = r"[A-Za-z0-9._~:@-]{1,200}"
    """Regular expression that a value for a template must match."""


@dataclass(frozen=True, slots=True)
class AwsService:
    """An AWS service: its requests carry a signature instead of a key in a header."""

    endpoint: str
    """Name of the service in botocore's endpoint rules."""
    signing: str
    """Name of the service in the signature's scope."""
    path: str
    """Path of requests; where it has {name}, base_url is that name instead of a URL."""
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
    tokens: int | None = None
    """Tokens of the body, which are estimated from its bytes; a request with one document is sent whatever it has."""
    pair_bytes: int | None = None
    """Sum over the documents: the UTF-8 bytes of the query and of the document, and `pair_extra_bytes`."""
    pair_extra_bytes: int = 0

    def within(self, other: "RequestLimits") -> "RequestLimits":
        """The stricter of the two limits, field by field."""
        return RequestLimits(
            _least(self.documents, other.documents),
            _least(self.body_bytes, other.body_bytes),
            _least(self.text_chars, other.text_chars),
            _least(self.query_chars, other.query_chars),
            _least(self.tokens, other.tokens),
            _least(self.pair_bytes, other.pair_bytes),
            max(self.pair_extra_bytes, other.pair_extra_bytes),
        )


def _least(one: int | None, other: int | None) -> int | None:
    numbers = [number for number in (one, other) if number is not None]
    return min(numbers) if numbers else None


@dataclass(frozen=True, slots=True)
class Provider:
    """How to reach one provider, and in which format.

    URLs, paths and headers are templates: {names} are filled from `others`, {model} from the model.
    """

    name: str
    wire: str = ""
    """Key of wires.WIRES, the shape of its requests' bodies; "" for a provider that scores in the worker."""
    url: str = ""
    """URL of requests where base_url is ''; "" when base_url is required."""
    path: str = "/v1/rerank"
    """Path of requests where base_url has none; "/" when base_url is always complete."""
    complete: str = RERANK_PATHS
    """Regular expression of paths of base_url that are complete: nothing is added to them."""
    aws: AwsService | None = None
    """The AWS service whose requests botocore signs; None where a header carries the key."""
    key: str = "required"
    """required, optional (self-hosted servers) or none."""
    key_header: str = "Authorization"
    key_format: str = "Bearer {}"
    key_prefix: str = ""
    """The prefix of all its keys, if there is one: the masking rules of the server's logs use it."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of every request; a header whose {name} has no value is left out."""
    env: str = ""
    """Environment variable that conventionally holds the key. Such a key goes to `url` alone."""
    model: str = ""
    """The default model; "" when the server has its own, or others.model is required."""
    needs_model: bool = False
    retired: Mapping[str, str] = field(default_factory=dict)
    """Model that was shut down -> the model that replaced it."""
    path_models: Mapping[str, str] = field(default_factory=dict)
    """Model -> what fills {model} in a path, for models where `path_dot` does not give it."""
    path_dot: str = "."
    """What replaces each dot of a model in a path."""
    listwise: str = _LISTWISE
    """Regular expression of models whose scores depend on the other documents of the request."""
    scores: str = "0 to 1"
    """Range of scores, for the documentation."""
    limits: RequestLimits = RequestLimits()
    wire_limits: Mapping[str, RequestLimits] = field(default_factory=dict)
    """Wire that others.wire may name -> limits of a request that it adds to `limits`."""
    options: Mapping[str, Option] = field(default_factory=dict)
    """Keys of `others` that the provider takes."""
    max_tokens_per_doc: int | None = None
    """What a document is cut to, unless others.max_tokens_per_doc says otherwise; None: documents are sent whole."""
    fixed: Mapping[str, object] = field(default_factory=dict)
    """Members of every request's body."""
    takes_top_n: bool = True
    """Whether requests may say how many documents to return."""
    error_rules: tuple[ErrorRule, ...] = ()
    """Error responses of the provider that mean something else than their status says."""
    inner_status: InnerStatus | None = None
    """Where its error responses hold the status of a server behind it."""
    variants: tuple[tuple[str, "Provider"], ...] = ()
    """(part of a path, the record that holds where base_url's path has that part)."""
    by_wire: Mapping[str, "Provider"] = field(default_factory=dict)
    """Wire that others.wire may name -> the record that holds then."""
    by_method: Mapping[str, "Provider"] = field(default_factory=dict)
    """Value of others.method -> the record that holds then."""

    @property
    def is_local(self) -> bool:
        """Whether it scores in the worker: no URL, no key, no request."""
        return not self.wire

    def variant(self, path: str, others: Mapping[str, object]) -> "Provider":
        """The record that is spoken to at a base_url with this path, or in the wire or by the method of `others`."""
        for name, records in (("wire", self.by_wire), ("method", self.by_method)):
            chosen = others.get(name)
            if isinstance(chosen, str) and chosen in records:
                return records[chosen]
        for part, variant in self.variants:
            if part in path + "/":
                return variant
        return self

    def is_listwise(self, model: str) -> bool:
        """Whether a model's scores depend on the other documents: they are not comparable across requests then."""
        return _is_listwise(self.listwise, model)


@lru_cache(maxsize=256)
def _is_listwise(pattern: str, model: str) -> bool:
    return re.fullmatch(pattern, model) is not None
