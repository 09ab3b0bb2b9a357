"""Amazon's services: requests carry a signature instead of a key."""

from .huggingface import CONTAINER_OPTIONS, CONTAINER_WIRES
from .record import AwsService, Option, Provider, RequestLimits
from .shared_options import NETWORK_MODEL

_SIGNED = {
    "access_key_id": Option("text", credential_only=True),
    "region_name": Option("text", credential_only=True),
    "session_token": Option("text", credential_only=True),
}

AWS = (
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
        wire_limits=CONTAINER_WIRES,
        options={
            **CONTAINER_OPTIONS,
            **_SIGNED,
            "endpoint_url": Option("text", credential_only=True),
            "target_model": Option("text", in_template=True, pattern=r"[A-Za-z0-9._/-]{1,1024}"),
            "target_variant": Option("text", in_template=True, pattern=r"[A-Za-z0-9](-*[A-Za-z0-9]){0,62}"),
            "inference_component": Option("text", in_template=True, pattern=r"[A-Za-z0-9](-*[A-Za-z0-9]){0,62}"),
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
        options={**NETWORK_MODEL, **_SIGNED, "model_fields": Option("object", "additionalModelRequestFields")},
    ),
)
