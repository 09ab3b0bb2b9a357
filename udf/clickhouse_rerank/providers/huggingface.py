"""Hugging Face's Inference API and Inference Endpoints."""

from .record import Option, Provider, RequestLimits
from .self_hosted import HF_LOADING, TEI_LIMITS
from .shared_options import NETWORK

CONTAINER_WIRES = {"pairs": RequestLimits(), "tei": TEI_LIMITS, "text_ranking": RequestLimits()}
"""Wire that Hugging Face's containers speak -> limits of a request that it adds."""

CONTAINER_OPTIONS = {**NETWORK, "score_label": Option("text"), "wire": Option("text", choices=tuple(CONTAINER_WIRES))}
"""Keys of `others` for a model in one of Hugging Face's containers."""

HUGGINGFACE = (
    Provider(
        name="HuggingFace",
        wire="pairs",
        url="https://router.huggingface.co/hf-inference/models/{model}",
        path="/",
        headers={"X-HF-Bill-To": "{bill_to}"},
        key_prefix="hf_",
        env="HF_TOKEN",
        model="BAAI/bge-reranker-v2-m3",
        scores="0 to 1 (label probability)",
        wire_limits=CONTAINER_WIRES,
        error_rules=(HF_LOADING,),
        options={
            **CONTAINER_OPTIONS,
            "model": Option("text"),
            "bill_to": Option("text", credential_only=True, in_template=True),
        },
    ),
)
