"""Serves the tiny model with llama.cpp, as the package xllamacpp has it prebuilt.

    python llama_server.py MODEL_FOLDER GGUF_FILE PORT KEY      (needs xllamacpp, gguf, numpy)

llama.cpp gives every token the first segment, and the tiny model tells query from document by segment. Here the
position says it instead, which holds for queries of as many tokens as QUERY_TOKENS, and so for the peers' one query.
"""

import json
import signal
import sys
from pathlib import Path

import gguf
import numpy as np
import xllamacpp

QUERY_TOKENS = len(["[CLS]", "capital", "of", "france", "[SEP]"])
_HEAD = {"pooler.dense": "cls", "classifier": "cls.output"}
Tensors = dict[str, np.ndarray]


def tensors(file: Path) -> Tensors:
    """The contents of a safetensors file of 32-bit floats: length of the header, header, data."""
    data = file.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    return {
        name: np.frombuffer(data[start:], np.float32, (last - first) // 4, first).reshape(about["shape"])
        for name, about in header.items()
        if name != "__metadata__"
        for first, last in [about["data_offsets"]]
    }


def _positioned(found: Tensors) -> Tensors:
    """The same network with segments told by position."""
    embeddings = "bert.embeddings.{}.weight".format
    types, positions = found[embeddings("token_type_embeddings")], found[embeddings("position_embeddings")].copy()
    positions[:QUERY_TOKENS] += types[0]
    positions[QUERY_TOKENS:] += types[1]
    moved = {embeddings("token_type_embeddings"): np.zeros_like(types), embeddings("position_embeddings"): positions}
    return {**found, **moved}


def convert(folder: Path, file: Path) -> None:
    """A Hugging Face BERT with one label -> a GGUF file that llama.cpp reranks with."""
    config = json.loads((folder / "config.json").read_text())
    words = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    layers = config["num_hidden_layers"]
    writer = gguf.GGUFWriter(file, "bert")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(layers)
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.RANK)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_type_count(config["type_vocab_size"])
    special = {"[PAD]", "[CLS]", "[SEP]", "[MASK]"}
    ordered = sorted(words, key=words.__getitem__)
    writer.add_token_list([_piece(word, special | {"[UNK]"}) for word in ordered])
    kinds = gguf.TokenType
    writer.add_token_types(
        [kinds.CONTROL if word in special else kinds.UNKNOWN if word == "[UNK]" else kinds.NORMAL for word in ordered]
    )
    writer.add_bos_token_id(words["[CLS]"])
    writer.add_eos_token_id(words["[SEP]"])
    writer.add_sep_token_id(words["[SEP]"])
    writer.add_pad_token_id(words["[PAD]"])
    writer.add_unk_token_id(words["[UNK]"])
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(True)
    writer.add_add_sep_token(False)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, layers)
    for name, values in _positioned(tensors(folder / "model.safetensors")).items():
        module, _, suffix = name.removeprefix("bert.").rpartition(".")
        writer.add_tensor(f"{_HEAD.get(module) or names.get_name(module)}.{suffix}", np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _piece(word: str, special: set[str]) -> str:
    """A WordPiece token as llama.cpp writes it: what begins a word is marked, not what continues one."""
    return word if word in special else word[2:] if word.startswith("##") else f"▁{word}"


def serve(file: Path, port: int, key: str) -> None:
    """Until a signal ends the process."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(file)
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.embedding = True
    parameters.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_RANK
    parameters.api_keys = [key] if key else []
    parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = 512
    parameters.n_parallel = 1
    parameters.offline = True
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    signal.pause()


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
    serve(Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
