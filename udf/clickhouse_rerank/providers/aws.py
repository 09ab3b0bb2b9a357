"""Amazon's services: requests carry a signature instead of a key."""

from ..errors import CallerError
from .error_rules import RATE_LIMITED, WRONG_KEY, WRONG_PLACE, ErrorRule, InnerStatus, Meaning
from .huggingface import CONTAINER_OPTIONS, CONTAINER_WIRES
from .record import AwsService, Option, Provider, RequestLimits
from .shared_options import NETWORK_MODEL

_SIGNED = {
    "access_key_id": Option("text", credential_only=True),
    "region_name": Option("text", credential_only=True),
    "session_token": Option("text", credential_only=True),
}

_NAME_MEMBERS, _NAME_HEADER = ("__type",), "x-amzn-errortype"
_ERROR_RULES = (
    # The key is right then. What is wrong is the region in the scope of the signature.
    ErrorRule(
        Meaning(CallerError, "AUTH", "Check {key} and others.region_name."),
        statuses=(403,),
        words=r"\b(?:region|credential scope|scoped to)\b",
    ),
    # The status of an error with a name is often only 400.
    ErrorRule(
        RATE_LIMITED,
        name=r"Throttl|TooManyRequests|RequestLimitExceeded|SlowDown|ServiceQuotaExceeded",
        name_members=_NAME_MEMBERS,
        name_header=_NAME_HEADER,
    ),
    ErrorRule(
        WRONG_KEY,
        name=r"ExpiredToken|SignatureDoesNotMatch|UnrecognizedClient|InvalidClientTokenId|InvalidSignature"
        r"|IncompleteSignature|MissingAuthentication|AccessDenied|RequestExpired|RequestTimeTooSkewed|NotAuthorized",
        name_members=_NAME_MEMBERS,
        name_header=_NAME_HEADER,
    ),
)
"""Errors of every AWS service. Source: the services' models in botocore, and the list of errors common to AWS APIs."""

_UNKNOWN_ENDPOINT = ErrorRule(WRONG_PLACE, statuses=(400,), words=r"^Endpoint \S+.* not found")
"""SageMaker's name for this error, ValidationError, is that of every wrong argument."""

_MODEL_ERROR = InnerStatus(424, "OriginalStatusCode", frozenset((400, 413, 422, 429, *range(500, 600))))
"""SageMaker's ModelError: the container's own response. A 401 of the container says nothing of the caller's key.

Source: botocore's model of the service sagemaker-runtime, operation InvokeEndpoint.
"""

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
        error_rules=(_UNKNOWN_ENDPOINT, *_ERROR_RULES),
        inner_status=_MODEL_ERROR,
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
        error_rules=_ERROR_RULES,
        options={**NETWORK_MODEL, **_SIGNED, "model_fields": Option("object", "additionalModelRequestFields")},
    ),
)
