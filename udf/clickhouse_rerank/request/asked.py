"""What is asked for a row: its documents, or the passages that they are cut into."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..config.models import Model
from ..errors import CallerError
from ..types import Ranking, Row, RowScores
from . import passages, plan, ranking
from .endpoint import Endpoint
from .passages import CutRow, Rules, Starts


class Asked(NamedTuple):
    """Documents to score, and the way from their scores to the ranking."""

    endpoint: Endpoint
    given: Row
    positions: Sequence[int] = ()
    """Of the documents of `row` that are scored; none if the result needs no scores."""
    cut: CutRow | None = None

    @property
    def row(self) -> Row:
        """The row whose documents are scored."""
        return self.given if self.cut is None else self.cut.row

    @property
    def left_out(self) -> int:
        """Passages that are not scored."""
        return 0 if self.cut is None else self.cut.left_out

    def ranked(self, scores: RowScores, endpoint: Endpoint) -> Ranking:
        """The ranking of the given documents. `endpoint` answered with the scores of `row`."""
        if self.cut is None:
            return ranking.ranked(self.given, scores, endpoint)
        own, spans = self.cut.scores(scores)
        found = ranking.ranked(self.given, own, endpoint)
        return Ranking(found, [spans[place] for place, _ in found])


def asked(row: Row, endpoint: Endpoint, most_documents: int, token_starts: Callable[[Model], Starts]) -> Asked:
    """What is asked for a row. `token_starts` counts the tokens of a model in the worker.

    Errors: CallerError; ProviderFailedError for such a model without a tokenizer.
    """
    how = endpoint.options.passages
    if how is not None:
        _check_passages(endpoint, how)
    if not row.documents or row.top_k == 0:
        return Asked(endpoint, row)
    cut = None
    if how is not None:
        starts = token_starts(endpoint.own_model) if how.unit == "tokens" and endpoint.own_model else None
        cut = passages.cut_row(row, how, starts)
    found = Asked(endpoint, row, (), cut)
    if len(found.row.documents) > most_documents:
        what = "passages. Raise others.passages.size, or lower others.passages.most." if cut else ""
        raise CallerError(
            "TOO_MANY_DOCUMENTS",
            f"A call may have {most_documents} documents (limits.max_documents); one has {len(found.row.documents)}"
            + (f" {what}" if what else ". Put LIMIT before groupArray."),
        )
    if not row.query.strip():
        raise CallerError("BAD_ARGUMENT", "The query is empty. Pass the text to rank by.")
    return found._replace(positions=plan.scored_positions(found.row))


def _check_passages(endpoint: Endpoint, rules: Rules) -> None:
    """Errors: BAD_OTHERS for an endpoint that cannot score passages, or cannot count their tokens."""
    for one in (endpoint, *endpoint.fallbacks):
        if one.is_listwise and not one.provider.is_local:
            remedy = "Leave out passages, or name another model"
            if "listwise" in one.provider.options:
                remedy += ", or, if that is not so, set listwise to false"
            raise CallerError(
                "BAD_OTHERS",
                "others.passages needs a model that scores each document for itself; this one of "
                f"{one.provider.name} scores documents against each other. {remedy}.",
            )
    if rules.unit == "tokens" and endpoint.own_model is None:
        raise CallerError(
            "BAD_OTHERS",
            f'others.passages.unit "tokens" needs a model in the worker, whose tokens can be counted; '
            f'{endpoint.provider.name} has none there. Use "words" or "characters".',
        )
