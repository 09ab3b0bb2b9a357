"""Prices of providers, which the operator sets in [usage.prices] of the configuration, in any currency."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..providers import PROVIDERS, find
from ..types import did_you_mean
from . import schema
from .schema import NUMBER, TABLE, Setting, as_table, setting, settings_of, wrong

SETTING = Setting(
    TABLE,
    'What `others.dry_run` reckons with: PROVIDER."MODEL" = { search_unit, million_tokens, request }, in any currency',
)
"""The key `prices` of [usage]."""


@dataclass(frozen=True, slots=True)
class Price:
    """What one model costs; 0 for a unit that the provider does not charge."""

    search_unit: float = setting(0.0, NUMBER, "Price of a search unit")
    million_tokens: float = setting(0.0, NUMBER, "Price of a million tokens")
    request: float = setting(0.0, NUMBER, "Price of a request")

    def of(self, search_units: float, tokens: float, requests: int) -> float:
        """The cost of these amounts."""
        return self.search_unit * search_units + self.million_tokens * tokens / 1e6 + self.request * requests


def parse(table: object, where: str) -> Mapping[tuple[str, str], Price]:
    """`{provider: {model: {search_unit, million_tokens, request}}}` -> prices by both names; errors: CONFIG."""
    found: dict[tuple[str, str], Price] = {}
    for name, models in as_table(table, where).items():
        provider = find(name)
        if provider is None:
            suggestion = did_you_mean(name, (known.name for known in PROVIDERS.values()))
            raise wrong(where, f"has {name}, which is no provider.{suggestion} Correct it.")
        if not isinstance(models, dict):
            raise wrong(where, f'{name} must be a table such as {name} = {{ "MODEL" = {{ search_unit = 0.002 }} }}.')
        for model, price in models.items():
            if not price or not isinstance(price, dict):
                raise wrong(where, f'{name}."{model}" must be a table of {", ".join(settings_of(Price))}.')
            found[provider.name, model] = schema.parse(Price, price, f'{where} {name}."{model}"')
    return found
