"""Which PyTorch module each node belongs to, from what the file records."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from os.path import commonprefix

from onnx import NodeProto

from onnxlens.profile.graph.node_view import NodeView, index_consumers, index_producers
from onnxlens.specs.ledger import Attribution
from onnxlens.specs.record import record

SCOPES_KEY = "pkg.torch.onnx.name_scopes"
CLASSES_KEY = "pkg.torch.onnx.class_hierarchy"

PLAIN_LIST = re.compile(r"""\['[^'"\\]*'(?:, '[^'"\\]*')*\]""")
"""A printed list of texts without quotes or escapes: splitting it is evaluating it, and much faster."""


@record(frozen=True, slots=True)
class ModuleRef:
    """The module that runs a node: its dotted path ("" is the model) and its class, "" where unknown."""

    path: str
    qualified_class: str = ""

    @property
    def class_name(self) -> str:
        """The class without its Python module."""
        return self.qualified_class.rpartition(".")[2]


ModuleStack = tuple[ModuleRef, ...]
"""The modules whose forward was running when a node was traced: the model first, the node's own last."""


@record(frozen=True, slots=True)
class TracedCall:
    """The PyTorch call that a node is part of: its name in the trace, and its operator.

    One call may have become several nodes: ``("group_norm_1", "aten.group_norm.default")`` becomes seven.
    """

    name: str
    target: str


ROOT = ModuleRef("")


Traced = tuple[NodeProto, NodeView]
"""A node as the file has it, and with names that are unique in the file."""


@record(frozen=True, slots=True)
class Scopes:
    """What a file records of its modules.

    Attributes:
        attribution: where it records them: in the exporter's metadata, in the nodes' names, or not at all.
        modules: the module of every node.
        traced: the PyTorch call that each node is part of; None where the file does not record it.
        called: the class of every module whose forward ran, by path; with its Python module where the file
            records that, as in ``torch.nn.modules.conv.Conv2d``.
    """

    attribution: Attribution
    modules: Sequence[ModuleRef]
    traced: Sequence[TracedCall | None]
    called: Mapping[str, str]


def read_scopes(nodes: Sequence[Traced]) -> Scopes:
    """The module of every node, in their order.

    torch's dynamo exporter writes module scopes into each node's metadata, and loses a few in rewriting:
    those nodes get their neighbors' module. torch's older exporter writes the path into the node's name.
    Other files name no modules.
    """
    levels = [_from_metadata(node) for node, _ in nodes]
    if any(levels):
        stacks = [tuple(ModuleRef(*level) for level in found[:-1]) for found in levels]
        traced = [TracedCall(*found[-1]) if found else None for found in levels]
        return _scopes("metadata", nodes, stacks, traced)
    stacks = [_from_name(node.name) for node, _ in nodes]
    if any(len(stack) > 1 for stack in stacks):
        return _scopes("names", nodes, stacks, [None] * len(nodes))
    return Scopes("none", [ROOT] * len(nodes), [None] * len(nodes), {})


def _scopes(
    attribution: Attribution,
    nodes: Sequence[Traced],
    stacks: Sequence[ModuleStack],
    traced: Sequence[TracedCall | None],
) -> Scopes:
    modules = _completed([view for _, view in nodes], [stack[-1] if stack else None for stack in stacks])
    called = {module.path: module.qualified_class for stack in stacks for module in stack}
    return Scopes(attribution, modules, traced, called)


def _from_metadata(node: NodeProto) -> Sequence[tuple[str, str]]:
    """Names, classes, outermost first: ``('', 'Net'), ('fc', 'torch...Linear')``; then the call itself."""
    if not len(node.metadata_props):
        return ()
    metadata = {entry.key: entry.value for entry in node.metadata_props}
    if SCOPES_KEY not in metadata:
        return ()
    names = _listed(metadata[SCOPES_KEY])
    if not names or names[0] != "":  # the exporter put it under a hook of its own, not under the model
        return ()
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
    except (SyntaxError, ValueError):
        return []
    return listed if isinstance(listed, list) and all(isinstance(item, str) for item in listed) else []


def has_scopes(node: NodeProto) -> bool:
    """Whether the exporter's metadata says which module runs the node."""
    return bool(_from_metadata(node))


def write_scopes(node: NodeProto, levels: Sequence[tuple[str, str]]) -> None:
    """Write the metadata that the exporter would have: paths and classes, the model first."""
    kept = [entry for entry in node.metadata_props if entry.key not in (SCOPES_KEY, CLASSES_KEY)]
    del node.metadata_props[:]
    node.metadata_props.extend(kept)
    call = (node.name or next(iter(node.output), ""), node.op_type)
    for key, texts in zip((SCOPES_KEY, CLASSES_KEY), zip(*levels, call, strict=True), strict=True):
        node.metadata_props.add(key=key, value=repr(list(texts)))


def _from_name(name: str) -> ModuleStack:
    """From ``/layer1/layer1.0/conv1/Conv``: an element repeats the path so far, or only extends it."""
    if not name.startswith("/"):
        return ()
    stack = [ROOT]
    for element in name.split("/")[1:-1]:
        path = stack[-1].path
        extends = not path or element.startswith(f"{path}.")
        stack.append(ModuleRef(element if extends else f"{path}.{element}"))
    return tuple(stack)


def _completed(views: Sequence[NodeView], found: Sequence[ModuleRef | None]) -> Sequence[ModuleRef]:
    """Give a node without a module its consumers' common module, else its producers', else the model."""
    modules = list(found)
    if None in modules:
        reads = [[value for value in view.inputs if value is not None] for view in views]
        consumers, producers = index_consumers(reads), index_producers(views)
        for index in reversed(range(len(views))):
            outputs = (value.name for value in views[index].outputs if value is not None)
            _infer(modules, index, (user for name in outputs for user in consumers.get(name, ())))
        for index, values in enumerate(reads):
            _infer(modules, index, (producers[v.name] for v in values if v.name in producers))
    return [module or ROOT for module in modules]


def _infer(modules: list[ModuleRef | None], index: int, neighbors: Iterable[int]) -> None:
    """Give a node without a module the common module of its neighbors, where they have one."""
    if modules[index] is None:
        known = [module for neighbor in neighbors if (module := modules[neighbor]) is not None]
        modules[index] = _common(known) if known else None


def _common(modules: Sequence[ModuleRef]) -> ModuleRef:
    """The module itself if there is only one, else the longest path that contains all of them."""
    if len(set(modules)) == 1:
        return modules[0]
    return ModuleRef(".".join(commonprefix([module.path.split(".") for module in modules])))
