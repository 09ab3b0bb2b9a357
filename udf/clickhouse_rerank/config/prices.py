"""What providers charge, as the operator says in [usage.prices] of the configuration, in whatever currency."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from ..providers import find
from .credentials import wrong
from .schema import Key

KEY = Key(
    dict,
    'What `others.dry_run` reckons with: PROVIDER."MODEL" = { search_unit, million_tokens, request }, in any currency',
)


@dataclass(frozen=True, slots=True)
class Price:
    """Of one model; what it is not charged by is 0."""

    search_unit: float = 0.0
    million_tokens: float = 0.0
    request: float = 0.0

    def of(self, search_units: float, tokens: float, requests: int) -> float:
        """What so much costs."""
        return self.search_unit * search_units + self.million_tokens * tokens / 1e6 + self.request * requests


def parse(table: Mapping[str, object], where: str) -> Mapping[tuple[str, str], Price]:
    """`{provider: {model: {search_unit, million_tokens, request}}}` -> prices by both names; errors: CONFIG."""
    known = tuple(f.name for f in fields(Price))
    found: dict[tuple[str, str], Price] = {}
    for name, models in table.items():
        provider = find(name)
        if provider is None:
            raise wrong(where, f"has {name}, which is no provider. Correct it.")
        if not isinstance(models, dict):
            raise wrong(where, f'{name} must be a table such as {name} = {{ "MODEL" = {{ search_unit = 0.002 }} }}.')
        for model, price in models.items():
            if not isinstance(price, dict) or not price or not set(price) <= set(known):
                raise wrong(where, f'{name}."{model}" must be a table of {", ".join(known)}.')
            if not all(type(value) in (int, float) and 0 <= value < math.inf for value in price.values()):
                raise wrong(where, f'{name}."{model}" has a price that is no number, 0 or more.')
            found[provider.name, model] = Price(**price)
    return found
