"""The counts of fvcore or thop for a network: run in a process of its own, because both warn on import."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from onnxlens.reference_model import catalog
from tests.profile.count.conventions import nets

Inputs = tuple[Tensor, ...]


def network(name: str) -> tuple[nn.Module, Inputs]:
    """A network of ``nets``, or with ``@SIZE`` a graph of the catalog, and arbitrary inputs.

    What fvcore traces has to run on the CPU: convolutions cannot be traced on the meta device. The catalog's
    weights are whatever memory holds.
    """
    graph, _, size = name.partition("@")
    if not size:
        build, shape = nets.NETS[name]
        return build().eval(), (torch.zeros(shape),)
    spec = catalog.get(graph, batch=1, height=int(size), width=int(size))
    inputs = tuple(
        torch.zeros([int(dim) for dim in tensor.shape], dtype=getattr(torch, tensor.dtype))
        for tensor in spec.inputs
    )
    return spec.build(device="meta").to_empty(device="cpu"), inputs


def fvcore(module: nn.Module, inputs: Inputs) -> Mapping[str, Any]:
    """The total, and the counts by operator and by module, from one trace.

    With gradients, as a user calls it: without them PyTorch runs ``nn.MultiheadAttention`` as one operator,
    for which fvcore has no handler, and its linear layers are lost too.
    """
    from fvcore.nn import FlopCountAnalysis

    counts = (
        FlopCountAnalysis(module, inputs).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    )
    by_module = {path: int(count) for path, count in counts.by_module().items()}
    by_operator = {name: int(count) for name, count in counts.by_operator().items()}
    return {"total": int(counts.total()), "by_operator": by_operator, "by_module": by_module}


def thop(module: nn.Module, inputs: Inputs) -> Mapping[str, Any]:
    """The total, and the counts by module."""
    import thop as package

    total, _, layers = package.profile(module, inputs, verbose=False, ret_layer_info=True)
    return {"total": int(total), "by_module": dict(_flat(layers))}


def _flat(layers: Mapping[str, Any], above: str = "") -> list[tuple[str, int]]:
    found = []
    for name, (count, _, inner) in layers.items():
        path = f"{above}{name}"
        found += [(path, int(count)), *_flat(inner, f"{path}.")]
    return found


def main() -> None:
    """Print, as one line of JSON, what the package counts for each network that is named."""
    warnings.simplefilter("ignore")
    count = {"fvcore": fvcore, "thop": thop}[sys.argv[1]]
    print(json.dumps({name: count(*network(name)) for name in sys.argv[2:]}))
