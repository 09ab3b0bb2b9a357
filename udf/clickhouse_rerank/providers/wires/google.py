"""Google's ranking body: records with ids in, `records[].id/score` out.

Source: googleapis google/cloud/discoveryengine/v1/rank_service.proto. Its JSON omits members that are zero: a record
without a score has the score 0. Ids are strings; requests use the documents' positions.
"""

from collections.abc import Mapping

from ...types import BilledUnits, Call, Scores
from . import result_list
from .result_list import MalformedError

RESERVED_MEMBERS = frozenset(("model", "query", "records", "topN"))


def body(call: Call) -> object:
    """`{model, query, records: [{id, content}], topN}` and the call's further fields; asks for no echo of records."""
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
    return result_list.read_scores([_item(record) for record in records], len(call.documents), call.top_n)


def billed_units(payload: object, headers: Mapping[str, str]) -> BilledUnits:
    """Nothing: its responses state no usage."""
    return BilledUnits()


def _item(record: object) -> object:
    if not isinstance(record, Mapping):
        return record
    return {"index": result_list.integer_of_digits(record.get("id")), "score": record.get("score", 0.0)}
