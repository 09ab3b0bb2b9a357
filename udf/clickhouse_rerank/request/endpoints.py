"""Rows' arguments -> their endpoints, each found once for as long as its key holds."""

import time
from dataclasses import replace
from functools import lru_cache

from ..config.settings import Settings
from ..errors import CallerError
from ..types import Row
from .endpoint import Endpoint, resolve

_MAX_ENDPOINTS = 256
_KEYS_HOLD_S = 5.0  # a key file that changed is seen within this time


class Endpoints:
    """The endpoints of a worker's rows.

    Rows with equal arguments get the same object until something that it was made of changes: rows share requests by
    it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kept: dict[tuple[str, ...], Endpoint] = {}
        self._resolve = lru_cache(maxsize=_MAX_ENDPOINTS)(self._resolve_anew)

    def of(self, row: Row) -> Endpoint:
        """The endpoint of a row, with its fallbacks. Errors: CallerError."""
        now = int(time.monotonic() // _KEYS_HOLD_S)
        return self._resolve(row.provider, row.base_url, row.api_key, row.others, now)

    def _resolve_anew(self, provider: str, base_url: str, api_key: str, others: str, _: int) -> Endpoint:
        arguments = (provider, base_url, api_key, others)
        endpoint = resolve(*arguments, self._settings)
        limit_s = self._settings.limits.row_deadline_s
        for each in (endpoint, *endpoint.fallbacks):
            if (each.options.timeout_s or 0) > limit_s:
                raise CallerError("BAD_OTHERS", f"others.timeout_s must be at most {limit_s:g}, the server's limit.")
        if not endpoint.options.cache:  # holds for the fallbacks of the call too
            endpoint = replace(endpoint, fallbacks=tuple(map(_without_cache, endpoint.fallbacks)))
        if self._kept.get(arguments) != endpoint:
            if len(self._kept) >= _MAX_ENDPOINTS:
                self._kept.clear()
            self._kept[arguments] = endpoint
        return self._kept[arguments]


def _without_cache(endpoint: Endpoint) -> Endpoint:
    return replace(endpoint, options=replace(endpoint.options, cache=False))
