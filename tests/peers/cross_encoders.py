"""sentence-transformers and transformers: the scores of `CrossEncoder` are theirs, on the same models."""

import asyncio
import json
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from clickhouse_rerank.config.models import Model
from clickhouse_rerank.config.settings import Settings
from clickhouse_rerank.reranker import Reranker
from clickhouse_rerank.scorers import network
from clickhouse_rerank.types import Ranking, Row

from .checks import DOCUMENTS, QUERY, Checks
from .environment import environment, tiny_model

_CLOSE = 1e-4
_QUERIES = (QUERY, "パスワードを忘れました", "如何重置密码")
_TEXTS = (
    *DOCUMENTS,
    "パスワードは設定画面で変更できます。",
    "在设置页面可以重置密码。",
    "reset password login page " * 400,
    "x",
)


def check(checks: Checks) -> None:
    """One logit as it is and as a probability, and two labels."""
    programs = environment("infinity", torch=True)
    source = tiny_model(programs)
    pairs = [(query, text) for query in _QUERIES for text in _TEXTS]
    with tempfile.TemporaryDirectory() as scratch:
        script = Path(__file__).with_name("transformers_scores.py")
        done = subprocess.run(
            [programs / "python", str(script), str(source), scratch],
            input=json.dumps(pairs),
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        if done.returncode:
            checks.holds("sentence-transformers scores", False, done.stderr.strip().splitlines()[-1:])
            return
        for name, expected in json.loads(done.stdout).items():
            model = Model("m", Path(scratch, name))
            for form in ("", ", prepared"):
                if form:
                    network.prepare(model)
                found = asyncio.run(_scores(model))
                spread = max(1.0, max(expected) - min(expected))
                apart = max(abs(one - other) for one, other in zip(found, expected, strict=True)) / spread
                what = f"{name}{form}: {len(pairs)} scores within {_CLOSE:g} of their range"
                checks.holds(what, apart <= _CLOSE, apart)


async def _scores(model: Model) -> list[float]:
    reranker = Reranker(replace(Settings(), models={"m": model}))
    rows = [Row(query, list(_TEXTS), len(_TEXTS), "CrossEncoder", "", "", "") for query in _QUERIES]
    rankings: list[Ranking] = await asyncio.gather(*(reranker.rank(row) for row in rows))
    await reranker.aclose()
    return [score for ranking in rankings for _, score in sorted(ranking)]
