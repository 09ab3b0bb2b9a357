"""Google's ranking body: records with ids in, `records[].id/score` out.

Source: googleapis google/cloud/discoveryengine/v1/rank_service.proto. Its JSON leaves a member out that is zero, so a
record without a score has the score 0; ids are strings, here the positions.
"""

from collections.abc import Mapping

from ...types import Billed, Call, Scores
from . import scored_items
from .scored_items import MalformedError

OWNS = frozenset(("model", "query", "records", "topN"))


def body(call: Call) -> object:
    """`{model, query, records: [{id, content}], topN}`, without an echo of the records, and further fields."""
    model = {"model": call.model} if call.model else {}
    return {
        **model,
        "query": call.query,
        "records": [{"id": str(at), "content": document} for at, document in enumerate(call.documents)],
        "topN": call.top_n,
        "ignoreRecordDetailsInResponse": True,
        **call.fields,
    }


def scores(payload: object, call: Call) -> Scores:
    """At least `topN` records, in any order."""
    records = payload.get("records") if isinstance(payload, Mapping) else None
    if not isinstance(records, list):
        raise MalformedError("has no list of records")
    return scored_items.read([_item(record) for record in records], len(call.documents), call.top_n)


def billed(payload: object, headers: Mapping[str, str]) -> Billed:
    """It says nothing."""
    return Billed()


def _item(record: object) -> object:
    if not isinstance(record, Mapping):
        return record
    return {"index": scored_items.numeral(record.get("id")), "score": record.get("score", 0.0)}
