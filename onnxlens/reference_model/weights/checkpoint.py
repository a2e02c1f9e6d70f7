"""A published checkpoint as a weight source: opened unread, matched strictly, read tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxlens.errors import CheckpointError, first_line
from onnxlens.specs.graph import CheckpointScope
from onnxlens.specs.tensor import TensorSpec, as_array

if TYPE_CHECKING:
    import torch

PICKLED_SUFFIXES = (".pth", ".pt", ".ckpt")
SAFETENSORS_SUFFIX = ".safetensors"
WRAPPER = "state_dict"
"""The key under which a checkpoint may hold its tensors, one level down."""

TRAINER_GLOBALS = (
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "_codecs.encode",
)
"""What the published Stable Diffusion files hold besides tensors: a trainer's objects, read as inert ones."""


class _Inert:
    """Stands in for a trainer's object: takes any arguments and any state, does nothing."""

    def __init__(self, *args: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


class CheckpointWeights:
    """A weight source over one checkpoint file.

    Values stay in the file until they are read; float16 and bfloat16 ones are widened to the module's dtype.
    """

    def __init__(
        self, path: Path, graph: str, tensors: Mapping[str, TensorSpec], scope: CheckpointScope
    ) -> None:
        """Open ``path`` and hold its keys and shapes against the network's.

        Args:
            path: a .pth, .pt, .ckpt or .safetensors file.
            graph: the network's name, for messages.
            tensors: the module's ``state_dict``, by key.
            scope: which of the file's entries belong to the network.

        Raises:
            CheckpointError: the file cannot be read, or its keys or shapes are not the network's.
        """
        self.label = path.name
        self.path = path
        self.tensors = tensors
        shapes, self._read = _open(path)
        self._file_keys = _matched(path, graph, shapes, tensors, scope)

    def read(self, name: str) -> np.ndarray:
        """The values of one entry, in the module's dtype.

        An optional entry that is absent is CLIP's ``position_ids``: 0, 1, 2, .. in every file that has it.
        """
        import torch

        spec = self.tensors[name]
        file_key = self._file_keys[name]
        if file_key is None:
            return np.arange(spec.elements or 0, dtype=spec.dtype).reshape([int(dim) for dim in spec.shape])
        dtype = getattr(torch, spec.dtype)
        return as_array(self._read(file_key).to(dtype).contiguous())


Reader = Callable[[str], "torch.Tensor"]


def _open(path: Path) -> tuple[Mapping[str, tuple[int, ...]], Reader]:
    """The shape of every tensor in the file, and how to read one."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; give a checkpoint, or --weights seeded or none")
    if path.suffix == SAFETENSORS_SUFFIX:
        return _open_safetensors(path)
    if path.suffix in PICKLED_SUFFIXES:
        return _open_pickled(path)
    known = ", ".join((*PICKLED_SUFFIXES, SAFETENSORS_SUFFIX))
    raise CheckpointError(f"{path}: suffix {path.suffix!r} is no checkpoint's; expected one of {known}")


def _open_safetensors(path: Path) -> tuple[Mapping[str, tuple[int, ...]], Reader]:
    from safetensors import SafetensorError, safe_open

    try:
        file = safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path}: not a readable safetensors file ({error}); download it again"
        ) from error
    return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}, file.get_tensor


def _open_pickled(path: Path) -> tuple[Mapping[str, tuple[int, ...]], Reader]:
    entries = {
        key: value
        for key, value in _unwrapped(_load_pickled(path), path).items()
        if isinstance(key, str) and hasattr(value, "shape")
    }
    return {key: tuple(value.shape) for key, value in entries.items()}, entries.__getitem__


def _load_pickled(path: Path) -> Any:
    """The unpickled file: tensors and plain containers only, mapped from disk where its format allows."""
    # Files older than torch 1.6 are not zip archives and cannot be mapped.
    with suppress(RuntimeError, OSError):
        return _load_safely(path, mmap=True)
    try:
        return _load_safely(path, mmap=False)
    except (RuntimeError, OSError) as error:
        raise CheckpointError(
            f"{path}: not a readable PyTorch checkpoint ({first_line(error)}); download it again"
        ) from error


def _load_safely(path: Path, *, mmap: bool) -> Any:
    import torch
    from torch.serialization import safe_globals

    try:
        with safe_globals([(_Inert, name) for name in TRAINER_GLOBALS]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except (RuntimeError, OSError):
        raise
    except EOFError as error:
        raise CheckpointError(f"{path}: ends before its first object; download it again") from error
    except Exception as error:  # bytes that are not a pickle fail in many ways
        raise CheckpointError(
            f"{path}: holds more than tensors, or is damaged, and was not loaded: a pickle can run code; "
            "use a .safetensors file of the same weights, or one from a source you trust"
        ) from error


def _unwrapped(loaded: Any, path: Path) -> Mapping[str, Any]:
    if isinstance(loaded, Mapping) and isinstance(loaded.get(WRAPPER), Mapping):
        loaded = loaded[WRAPPER]
    if not isinstance(loaded, Mapping):
        raise CheckpointError(
            f"{path}: holds a {type(loaded).__name__}, expected a dict of tensors (a state_dict)"
        )
    return loaded


def _matched(
    path: Path,
    graph: str,
    shapes: Mapping[str, tuple[int, ...]],
    tensors: Mapping[str, TensorSpec],
    scope: CheckpointScope,
) -> Mapping[str, str | None]:
    """For each entry of the module its key in the file; None for an optional one that the file lacks."""
    found = {key: file_key for file_key in shapes if (key := scope.module_key(file_key)) is not None}
    missing = [scope.prefix + key for key in tensors if key not in found and key not in scope.optional]
    unexpected = [found[key] for key in found if key not in tensors]
    misshapen = [
        f"{file_key} {shapes[file_key]} for {tensors[key].shape_text()}"
        for key, file_key in found.items()
        if key in tensors and shapes[file_key] != tensors[key].shape
    ]
    complaints = (
        (f"of {len(tensors)} keys missing", missing),
        ("unexpected", unexpected),
        ("of the wrong shape", misshapen),
    )
    detail = "; ".join(_listed(what, items) for what, items in complaints if items)
    if detail:
        raise CheckpointError(f"{path}: not a checkpoint of {graph}: {detail}; is it another network's file?")
    return {key: found.get(key) for key in tensors}


def _listed(what: str, items: list[str]) -> str:
    """``3 of 340 keys missing (a, b, c)``, at most five named."""
    shown = ", ".join(items[:5]) + (f", and {len(items) - 5} more" if len(items) > 5 else "")
    return f"{len(items)} {what} ({shown})"
