"""A model's network in onnxruntime, and the prepared form that processes share.

onnxruntime copies the weights of an ONNX file into each process, in the order in which the processor reads them best.
`prepare` writes the optimised graph and the weights in that order into the model's folder, once. A process maps this
file into memory: it loads at once, and all processes use the same memory. The order depends on onnxruntime and on the
processor, which is why both are part of the folder's name.
Source: onnxruntime_session_options_config_keys.h, pull requests 22256 and 23069 of microsoft/onnxruntime.
"""

import hashlib
import os
import platform
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..config.models import Model, half_the_processors
from .model_files import failed, inside, missing

_PREPARED, _NETWORK, _WEIGHTS = "prepared-", "model.onnx", "model.onnx_data"
_SMALLEST_SHARED = 4096
"""Bytes of a weight that is kept in the mapped file; smaller ones stay in the graph."""
_X86_EXTENSIONS = ("amx", "avx", "f16c", "fma")


def load(model: Model) -> Any:
    """The network as an onnxruntime.InferenceSession. Errors: MODEL."""
    ort = _library()
    form = prepared(model)
    if form is not None:
        with suppress(Exception):  # damaged: the network itself is there
            # It has been optimised.
            return _session(ort, inside(model, form), _scoring(ort, model, ort.GraphOptimizationLevel.ORT_DISABLE_ALL))
    path = _network(model)
    try:
        return _session(ort, path, _scoring(ort, model, ort.GraphOptimizationLevel.ORT_ENABLE_ALL))
    except Exception as error:  # noqa: BLE001 - the library has no base class of its own
        raise failed(model.name, f"has no usable network: {path.name} cannot be loaded", error) from None


def prepared(model: Model) -> Path | None:
    """The network that `prepare` wrote for this onnxruntime, this processor and these files; None if there is none."""
    path = _place(model) / _NETWORK
    return path if path.is_file() else None


def prepare(model: Model) -> Path:
    """Write the prepared form of a network, in place of those that are there. Errors: MODEL."""
    ort = _library()
    place = _place(model)
    made = model.folder / f".{place.name}.{os.getpid()}"
    options = _options(ort, ort.GraphOptimizationLevel.ORT_ENABLE_ALL)
    options.optimized_model_filepath = str(made / _NETWORK)
    for key, value in (
        ("session.optimized_model_external_initializers_file_name", _WEIGHTS),
        ("session.optimized_model_external_initializers_min_size_in_bytes", str(_SMALLEST_SHARED)),
        ("session.save_external_prepacked_constant_initializers", "1"),
    ):
        options.add_session_config_entry(key, value)
    path = _network(model)
    try:
        made.mkdir()
        _session(ort, path, options)
        # A process that has mapped an old form keeps it until it ends; one that finds none loads the network itself.
        for old in model.folder.glob(f"{_PREPARED}*"):
            shutil.rmtree(old)
        made.rename(place)
    except Exception as error:  # noqa: BLE001 - the library has no base class of its own
        raise failed(model.name, f"cannot be prepared in {model.folder}", error) from None
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return place / _NETWORK


def processor() -> frozenset[str]:
    """The extensions of this processor, as Linux names them, and its name."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        text = ""
    found = [re.search(rf"^{key}\s*:(.*)$", text, re.MULTILINE) for key in ("flags", "Features", "model name")]
    flags, features, name = (one[1].strip() if one else "" for one in found)
    extensions = [flag for flag in flags.split() if flag.startswith(_X86_EXTENSIONS)]
    return frozenset((platform.machine(), name, *extensions, *features.split()))


def _network(model: Model) -> Path:
    """The file of the network itself, all of whose weights are inside the model's folder. Errors: MODEL."""
    path, *_ = [inside(model, one) for one in model.network_files]
    return path


def _place(model: Model) -> Path:
    parts = [_library().__version__, *sorted(processor())]
    for path in model.network_files:
        try:
            status = path.stat()
        except OSError:
            continue
        parts.append(f"{path.relative_to(model.folder)} {status.st_size} {status.st_mtime_ns}")
    return model.folder / f"{_PREPARED}{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()[:16]}"


def _scoring(ort: Any, model: Model, level: Any) -> Any:
    options = _options(ort, level)
    options.intra_op_num_threads = model.threads or half_the_processors()
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # other processes need the processors
    return options


def _options(ort: Any, level: Any) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = level
    return options


def _session(ort: Any, path: Path, options: Any) -> Any:
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _library() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise missing("onnxruntime") from None
    return onnxruntime
