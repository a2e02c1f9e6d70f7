"""A file at any sizes of its inputs that the settings leave open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from onnxlens.errors import UsageError
from onnxlens.specs.formula import Limit, Variable
from onnxlens.specs.progress import Progress

if TYPE_CHECKING:
    from onnxlens.api.target import Settings
    from onnxlens.profile.graph.graph import Graph
    from onnxlens.profile.graph.loading import LoadedFile

SOME_SIZE = 64
"""Any size: which dimensions decide the others does not hang on it."""


class FileSizes:
    """The counterpart of ``CatalogSizes`` for files and factories."""

    def __init__(
        self, file: LoadedFile, target: str, shapes: Mapping[str, Sequence[int]], settings: Settings
    ) -> None:
        """Of a file that was read; ``target`` is its name in messages, ``shapes`` are all that are given."""
        self._file = file
        self._target = target
        self._shapes = shapes
        self._settings = settings

    def graph_at(self, dims: Mapping[str, int], *, fitting: bool = False) -> Graph:
        """The graph with these dimensions too (see ``OpenedTarget.graph_at``)."""
        chosen = self._settings
        return self._file.at(self._shapes, {**chosen.dims, **dims}, chosen.values, fitting=fitting)

    def graph_to_run(self, progress: Progress) -> Graph:
        """The graph; sizes of a language model that nobody gives are those of a decoding step, and noted."""
        sizes = self._file.fixed(self._shapes, self._settings.dims).samples
        graph = self.graph_at(sizes)
        if not sizes:
            return graph
        note = f"run as with {' '.join(f'--dim {name}={size}' for name, size in sizes.items())}"
        progress(note, 0, 0)
        return replace(graph, notes=(f"{note}, as nobody gave these sizes", *graph.notes))

    def variables(self, names: Sequence[str]) -> Sequence[Variable]:
        """The dimensions that decide all that is open, or those that are asked for.

        Raises:
            UsageError: none is open, or others are left open.
        """
        known = self._file.fixed(self._shapes, self._settings.dims).free
        if not known:
            raise UsageError(f"{self._target}: no dimension is open, so there is nothing to vary")
        some = {**self._settings.dims, **dict.fromkeys(names, SOME_SIZE)}
        left = self._file.fixed(self._shapes, some).free if names else ()
        if left:
            raise UsageError(
                f"{self._target}: {', '.join(left)} stays open; add --dim {left[0]} or --dim {left[0]}=SIZE"
            )
        return [Variable(name) for name in names or known]

    def limit(self, graph: Graph, sizes: Mapping[str, int]) -> Limit | None:
        """A file has the same nodes at all sizes."""
        return None
