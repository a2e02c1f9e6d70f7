"""Which PyTorch module, or layer of another framework, each node belongs to, from what the file records."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Literal

from onnx import NodeProto

from onnxlens.profile.graph.flow_joins import FlowJoins, contains
from onnxlens.profile.graph.name_paths import node_levels, prefix_of_graph
from onnxlens.profile.graph.node_view import DefUse
from onnxlens.profile.graph.second_calls import first_calls
from onnxlens.profile.graph.weight_owners import BIAS_ADDS, PRODUCTS, WEIGHT_READERS, TracedNode, WeightOwners
from onnxlens.specs.bounds import require_levels
from onnxlens.specs.ledger import Attribution, Evidence
from onnxlens.specs.record import record

SCOPES_KEY = "pkg.torch.onnx.name_scopes"
CLASSES_KEY = "pkg.torch.onnx.class_hierarchy"

PLAIN_LIST = re.compile(r"""\['[^'"\\]*'(?:, '[^'"\\]*')*\]""")
"""A printed list of texts without quotes or escapes: splitting it is evaluating it, and much faster."""


def read_levels(node: NodeProto) -> Sequence[tuple[str, str]]:
    """Names, classes, outermost first: ``('', 'Net'), ('fc', 'torch...Linear')``; then the call itself."""
    if not len(node.metadata_props):
        return ()
    metadata = {entry.key: entry.value for entry in node.metadata_props}
    if SCOPES_KEY not in metadata:
        return ()
    names = _listed(metadata[SCOPES_KEY])
    if not names or names[0] != "":  # a hook of the exporter's own, or a body that lost its module
        return ()
    require_levels(node.name, len(names) - 1)
    classes = _listed(metadata.get(CLASSES_KEY, "[]"))
    if len(classes) != len(names):
        classes = [""] * len(names)
    return tuple(zip(names, classes, strict=True)) if len(names) > 1 else ()


def _listed(text: str) -> list[str]:
    """A printed list of texts; empty where it is something else."""
    if PLAIN_LIST.fullmatch(text):
        return text[2:-2].split("', '")
    try:
        listed = ast.literal_eval(text)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):  # the last: nested too deep
        return []
    return listed if isinstance(listed, list) and all(isinstance(item, str) for item in listed) else []


def has_scopes(node: NodeProto) -> bool:
    """Whether the exporter's metadata says which module runs the node."""
    return bool(read_levels(node))


def write_scopes(node: NodeProto, levels: Sequence[tuple[str, str]]) -> None:
    """Write the metadata that the exporter would have: paths and classes, the model first."""
    kept = [entry for entry in node.metadata_props if entry.key not in (SCOPES_KEY, CLASSES_KEY)]
    del node.metadata_props[:]
    node.metadata_props.extend(kept)
    call = (node.name or next(iter(node.output), ""), node.op_type)
    for key, texts in zip((SCOPES_KEY, CLASSES_KEY), zip(*levels, call, strict=True), strict=True):
        node.metadata_props.add(key=key, value=repr(list(texts)))


OTHER_CALLS = re.compile(
    r".*(norm|relu|elu|silu|swish|mish|sigmoid|tanh|clamp|dropout|softmax|quantize).*|"
    r"(add|sub|rsub|mul|div|pad|constant_pad_nd|t|transpose|permute|view|reshape|to_copy|clone|cat|expand|"
    r"unsqueeze|squeeze|flatten|mean|sum|alias|identity)"
)
"""PyTorch calls that become no product: such metadata are those of what the product was fused with."""


ATTRIBUTIONS: tuple[Literal["metadata", "names", "weights"], ...] = ("metadata", "names", "weights")


@record(frozen=True, slots=True)
class ModuleRef:
    """The module that runs a node: its dotted path ("" is the model) and its class, "" where unknown."""

    path: str
    qualified_class: str = ""

    @property
    def class_name(self) -> str:
        """The class without its Python module."""
        return self.qualified_class.rpartition(".")[2]


@record(frozen=True, slots=True)
class TracedCall:
    """The PyTorch call that a node is part of: its name in the trace, and its operator.

    One call may have become several nodes: ``("group_norm_1", "aten.group_norm.default")`` becomes seven.
    """

    name: str
    target: str


@record(frozen=True, slots=True)
class Scopes:
    """What a file records of its modules.

    Attributes:
        attribution: where it records most: in the exporter's metadata, in the nodes' names, in the weights'
            names, or not at all.
        modules: the module of every node.
        evidence: what told the module of every node.
        traced: the PyTorch call that each node is part of; None where the file does not record it.
        called: the class of every module whose forward ran, by path; with its Python module where the file
            records that, as in ``torch.nn.modules.conv.Conv2d``.
    """

    attribution: Attribution
    modules: Sequence[ModuleRef]
    evidence: Sequence[Evidence]
    traced: Sequence[TracedCall | None]
    called: Mapping[str, str]


def read_scopes(
    nodes: Sequence[TracedNode], protos: Sequence[NodeProto], held: Collection[str], def_use: DefUse
) -> Scopes:
    """The module of every node, in their order.

    1. torch's exporter writes module scopes into each node's metadata. It leaves those of a batch norm on the
       convolution that it folds the norm into: there the weight's name decides.
    2. Other exporters write the path into the node's name; TorchScript numbers a module's later calls.
    3. A weight is named after its module, so a node that reads it and has neither is that module's.
    4. What is left joins its neighbors.

    Args:
        nodes: of the file and of the bodies inside nodes, in execution order.
        protos: the nodes as the file has them.
        held: the names of the initializers.
        def_use: of the nodes.
    """
    return _Reading(nodes, protos, held, def_use).scopes()


class _Reading:
    """The modules of one file's nodes while they are found out, from the surest evidence to the weakest."""

    def __init__(
        self,
        nodes: Sequence[TracedNode],
        protos: Sequence[NodeProto],
        held: Collection[str],
        def_use: DefUse,
    ) -> None:
        self._nodes = nodes
        self._protos = protos
        self._def_use = def_use
        self._held = held
        self._names = [proto.name for proto in protos]
        self._paths: list[str | None] = [None] * len(nodes)
        self._evidence: list[Evidence] = ["flow"] * len(nodes)
        self._traced: list[TracedCall | None] = [None] * len(nodes)
        self._called: dict[str, str] = {}

    def scopes(self) -> Scopes:
        self._read_metadata()
        self._read_names()
        attribution = self._attribution()
        self._read_weights()
        if attribution == "none":
            attribution = self._attribution()
        if attribution == "none":
            nowhere = [ModuleRef("")] * len(self._nodes)
            return Scopes("none", nowhere, ["none"] * len(self._nodes), self._traced, {})
        self._join(by_consumers=attribution == "metadata" or "" in self._called)
        refs = {
            path: ModuleRef(path, self._called.get(path, "")) for path in {*self._paths} if path is not None
        }
        modules = [refs[path or ""] for path in self._paths]
        return Scopes(attribution, modules, self._evidence, self._traced, self._called)

    def _attribution(self) -> Attribution:
        """The surest evidence that there is."""
        return next((kind for kind in ATTRIBUTIONS if kind in self._evidence), "none")

    @cached_property
    def _owners(self) -> WeightOwners:
        """Who owns the weights: looked into only where other evidence is missing or contradicts itself."""
        names = {name for name in self._names if "_/" in name or name.endswith("_")}
        return WeightOwners(self._nodes, self._held, {*map(prefix_of_graph, names)} - {""})

    def _put(self, index: int, path: str, evidence: Evidence) -> None:
        self._paths[index] = path
        self._evidence[index] = evidence

    def _read_metadata(self) -> None:
        fused: dict[int, Sequence[tuple[str, str]]] = {}
        for index, proto in enumerate(self._protos):
            if proto.metadata_props and (levels := read_levels(proto)):
                self._put(index, levels[-2][0], "metadata")
                self._traced[index] = TracedCall(*levels[-1])
                op_type, called = self._nodes[index].view.op_type, levels[-1][1] or levels[-1][0]
                if op_type in WEIGHT_READERS and _is_other_call(called):
                    fused[index] = levels[:-1]
                else:
                    self._called.update(levels[:-1])
        for index, owner in self._contradictions(fused):
            self._put(index, owner, "weights")
            self._traced[index] = None
            fused[index] = [level for level in fused[index] if contains(level[0], owner)]
        for levels in fused.values():
            self._called.update(levels)

    def _contradictions(self, fused: Collection[int]) -> Iterator[tuple[int, str]]:
        """Those among these whose weight they alone read, and its owner."""
        readers: dict[str, set[str | None]] = {}
        for index, node in enumerate(self._nodes if fused else ()):
            if node.view.op_type in WEIGHT_READERS:
                readers.setdefault(self._owners.weight(node) or "", set()).add(self._paths[index])
        for index in fused:
            node = self._nodes[index]
            owner, weight = self._owners.owner(node), self._owners.weight(node)
            if owner is not None and weight is not None and len(readers[weight]) == 1:
                yield index, owner

    def _read_names(self) -> None:
        """The nodes' names; those that only say that a node is in the model count if others say more."""
        levels = {
            index: found
            for index, name in enumerate(self._names)
            if "/" in name
            and self._paths[index] is None
            and (found := node_levels(name, self._nodes[index].view.op_type))
        }
        if not any(found[-1] for found in levels.values()):
            return
        paths = [levels[index][-1] if index in levels else None for index in range(len(self._nodes))]
        firsts = first_calls(self._nodes, paths, lambda: self._owners)
        for index, found in levels.items():
            path = firsts.get(index, found[-1])
            self._put(index, path, "names")
            if path not in self._called and (found[0] == "" or not self._nodes[index].constant_folded):
                self._called.update((level, "") for level in _renamed_levels(found, path))
        for index, found in levels.items():
            if found[0] != "":
                self._correct(index)

    def _correct(self, index: int) -> None:
        """A name that torch did not write: the scope of a constant is no module, a prefix says too little."""
        while (path := self._paths[index]) and path not in self._called:
            self._paths[index] = path.rpartition(".")[0]
        node = self._nodes[index]
        reads = node.view.op_type in WEIGHT_READERS and not node.constant_folded
        owner = self._owners.owner(node) if reads else None
        if owner is not None and path and owner.startswith(f"{path}."):  # as onnx.compose leaves pre/Conv_12
            self._put(index, owner, "weights")
            self._called[owner] = ""

    def _read_weights(self) -> None:
        """Put the nodes that nothing else names where the weights that they read belong."""
        missing = [
            index
            for index, node in enumerate(self._nodes)
            if self._paths[index] is None and not node.constant_folded
        ]
        if not missing:
            return
        owners = self._owners
        kinds: dict[str, set[str]] = {}
        read: dict[int, str] = {}
        for index, node in enumerate(self._nodes):
            op_type = node.view.op_type
            if op_type in WEIGHT_READERS and (weight := owners.weight(node)) is not None:
                read[index] = weight
                kinds.setdefault(weight, set()).add(op_type)
        known = frozenset(self._called)
        for index in missing:
            owner = owners.owner(self._nodes[index])
            if owner is not None and len(kinds.get(read.get(index, ""), ())) <= 1:  # else it is tied
                self._put(index, _within(owner, known) if known else owner, "weights")
        found = {
            path for path, kind in zip(self._paths, self._evidence, strict=True) if path and kind == "weights"
        }
        self._called.update(dict.fromkeys([path for path in _levels_of(found) if path not in known], ""))

    def _join(self, *, by_consumers: bool) -> None:
        """Give the other nodes their neighbors' modules."""
        unknown = [index for index, path in enumerate(self._paths) if path is None]
        if not unknown:
            return
        joins = FlowJoins(self._nodes, self._paths, self._def_use)
        products = [index for index in unknown if self._nodes[index].view.op_type in PRODUCTS]
        if products:
            joins.join_biases(dict(self._bias_adds()))
        if by_consumers:
            joins.follow_consumers([index for index in unknown if self._is_inserted(self._nodes[index])])
        joins.join_neighbors([index for index in unknown if self._paths[index] is None])

    def _is_inserted(self, node: TracedNode) -> bool:
        """Whether it may be what rewriting put before another node: no product, no meeting of branches."""
        read = {value.name for value in node.view.inputs if value is not None and not value.is_weight}
        return not (len(read) > 1 or node.within or node.view.op_type in PRODUCTS)

    def _bias_adds(self) -> Iterator[tuple[int, str]]:
        """The additions of a bias that is named, and their modules."""
        for index, (node, path) in enumerate(zip(self._nodes, self._paths, strict=True)):
            if path and node.view.op_type in BIAS_ADDS and self._owners.owner(node) is not None:
                yield index, path


@lru_cache
def _is_other_call(target: str) -> bool:
    """Whether it is a PyTorch call of its own that a product was fused with."""
    return OTHER_CALLS.fullmatch(target.removeprefix("aten.").partition(".")[0].strip("_")) is not None


def _renamed_levels(levels: Sequence[str], path: str) -> Sequence[str]:
    """The levels down to a path that has as many elements as the last one of them."""
    if levels[-1] == path:
        return levels
    elements = path.split(".")
    return [".".join(elements[: level.count(".") + 1]) if level else "" for level in levels]


def _within(owner: str, known: Collection[str]) -> str:
    """The owner as names have it: theirs are relative to a module that wraps the traced one."""
    elements = owner.split(".")
    tails = (".".join(elements[start:]) for start in range(len(elements)))
    return next((tail for tail in tails if tail in known), owner)


def _levels_of(paths: Collection[str]) -> Iterator[str]:
    """The paths, and what contains several of them by name: what only numbers its children is a list."""
    children: dict[str, set[str]] = {}
    for path in paths:
        outer, _, name = path.rpartition(".")
        while outer and name not in children.setdefault(outer, set()):
            children[outer].add(name)
            outer, _, name = outer.rpartition(".")
    yield from paths
    for outer, names in children.items():
        if len(names) > 1 and not all(name.isdigit() for name in names):
            yield outer
