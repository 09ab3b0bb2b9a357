"""Amazon Bedrock's Rerank operation: sources in, `results[].index/relevanceScore` out.

Source: botocore's model of the service bedrock-agent-runtime, operation Rerank.
"""

from collections.abc import Mapping

from ...types import Billed, Call, Scores
from . import scored_items

OWNS = frozenset(("queries", "sources", "rerankingConfiguration"))
_MODEL_FIELDS = "additionalModelRequestFields"


def body(call: Call) -> object:
    """The operation's input; of the call's further fields, those for the model go where the operation has them."""
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
    return scored_items.read(payload, len(call.documents), call.top_n)


def billed(payload: object, headers: Mapping[str, str]) -> Billed:
    """It says nothing."""
    return Billed()
