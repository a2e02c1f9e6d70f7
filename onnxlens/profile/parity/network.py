"""A network that is one module of another, called as the other calls it. It imports torch as it is loaded."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from onnxlens.errors import GraphError
from onnxlens.profile.parity.layers.observing import tensors_in
from onnxlens.profile.parity.module_calls import calls_of, repeated, untouchable
from onnxlens.specs.graph import GraphSpec
from onnxlens.specs.manifest import Manifest, ModuleCut


class CutNetwork(nn.Module):
    """The module under its full path, so that its weights and its parts go by the names they had.

    It takes the file's inputs in their order and gives its outputs in theirs; arguments that are no tensors
    are those of the call in the whole network.
    """

    def __init__(self, network: nn.Module, spec: GraphSpec, cut: ModuleCut, manifest: Manifest) -> None:
        """Take the module out of the network.

        Args:
            network: on the meta device, as ``spec`` builds it.
            spec: of the whole network.
            cut: which call of which module, and its tensors.
            manifest: of the file, whose inputs and outputs they are.

        Raises:
            GraphError: the network makes no such call any more, or other ones.
        """
        super().__init__()
        calls = calls_of(network, spec.inputs, cut.module)
        if len(calls) < cut.call:
            raise GraphError(
                f"{spec.name}: calls {cut.module} {len(calls)} times, the file holds call {cut.call}; "
                "extract it again"
            )
        self._call = calls[cut.call - 1]
        handed = self._call.handed
        self._handed = [id(handed[cut.handed[tensor.name]]) for tensor in manifest.inputs]
        self._unread = [id(tensor) for tensor in handed if id(tensor) not in self._handed]
        self._returned = [cut.returned[tensor.name] for tensor in manifest.outputs]
        *outer, last = cut.module.split(".")
        holder: nn.Module = self
        for name in outer:
            inner = nn.Module()
            holder.add_module(name, inner)
            holder = inner
        holder.add_module(last, self._call.module)

    def forward(self, *inputs: Tensor) -> Any:
        """The file's outputs: a tensor, or a tuple of several."""
        others = dict(zip(self._handed, inputs, strict=True))
        others |= {key: untouchable() for key in self._unread}
        found = tensors_in(repeated(self._call, others))
        outputs = tuple(found[place] for place in self._returned)
        return outputs[0] if len(outputs) == 1 else outputs


def network_of(network: nn.Module, spec: GraphSpec, manifest: Manifest | None) -> nn.Module:
    """The network itself, or of the file of an extracted module that module, as the manifest says.

    Args:
        network: as the spec builds it, on the meta device.
        spec: of the whole network.
        manifest: of the file.

    Raises:
        GraphError: PyTorch's call of the module cannot be set beside the file.
    """
    cut = manifest.cut if manifest else None
    if manifest is None or cut is None:
        return network
    if cut.doubt:
        raise GraphError(
            f"{spec.name}/{cut.module}: has no PyTorch side: {cut.doubt}; "
            "compare with the file itself: --against unoptimised"
        )
    with torch.no_grad():
        return CutNetwork(network, spec, cut, manifest).eval()
