"""The export of a target that is no file, without weights: from the cache, or made and kept there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from onnxlens.api import cache
from onnxlens.api.cache import proof_of
from onnxlens.api.target import Resolved, Settings
from onnxlens.export.tracing import DEFAULT_OPSET, require_opset
from onnxlens.specs.manifest import ExportedGraph, open_export
from onnxlens.specs.progress import Progress

if TYPE_CHECKING:
    from onnxlens.export.network import Network
    from onnxlens.specs.graph import WeightSource


class Exportable(Protocol):
    """What an opened target has that is exported."""

    settings: Settings
    progress: Progress

    @property
    def resolved(self) -> Resolved:
        """The graph of the catalog or the factory."""

    @property
    def network(self) -> Network:
        """Its network on the meta device."""

    @property
    def weights(self) -> WeightSource | None:
        """The weights that the settings name."""


def exported_without_weights(
    target: Exportable, folder: Path, *, whole_normalizations: bool
) -> ExportedGraph:
    """The export in the folder; a graph of the catalog comes from the cache if it is there.

    Raises:
        ExportError: the network cannot be exported.
    """
    found, chosen = target.resolved, target.settings
    opset = DEFAULT_OPSET if chosen.opset is None else chosen.opset
    require_opset(opset)
    cached = chosen.cache and bool(found.sizes)
    whole = {"whole": True} if whole_normalizations else {}
    identity = {"graph": found.origin, "opset": opset, "dtype": chosen.dtype, **found.sizes, **whole}
    key = cache.entry_key(identity) if cached else ""
    path = folder / f"{found.spec.name}.onnx"
    if cached and cache.fetch(key, folder):
        return open_export(path)
    if chosen.weights is not None:
        _ = target.weights  # reject a wrong checkpoint before the work of an export
    from onnxlens.export.exporter import ExportRequest, export

    proof = proof_of(found.origin) if ":" in found.origin else None
    request = ExportRequest(
        target.network, found.origin, found.sizes, opset, chosen.dtype, proof, whole_normalizations
    )
    exported = export(request, folder, target.progress)
    if cached:
        cache.store(key, exported.onnx_path, exported.manifest_path)
    return exported
