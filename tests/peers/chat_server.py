"""llama.cpp's server with a chat model of a few kilobytes, whose weights are random: what it writes means nothing.

    python chat_server.py GGUF PORT KEY      (needs xllamacpp, gguf and numpy)

A Llama of one layer, with a vocabulary of single bytes. A schema makes its answers JSON all the same.
"""

import signal
import sys
from pathlib import Path

import gguf
import numpy as np
import xllamacpp

WIDTH, INNER, HEADS, CONTEXT = 32, 64, 2, 16_384
SPECIAL = ("<unk>", "<s>", "</s>")


def build(file: Path) -> None:
    """Write the model."""
    random = np.random.default_rng(7)
    kinds = gguf.TokenType
    words = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", "yes", "no", "Yes", "No"]
    types = [kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL, *[kinds.BYTE] * 256, *[kinds.NORMAL] * 5]
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(words))
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(words)
    writer.add_token_scores([0.0] * len(words))
    writer.add_token_types(types)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template("{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant: ")

    def weights(*shape: int) -> np.ndarray:
        return random.normal(0, 0.3, shape).astype(np.float32)

    writer.add_tensor("token_embd.weight", weights(len(words), WIDTH))
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    answers = weights(len(words), WIDTH)
    answers[-4:] *= 5  # without a schema, the first token is one of the words
    writer.add_tensor("output.weight", answers)
    for name in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{name}.weight", np.ones(WIDTH, np.float32))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        writer.add_tensor(f"blk.0.{name}.weight", weights(WIDTH, WIDTH))
    for name in ("ffn_gate", "ffn_up"):
        writer.add_tensor(f"blk.0.{name}.weight", weights(INNER, WIDTH))
    writer.add_tensor("blk.0.ffn_down.weight", weights(WIDTH, INNER))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def serve(file: Path, port: int, key: str) -> None:
    """Until a signal ends the process."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(file)
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.api_keys = [key] if key else []
    parameters.n_ctx = CONTEXT
    parameters.n_parallel = 1
    parameters.offline = True
    parameters.use_jinja = True
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    signal.pause()


if __name__ == "__main__":
    build(Path(sys.argv[1]))
    serve(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
