"""A network that is one module of another, called as the other calls it. Importing this imports torch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from onnxlens.errors import GraphError
from onnxlens.profile.parity.module_calls import calls_of, tensors_in, unreadable
from onnxlens.specs.graph import GraphSpec
from onnxlens.specs.manifest import Manifest, ModuleCut


class ExtractedNetwork(nn.Module):
    """One module under its full path, so that its weights and children keep their names.

    It takes the file's inputs and returns the file's outputs, both in the file's order; other arguments are
    those of the call in the whole network.
    """

    def __init__(self, network: nn.Module, spec: GraphSpec, cut: ModuleCut, manifest: Manifest) -> None:
        """Take the module out of the network, which is on the meta device, as ``spec`` builds it.

        Raises:
            GraphError: the network no longer makes that call.
        """
        super().__init__()
        calls = calls_of(network, spec.inputs, cut.module)
        if len(calls) < cut.call:
            raise GraphError(
                f"{spec.name}: calls {cut.module} {len(calls)} times, the file holds call {cut.call}; "
                "extract it again"
            )
        self._call = calls[cut.call - 1]
        inputs = self._call.inputs
        self._taken = [id(inputs[cut.handed[tensor.name]]) for tensor in manifest.inputs]
        self._unread = [id(tensor) for tensor in inputs if id(tensor) not in self._taken]
        self._returned = [cut.returned[tensor.name] for tensor in manifest.outputs]
        *parents, last = cut.module.split(".")
        parent: nn.Module = self
        for name in parents:
            child = nn.Module()
            parent.add_module(name, child)
            parent = child
        parent.add_module(last, self._call.module)

    def forward(self, *inputs: Tensor) -> Any:
        """The file's outputs: a tensor, or a tuple of several."""
        replaced = dict(zip(self._taken, inputs, strict=True))
        replaced |= {key: unreadable() for key in self._unread}
        found = tensors_in(self._call.repeated(replaced))
        outputs = tuple(found[index] for index in self._returned)
        return outputs[0] if len(outputs) == 1 else outputs


def network_of(network: nn.Module, spec: GraphSpec, manifest: Manifest | None) -> nn.Module:
    """The network, as the spec builds it on the meta device, or the module of it that the file holds alone.

    Raises:
        GraphError: PyTorch's call of the module could not be matched with the file.
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
        return ExtractedNetwork(network, spec, cut, manifest).eval()
