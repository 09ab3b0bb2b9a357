"""Keys of `others` that many records share."""

from collections.abc import Mapping

from .record import Option

LOCAL: Mapping[str, Option] = {
    "min_score": Option("number"),
    "normalize": Option("text", choices=("none", "sigmoid")),
    "dry_run": Option("boolean"),
}
"""For every provider."""

ASKED: Mapping[str, Option] = {
    **LOCAL,
    "timeout_s": Option("number", low=0.001),
    "batch_size": Option("integer", low=1),
    "model_args": Option("object"),
    "on_error": Option("text", choices=("throw", "empty", "passthrough")),
    "fallback": Option("objects"),
    "cache": Option("boolean"),
    "listwise": Option("boolean"),
}
"""For every provider that is asked over the network."""

NAMED: Mapping[str, Option] = {**ASKED, "model": Option("text")}
"""For those whose requests name a model."""
