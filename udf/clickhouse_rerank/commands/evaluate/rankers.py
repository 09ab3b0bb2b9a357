"""The rankers that an evaluation compares, as `--ranker` names them and as arguments of Rerank."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ... import __version__
from ...config.credentials import Credential
from ...config.models import Model
from ...providers import PROVIDERS, Provider, find
from ...types import did_you_mean
from ..queries import literal
from .problem import EvaluationError

FIRST_STAGE = "first stage"
"""The name of the ranker that keeps the candidates' order, unless the user gives it another."""
_HOW = 'Write NAME=PROVIDER, NAME=PROVIDER/MODEL, NAME=none or NAME={"provider": ..., "others": {...}}.'
_TEXTS = ("provider", "base_url", "api_key", "model")


@dataclass(frozen=True, slots=True)
class Ranker:
    """A name, and the arguments of Rerank; the first stage has no provider."""

    name: str
    provider: str = ""
    base_url: str = ""
    api_key: str = field(default="", repr=False)
    others: Mapping[str, object] = field(default_factory=dict)

    @property
    def record(self) -> Provider | None:
        """What is known of the provider; None for the first stage."""
        return find(self.provider)

    @property
    def model(self) -> str:
        """The model that is asked for, or the provider's default; "" if the server chooses it, or there is none."""
        named = self.others.get("model")
        return named if isinstance(named, str) else self.record.model if self.record else ""

    def arguments(self, **others: object) -> str:
        """The arguments of Rerank after top_k, as SQL; `others` are added to the ranker's own."""
        merged = {**self.others, **others}
        text = json.dumps(merged, ensure_ascii=False) if merged else ""
        return ", ".join(map(literal, (self.provider, self.base_url, self.api_key, text)))

    def identity(self, models: Mapping[str, Model]) -> str:
        """What its answers depend on besides the question, as a hash; a key is no part of it."""
        parts = [self.record.name if self.record else "", self.base_url, self.others]
        if self.record and self.record.is_local:
            parts += [__version__, *(model.stamp for model in models.values())]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()

    def asks(self, credentials: Mapping[str, Credential]) -> Iterator[tuple[str, str]]:
        """(provider, model) of the call and of its fallbacks; a model may come from a credential of the server."""
        fallbacks = self.others.get("fallback")
        entries = [one for one in fallbacks if isinstance(one, dict)] if isinstance(fallbacks, list) else []
        for one in ({**self.others, "provider": self.provider, "api_key": self.api_key}, *entries):
            record = find(str(one.get("provider", "")))
            if record is not None:
                name = str(one.get("api_key", ""))
                defaults = (own for own in credentials.values() if own.default and own.provider == record.name.lower())
                own = credentials.get(name.removeprefix("cred:")) if name else next(defaults, None)
                yield record.name, str(one.get("model") or (own and own.others.get("model")) or record.model)


def parse(text: str) -> Ranker:
    """[NAME=]PROVIDER, [NAME=]PROVIDER/MODEL, [NAME=]none, or [NAME=] and a JSON object. Errors: EvaluationError."""
    name, is_named, call = text.partition("=")
    if not is_named or "{" in name:
        name, call = "", text
    name, call = name.strip(), call.strip()
    if call.lower() == "none":
        return Ranker(name or FIRST_STAGE)
    if call.startswith("{"):
        return _from_json(name, call)
    provider, _, model = call.partition("/")
    return _checked(Ranker(name or call, provider, others={"model": model} if model else {}))


def _from_json(name: str, call: str) -> Ranker:
    try:
        found = json.loads(call)
    except ValueError as error:
        raise EvaluationError(f"The ranker {name or call[:60]} is no valid JSON ({error}). {_HOW}") from None
    others = found.pop("others", {})
    unknown = [key for key in found if key not in _TEXTS]
    if unknown or not isinstance(others, dict) or not all(isinstance(value, str) for value in found.values()):
        wrong = f"has no member {unknown[0]!r}" if unknown else "needs texts, and others as an object"
        raise EvaluationError(
            f"The ranker {name or call[:60]} {wrong}. Members: {', '.join((*_TEXTS, 'others'))}; all other keys are "
            "members of others."
        )
    model = found.pop("model", "")
    if model:
        others = {**others, "model": model}
    provider = found.get("provider", "")
    return _checked(Ranker(name or f"{provider}/{model}".rstrip("/"), others=others, **found))


def _checked(ranker: Ranker) -> Ranker:
    if ranker.record is None:
        names = [record.name for record in PROVIDERS.values()]
        suggestion = did_you_mean(ranker.provider, names)
        raise EvaluationError(
            f"The ranker {ranker.name} has no known provider: {ranker.provider!r}.{suggestion} {_HOW}"
        )
    return ranker


def parse_all(texts: Sequence[str]) -> list[Ranker]:
    """All rankers, the first stage before the others unless the user names it. Errors: EvaluationError."""
    found = [parse(text) for text in texts]
    if all(ranker.provider for ranker in found):
        found.insert(0, Ranker(FIRST_STAGE))
    names = [ranker.name for ranker in found]
    for name in names:
        if names.count(name) > 1:
            raise EvaluationError(f"Two rankers have the name {name}. Give one another: NAME=PROVIDER.")
    return found


def parse_judge(text: str, rankers: Sequence[Ranker], credentials: Mapping[str, Credential]) -> Ranker:
    """The decision model that judges. Errors: EvaluationError, also for a ranker that would judge itself."""
    judge = parse(text)
    record = judge.record
    if record is None or "question" not in record.options:
        known = ", ".join(one.name for one in PROVIDERS.values() if "question" in one.options)
        raise EvaluationError(f"--judge needs a decision model, which answers yes or no: one of {known}.")
    own = next(judge.asks(credentials))
    for ranker in rankers:
        for provider, model in ranker.asks(credentials):
            if (provider, model) == own or (model and model == own[1]):
                raise EvaluationError(
                    f"{judge.name} cannot judge the ranker {ranker.name}, which asks the same model: its own opinion "
                    "would count as the truth. Name another judge, or leave out that ranker."
                )
    return judge
