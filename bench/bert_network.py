"""A BERT cross-encoder with random weights: its speed is that of the architecture, whatever the weights are."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from tokenizers import Tokenizer, models, pre_tokenizers, processors

_VOCABULARY = 30_522


@dataclass(frozen=True)
class Architecture:
    """Numbers of a BERT."""

    layers: int
    hidden: int
    heads: int
    positions: int = 512


TINYBERT_L2 = Architecture(2, 128, 2)
MINILM_L6 = Architecture(6, 384, 12)
BASE = Architecture(12, 768, 12)


def make(folder: Path, architecture: Architecture) -> Path:
    """Write the model into a folder, with the files that other libraries want too. A word w7 is one token."""
    (folder / "onnx").mkdir(parents=True)
    onnx.save(_Network(architecture).model(), str(folder / "onnx" / "model.onnx"))
    vocabulary = {word: number for number, word in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]"))}
    vocabulary |= {f"w{number}": number for number in range(4, _VOCABULARY)}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    made.save(str(folder / "tokenizer.json"))
    config = {
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        "vocab_size": _VOCABULARY,
        "hidden_size": architecture.hidden,
        "num_hidden_layers": architecture.layers,
        "num_attention_heads": architecture.heads,
        "intermediate_size": 4 * architecture.hidden,
        "max_position_embeddings": architecture.positions,
        "pad_token_id": 0,
        "num_labels": 1,
        "id2label": {"0": "LABEL_0"},
        "label2id": {"LABEL_0": 0},
    }
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    stated = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": architecture.positions, **special}
    for name, content in (("config", config), ("tokenizer_config", stated), ("special_tokens_map", special)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def to_int8(folder: Path) -> None:
    """Replace the network by one with dynamic int8 quantisation, as models have them on the hub."""
    logging.disable(logging.WARNING)  # it recommends a preparation that other kinds of networks need
    path = folder / "onnx" / "model.onnx"
    quantize_dynamic(str(path), str(path.with_suffix(".int8")), weight_type=QuantType.QInt8)
    path.with_suffix(".int8").replace(path)


class _Network:
    def __init__(self, architecture: Architecture) -> None:
        self._size = architecture
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._chance = np.random.default_rng(7)

    def model(self) -> onnx.ModelProto:
        hidden = self._size.hidden
        words = self._node("Gather", self._weight(_VOCABULARY, hidden), "input_ids")
        types = self._node("Gather", self._weight(2, hidden), "token_type_ids")
        shape = self._node("Shape", "input_ids")
        length = self._node("Gather", shape, self._constant(1))
        positions = self._node("Range", self._constant(0), length, self._constant(1))
        places = self._node("Gather", self._weight(self._size.positions, hidden), positions)
        state = self._norm(self._node("Add", self._node("Add", words, types), places))
        mask = self._node(
            "Cast", self._node("Unsqueeze", "attention_mask", self._constant([1, 2])), to=TensorProto.FLOAT
        )
        hides = self._node("Mul", self._node("Sub", self._constant(1.0), mask), self._constant(-10_000.0))
        for _ in range(self._size.layers):
            state = self._norm(self._node("Add", self._attention(state, hides), state))
            inner = self._gelu(self._linear(state, hidden, 4 * hidden))
            state = self._norm(self._node("Add", self._linear(inner, 4 * hidden, hidden), state))
        first = self._node("Gather", state, self._constant(0), axis=1)
        pooled = self._node("Tanh", self._linear(first, hidden, hidden))
        logits = self._linear(pooled, hidden, 1)
        self._nodes.append(helper.make_node("Identity", [logits], ["logits"]))
        names = ("input_ids", "attention_mask", "token_type_ids")
        graph = helper.make_graph(
            self._nodes,
            "bert",
            [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in names],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1])],
            self._weights,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)

    def _attention(self, state: str, hides: str) -> str:
        hidden, heads = self._size.hidden, self._size.heads

        def split(name: str, order: list[int]) -> str:
            shaped = self._node("Reshape", name, self._constant([0, 0, heads, hidden // heads]))
            return self._node("Transpose", shaped, perm=order)

        query, key, value = (self._linear(state, hidden, hidden) for _ in range(3))
        raw = self._node("MatMul", split(query, [0, 2, 1, 3]), split(key, [0, 2, 3, 1]))
        scaled = self._node("Div", raw, self._constant(float((hidden // heads) ** 0.5)))
        shares = self._node("Softmax", self._node("Add", scaled, hides), axis=-1)
        mixed = self._node("Transpose", self._node("MatMul", shares, split(value, [0, 2, 1, 3])), perm=[0, 2, 1, 3])
        return self._linear(self._node("Reshape", mixed, self._constant([0, 0, hidden])), hidden, hidden)

    def _gelu(self, name: str) -> str:
        error = self._node("Erf", self._node("Div", name, self._constant(2**0.5)))
        return self._node(
            "Mul", self._node("Mul", name, self._node("Add", error, self._constant(1.0))), self._constant(0.5)
        )

    def _norm(self, name: str) -> str:
        hidden = self._size.hidden
        return self._node("LayerNormalization", name, self._filled(1.0, hidden), self._filled(0.0, hidden), axis=-1)

    def _linear(self, name: str, given: int, made: int) -> str:
        return self._node("Add", self._node("MatMul", name, self._weight(given, made)), self._filled(0.0, made))

    def _node(self, kind: str, *given: str, **attributes: Any) -> str:
        made = f"n{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(given), [made], **attributes))
        return made

    def _weight(self, *shape: int) -> str:
        return self._kept(self._chance.normal(0, 0.02, shape).astype(np.float32))

    def _filled(self, value: float, *shape: int) -> str:
        return self._kept(np.full(shape, value, np.float32))

    def _constant(self, value: Any) -> str:
        return self._kept(np.array(value, np.float32 if isinstance(value, float) else np.int64))

    def _kept(self, array: Any) -> str:
        name = f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(array, name))
        return name
