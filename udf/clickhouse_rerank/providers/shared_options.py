"""Keys of `others` that many providers take."""

from collections.abc import Mapping

from .record import Option

COMMON: Mapping[str, Option] = {
    "min_score": Option("number"),
    "normalize": Option("text", choices=("none", "sigmoid")),
    "dry_run": Option("boolean"),
    "passages": Option("switch"),
}
"""For every provider."""

NETWORK: Mapping[str, Option] = {
    **COMMON,
    "timeout_s": Option("number", low=0.001),
    "deadline_s": Option("number", low=0.001),
    "hedge_ms": Option("number", low=1),
    "batch_size": Option("integer", low=1),
    "model_args": Option("object"),
    "on_error": Option("text", choices=("throw", "empty", "passthrough")),
    "fallback": Option("objects"),
    "cache": Option("boolean"),
    "listwise": Option("boolean"),
}
"""For every provider that is asked over the network."""

NETWORK_MODEL: Mapping[str, Option] = {**NETWORK, "model": Option("text")}
"""For providers over the network whose requests name a model."""
