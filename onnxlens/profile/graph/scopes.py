"""Which PyTorch module a node belongs to, by what its file says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from onnx import NodeProto

from onnxlens.profile.graph.node_view import NodeView
from onnxlens.specs.ledger import Attribution

SCOPES_KEY = "pkg.torch.onnx.name_scopes"
CLASSES_KEY = "pkg.torch.onnx.class_hierarchy"

PLAIN_LIST = re.compile(r"""\['[^'"\\]*'(?:, '[^'"\\]*')*\]""")
"""A printed list of texts without quotes or escapes: splitting it is evaluating it, and much faster."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The module that runs a node: its dotted path ("" is the model) and its class, "" where unknown."""

    path: str
    qualified_class: str = ""

    @property
    def class_name(self) -> str:
        """The class without its Python module."""
        return self.qualified_class.rpartition(".")[2]


Calls = tuple[Owner, ...]
"""The modules whose forward was running when a node was traced, the model first, the node's owner last."""


@dataclass(frozen=True, slots=True)
class TracedCall:
    """The PyTorch call that a node is part of: its name in the trace, and its operator.

    One call may have become several nodes: ``("group_norm_1", "aten.group_norm.default")`` becomes seven.
    """

    name: str
    target: str


ROOT = Owner("")


Traced = tuple[NodeProto, NodeView]
"""A node as the file has it, and with names that are unique in the file."""


@dataclass(frozen=True, slots=True)
class Scopes:
    """What a file says of its modules.

    Attributes:
        attribution: where it says so: in the exporter's metadata, in the nodes' names, or not at all.
        owners: the module of every node.
        traced: the PyTorch call that each node is part of; None where the file does not say.
        called: the class of every module whose forward ran, by path: with its Python module where the file
            says so, as in ``torch.nn.modules.conv.Conv2d``.
    """

    attribution: Attribution
    owners: Sequence[Owner]
    traced: Sequence[TracedCall | None]
    called: Mapping[str, str]


def read_scopes(nodes: Sequence[Traced]) -> Scopes:
    """The owner of every node, in their order.

    torch's dynamo exporter writes module scopes into each node's metadata, and loses a few in rewriting:
    those nodes take their neighbours'. torch's older exporter writes the path into the node's name. Other
    files say nothing.
    """
    stacks = [_from_metadata(node) for node, _ in nodes]
    if any(stacks):
        calls = [tuple(Owner(*level) for level in stack[:-1]) for stack in stacks]
        return _scopes(
            "metadata", nodes, calls, [TracedCall(*stack[-1]) if stack else None for stack in stacks]
        )
    calls = [_from_name(node.name) for node, _ in nodes]
    if any(len(found) > 1 for found in calls):
        return _scopes("names", nodes, calls, [None] * len(nodes))
    return Scopes("none", [ROOT] * len(nodes), [None] * len(nodes), {})


def _scopes(
    attribution: Attribution,
    nodes: Sequence[Traced],
    calls: Sequence[Calls],
    traced: Sequence[TracedCall | None],
) -> Scopes:
    owners = _completed([view for _, view in nodes], [found[-1] if found else None for found in calls])
    called = {owner.path: owner.qualified_class for found in calls for owner in found}
    return Scopes(attribution, owners, traced, called)


def _from_metadata(node: NodeProto) -> Sequence[tuple[str, str]]:
    """Names, classes, outermost first: ``('', 'Net'), ('fc', 'torch...Linear')``; then the call itself."""
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


def _from_name(name: str) -> Calls:
    """From ``/layer1/layer1.0/conv1/Conv``: an element repeats the path so far, or only extends it."""
    if not name.startswith("/"):
        return ()
    owners = [ROOT]
    for element in name.split("/")[1:-1]:
        path = owners[-1].path
        extends = not path or element.startswith(f"{path}.")
        owners.append(Owner(element if extends else f"{path}.{element}"))
    return tuple(owners)


def _completed(views: Sequence[NodeView], found: Sequence[Owner | None]) -> Sequence[Owner]:
    """Give each node without an owner its consumers' common module, else its producers', else the model."""
    owners = list(found)
    if None in owners:
        consumers: dict[str, list[int]] = {}
        producers: dict[str, int] = {}
        for index, view in enumerate(views):
            for value in view.inputs:
                if value is not None:
                    consumers.setdefault(value.name, []).append(index)
            producers.update((value.name, index) for value in view.outputs if value is not None)
        for index in reversed(range(len(views))):
            made = (value.name for value in views[index].outputs if value is not None)
            _take(owners, index, (user for name in made for user in consumers.get(name, ())))
        for index, view in enumerate(views):
            read = (value.name for value in view.inputs if value is not None)
            _take(owners, index, (producers[name] for name in read if name in producers))
    return [owner or ROOT for owner in owners]


def _take(owners: list[Owner | None], index: int, neighbours: Iterable[int]) -> None:
    """Give a node without an owner the common module of its neighbours, where they have one."""
    if owners[index] is None:
        known = [owner for neighbour in neighbours if (owner := owners[neighbour]) is not None]
        owners[index] = _common(known) if known else None


def _common(owners: Sequence[Owner]) -> Owner:
    """The one owner, or the longest path that all of them stand in."""
    if len(set(owners)) == 1:
        return owners[0]
    shared = []
    for parts in zip(*(owner.path.split(".") for owner in owners), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return Owner(".".join(shared))
