"""A cross-encoder from a folder: ONNX network, tokenizer.json, config.json. Everything here takes time: use a thread.

Scores are those of sentence-transformers' CrossEncoder.predict for one logit, and those of the text-classification
pipeline of transformers for several labels, of which one means "relevant".
Sources: sentence_transformers/cross_encoder/model.py (activation_fn, max_length), transformers
pipelines/text_classification.py (function_to_apply).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ..config.models import Model
from ..errors import CallerError
from ..providers.wires.pairs import relevant_label
from ..types import printable, sendable
from . import network
from .model_files import MAX_QUOTED, failed, inside, json_object, missing

_DEFAULT_TOKENS = 512
_POSITIONS_FROM_PADDING = frozenset(("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "mpnet"))
"""Types of networks that count positions from the padding token on: that many are not for text."""
_ACTIVATIONS = {"Identity": "none", "Sigmoid": "sigmoid"}
Pair = tuple[str, str]
"""Query and document."""


class CrossEncoder:
    """A loaded model. Errors of all methods: ProviderFailedError with the code MODEL."""

    def __init__(self, model: Model) -> None:
        self._name = model.name
        config = json_object(model, "config.json")
        self._tokenizer = _load_tokenizer(model, config)
        self._session = network.load(model)
        self._inputs = {one.name for one in self._session.get_inputs()}
        self._output = self._session.get_outputs()[0].name
        self._labels = _labels(config)
        self._activation = self._named_activation(config)
        self._padding = int(config.get("pad_token_id") or 0)

    def encode(self, pairs: Sequence[Pair]) -> list[Any]:
        """The tokens of each pair; len() of an element is their number."""
        return list(self._tokenizer.encode_batch([(sendable(query), sendable(document)) for query, document in pairs]))

    def scores(self, encodings: Sequence[Any], label: str = "") -> list[float]:
        """The score of each encoded pair; `label` names the label that means "relevant", "" takes it from its name.

        Errors: BAD_OTHERS for a label that does not exist, or if none is named and no name tells.
        """
        import numpy as np

        length = max(map(len, encodings))
        shape = (len(encodings), length)
        feeds = {
            "input_ids": np.full(shape, self._padding, np.int64),
            "attention_mask": np.zeros(shape, np.int64),
            "token_type_ids": np.zeros(shape, np.int64),
        }
        for row, encoding in enumerate(encodings):
            count = len(encoding)
            feeds["input_ids"][row, :count] = encoding.ids
            feeds["attention_mask"][row, :count] = 1
            feeds["token_type_ids"][row, :count] = encoding.type_ids
        try:
            (logits,) = self._session.run(
                [self._output], {name: value for name, value in feeds.items() if name in self._inputs}
            )
        except Exception as error:  # noqa: BLE001 - the library has no base class of its own
            raise failed(self._name, "cannot score", error) from None
        logits = np.asarray(logits, np.float64).reshape(len(encodings), -1)
        scores = self._activated(logits, label)
        if not np.isfinite(scores).all():
            raise failed(self._name, "gives scores that are no numbers")
        return [float(score) for score in scores]

    def _activated(self, logits: Any, label: str) -> Any:
        import numpy as np

        if logits.shape[1] == 1:
            return 1 / (1 + np.exp(-logits[:, 0])) if self._activation == "sigmoid" else logits[:, 0]
        labels = self._labels or [f"LABEL_{number}" for number in range(logits.shape[1])]
        wanted = label or relevant_label(set(labels))
        if wanted not in labels or len(labels) != logits.shape[1]:
            known = ", ".join(labels)[:MAX_QUOTED]
            raise CallerError("BAD_OTHERS", f"The model has no label {wanted[:60]!r}. Set others.score_label: {known}.")
        if self._activation == "multi_label":
            return 1 / (1 + np.exp(-logits[:, labels.index(wanted)]))
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return shares[:, labels.index(wanted)] / shares.sum(axis=1)

    def _named_activation(self, config: Mapping[str, Any]) -> str:
        if len(self._labels) > 1:
            return "multi_label" if config.get("problem_type") == "multi_label_classification" else "softmax"
        own = config.get("sentence_transformers")
        named = (own.get("activation_fn") if isinstance(own, dict) else None) or config.get(
            "sbert_ce_default_activation_function"
        )
        if not named:
            return "sigmoid"
        known = _ACTIVATIONS.get(str(named).rpartition(".")[2])
        if known is None:
            raise failed(self._name, f"has the activation {printable(str(named))[:MAX_QUOTED]}, which is not known")
        return known


def read_tokenizer(model: Model) -> Any:
    """The model's tokenizer as its file has it. Errors: ProviderFailedError with the code MODEL."""
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise missing("tokenizers") from None
    path = inside(model, model.folder / "tokenizer.json")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # noqa: BLE001 - the library raises Exception itself
        raise failed(model.name, f"has no usable tokenizer: {path.name} cannot be read", error) from None


def _load_tokenizer(model: Model, config: Mapping[str, Any]) -> Any:
    tokenizer = read_tokenizer(model)
    own = (tokenizer.truncation or {}).get("max_length")
    has_own = (model.folder / "tokenizer_config.json").exists()
    stated = json_object(model, "tokenizer_config.json").get("model_max_length") if has_own else None
    positions = config.get("max_position_embeddings")
    if isinstance(positions, int) and config.get("model_type") in _POSITIONS_FROM_PADDING:
        positions -= int(config.get("pad_token_id") or 0) + 1
    limits = [limit for limit in (stated or own, positions, model.max_tokens or None) if limit and limit > 0]
    tokenizer.enable_truncation(int(min(limits, default=_DEFAULT_TOKENS)), strategy="longest_first")
    tokenizer.no_padding()
    return tokenizer


def _labels(config: Mapping[str, Any]) -> list[str]:
    names = config.get("id2label")
    if not isinstance(names, dict):
        return []
    return [str(names[key]) for key in sorted(names, key=int)]
