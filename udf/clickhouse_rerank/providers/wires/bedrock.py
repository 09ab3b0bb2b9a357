"""Amazon Bedrock's Rerank operation: sources in, `results[].index/relevanceScore` out.

Source: botocore's model of the service bedrock-agent-runtime, operation Rerank.
"""

from collections.abc import Mapping

from ...types import BilledUnits, Call, Scores
from . import result_list

RESERVED_MEMBERS = frozenset(("queries", "sources", "rerankingConfiguration"))
_MODEL_FIELDS = "additionalModelRequestFields"


def body(call: Call) -> object:
    """The operation's input and the call's further fields; `additionalModelRequestFields` goes to the model."""
    fields = dict(call.fields)
    configuration: dict[str, object] = {"modelArn": call.model}
    if _MODEL_FIELDS in fields:
        configuration[_MODEL_FIELDS] = fields.pop(_MODEL_FIELDS)
    return {
        "queries": [{"type": "TEXT", "textQuery": {"text": call.query}}],
        "sources": [
            {"type": "INLINE", "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": document}}}
            for document in call.documents
        ],
        "rerankingConfiguration": {
            "type": "BEDROCK_RERANKING_MODEL",
            "bedrockRerankingConfiguration": {"numberOfResults": call.top_n, "modelConfiguration": configuration},
        },
        **fields,
    }


def scores(payload: object, call: Call) -> Scores:
    """At least `numberOfResults` scored items, in any order."""
    return result_list.read_scores(payload, len(call.documents), call.top_n)


def billed_units(payload: object, headers: Mapping[str, str]) -> BilledUnits:
    """Nothing: its responses state no usage."""
    return BilledUnits()
