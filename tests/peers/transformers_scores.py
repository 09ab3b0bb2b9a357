"""Scores of sentence-transformers and transformers, and the same models as ONNX; runs in an environment with torch.

`transformers_scores.py MODEL FOLDER` reads pairs as JSON from standard input. It writes the folders `logit`,
`probability` and `labels`, each a model with an ONNX network, and prints the scores of the pairs by folder as JSON.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import CrossEncoder
from torch.onnx._internal.torchscript_exporter import onnx_proto_utils
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
# The networks need no functions of that package, which is not installed.
onnx_proto_utils._add_onnxscript_fn = lambda model, *_: model


def written(source: Path, folder: Path, model: Any, tokenizer: Any) -> None:
    """Write a model with its ONNX network."""
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(source / name, folder / name)
    (folder / "onnx").mkdir()
    given = tokenizer("red", "blue", return_tensors="pt")
    axes = {name: {0: "batch", 1: "length"} for name in _INPUTS} | {"logits": {0: "batch"}}
    torch.onnx.export(
        model,
        tuple(given[name] for name in _INPUTS),
        str(folder / "onnx" / "model.onnx"),
        input_names=list(_INPUTS),
        output_names=["logits"],
        dynamic_axes=axes,
        dynamo=False,
        opset_version=17,
    )


def main(source: Path, folder: Path) -> None:
    """Do what the module says."""
    pairs = json.load(sys.stdin)
    tokenizer = AutoTokenizer.from_pretrained(source)
    found = {}
    for name, activation in (("logit", torch.nn.Identity()), ("probability", None)):
        model = AutoModelForSequenceClassification.from_pretrained(source, attn_implementation="eager").eval()
        written(source, folder / name, model, tokenizer)
        if activation is not None:
            path = folder / name / "config.json"
            config = json.loads(path.read_bytes())
            config["sbert_ce_default_activation_function"] = "torch.nn.modules.linear.Identity"
            path.write_text(json.dumps(config))
        encoder = CrossEncoder(str(folder / name), device="cpu")
        found[name] = [float(score) for score in encoder.predict(pairs)]
    torch.manual_seed(7)
    model = AutoModelForSequenceClassification.from_pretrained(
        source, attn_implementation="eager", num_labels=2, ignore_mismatched_sizes=True
    ).eval()
    with torch.no_grad():
        model.classifier.weight.normal_(0, 2)
    written(source, folder / "labels", model, tokenizer)
    classify = pipeline("text-classification", model=model, tokenizer=tokenizer, top_k=None, device="cpu")
    answers = classify([{"text": one, "text_pair": other} for one, other in pairs], truncation=True)
    found["labels"] = [next(one["score"] for one in answer if one["label"] == "LABEL_1") for answer in answers]
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
