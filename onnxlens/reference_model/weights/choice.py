"""Which weights a module gets: none, seeded ones, or those of a checkpoint; and filling it with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlens.errors import CheckpointError, UsageError
from onnxlens.reference_model import catalog
from onnxlens.reference_model.weights.checkpoint import CheckpointWeights
from onnxlens.reference_model.weights.seeded import AbsentWeights, SeededWeights
from onnxlens.specs.tensor import TensorSpec, as_tensor

if TYPE_CHECKING:
    from torch import nn

    from onnxlens.specs.graph import GraphSpec, WeightSource


def weight_source(spec: GraphSpec, weights: str | Path, tensors: Mapping[str, TensorSpec]) -> WeightSource:
    """The source that ``weights`` means for the module of a graph.

    Args:
        spec: of the graph.
        weights: ``none``, ``seeded``, or a checkpoint's path.
        tensors: of the module's ``state_dict``: name, dtype and shape of every entry, by name.

    Raises:
        CheckpointError: the checkpoint is unreadable or belongs to another network.
    """
    if weights == "none":
        return AbsentWeights(tensors)
    if weights == "seeded":
        return SeededWeights(tensors, spec.checkpoint.prefix)
    return CheckpointWeights(Path(weights), spec.name, tensors, spec.checkpoint)


def published_weights(weights: str | Path, graph: str) -> str | Path:
    """What ``weights`` means for one graph: itself, or in a folder the graph's published checkpoint.

    Raises:
        CheckpointError: it is a folder, and the graph's checkpoint is not in it.
    """
    folder = Path(weights)
    if weights in ("seeded", "none") or not folder.is_dir():
        return weights
    expected = catalog.checkpoint_names(graph)
    present = [folder / name for name in expected if (folder / name).is_file()]
    if not present:
        raise CheckpointError(
            f"{folder}: holds no checkpoint of {graph}; put one of {', '.join(expected)} there"
        )
    return present[0]


def state_tensors(module: nn.Module) -> Mapping[str, TensorSpec]:
    """Name, dtype and shape of every entry of the module's ``state_dict``, on any device.

    Raises:
        UsageError: two entries are one tensor: which name its values go by is then not defined.
    """
    state = module.state_dict(keep_vars=True)
    names = {id(tensor): name for name, tensor in reversed(state.items())}
    for name, tensor in state.items():
        if names[id(tensor)] != name:
            raise UsageError(
                f"{names[id(tensor)]} and {name} are one tensor; tied weights cannot be exported, untie them"
            )
    return {
        name: TensorSpec(name, str(tensor.dtype).removeprefix("torch.").replace("_", ""), tuple(tensor.shape))
        for name, tensor in state.items()
    }


def filled(module: nn.Module, source: WeightSource) -> nn.Module:
    """The module with the source's values; it may come from the meta device, so that nothing is held twice.

    Raises:
        CheckpointError: the source has no values.
    """
    state = {name: as_tensor(source.read(name)) for name in source.tensors}
    module.load_state_dict(state, strict=True, assign=True)
    return module.requires_grad_(False)
