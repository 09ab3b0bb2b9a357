"""Times one library that scores with a cross-encoder; runs in the environment of these libraries.

`local_library.py LIBRARY FOLDER ROWS THREADS`: ROWS has a JSON object per line, with the query `q` and the documents
`d`. Each row is one call, as a user ranks one list. Prints the seconds for all rows, after one row that is not timed.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

_BATCH = 32
Rank = Callable[[str, list[str]], Any]


def fastembed(folder: Path, threads: int) -> Rank:
    from fastembed.common.model_description import ModelSource
    from fastembed.rerank.cross_encoder import TextCrossEncoder

    TextCrossEncoder.add_custom_model(
        model="bench/model", sources=ModelSource(hf="bench/model"), model_file="onnx/model.onnx"
    )
    model = TextCrossEncoder("bench/model", specific_model_path=str(folder), threads=threads)
    return lambda query, documents: list(model.rerank(query, documents, batch_size=_BATCH))


def flashrank(folder: Path, threads: int) -> Rank:
    import onnxruntime as ort
    from flashrank import Ranker, RerankRequest
    from flashrank.Config import model_file_map

    # It has no option for threads, and those of its session take every processor, whatever the process may use.
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    ort.InferenceSession = partial(ort.InferenceSession, sess_options=options)
    name = "ms-marco-MiniLM-L-12-v2"
    cache = folder.parent / "flashrank"
    shutil.copytree(folder, cache / name, dirs_exist_ok=True)
    shutil.copyfile(folder / "onnx" / "model.onnx", cache / name / model_file_map[name])
    model = Ranker(name, cache_dir=str(cache), max_length=512, log_level="ERROR")
    return lambda query, documents: model.rerank(
        RerankRequest(query=query, passages=[{"id": n, "text": text} for n, text in enumerate(documents)])
    )


def sentence_transformers_onnx(folder: Path, threads: int) -> Rank:
    import onnxruntime as ort
    from sentence_transformers import CrossEncoder

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    own = {"file_name": "onnx/model.onnx", "provider": "CPUExecutionProvider", "session_options": options}
    model = CrossEncoder(str(folder), backend="onnx", model_kwargs=own, max_length=512)
    return lambda query, documents: model.predict([(query, text) for text in documents], batch_size=_BATCH)


def sentence_transformers_torch(folder: Path, threads: int) -> Rank:
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(_with_torch_weights(folder, threads)), device="cpu", max_length=512)
    return lambda query, documents: model.predict([(query, text) for text in documents], batch_size=_BATCH)


def rerankers(folder: Path, threads: int) -> Rank:
    from rerankers import Reranker

    model = Reranker(
        str(_with_torch_weights(folder, threads)),
        model_type="cross-encoder",
        device="cpu",
        dtype="float32",
        batch_size=_BATCH,
        verbose=0,
    )
    return lambda query, documents: model.rank(query=query, docs=documents)


def _with_torch_weights(folder: Path, threads: int) -> Path:
    """A copy with random weights of the same architecture as torch has them."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.set_num_threads(threads)
    copy = folder.parent / "torch"
    if not copy.exists():
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("onnx"))
        BertForSequenceClassification(BertConfig.from_pretrained(folder)).save_pretrained(copy)
    return copy


LIBRARIES: dict[str, Callable[[Path, int], Rank]] = {
    "fastembed": fastembed,
    "FlashRank": flashrank,
    "sentence-transformers, onnx": sentence_transformers_onnx,
    "sentence-transformers, torch": sentence_transformers_torch,
    "rerankers, torch": rerankers,
}


def main(library: str, folder: Path, rows: Path, threads: int) -> None:
    """Do what the module says."""
    os.environ.update(HF_HUB_OFFLINE="1", RAYON_NUM_THREADS=str(threads), OMP_NUM_THREADS=str(threads))
    asked = [json.loads(line) for line in rows.read_text("utf-8").splitlines()]
    rank = LIBRARIES[library](folder, threads)
    rank(asked[0]["q"], asked[0]["d"])
    began = time.perf_counter()
    for row in asked:
        rank(row["q"], row["d"])
    print(time.perf_counter() - began)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
