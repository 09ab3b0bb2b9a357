"""The providers: one record each. A new provider is a record here and a folder of recorded pairs in tests/wires.

Facts and their sources: the vendors' published API documents, named in each wire.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Option:
    """One key of `others`: its JSON type, its bounds, and the request field it becomes ("" when it becomes none)."""

    type: str
    """text, integer, number or object."""
    field: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    bound: bool = False
    """Part of where a key goes: SQL cannot set it beside a credential of the server's."""


@dataclass(frozen=True, slots=True)
class AwsService:
    """An AWS service that is called with a signature instead of a key in a header."""

    endpoint: str
    """Name in botocore's endpoint rules."""
    signing: str
    """Name in the signature's scope."""
    path: str
    """Path of requests; {name} is what base_url says."""


@dataclass(frozen=True, slots=True)
class Provider:
    """How one provider is reached and spoken to."""

    name: str
    wire: str = ""
    """Key of wires.WIRES; "" for a provider that scores in the worker."""
    url: str = ""
    """Where requests go without base_url; "" when base_url is required."""
    path: str = "/v1/rerank"
    """What a base_url with no path means."""
    aws: AwsService | None = None
    """Set where botocore signs; others carry the key as a bearer token."""
    key: str = "required"
    """required, optional (servers of one's own) or none."""
    env: str = ""
    """The variable that conventionally holds the key."""
    model: str = ""
    """The default model; "" when the server has its own, or others.model is required."""
    needs_model: bool = False
    retired: Mapping[str, str] = field(default_factory=dict)
    """Model that was shut down -> what replaced it."""
    options: Mapping[str, Option] = field(default_factory=dict)
    """Keys of `others` beyond the common ones."""
    fixed: Mapping[str, object] = field(default_factory=dict)
    """Members that every request carries."""
    variants: tuple[tuple[str, "Provider"], ...] = ()
    """(part of the URL's path, the record that is spoken to where the path has it)."""


_MODEL = {"model": Option("text"), "model_args": Option("object")}
_COMMON: Mapping[str, Option] = {
    "timeout_s": Option("number", low=0.001),
    "min_score": Option("number"),
    "normalize": Option("text", choices=("none", "sigmoid")),
}
_CALLED: Mapping[str, Option] = {**_COMMON, **_MODEL}
_LABELLED: Mapping[str, Option] = {
    **_COMMON,
    "model_args": Option("object"),
    "score_label": Option("text"),
    "wire": Option("text", choices=("pairs", "tei")),
}

_COHERE_RETIRED = {
    "rerank-english-v2.0": "rerank-v3.5",
    "rerank-multilingual-v2.0": "rerank-v3.5",
}

_COHERE_V1 = Provider(
    name="Cohere",
    wire="cohere",
    url="https://api.cohere.ai/v1/rerank",
    env="COHERE_API_KEY",
    model="rerank-v3.5",
    retired=_COHERE_RETIRED,
    options={**_CALLED, "max_chunks_per_doc": Option("integer", "max_chunks_per_doc", low=1)},
)
_COHERE_V2 = replace(
    _COHERE_V1,
    path="/v2/rerank",
    options={**_CALLED, "max_tokens_per_doc": Option("integer", "max_tokens_per_doc", low=1)},
)

_RECORDS = (
    replace(_COHERE_V1, variants=(("/v2/", _COHERE_V2),)),
    Provider(
        name="Jina",
        wire="cohere",
        url="https://api.jina.ai/v1/rerank",
        env="JINA_API_KEY",
        model="jina-reranker-v3",
        fixed={"return_documents": False},
        options=_CALLED,
    ),
    Provider(
        name="HuggingFace",
        wire="pairs",
        path="/",
        env="HF_TOKEN",
        options=_LABELLED,
    ),
    Provider(
        name="SageMaker",
        wire="pairs",
        aws=AwsService("runtime.sagemaker", "sagemaker", "/endpoints/{name}/invocations"),
        options={
            **_LABELLED,
            "access_key_id": Option("text", bound=True),
            "region_name": Option("text", bound=True),
            "session_token": Option("text", bound=True),
            "endpoint_url": Option("text", bound=True),
        },
    ),
    Provider(name="LocalAI", wire="cohere", key="optional", needs_model=True, options=_CALLED),
    Provider(name="LiteLLM", wire="cohere", key="optional", needs_model=True, options=_CALLED),
    Provider(
        name="BM25",
        key="none",
        options={
            "min_score": Option("number"),
            "normalize": Option("text", choices=("none", "sigmoid")),
            "k1": Option("number", "k1", low=0),
            "b": Option("number", "b", low=0, high=1),
        },
    ),
)

PROVIDERS: Mapping[str, Provider] = {record.name.lower(): record for record in _RECORDS}
"""Lower-case name -> record."""
