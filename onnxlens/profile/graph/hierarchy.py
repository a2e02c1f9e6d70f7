"""The module tree of a graph: which paths are modules, and which module contains which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from onnxlens.errors import UsageError

SUGGESTIONS = 3
"""An error message about an unknown module suggests at most this many others."""


class Hierarchy:
    """The modules that run nodes or hold parameters; a module that only contains others is not a level."""

    def __init__(
        self, paths: Iterable[str], classes: Mapping[str, str], graph_name: str = "", source: str = ""
    ) -> None:
        """Build the tree; ``Graph.hierarchy`` does it once per graph.

        Args:
            paths: of the modules that run nodes or hold parameters; the model ("") is added.
            classes: the class name of each module that is known, by path.
            graph_name: of the graph, for messages; ``require`` accepts it for the model.
            source: the file's name, for messages.
        """
        self._paths = frozenset(paths) | {""}
        self._classes = classes
        self._graph_name = graph_name
        self._source = source
        self._lineages: dict[str, tuple[str, ...]] = {}

    @property
    def paths(self) -> frozenset[str]:
        """Every module's path, including the model's ("")."""
        return self._paths

    def class_name(self, path: str) -> str:
        """The module's class, or "" where the file does not record it."""
        return self._classes.get(path, "")

    def lineage(self, path: str) -> tuple[str, ...]:
        """The modules that contain ``path``, the model ("") first, then ``path`` itself if it is a module."""
        found = self._lineages.get(path)
        if found is None:
            elements = path.split(".")
            prefixes = (".".join(elements[:length]) for length in range(1, len(elements) + 1))
            found = ("", *(prefix for prefix in prefixes if prefix and prefix in self._paths))
            self._lineages[path] = found
        return found

    def depth(self, path: str) -> int:
        """0 for the model, 1 for its direct children, and so on."""
        return len(self.lineage(path)) - 1

    def at_depth(self, path: str, depth: int) -> str:
        """The module itself, or the one that contains it at ``depth``."""
        lineage = self.lineage(path)
        return lineage[min(depth, len(lineage) - 1)]

    def require(self, path: str, *, containers: bool = False) -> str:
        """The module's path as the graph has it: "" for the graph's own name.

        Args:
            path: as a user typed it.
            containers: also accept a module that runs nothing itself: one that only contains others, or one
                that only the manifest lists.

        Raises:
            UsageError: there is no such module; the message suggests some that exist.
        """
        known = self._paths | self._classes.keys() if containers else self._paths
        inside = sorted(other for other in known if other.startswith(f"{path}."))
        if path in known or (containers and inside):
            return path
        if path == self._graph_name:
            return ""
        named = sorted(known - {""})
        if not named:
            raise UsageError(f"{self._source} names no modules, so it has no module {path!r}")
        near = inside[:SUGGESTIONS] or get_close_matches(path, named, n=SUGGESTIONS) or named[:SUGGESTIONS]
        raise UsageError(f"{self._graph_name} has no module {path!r}; there is {', '.join(near)}")
