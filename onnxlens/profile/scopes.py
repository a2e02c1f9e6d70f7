"""Which PyTorch module a node belongs to, by what its file says."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

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


@dataclass(frozen=True, slots=True)
class Scopes:
    """What a file says of its modules.

    Attributes:
        attribution: where it says so: in the exporter's metadata, in the nodes' names, or not at all.
        owners: the module of every node.
        called: the class of every module whose forward ran, by path: with its Python module where the file
            says so, as in ``torch.nn.modules.conv.Conv2d``.
        traced: the PyTorch call that each node is part of, where the file says so.
    """

    attribution: Attribution
    owners: Mapping[ir.Node, Owner]
    called: Mapping[str, str]
    traced: Mapping[ir.Node, TracedCall] = field(default_factory=dict)


def read_scopes(nodes: Sequence[ir.Node]) -> Scopes:
    """The owner of every node.

    torch's dynamo exporter writes module scopes into each node's metadata, and loses a few in rewriting:
    those nodes take their neighbours'. torch's older exporter writes the path into the node's name. Other
    files say nothing.
    """
    stacks = {node: stack for node in nodes if (stack := _from_metadata(node))}
    if stacks:
        calls = {node: tuple(Owner(*level) for level in stack[:-1]) for node, stack in stacks.items()}
        traced = {node: TracedCall(*stack[-1]) for node, stack in stacks.items()}
        return _scopes("metadata", nodes, calls, traced)
    calls = {node: found for node in nodes if (found := _from_name(node))}
    if any(len(found) > 1 for found in calls.values()):
        return _scopes("names", nodes, calls, {})
    return Scopes("none", dict.fromkeys(nodes, ROOT), {})


def _scopes(
    attribution: Attribution,
    nodes: Sequence[ir.Node],
    calls: Mapping[ir.Node, Calls],
    traced: Mapping[ir.Node, TracedCall],
) -> Scopes:
    owners = _completed(nodes, {node: found[-1] for node, found in calls.items()})
    called = {owner.path: owner.qualified_class for found in calls.values() for owner in found}
    return Scopes(attribution, owners, called, traced)


def _from_metadata(node: ir.Node) -> Sequence[tuple[str, str]]:
    """Names, classes, outermost first: ``('', 'Net'), ('fc', 'torch...Linear')``; then the call itself."""
    names = _listed(node, SCOPES_KEY)
    if not names or names[0] != "":  # the exporter put it under a hook of its own, not under the model
        return ()
    classes = _listed(node, CLASSES_KEY)
    if len(classes) != len(names):
        classes = [""] * len(names)
    return tuple(zip(names, classes, strict=True)) if len(names) > 1 else ()


def _listed(node: ir.Node, key: str) -> list[str]:
    """The list of texts under ``key``; empty where there is none, or something else."""
    text = node.metadata_props.get(key, "[]")
    if PLAIN_LIST.fullmatch(text):
        return text[2:-2].split("', '")
    try:
        listed = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return []
    return listed if isinstance(listed, list) and all(isinstance(item, str) for item in listed) else []


def _from_name(node: ir.Node) -> Calls:
    """From ``/layer1/layer1.0/conv1/Conv``: an element repeats the path so far, or only extends it."""
    if not node.name or not node.name.startswith("/"):
        return ()
    owners = [ROOT]
    for element in node.name.split("/")[1:-1]:
        path = owners[-1].path
        extends = not path or element.startswith(f"{path}.")
        owners.append(Owner(element if extends else f"{path}.{element}"))
    return tuple(owners)


def _completed(nodes: Sequence[ir.Node], found: Mapping[ir.Node, Owner]) -> Mapping[ir.Node, Owner]:
    """Give each node without an owner its consumers' common module, else its producers', else the model."""
    owners = dict(found)
    for node in reversed(nodes):
        if node not in owners:
            neighbours = [
                owners[user] for output in node.outputs for user in output.consumers() if user in owners
            ]
            if neighbours:
                owners[node] = _common(neighbours)
    for node in nodes:
        if node not in owners:
            producers = (value.producer() for value in node.inputs if value is not None)
            neighbours = [owners[producer] for producer in producers if producer in owners]
            owners[node] = _common(neighbours) if neighbours else ROOT
    return owners


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
