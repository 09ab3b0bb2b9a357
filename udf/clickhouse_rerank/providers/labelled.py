"""Hugging Face's APIs and Amazon's: records whose container or signature sets them apart."""

from .common import ASKED, NAMED
from .own import TEI_LIMITS
from .record import AwsService, Option, Provider, RequestLimits

_WIRES = {"pairs": RequestLimits(), "tei": TEI_LIMITS, "text_ranking": RequestLimits()}
_LABELLED = {**ASKED, "score_label": Option("text"), "wire": Option("text", choices=tuple(_WIRES))}
_SIGNED = {
    "access_key_id": Option("text", bound=True),
    "region_name": Option("text", bound=True),
    "session_token": Option("text", bound=True),
}

LABELLED = (
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
        wire_limits=_WIRES,
        options={**_LABELLED, "model": Option("text"), "bill_to": Option("text", bound=True, place=True)},
    ),
    Provider(
        name="SageMaker",
        wire="pairs",
        aws=AwsService("runtime.sagemaker", "sagemaker", "/endpoints/{name}/invocations"),
        headers={
            "X-Amzn-SageMaker-Target-Model": "{target_model}",
            "X-Amzn-SageMaker-Target-Variant": "{target_variant}",
            "X-Amzn-SageMaker-Inference-Component": "{inference_component}",
        },
        scores="0 to 1 (label probability)",
        limits=RequestLimits(body_bytes=6_291_456),
        wire_limits=_WIRES,
        options={
            **_LABELLED,
            **_SIGNED,
            "endpoint_url": Option("text", bound=True),
            "target_model": Option("text", place=True, pattern=r"[A-Za-z0-9._/-]{1,1024}"),
            "target_variant": Option("text", place=True, pattern=r"[A-Za-z0-9](-*[A-Za-z0-9]){0,62}"),
            "inference_component": Option("text", place=True, pattern=r"[A-Za-z0-9](-*[A-Za-z0-9]){0,62}"),
        },
    ),
    Provider(
        name="Bedrock",
        wire="bedrock",
        path="/rerank",
        aws=AwsService(
            "bedrock-agent-runtime",
            "bedrock",
            "/rerank",
            model="arn:{partition}:bedrock:{region}::foundation-model/{model}",
        ),
        model="cohere.rerank-v3-5:0",
        limits=RequestLimits(documents=1000, text_chars=32_000),
        options={**NAMED, **_SIGNED, "model_fields": Option("object", "additionalModelRequestFields")},
    ),
)
