"""Exporting a graph without weights, or taking it from the cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlens.api import cache
from onnxlens.api.target import Resolved, Settings
from onnxlens.export.tracing import DEFAULT_OPSET, require_opset
from onnxlens.specs.manifest import ExportedGraph, open_export
from onnxlens.specs.progress import Progress

if TYPE_CHECKING:
    from onnxlens.export.network import Network


@dataclass(frozen=True, slots=True)
class GraphExport:
    """What is exported, and how.

    Attributes:
        found: the network that the target names.
        settings: how it is exported.
        folder: where to.
        whole_normalizations: keep long group normalizations whole.
    """

    found: Resolved
    settings: Settings
    folder: Path
    whole_normalizations: bool
    progress: Progress

    def made(self, network: Callable[[], Network]) -> ExportedGraph:
        """The export, from the cache if it is there; else of the network that is then asked for.

        Raises:
            UsageError: the opset is none that can be exported.
        """
        found, chosen = self.found, self.settings
        opset = DEFAULT_OPSET if chosen.opset is None else chosen.opset
        require_opset(opset)
        cached = chosen.cache and bool(found.sizes)
        whole = {"whole": True} if self.whole_normalizations else {}
        identity = {"graph": found.origin, "opset": opset, "dtype": chosen.dtype, **found.sizes, **whole}
        key = cache.entry_key(identity) if cached else ""
        if cached and cache.fetch(key, self.folder):
            return open_export(self.folder / f"{found.spec.name}.onnx")
        source = network()
        from onnxlens.export.exporter import ExportRequest, export

        proof = cache.proof_of(found.origin) if ":" in found.origin else None
        request = ExportRequest(
            source, found.origin, found.sizes, opset, chosen.dtype, proof, self.whole_normalizations
        )
        exported = export(request, self.folder, self.progress)
        if cached:
            cache.store(key, exported.onnx_path, exported.manifest_path)
        return exported
