"""List the graphs of the reference model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxlens.api.target import Settings, resolve

if TYPE_CHECKING:
    from onnxlens.specs.graph import GraphSpec


def list_graphs(settings: Settings | None = None) -> tuple[GraphSpec, ...]:
    """Every graph of the catalog, at the batch, height and width of ``settings``."""
    from onnxlens.reference_model import catalog

    return tuple(resolve(name, settings or Settings()).spec for name in catalog.names())
