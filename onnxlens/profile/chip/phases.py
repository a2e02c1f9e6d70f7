"""What a language model's graph costs at the points of its phases, module by module."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from onnxlens.errors import UsageError
from onnxlens.profile.chip.as_held import as_if_held
from onnxlens.profile.chip.bound import Bounder, Held
from onnxlens.profile.count.counting import count_nodes
from onnxlens.profile.count.liveness import FLOATS, Activations
from onnxlens.profile.count.rules import is_view, viewed_inputs
from onnxlens.profile.count.rules.traffic import reads_of, writes_of
from onnxlens.profile.graph.graph import Graph, uncollected
from onnxlens.profile.graph.node_view import NotCountable
from onnxlens.profile.graph.phase_axes import PhaseAxes, Size, embedding_nodes
from onnxlens.specs.chip import Chip
from onnxlens.specs.ledger import NodeCost, lower_bounds
from onnxlens.specs.phases import CacheInput, Part, PhaseCost, PhasePoint, PhaseRow
from onnxlens.specs.roofline import ChipBounds
from onnxlens.specs.tensor import TensorSpec, storage_bytes

NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")
"""The place of a layer in a module's path."""

At = Callable[[Mapping[str, int], Mapping[str, Sequence[float]]], Graph]
"""The graph at the sizes of its symbols, with the values of inputs that are lengths."""


@dataclass(frozen=True)
class Counted:
    """The graph at one point, counted.

    Attributes:
        bounds: on each chip, by its label.
    """

    graph: Graph
    costs: Sequence[NodeCost]
    size: Size
    caches: Sequence[CacheInput]
    stored_as: str
    bounds: Mapping[str, ChipBounds]

    def cost(self, indices: Sequence[int]) -> PhaseCost:
        """What these nodes cost together, one after the other."""
        costs = [self.costs[index] for index in indices]
        moved = [self.cache_moves[index] for index in indices if index in self.cache_moves]
        read, written = (sum(each) for each in zip(*moved, strict=True)) if moved else (0, 0)
        others = sum(cost.read_bytes + cost.write_bytes for cost in costs)
        unknown = [cost for cost in costs if cost.status == "unknown"]
        bounds = {label: chip.of(indices) for label, chip in self.bounds.items()}
        return PhaseCost(
            sum(cost.macs for cost in costs),
            sum(cost.vector_ops for cost in costs),
            sum(cost.special_ops for cost in costs),
            sum(cost.weight_read_bytes for cost in costs),
            read,
            written,
            others - read - written,
            len(unknown),
            {label: bound.bound_s for label, bound in bounds.items()},
            {label: bound.limited_by for label, bound in bounds.items()},
            lower_bounds(unknown),
        )

    @cached_property
    def cache_moves(self) -> Mapping[int, tuple[int, int]]:
        """The bytes of caches that nodes read and write, by the node's index."""
        tensors = set(self.cache_names)
        found: dict[int, tuple[int, int]] = {}
        for index, (node, cost) in enumerate(zip(self.graph.nodes, self.costs, strict=True)):
            view = node.view
            if is_view(view):
                shown = [value.name for value in viewed_inputs(view)]
                if not tensors.isdisjoint(shown) and view.outputs[0] is not None:
                    tensors.add(view.outputs[0].name)
                continue
            touched = [value for value in (*view.inputs, *view.outputs) if value is not None]
            if not cost.moved_bytes or all(value.name not in tensors for value in touched):
                continue
            try:
                reads, writes = reads_of(view)[1], writes_of(view)
            except NotCountable:
                continue
            each = (sum(size for name, size in moves.items() if name in tensors) for moves in (reads, writes))
            read, written = (cost.repeats * size for size in each)
            found[index] = read, written
        return found

    @cached_property
    def cache_names(self) -> frozenset[str]:
        """The caches as they come in, and those that leave, under every name that they have before."""
        inside: dict[str, list[str]] = {}
        for node in self.graph.nodes:
            for body in node.bodies if node.view.op_type == "If" else ():
                if body.key not in self._idle_bodies:
                    for made, result in zip(node.view.outputs, body.results, strict=False):
                        if made is not None and result is not None:
                            inside.setdefault(made.name, []).append(result.name)
        names, left = set(), [cache.output for cache in self.caches if cache.output]
        while left:
            name = left.pop()
            names.add(name)
            left += inside.get(name, ())
            index = self.graph.producer(name)
            if index is not None:
                left += [value.name for value in viewed_inputs(self.graph.nodes[index].view)]
        return frozenset(names).union(cache.tensor.name for cache in self.caches)

    @cached_property
    def _idle_bodies(self) -> frozenset[str]:
        """The branches whose nodes do not run at this point."""
        runs: dict[str, bool] = {}
        for node, cost in zip(self.graph.nodes, self.costs, strict=True):
            for key in node.within:
                runs[key] = runs.get(key, False) or bool(cost.repeats)
        return frozenset(key for key, is_run in runs.items() if not is_run)

    def live_bytes(self) -> int:
        """The most activations alive at once, without the caches."""
        idle = {index for index, cost in enumerate(self.costs) if not cost.repeats}
        names = self.cache_names
        alive = Activations(self.graph, idle, self.stored_as)
        alive.buffers = [own for own in alive.buffers if own[0].spec.name not in names]
        return max(alive.levels(), default=0)

    def cache_bytes(self) -> int:
        """What the caches hold after the point, each once; their dimensions are to be known."""
        return sum(tensor_bytes(tensor, self.stored_as) for tensor in self.held())

    def held(self) -> Iterator[TensorSpec]:
        """The caches as they are after the point."""
        known = {tensor.name: tensor for tensor in self.graph.inputs}
        for cache in self.caches:
            tensor = known[cache.tensor.name]
            shape = list(tensor.shape)
            if cache.kind == "growing" and cache.length_axis is not None:
                whole = self.size.past + self.size.tokens
                shape[cache.length_axis] = min(whole, cache.window or whole)
            yield replace(tensor, shape=tuple(shape))


def tensor_bytes(tensor: TensorSpec, stored_as: str) -> int:
    """What a tensor of known dimensions takes, floats as if held in another type.

    Raises:
        UsageError: its type has no size.
    """
    dtype = stored_as if stored_as and tensor.dtype in FLOATS else tensor.dtype
    size = storage_bytes(dtype, tensor.elements or 0)
    if size is None:
        raise UsageError(
            f"the cache {tensor.name!r} is {tensor.dtype}, which has no size; leave it out by --cache"
        )
    return size


class PhaseCounter:
    """Counts one graph at one point after the other."""

    def __init__(
        self, at: At, axes: PhaseAxes, caches: Sequence[CacheInput], chips: Mapping[str, Chip], stored_as: str
    ) -> None:
        """``at`` gives the graph at the sizes of its symbols."""
        self._at, self._axes, self._caches = at, axes, caches
        self._chips, self._stored_as = chips, stored_as

    def counted(self, size: Size, *, bounded: bool = True) -> Counted:
        """The graph at a point; ``bounded``: with its bounds on the chips.

        Raises:
            UsageError: a chip has no rate for most of the MACs, or sizes contradict the file.
        """
        with uncollected():
            graph = self._at(self._axes.dims(size), self._axes.values(size))
            if self._stored_as:
                graph = as_if_held(graph, self._stored_as)
            costs = count_nodes(graph)
            bounds: dict[str, ChipBounds] = {}
            if self._chips and bounded:
                held = Held.of(graph, costs)
                bounds = {
                    label: Bounder(held, chip).bounds(label, self._stored_as, "none")
                    for label, chip in self._chips.items()
                }
            return Counted(graph, costs, size, self._caches, self._stored_as, bounds)


def point_of(counted: Counted, parts: Mapping[Part, Sequence[int]], weight_bytes: int) -> PhasePoint:
    """The figures of a whole point and of its parts."""
    size = counted.size
    cache_bytes, live_bytes = counted.cache_bytes(), counted.live_bytes()
    return PhasePoint(
        "prefill" if size.tokens > 1 or not size.past else "decode",
        size.batch,
        size.tokens,
        size.past,
        counted.cost(counted.graph.by_module()[""]),
        {part: counted.cost(indices) for part, indices in parts.items() if indices},
        cache_bytes,
        live_bytes,
        weight_bytes + cache_bytes + live_bytes,
    )


def parts_of(graph: Graph, axes: PhaseAxes, caches: Sequence[CacheInput]) -> Mapping[Part, Sequence[int]]:
    """The nodes that look up the tokens, those that make the logits, and all between."""
    running = graph.by_module()[""]
    embedding = embedding_nodes(graph, axes)
    head = _head(graph, {cache.output for cache in caches})
    return {
        "embedding": [index for index in running if index in embedding],
        "layers": [index for index in running if index not in embedding and index not in head],
        "head": [index for index in running if index in head],
    }


def _head(graph: Graph, returned: set[str]) -> frozenset[int]:
    """The last product with a weight before the first output that is no cache, and what is behind it.

    Empty where another product, or none, comes first.
    """
    made = [tensor.name for tensor in graph.outputs if tensor.name not in returned]
    name, behind = made[0] if made else "", []
    while (index := graph.producer(name)) is not None:
        view = graph.nodes[index].view
        behind.append(index)
        if view.op_type in PRODUCTS:
            weights = [value for value in view.inputs if value is not None and value.is_weight]
            return frozenset(behind) if weights else frozenset()
        if view.inputs and view.inputs[0] is not None:
            name = view.inputs[0].name
        else:
            break
    return frozenset()


PRODUCTS = frozenset(
    {"MatMul", "Gemm", "MatMulNBits", "MatMulBnb4", "MatMulInteger", "MatMulIntegerToFloat", "FusedMatMul",
     "DynamicQuantizeMatMul", "QLinearMatMul", "QGemm", "Conv", "Einsum"}
)  # fmt: skip


def rows_of(counted: Sequence[Counted], parts: Mapping[Part, Sequence[int]]) -> Iterator[PhaseRow]:
    """The modules in the order of execution, layers that cost the same together."""
    graph = counted[0].graph
    inside = {path: indices for path, indices in graph.by_module().items() if indices}
    groups: dict[tuple[object, ...], list[str]] = {}
    names: dict[str, tuple[object, ...]] = {}
    for path in sorted(inside, key=lambda path: (inside[path][0], graph.hierarchy.depth(path))):
        around = graph.hierarchy.lineage(path)[-2:-1]
        parent = names[around[0]] if around else ()
        figures = tuple(_figures(each, inside[path]) for each in counted)
        key = (parent, NUMBER.sub("#", path), graph.hierarchy.class_name(path), figures)
        names[path] = key
        groups.setdefault(key, []).append(path)
    ends: tuple[Part, Part] = ("embedding", "head")
    members = {part: frozenset(parts[part]) for part in ends if parts.get(part)}
    for paths in groups.values():
        indices = sorted(index for path in paths for index in inside[path])
        part = next((part for part, nodes in members.items() if nodes.issuperset(indices)), None)
        path = paths[0]
        yield PhaseRow(
            path, graph.hierarchy.class_name(path), graph.hierarchy.depth(path), tuple(paths), part,
            tuple(each.cost(indices) for each in counted),
        )  # fmt: skip


def _figures(counted: Counted, indices: Sequence[int]) -> tuple[int, int, int]:
    """What makes layers alike: MACs, weights read, and what all of it moves of caches."""
    costs = [counted.costs[index] for index in indices]
    moved = (sum(counted.cache_moves.get(index, (0, 0))) for index in indices)
    return sum(cost.macs for cost in costs), sum(cost.weight_read_bytes for cost in costs), sum(moved)
