"""The network of a model, and the form of it that processes share."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from clickhouse_rerank.config.models import Model
from clickhouse_rerank.errors import ProviderFailedError
from clickhouse_rerank.scorers import network

_WIDTH = 1024


def _wide(folder: Path) -> Model:
    """A network whose weights are 4 MB, in a folder that is made."""
    weight = np.random.default_rng(3).normal(0, 0.1, (_WIDTH, _WIDTH)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["given", "weight"], ["made"])],
        "wide",
        [helper.make_tensor_value_info("given", TensorProto.FLOAT, ["batch", _WIDTH])],
        [helper.make_tensor_value_info("made", TensorProto.FLOAT, ["batch", _WIDTH])],
        [numpy_helper.from_array(weight, "weight")],
    )
    folder.mkdir(parents=True)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(made, str(folder / "model.onnx"))
    return Model("wide", folder)


def _answer(model: Model) -> object:
    return network.load(model).run(None, {"given": np.ones((2, _WIDTH), np.float32)})[0].tolist()


def _mapped(model: Model) -> bool:
    """Whether this process has mapped a file of the prepared form of the model."""
    pattern = re.escape(str(model.folder)) + r"/prepared-[0-9a-f]{16}/model\.onnx_data$"
    return re.search(pattern, Path("/proc/self/maps").read_text(), re.MULTILINE) is not None


def test_the_prepared_form_is_mapped_and_gives_the_same(tmp_path: Path) -> None:
    model = _wide(tmp_path / "wide")
    expected = _answer(model)
    network.prepare(model)
    session = network.load(model)
    assert _mapped(model)
    assert session.run(None, {"given": np.ones((2, _WIDTH), np.float32)})[0].tolist() == expected
    del session
    assert not _mapped(model)


@pytest.mark.parametrize("what", ["library", "processor", "network", "weights"])
def test_it_counts_only_for_what_it_was_made_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Otherwise the network itself is loaded, as if nothing had been prepared."""
    model = _wide(tmp_path / "wide")
    network.prepare(model)
    assert network.prepared(model)
    if what == "library":
        monkeypatch.setattr("onnxruntime.__version__", "9.9.9")
    elif what == "processor":
        monkeypatch.setattr(network, "processor", lambda: frozenset(("x86_64", "avx3")))
    elif what == "network":
        os.utime(model.network, (1, 1))
    else:
        (model.folder / "model.onnx_data").write_bytes(b"new")
    assert network.prepared(model) is None
    assert _answer(model)
    network.prepare(model)
    assert network.prepared(model) and len([*model.folder.glob("*prepared-*")]) == 1


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx_data"])
def test_a_damaged_one_is_passed_over(tmp_path: Path, name: str) -> None:
    model = _wide(tmp_path / "wide")
    expected = _answer(model)
    (network.prepare(model).parent / name).write_bytes(b"")
    assert _answer(model) == expected


def test_what_cannot_be_prepared_leaves_nothing(tmp_path: Path) -> None:
    model = _wide(tmp_path / "wide")
    model.network.write_bytes(b"junk")
    with pytest.raises(ProviderFailedError, match="The model wide cannot be prepared in "):
        network.prepare(model)
    assert [path.name for path in model.folder.iterdir()] == ["model.onnx"]


def test_weights_outside_the_folder_are_not_read(tmp_path: Path) -> None:
    """Whatever a link says: neither for a score nor for the prepared form."""
    model = _wide(tmp_path / "wide")
    (tmp_path / "outside").write_bytes(b"")
    (model.folder / "model.onnx_data").symlink_to(tmp_path / "outside")
    for use in (network.load, network.prepare):
        with pytest.raises(ProviderFailedError, match=r"has a file model\.onnx_data that leads out of"):
            use(model)


def test_the_processor_has_a_name_and_its_extensions() -> None:
    assert os.uname().machine in network.processor()
