"""The demonstration: a small shop's questions and articles with judgements, so that `--demo` needs no data and no key.

The first stage is the vector search of `clickhouse-rerank demo`. Each article answers one question (grade 2), helps
with it (1), or only resembles it; all other articles count as judged and not relevant.
"""

from collections.abc import Sequence
from importlib.resources import as_file, files

from ...config.settings import Settings
from ...providers import PROVIDERS
from .. import queries
from ..demo import EMBEDDING
from ..embedded_engine import Engine
from ..queries import literal
from . import questions
from .questions import Asked, Source

TITLE = "Demonstration"

_DATA = """\
CREATE TEMPORARY TABLE _demo_questions AS
SELECT * FROM file({questions}, TSV, 'id String, question String');

CREATE TEMPORARY TABLE _demo_documents AS
SELECT * FROM file({documents}, TSV, 'id String, answers String, grade Float64, text String');
"""

_SELECT = """\
SELECT q.id AS question_id, question, d.id AS document_id, text AS document, if(answers = q.id, grade, 0) AS grade
FROM _demo_questions AS q
CROSS JOIN _demo_documents AS d
ORDER BY question_id, cosineDistance(demo_embedding(question), demo_embedding(document)), document_id
LIMIT 20 BY question_id"""


def load(engine: Engine) -> list[Asked]:
    """The questions with their candidates and judgements, in the engine's table."""
    package = files(__package__)
    with as_file(package / "demo_questions.tsv") as asked, as_file(package / "demo_documents.tsv") as documents:
        data = _DATA.format(questions=literal(str(asked)), documents=literal(str(documents)))
        queries.run(engine, EMBEDDING + data)
    return questions.load(engine, Source(TITLE, _SELECT))


def rankers(settings: Settings) -> Sequence[str]:
    """The scorers in the worker, as `--ranker` names them; one that needs a model is left out where there is none."""
    has_model = len(settings.models) == 1 or any(model.default for model in settings.models.values())
    local = (record for record in PROVIDERS.values() if record.is_local)
    return [record.name for record in local if has_model or "model" not in record.options]
