"""The rule of an operator: one of ours, or a user's, registered by a program or by an installed package."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import astuple
from functools import cache
from operator import attrgetter
from types import ModuleType
from typing import TypeVar

from onnxlens.errors import UsageError, first_line
from onnxlens.profile.count.rules import (
    attention,
    elementwise,
    matrix,
    ml,
    normalization,
    preprocessing,
    quantized,
    recurrent,
    training,
    vision,
)
from onnxlens.profile.count.rules.microsoft import attention as microsoft_attention
from onnxlens.profile.count.rules.microsoft import attention_states, fused, packed_weights
from onnxlens.profile.count.rules.microsoft import elementwise as microsoft_elementwise
from onnxlens.profile.count.rules.microsoft import normalization as microsoft_normalization
from onnxlens.profile.count.rules.traffic import Operator, Traffic, unfused_traffic
from onnxlens.profile.count.rules.work import Rule, Work
from onnxlens.profile.graph.node_view import NodeView, NotCountable
from onnxlens.specs.record import record

FAMILIES: Sequence[ModuleType] = (
    matrix, attention, recurrent, quantized, elementwise, normalization, vision, preprocessing, training, ml,
    fused, microsoft_attention, attention_states, packed_weights, microsoft_normalization,
    microsoft_elementwise,
)  # fmt: skip
"""The modules of rules, one per family of operators; each has a table ``RULES``."""

RULES: Mapping[Operator, Rule] = {
    (domain, op_type): rule
    for family in FAMILIES
    for domain, rules in family.RULES.items()
    for op_type, rule in rules.items()
}

BY_TYPES = frozenset(
    ("", op_type) for family in (matrix, elementwise, normalization) for op_type in family.RULES[""]
)
"""ONNX's operators whose figures follow from attributes and types alone: no rule here reads a value."""

ENTRY_POINTS = "onnxlens.rules"
"""The group in which an installed package names a function that registers its rules."""

TrafficRule = Callable[[NodeView], Traffic]
"""A pure function: the bytes that one execution of the node moves. It raises NotCountable as a Rule does."""

Figures = TypeVar("Figures", Work, Traffic)


@record(frozen=True, slots=True)
class RegisteredRule:
    """A user's rule; ``source`` is the package of its entry point, else the module that defines it."""

    operator: Operator
    rule: Rule
    traffic: TrafficRule | None
    source: str

    def __str__(self) -> str:
        return f"the rule for {_name(self.operator)} from {self.source}"


_registered: dict[Operator, RegisteredRule] = {}


def register(
    domain: str, op_type: str, rule: Rule, *, traffic: TrafficRule | None = None, replace: bool = False
) -> None:
    """Count every node of an operator by ``rule``, from now on and in this process.

    Args:
        domain: the operator's domain; "" and "ai.onnx" are ONNX's own.
        op_type: its name in the domain.
        rule: a pure function that returns what one execution of a node computes.
        traffic: a pure function that returns the bytes that it moves; without it, every input is read and
            every output is written, whole.
        replace: take the place of the rule that the operator has, be it ours or a registered one.

    Raises:
        UsageError: the operator has a rule and ``replace`` is not set, or a rule is not a function.
    """
    new = _rule(domain, op_type, rule, traffic, str(getattr(rule, "__module__", None) or rule))
    if not replace:
        _refuse_second(new, _registered)
    _registered[new.operator] = new


def _rule(domain: str, op_type: str, rule: Rule, traffic: TrafficRule | None, source: str) -> RegisteredRule:
    new = RegisteredRule(("" if domain == "ai.onnx" else domain, op_type), rule, traffic, source)
    for function in (rule, rule if traffic is None else traffic):
        if not callable(function):
            raise UsageError(f"{new} is {function!r}; expected a function of a NodeView")
    return new


def _refuse_second(new: RegisteredRule, registered: Mapping[Operator, RegisteredRule]) -> None:
    if new.operator in registered:
        before = str(registered[new.operator])
    elif new.operator in RULES:
        before = "onnxlens's own"
    else:
        return
    raise UsageError(f"{new} would replace {before}; onnxlens.rules.register(..., replace=True) does so")


@cache
def _installed() -> Mapping[Operator, RegisteredRule]:
    """The rules of installed packages; UsageError where an entry point fails or an operator has a rule."""
    rules: dict[Operator, RegisteredRule] = {}
    for fault in call_entry_points(ENTRY_POINTS, lambda package: _adder(package, rules)).values():
        raise fault
    return rules


def call_entry_points(group: str, adder: Callable[[str], Callable[..., None]]) -> Mapping[str, UsageError]:
    """Have every entry point of a group register, each with what adds for its package; those that fail."""
    from importlib.metadata import entry_points  # most files have no operator that needs it

    faults = {}
    for entry in sorted(entry_points(group=group)):
        package = entry.dist.name if entry.dist else entry.value
        try:
            entry.load()(adder(package))
        except (Exception, SystemExit) as cause:
            faults[package] = UsageError(
                f"package {package}: its entry point {entry.name} = {entry.value} (group {group}) failed: "
                f"{type(cause).__name__}: {first_line(cause)}; repair or uninstall the package"
            )
            faults[package].__cause__ = cause
    return faults


def _adder(package: str, rules: dict[Operator, RegisteredRule]) -> Callable[..., None]:
    """What an entry point calls to register its rules: ``register`` without ``replace``.

    Entry points are not loaded for a file whose operators all have rules, so that they must not replace one.
    """

    def add(domain: str, op_type: str, rule: Rule, *, traffic: TrafficRule | None = None) -> None:
        new = _rule(domain, op_type, rule, traffic, package)
        _refuse_second(new, rules)
        rules[new.operator] = new

    return add


def _find(operator: Operator) -> RegisteredRule | None:
    """The registered rule of an operator; entry points load only if it has no other rule."""
    found = _registered.get(operator)
    return _installed().get(operator) if found is None and operator not in RULES else found


_types_of = attrgetter("dtype", "shape", "is_weight", "kind", "stored_bytes")
_name_of = attrgetter("name")


def key_of(node: NodeView) -> Hashable | None:
    """What the figures of a node follow from: those of equal keys are equal; None where it takes more."""
    operator, inputs = (node.domain, node.op_type), node.inputs
    if operator not in BY_TYPES or operator in _registered:
        return None
    try:
        if len(inputs) > 1 and len(set(map(_name_of, inputs))) < len(inputs):
            return None  # one that is an input twice is read once
        types = (len(inputs), *map(_types_of, inputs), *map(_types_of, node.outputs))
        attributes = tuple(node.attributes.items())
        hash(attributes)
    except (AttributeError, TypeError):  # an optional input that is left out, an attribute that is a tensor
        return None
    return operator, node.version, types, attributes


def work_of(node: NodeView) -> Work:
    """What one execution of the node computes.

    Raises:
        NotCountable: the operator has no rule, a shape is unknown, or the node does not fit its rule.
        UsageError: a registered rule returns something other than a Work of non-negative ints.
    """
    operator = (node.domain, node.op_type)
    own = RULES.get(operator)
    if own is not None and operator not in _registered:
        return _figures(own, node, "its rule")
    registered = _find(operator)
    if registered is None:
        raise NotCountable(f"no rule for {_name(operator)}; add one with onnxlens.rules.register")
    return _result(registered, registered.rule, node, Work)


def traffic_of(node: NodeView) -> Traffic:
    """The bytes that the node moves when nothing is fused.

    Raises:
        NotCountable: a shape or an element size is unknown.
        UsageError: a registered rule returns something other than a Traffic of non-negative ints.
    """
    operator = (node.domain, node.op_type)
    registered = _find(operator) if _registered or operator not in RULES else None
    if registered is None or registered.traffic is None:
        return _figures(unfused_traffic, node, "the rule for its bytes")
    return _result(registered, registered.traffic, node, Traffic)


def _figures(rule: Callable[[NodeView], Figures], node: NodeView, name: str) -> Figures:
    """What a rule returns; a node that it cannot be applied to is unknown, whatever stopped it."""
    try:
        return rule(node)
    except NotCountable:
        raise
    except Exception as cause:
        raise NotCountable(f"{node.op_type} {node.name!r} does not fit {name}: {cause!r}") from cause


def _result(
    registered: RegisteredRule, rule: Callable[[NodeView], Figures], node: NodeView, kind: type[Figures]
) -> Figures:
    """What a user's rule returns, checked."""
    figures = _figures(rule, node, str(registered))
    if not isinstance(figures, kind) or not all(
        type(figure) is int and figure >= 0 for figure in astuple(figures)
    ):
        raise UsageError(
            f"{registered} returned {figures!r} for the node {node.name!r}; "
            f"expected a {kind.__name__} of non-negative ints"
        )
    return figures


def registered_notes(counted: Iterable[Operator]) -> Sequence[str]:
    """A note on the counted nodes whose rule is a user's, given the operators of all counted nodes."""
    nodes = Counter(operator for operator in counted if operator in _registered or operator not in RULES)
    rules = [rule for rule in map(_find, nodes) if rule is not None]
    if not rules:
        return ()
    total = sum(nodes[rule.operator] for rule in rules)
    names = ", ".join(
        f"{_name(rule.operator)} from {rule.source}"
        + (" in place of onnxlens's" if rule.operator in RULES else "")
        for rule in rules
    )
    return (f"{total} {'node' if total == 1 else 'nodes'} counted by registered rules: {names}",)


def _name(operator: Operator) -> str:
    domain, op_type = operator
    return f"{domain or 'ai.onnx'}::{op_type}"


def known_operators() -> frozenset[Operator]:
    """The operators that onnxlens has a rule of its own for."""
    return frozenset(RULES)
