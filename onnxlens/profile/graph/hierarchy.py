"""The module tree of a graph: which paths are modules, and what contains what."""

from __future__ import annotations

from difflib import get_close_matches

from onnxlens.errors import UsageError
from onnxlens.profile.graph.graph import Graph

NEAR = 3
"""How many modules are named to somebody who asks for one that there is not."""


class Hierarchy:
    """The modules that run or own parameters; a container that only holds others is no level of it."""

    def __init__(self, graph: Graph) -> None:
        """Collect the modules of ``graph``."""
        declared = dict(graph.manifest.modules) if graph.manifest else {}
        called = {path: qualified.rpartition(".")[2] for path, qualified in graph.called.items()}
        self._classes = {**called, **declared}
        self._paths = {
            "",
            *graph.called,
            *(node.owner.path for node in graph.nodes),
            *_parameter_owners(graph),
        }
        self._lineages: dict[str, tuple[str, ...]] = {}

    @property
    def paths(self) -> frozenset[str]:
        """Every module's path, the model's own ("") among them."""
        return frozenset(self._paths)

    def class_name(self, path: str) -> str:
        """The module's class, or "" where the file does not say."""
        return self._classes.get(path, "")

    def lineage(self, path: str) -> tuple[str, ...]:
        """All modules that contain ``path``, the model ("") first, and itself where it is a module."""
        if path not in self._lineages:
            elements = path.split(".")
            prefixes = (".".join(elements[:length]) for length in range(1, len(elements) + 1))
            self._lineages[path] = ("", *(prefix for prefix in prefixes if prefix and prefix in self._paths))
        return self._lineages[path]

    def depth(self, path: str) -> int:
        """0 for the model, 1 for a module that stands in it directly, and so on."""
        return len(self.lineage(path)) - 1

    def require(self, path: str, graph: Graph) -> str:
        """The module's path as the graph has it: "" for the graph's own name.

        Raises:
            UsageError: there is no such module.
        """
        if path in self._paths:
            return path
        if path == graph.name:
            return ""
        named = sorted(self._paths - {""})
        if not named:
            raise UsageError(f"{graph.path.name} names no modules, so there is no {path!r} to show alone")
        inside = [known for known in named if known.startswith(f"{path}.")]
        near = inside[:NEAR] or get_close_matches(path, named, n=NEAR) or named[:NEAR]
        raise UsageError(f"{graph.name} has no module {path!r}; there is {', '.join(near)}")

    def at_depth(self, path: str, depth: int) -> str:
        """The module itself, or the one that contains it at ``depth``."""
        lineage = self.lineage(path)
        return lineage[min(depth, len(lineage) - 1)]


def _parameter_owners(graph: Graph) -> set[str]:
    if graph.manifest is None:
        return set()
    return {tensor.name.rpartition(".")[0] for tensor in graph.manifest.tensors if tensor.kind == "parameter"}
