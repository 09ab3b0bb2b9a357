"""A cross-encoder that a test makes in a moment: its logit counts the words that query and document share.

logit = shared - 1, where `shared` is the number of pairs of equal words, one of the query and one of the document.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WORDS = (
    "red",
    "green",
    "apple",
    "pear",
    "zebra",
    "horse",
    "one",
    "two",
    "cold",
    "coffee",
    "りんご",
    "赤い",
    "苹果",
    "红色",
)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def make(folder: Path, *, labels: int = 1, max_tokens: int = 16, inputs: int = 3, **config: Any) -> Path:
    """Write the model into a folder, and return the folder. With two labels, the second means relevant.

    `inputs` = 2 leaves out token_type_ids: every word then counts as one of both texts.
    """
    (folder / "onnx").mkdir(parents=True)
    onnx.save(network(labels, inputs), str(folder / "onnx" / "model.onnx"))
    tokenizer(max_tokens).save(str(folder / "tokenizer.json"))
    document = {"model_type": "bert", "pad_token_id": 0, "max_position_embeddings": 512}
    if labels > 1:
        document["id2label"] = {str(number): f"LABEL_{number}" for number in range(labels)}
    else:
        document["sentence_transformers"] = {"activation_fn": "torch.nn.modules.linear.Identity"}
    (folder / "config.json").write_text(json.dumps(document | config))
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": max_tokens}))
    return folder


def tokenizer(max_tokens: int) -> Tokenizer:
    """One token for each word; pairs as BERT has them. It cuts and pads by itself, which must not matter."""
    vocabulary = {word: number for number, word in enumerate((*SPECIAL, *WORDS))}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    made.enable_padding(length=max_tokens * 2)
    made.enable_truncation(max_tokens)
    return made


def network(labels: int, inputs: int) -> onnx.ModelProto:
    """The graph."""
    names = ("input_ids", "attention_mask", "token_type_ids")[:inputs]

    def node(kind: str, given: list[str], made: str, **attributes: Any) -> onnx.NodeProto:
        return helper.make_node(kind, given, [made], **attributes)

    def number(name: str, value: float, kind: int = TensorProto.INT64, shape: tuple[int, ...] = ()) -> onnx.TensorProto:
        return helper.make_tensor(name, kind, shape, [value])

    nodes = [
        node("Greater", ["input_ids", "three"], "is_word"),
        node("Cast", ["is_word"], "word", to=TensorProto.FLOAT),
        node("Cast", ["attention_mask"], "mask", to=TensorProto.FLOAT),
        node("Mul", ["word", "mask"], "words"),
    ]
    if inputs == 3:
        nodes += [
            node("Cast", ["token_type_ids"], "second", to=TensorProto.FLOAT),
            node("Sub", ["unit", "second"], "first"),
            node("Mul", ["words", "first"], "of_query"),
            node("Mul", ["words", "second"], "of_document"),
        ]
    else:
        nodes += [node("Identity", ["words"], "of_query"), node("Identity", ["words"], "of_document")]
    nodes += [
        node("Unsqueeze", ["input_ids", "last"], "column"),
        node("Unsqueeze", ["input_ids", "middle"], "row"),
        node("Equal", ["column", "row"], "is_equal"),
        node("Cast", ["is_equal"], "equal", to=TensorProto.FLOAT),
        node("Unsqueeze", ["of_query", "last"], "query_column"),
        node("Unsqueeze", ["of_document", "middle"], "document_row"),
        node("Mul", ["equal", "query_column"], "weighted"),
        node("Mul", ["weighted", "document_row"], "pairs"),
        node("ReduceSum", ["pairs", "both"], "shared", keepdims=0),
        node("Sub", ["shared", "unit"], "logit"),
        node("Unsqueeze", ["logit", "middle"], "relevant"),
        node("Neg", ["relevant"], "other"),
        node("Concat", ["other"] * (labels - 1) + ["relevant"], "logits", axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "overlap",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in names],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", labels])],
        [
            number("three", 3),
            number("unit", 1.0, TensorProto.FLOAT),
            number("last", 2, shape=(1,)),
            number("middle", 1, shape=(1,)),
            helper.make_tensor("both", TensorProto.INT64, (2,), [1, 2]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def logit(query: str, document: str, max_tokens: int = 16) -> float:
    """What the network says. A pair that is too long loses words of the longer text until both are half of it."""
    one, other = query.lower().split(), document.lower().split()
    most = max_tokens - 3
    if len(one) + len(other) > most:
        short = min(len(one), len(other), most // 2)
        is_query_short = len(one) <= len(other)
        one, other = (one[:short], other[: most - short]) if is_query_short else (one[: most - short], other[:short])
    known = set(WORDS)
    return sum(word == second and word in known for word in one for second in other) - 1.0
