"""A graph of the catalog at any batch, height and width, from one export."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING

from onnxlens.api.target import Settings, resolve
from onnxlens.errors import UsageError
from onnxlens.specs.formula import Limit, Polynomial, Variable
from onnxlens.specs.graph import LONGEST_SUM

if TYPE_CHECKING:
    from pathlib import Path

    from onnxlens.profile.graph.graph import Graph
    from onnxlens.profile.graph.loading.coded import CodedFile
    from onnxlens.reference_model.catalog_entry import CatalogEntry

WHOLE_OPSET = 21
"""From here on a group normalization is one node, however long it is."""


class CatalogSizes:
    """One graph of the catalog: docs/decisions/0016 says how one export gives all its sizes."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        coded: Callable[[Settings], Path],
        plain: Callable[[Settings], Graph],
    ) -> None:
        """Nothing is exported yet.

        Args:
            name: of the graph.
            settings: how it is exported; a batch or side in them is fixed.
            coded: exports it, its group normalizations whole.
            plain: gives the graph of a plain export.
        """
        self._name, self._chosen, self._export, self._plain = name, settings, coded, plain
        sides = {"height": settings.height, "width": settings.width} if self._entry.takes_picture else {}
        asked = {"batch": settings.batch, **sides}
        self.fixed = {name: size for name, size in asked.items() if size is not None}
        self.names = tuple(name for name, size in asked.items() if size is None)

    def variables(self, names: Sequence[str]) -> Sequence[Variable]:
        """Batch, height and width, without those that the settings fix.

        Raises:
            UsageError: another name, or none is open; or its nodes are others at each size.
        """
        if self._entry.nodes_vary:
            raise UsageError(
                f"{self._name}: its adaptive pooling is exported as other nodes at each size, which no "
                "formula holds; use 'profile' with --height and --width"
            )
        if unknown := [name for name in names if name not in self.names]:
            raise UsageError(
                f"{self._name}: {unknown[0]} is not open; open are {', '.join(self.names) or 'none'}"
            )
        if left := [name for name in self.names if names and name not in names]:
            raise UsageError(f"{self._name}: {left[0]} stays open; add --dim {left[0]} or --{left[0]} SIZE")
        step, least = self._entry.size_multiple, self._entry.smallest_side
        return [
            Variable(name) if name == "batch" else Variable(name, step, (0,), least)
            for name in names or self.names
        ]

    def graph_at(self, dims: Mapping[str, int], *, fitting: bool) -> Graph:
        """The graph at these sizes, and those that the settings fix.

        Args:
            dims: batch, height and width.
            fitting: refuse sizes at which a graph of its own is exported, as of a long group normalization.

        Raises:
            UsageError: the network cannot have the size.
        """
        from onnxlens.reference_model import catalog

        sizes = {"batch": 1, "height": catalog.PIXELS, "width": catalog.PIXELS, **self.fixed, **dims}
        chosen = self._settings(sizes)
        if self._entry.nodes_vary:
            return self._plain(chosen)
        spec = resolve(self._name, chosen).spec
        graph = self._coded.sized(sizes, spec.inputs)
        if graph.opset >= WHOLE_OPSET or max(_instances(graph), default=0) <= LONGEST_SUM:
            return replace(graph, notes=())
        if fitting:
            raise UsageError(f"{self._name}: a group normalization is split at this size")
        return self._plain(chosen)

    def limit(self, graph: Graph, example: Mapping[str, int]) -> Limit | None:
        """Up to which sizes the graph has these nodes; None for all."""
        longest = max(_instances(graph), default=0)
        sizes = {**self.fixed, **example}
        if graph.opset >= WHOLE_OPSET or not longest or not {"height", "width"} <= sizes.keys():
            return None
        share = Fraction(longest, sizes["height"] * sizes["width"])
        free = tuple((name, 1) for name in ("height", "width") if name in example)
        held = prod(self.fixed.get(name, 1) for name in ("height", "width"))
        why = "longer group normalizations are exported in two steps; from --opset 21 on they stay whole"
        return Limit(Polynomial({free: share * held}), LONGEST_SUM, why)

    @property
    def _entry(self) -> CatalogEntry:
        from onnxlens.reference_model import catalog

        return catalog.ENTRIES[self._name]

    @cached_property
    def _coded(self) -> CodedFile:
        from onnxlens.profile.graph.loading.coded import PRIMES, CodedFile

        side = Variable("side", self._entry.size_multiple).near(self._entry.smallest_side)
        sizes = {name: prime * (1 if name == "batch" else side) for name, prime in PRIMES.items()}
        return CodedFile(self._export(self._settings(sizes)), sizes)

    def _settings(self, sizes: Mapping[str, int]) -> Settings:
        batch, height, width = (sizes[name] for name in ("batch", "height", "width"))
        return replace(self._chosen, batch=batch, height=height, width=width, weights=None)


def _instances(graph: Graph) -> list[int]:
    """The elements of each instance that is normalized."""
    nodes = (node.view for node in graph.nodes if node.view.op_type == "InstanceNormalization")
    return [prod(view.input_shape(0)[2:]) for view in nodes]
