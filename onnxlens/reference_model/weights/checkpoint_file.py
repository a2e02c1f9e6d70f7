"""Checkpoint files: opened unread, each as the sets of tensors that it may hold one beside another."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxlens.errors import CheckpointError, first_line
from onnxlens.reference_model.weights.casting import SAFETENSORS_DTYPES, kind_of

if TYPE_CHECKING:
    import torch

PICKLED_SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".tar")
SAFETENSORS_SUFFIX = ".safetensors"
INDEX_SUFFIX = ".index.json"
"""Of the file that names, for each tensor, the one of several files which holds it."""

IN_A_FOLDER = ("model.safetensors", "diffusion_pytorch_model.safetensors", "pytorch_model.bin")
"""Names of the one checkpoint of a folder, or with ``.index.json`` of its index; the first that is there."""

NESTED_LEVELS = 2
"""How deep a file may nest its tensors in dicts."""

TRAINER_GLOBALS = (
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "_codecs.encode",
    "argparse.Namespace",
    "pathlib.PosixPath",
    "pathlib._local.PosixPath",
)
"""What files hold besides tensors: the objects and options of a trainer, read as inert ones."""


class _Inert:
    """Stands in for a trainer's object: takes any arguments and any state, does nothing."""

    def __init__(self, *args: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


Reader = Callable[[str], "torch.Tensor"]


@dataclass(frozen=True, slots=True)
class HeldTensors:
    """The tensors at one place of a file.

    Attributes:
        key: of the dict that holds them, dotted; empty for the file's own.
        shapes: by key.
        kinds: likewise the element type, or what it is that is no plain tensor.
        read: reads one.
    """

    key: str
    shapes: Mapping[str, tuple[int, ...]]
    kinds: Mapping[str, str]
    read: Reader


def checkpoint_file(path: Path) -> Path:
    """The file itself, or the one checkpoint of a folder.

    Raises:
        CheckpointError: the folder holds none, or several.
    """
    if not path.is_dir():
        return path
    standard = (path / f"{name}{suffix}" for name in IN_A_FOLDER for suffix in (INDEX_SUFFIX, ""))
    if first := next((file for file in standard if file.is_file()), None):
        return first
    known = (*PICKLED_SUFFIXES, SAFETENSORS_SUFFIX, INDEX_SUFFIX)
    found = sorted(file for file in path.iterdir() if file.is_file() and file.name.endswith(known))
    if len(found) == 1:
        return found[0]
    names = ", ".join(file.name for file in found[:5])
    holds = f"several checkpoints ({names})" if found else "no checkpoint"
    raise CheckpointError(f"{path}: a folder that holds {holds}; give a file")


def open_checkpoint(path: Path) -> list[HeldTensors]:
    """What the file holds, for each place in it where there are tensors.

    Raises:
        CheckpointError: it cannot be read.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; give a checkpoint, or --weights seeded or none")
    if path.name.endswith(INDEX_SUFFIX):
        return [_open_sharded(path)]
    if path.suffix == SAFETENSORS_SUFFIX:
        return [_open_safetensors(path)]
    if path.suffix in PICKLED_SUFFIXES:
        return _open_pickled(path)
    known = ", ".join((*PICKLED_SUFFIXES, SAFETENSORS_SUFFIX, INDEX_SUFFIX))
    raise CheckpointError(f"{path}: suffix {path.suffix!r} is no checkpoint's; expected one of {known}")


def _open_sharded(path: Path) -> HeldTensors:
    """The tensors of all files that the index names; they lie beside it."""
    try:
        places = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        files = {name: path.parent / Path(name).name for name in sorted(set(places.values()))}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: not an index of checkpoint files ({type(error).__name__}: {first_line(error)}); "
            "download it again"
        ) from error
    shards = {name: _largest(open_checkpoint(file)) for name, file in files.items()}
    for key, name in places.items():
        if key not in shards[name].shapes:
            raise CheckpointError(f"{path}: {key} is not in {name}, as the index says; download both again")
    return HeldTensors(
        "",
        {key: shards[name].shapes[key] for key, name in places.items()},
        {key: shards[name].kinds[key] for key, name in places.items()},
        lambda key: shards[places[key]].read(key),
    )


def _largest(held: list[HeldTensors]) -> HeldTensors:
    return max(held, key=lambda tensors: len(tensors.shapes))


def _open_safetensors(path: Path) -> HeldTensors:
    from safetensors import SafetensorError, safe_open

    try:
        file = safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path}: not a readable safetensors file ({error}); download it again"
        ) from error
    slices = {key: file.get_slice(key) for key in file.keys()}
    return HeldTensors(
        "",
        {key: tuple(held.get_shape()) for key, held in slices.items()},
        {key: SAFETENSORS_DTYPES.get(held.get_dtype(), held.get_dtype()) for key, held in slices.items()},
        file.get_tensor,
    )


def _open_pickled(path: Path) -> list[HeldTensors]:
    loaded = _load_pickled(path)
    if not isinstance(loaded, Mapping):
        raise CheckpointError(
            f"{path}: holds a {type(loaded).__name__}, expected a dict of tensors (a state_dict)"
        )
    return [*_held("", loaded, NESTED_LEVELS)]


def _held(key: str, entries: Mapping[Any, Any], levels: int) -> Iterator[HeldTensors]:
    """The tensors of a dict, and of the dicts in it; a file's own are listed even if there are none."""
    import torch

    named = {name: value for name, value in entries.items() if isinstance(name, str)}
    tensors = {name: value for name, value in named.items() if isinstance(value, torch.Tensor)}
    if tensors or not key:
        yield HeldTensors(
            key,
            {name: () if value.is_nested else tuple(value.shape) for name, value in tensors.items()},
            {name: kind_of(value) for name, value in tensors.items()},
            tensors.__getitem__,
        )
    if levels:
        for name, value in named.items():
            if isinstance(value, Mapping):
                yield from _held(f"{key}.{name}" if key else name, value, levels - 1)


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
        if "UntypedStorage" in str(error):
            raise CheckpointError(
                f"{path}: holds a type of number (float8, uint16, uint32) that PyTorch writes in its format "
                "from before 1.6 and cannot read there; save it again as usual, or as .safetensors"
            ) from error
        raise CheckpointError(
            f"{path}: holds more than tensors, or is damaged, and was not loaded: a pickle can run code; "
            "give a .safetensors file of the same weights, or save the module's state_dict alone"
        ) from error
