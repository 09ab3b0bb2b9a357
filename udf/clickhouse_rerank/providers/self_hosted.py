"""Servers that users run themselves: base_url is required, a key optional. Sources: the servers' source code."""

from dataclasses import replace

from .error_rules import LOADING, TOO_LARGE, WRONG_KEY, ErrorRule
from .record import RERANK_PATHS, Option, Provider, RequestLimits
from .shared_options import COMMON, NETWORK, NETWORK_MODEL
from .wires import RANKING_WIRES, WIRES

TEI_LIMITS = RequestLimits(documents=32, body_bytes=2_000_000)
"""What text-embeddings-inference takes unless it is started with other numbers."""

HF_LOADING = ErrorRule(LOADING, statuses=(503,), wait_member="estimated_time")
"""Hugging Face's inference servers while a model loads. Source: error bodies in issues of huggingface_hub."""

_LLAMA_CPP_ERRORS = (ErrorRule(TOO_LARGE, statuses=(500,), words=r"too large to process"),)
"""llama.cpp has one status for everything that goes wrong in a model. Source: its server's sources."""

_LOCALAI_ERRORS = (*_LLAMA_CPP_ERRORS, ErrorRule(LOADING, statuses=(503,), name=r"^model_loading$"))
"""LocalAI runs llama.cpp, among others. Source: its page on API errors."""

_LITELLM_ERRORS = (ErrorRule(WRONG_KEY, statuses=(400,), name=r"^(?:auth_error|no_db_connection)$"),)
"""LiteLLM calls a wrong key no_db_connection where it has no database to look keys up in. Source: its proxy, as run."""

_GATEWAY_ERRORS = (*_LITELLM_ERRORS, *_LOCALAI_ERRORS)
"""Of LiteLLM, and of servers behind it whose bodies it passes through."""

_RERANK_WIRES = tuple(name for name in WIRES if name not in ("chat_question", *RANKING_WIRES))
"""Chat models need options of their own."""

_VLLM = Provider(
    name="vLLM",
    wire="cohere",
    key="optional",
    complete=rf"{RERANK_PATHS}|.*/score",
    scores="0 to 1",
    options={
        **NETWORK_MODEL,
        "truncate_prompt_tokens": Option("integer", "truncate_prompt_tokens", low=-1),
        "use_activation": Option("boolean", "use_activation"),
    },
)

SELF_HOSTED = (
    Provider(
        name="LocalAI",
        wire="cohere",
        key="optional",
        needs_model=True,
        scores="depends on the model",
        limits=RequestLimits(body_bytes=15_000_000),
        error_rules=_GATEWAY_ERRORS,
        options=NETWORK_MODEL,
    ),
    Provider(
        name="LiteLLM",
        wire="cohere",
        key="optional",
        key_prefix="sk-",
        needs_model=True,
        scores="depends on the model",
        error_rules=_GATEWAY_ERRORS,
        options={
            **NETWORK_MODEL,
            "max_chunks_per_doc": Option("integer", "max_chunks_per_doc", low=1),
            "max_tokens_per_doc": Option("integer", "max_tokens_per_doc", low=1),
        },
    ),
    Provider(
        name="TEI",
        wire="tei",
        path="/rerank",
        key="optional",
        limits=TEI_LIMITS,
        options={
            **NETWORK,
            "truncate": Option("boolean", "truncate"),
            "truncation_direction": Option("text", "truncation_direction", choices=("Left", "Right")),
            "raw_scores": Option("boolean", "raw_scores"),
        },
    ),
    Provider(
        name="Infinity",
        wire="cohere",
        path="/rerank",
        key="optional",
        limits=RequestLimits(documents=2048, text_chars=122_880),
        options={**NETWORK_MODEL, "raw_scores": Option("boolean", "raw_scores")},
    ),
    replace(_VLLM, variants=(("/score/", replace(_VLLM, wire="vllm_score")),)),
    Provider(
        name="LlamaCpp",
        wire="cohere",
        key="optional",
        scores="any number",
        error_rules=_LLAMA_CPP_ERRORS,
        options=NETWORK_MODEL,
    ),
    Provider(
        name="Xinference",
        wire="cohere",
        key="optional",
        needs_model=True,
        scores="depends on the model",
        options=NETWORK_MODEL,
    ),
    Provider(
        name="NIM",
        wire="nvidia",
        path="/v1/ranking",
        key="optional",
        model="nvidia/llama-nemotron-rerank-1b-v2",
        scores="any number",
        limits=RequestLimits(documents=512),
        fixed={"truncate": "END"},
        options={**NETWORK_MODEL, "truncate": Option("text", "truncate", choices=("NONE", "END"))},
    ),
    Provider(
        name="Elasticsearch",
        wire="elasticsearch",
        path="/_inference/rerank/{inference_id}",
        complete=r".*/_inference/rerank/[^/]+",
        key="optional",
        key_format="ApiKey {}",
        scores="depends on the model",
        options={
            **NETWORK,
            "inference_id": Option("text", in_template=True, default=".rerank-v1-elasticsearch"),
            "task_settings": Option("object", "task_settings"),
        },
    ),
    Provider(
        name="Custom",
        wire="cohere",
        path="/",
        key="optional",
        scores="depends on the model",
        wire_limits={name: RequestLimits() for name in _RERANK_WIRES},
        error_rules=(*_GATEWAY_ERRORS, HF_LOADING),
        options={**NETWORK_MODEL, "score_label": Option("text"), "wire": Option("text", choices=_RERANK_WIRES)},
    ),
    Provider(
        name="CrossEncoder",
        key="none",
        scores="depends on the model",
        options={
            **COMMON,
            **{key: NETWORK[key] for key in ("timeout_s", "deadline_s", "on_error", "fallback", "cache")},
            "model": Option("text"),
            "score_label": Option("text"),
        },
    ),
    Provider(
        name="BM25",
        key="none",
        listwise=".*",
        scores="0 and above",
        options={**COMMON, "k1": Option("number", "k1", low=0), "b": Option("number", "b", low=0, high=1)},
    ),
)
