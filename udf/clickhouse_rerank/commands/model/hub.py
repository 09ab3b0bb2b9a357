"""A model's files from the Hugging Face hub, by its own library: pinned and checked."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ...config.models import FILES, data_files
from ...errors import CallerError, ProviderFailedError
from ...scorers.network import processor
from ...types import printable
from ..extras import missing_library
from .library import OPTIONAL_FILES, sha256

_FOLDERS = ("onnx/", "")
_MAX_QUOTED = 300
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Offer:
    """What the hub has for a model: the files to fetch with their bytes and sums, its revision and licence."""

    repository: str
    revision: str
    licence: str
    network: str
    sizes: dict[str, int]
    sums: dict[str, str]


def offer(repository: str, revision: str, file: str) -> Offer:
    """Ask the hub. `file` is "" for the network that suits this processor.

    Errors: CallerError if there is no such model, or no network in it; without the library.
    """
    api = _library().HfApi()
    found = _asked(repository, lambda: api.model_info(repository, revision=revision or None, files_metadata=True))
    files = {one.rfilename: one for one in found.siblings or ()}
    names = [file] if file else list(_networks())
    network = next((name for name in names if name in files), None)
    if network is None:
        there = ", ".join(sorted(name for name in files if name.endswith(".onnx"))) or "none"
        raise CallerError(
            "BAD_ARGUMENT", f"{repository} has no {file or 'ONNX file with a known name'}. It has: {there}."
        )
    if missing := [name for name in FILES if name not in files]:
        raise CallerError("BAD_ARGUMENT", f"{repository} has no {' and no '.join(missing)}, which the worker needs.")
    wanted = [network, *data_files(network, list(files)), *FILES, *(name for name in OPTIONAL_FILES if name in files)]
    sums = {name: files[name].lfs.sha256 for name in wanted if files[name].lfs is not None}
    licence = str((found.card_data or {}).get("license") or "not stated")
    return Offer(repository, found.sha or "", licence, network, {n: files[n].size or 0 for n in wanted}, sums)


def fetch(found: Offer, folder: Path) -> None:
    """The files of an offer into a folder, which may have parts of them already. Errors: MODEL."""
    hub = _library()
    for name, size in found.sizes.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        # A file without a sum is small, and may come compressed: a part of it is no beginning.
        with path.open("r+b" if name in found.sums else "wb") as file:
            begins = file.seek(0, os.SEEK_END)
            url = hub.hf_hub_url(found.repository, name, revision=found.revision)
            options = {"headers": hub.utils.build_hf_headers(), "expected_size": size, "displayed_filename": name}
            _asked(found.repository, partial(hub.file_download.http_get, url, file, resume_size=begins, **options))
    for name, known in found.sums.items():
        if sha256(folder / name) != known:
            (folder / name).unlink()
            raise ProviderFailedError("MODEL", f"{name} is not what the hub says it is. Run the command again.")


def _asked(repository: str, ask: Callable[[], _T]) -> _T:
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - the library lets those of others through
        words = " ".join(printable(str(error)).split())[:_MAX_QUOTED]
        raise ProviderFailedError(
            "MODEL",
            f"The hub does not give {repository} ({words}). Check the name, or run the command again: it goes on where "
            "it stopped.",
        ) from None


def _networks() -> Iterator[str]:
    """Names of networks, the one that is fastest on this processor first."""
    flags = processor()
    suited = []
    if flags & {"aarch64", "arm64"}:
        suited.append("model_qint8_arm64.onnx")
    if "avx512_vnni" in flags:
        suited.append("model_qint8_avx512_vnni.onnx")
    if "avx512f" in flags:
        suited.append("model_qint8_avx512.onnx")
    if "avx2" in flags:
        suited.append("model_quint8_avx2.onnx")
    for name in (*suited, "model_int8.onnx", "model_quantized.onnx", "model.onnx"):
        for folder in _FOLDERS:
            yield folder + name


def _library() -> Any:
    try:
        import huggingface_hub.file_download
        import huggingface_hub.utils
    except ImportError:
        raise CallerError("CONFIG", missing_library("model pull", "huggingface_hub", "local") + ".") from None
    return huggingface_hub
