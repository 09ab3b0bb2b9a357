"""Amazon's requests and answers against botocore's own models of the services: it validates, serialises and parses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest, HeadersDict
from botocore.credentials import Credentials
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from botocore.validate import ParamValidator

from clickhouse_rerank.errors import RequestRejectedError
from clickhouse_rerank.providers.base_url import parse_url
from clickhouse_rerank.providers.wires import WIRES
from clickhouse_rerank.request import plan
from clickhouse_rerank.request.endpoint import Endpoint
from clickhouse_rerank.types import Row
from resolved import resolved

QUERY = "capital of france"
DOCUMENTS = ["Paris is the capital of France", "Berlin", "ümlaut \U0001f600 \x00"]


def operation(service: str, name: str) -> OperationModel:
    loader = Loader(include_default_search_paths=False, extra_search_paths=[Loader.BUILTIN_DATA_PATH])
    return ServiceModel(loader.load_service_model(service, "service-2"), service).operation_model(name)


RERANK = operation("bedrock-agent-runtime", "Rerank")
INVOKE = operation("sagemaker-runtime", "InvokeEndpoint")


def asked(endpoint: Endpoint, documents: list[str], top_k: int = 2, query: str = QUERY) -> plan.Part:
    row = Row(query, documents, top_k, endpoint.provider.name, "", "", "")
    (part,) = plan.parts(plan.call(row, plan.scored_positions(row), endpoint), endpoint)
    return part


def serialised(model: OperationModel, parameters: dict[str, Any]) -> Any:
    """The HTTP request that botocore makes of an operation's parameters."""
    report = ParamValidator().validate(parameters, model.input_shape)
    assert not report.has_errors(), report.generate_report()
    return create_serializer(model.service_model.metadata["protocol"]).serialize_to_request(parameters, model)


def parsed(model: OperationModel, status: int, body: object, headers: dict[str, str] | None = None) -> Any:
    """What botocore reads in an answer."""
    answer = {
        "status_code": status,
        "headers": HeadersDict(headers or {}),
        "body": json.dumps(body).encode(),
        "context": {},
    }
    return create_parser(model.service_model.metadata["protocol"]).parse(answer, model.output_shape)


MODELS = ("cohere.rerank-v3-5:0", "amazon.rerank-v1:0", "arn:aws:bedrock:us-east-1:123456789012:custom-model/x/abc")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("fields", [{}, {"model_fields": {"max_tokens_per_doc": 100}}])
def test_a_bedrock_body_is_a_valid_rerank_input(model: str, fields: dict[str, object]) -> None:
    """Its members are the operation's parameters; botocore would send them to the same place as the same JSON."""
    endpoint = resolved("Bedrock", model=model, **fields)
    body = json.loads(asked(endpoint, DOCUMENTS).body)
    request = serialised(RERANK, body)
    assert json.loads(request["body"]) == body
    assert (request["method"], request["url_path"]) == ("POST", parse_url(endpoint.url).path)
    assert endpoint.provider.aws is not None
    assert endpoint.provider.aws.signing == RERANK.service_model.signing_name


def test_bedrock_limits_are_the_models() -> None:
    """Documents per request and characters per text, as the service's model states them."""
    sources = RERANK.input_shape.members["sources"].metadata
    source = RERANK.input_shape.members["sources"].member
    text = source.members["inlineDocumentSource"].members["textDocument"].members["text"].metadata
    limits = resolved("Bedrock").limits
    assert (limits.documents, limits.text_chars) == (sources["max"], text["max"])
    validate = ParamValidator().validate
    body = json.loads(asked(resolved("Bedrock"), ["x" * text["max"]] * sources["max"], 1000).body)
    assert not validate(body, RERANK.input_shape).has_errors()
    with pytest.raises(RequestRejectedError):
        asked(resolved("Bedrock"), ["x" * (text["max"] + 1)])


ANSWERS = (
    {"results": [{"index": 0, "relevanceScore": 0.6716859340667725}, {"index": 2, "relevanceScore": 1}]},
    {"results": [{"index": 1, "relevanceScore": 0.5, "document": {"type": "TEXT", "textDocument": {"text": "echo"}}},
                 {"index": 0, "relevanceScore": 0.25}], "nextToken": "more"},
)  # fmt: skip


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_bedrock_answer_reads_as_botocore_reads_it(answer: dict[str, object]) -> None:
    """The same indices and scores."""
    part = asked(resolved("Bedrock"), DOCUMENTS)
    theirs = parsed(RERANK, 200, answer)["results"]
    assert WIRES["bedrock"].scores(answer, part.call) == [(item["index"], item["relevanceScore"]) for item in theirs]


@pytest.mark.parametrize("wire", ["pairs", "tei", "text_ranking"])
def test_a_sagemaker_request_is_a_valid_invocation(wire: str) -> None:
    """Path, headers and body are what botocore makes of the same parameters; the size limit is the model's."""
    others = {"inference_component": "ranker-1", "target_model": "m/v1.tar.gz", "target_variant": "blue"}
    endpoint = resolved("SageMaker", "my-endpoint", wire=wire, **others)
    part = asked(endpoint, DOCUMENTS)
    request = serialised(
        INVOKE,
        {
            "EndpointName": "my-endpoint",
            "ContentType": "application/json",
            "InferenceComponentName": "ranker-1",
            "TargetModel": "m/v1.tar.gz",
            "TargetVariant": "blue",
            "Body": part.body,
        },
    )
    assert request["url_path"] == parse_url(endpoint.url).path
    assert request["body"] == part.body
    ours = endpoint.signed({"Content-Type": "application/json"}, part.body)
    assert dict(request["headers"].items()).items() <= ours.items()
    assert resolved("SageMaker", "my-endpoint").limits.body_bytes == INVOKE.input_shape.members["Body"].metadata["max"]
    assert endpoint.provider.aws is not None
    assert endpoint.provider.aws.signing == INVOKE.service_model.signing_name


def test_the_names_of_amazons_errors_are_where_we_read_them() -> None:
    """botocore takes an error's name from the same header, cut at the same place."""
    headers = {"x-amzn-ErrorType": "ThrottlingException:http://internal.amazon.com/coral/"}
    theirs = parsed(RERANK, 400, {"message": "Rate exceeded"}, headers)
    assert theirs["Error"] == {"Code": "ThrottlingException", "Message": "Rate exceeded"}


def test_a_signature_is_botocores() -> None:
    """A signer of botocore's, given the same request at the same moment, gives the same signature."""

    endpoint = resolved("Bedrock", key="secret", session_token="TOKEN")
    part = asked(endpoint, DOCUMENTS)
    ours = endpoint.signed({"Content-Type": "application/json"}, part.body)
    scope = ours["Authorization"].split(", ")[0]
    assert scope.startswith("AWS4-HMAC-SHA256 Credential=AKID/") and scope.endswith(
        "/eu-central-1/bedrock/aws4_request"
    )
    signer = SigV4Auth(Credentials("AKID", "secret", "TOKEN"), "bedrock", "eu-central-1")
    headers = {name: value for name, value in ours.items() if name != "Authorization"}
    request = AWSRequest(method="POST", url=endpoint.url, data=part.body, headers=headers)
    request.context = {"timestamp": ours["X-Amz-Date"]}
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    assert ours["Authorization"].endswith(f"Signature={signature}")
    assert "x-amz-security-token" in ours["Authorization"]
    assert ours["X-Amz-Security-Token"] == "TOKEN"
