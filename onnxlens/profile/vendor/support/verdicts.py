"""What a table says of a node: by rules, or by runs of the tool on nodes like it."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from onnxlens.profile.graph.node_view import NodeView, ValueView
from onnxlens.profile.vendor.support.table import SHORT, Case, Limit, Rule, SupportTable
from onnxlens.specs.support import Support, Verdict

SIGNS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le, ">=": operator.ge, "==": operator.eq, "!=": operator.ne, "<": operator.lt,
    ">": operator.gt,
}  # fmt: skip

UNSAID: Mapping[str, Any] = {"strides": 1, "dilations": 1, "pads": 0, "output_padding": 0, "group": 1,
                             "auto_pad": "NOTSET"}  # fmt: skip
"""What attributes are that a convolution or a pooling leaves out, all elements alike."""


def verdict_of(table: SupportTable, node: NodeView) -> Verdict:
    """Of one node, without the graphs inside it."""
    name = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
    if name in table.rules:
        return _by_rules(table.rules[name], node)
    if name in table.cases:
        return _by_cases(table.cases[name], node)
    if table.cases:
        return Verdict("unknown", f"{name}: the tool was not tried with it")
    return Verdict("refused", f"{name} is not in the table")


def _by_rules(rules: Sequence[Rule], node: NodeView) -> Verdict:
    """Accepted by one rule; else the reason of the first: what is not known of the node is no refusal."""
    verdicts = [next(filter(None, _faults(rule, node)), Verdict("accepted")) for rule in rules]
    order: Sequence[Support] = ("accepted", "unknown", "refused")
    return min(verdicts, key=lambda verdict: order.index(verdict.support))


def _faults(rule: Rule, node: NodeView) -> Iterator[Verdict | None]:
    """What of a node a rule does not allow; None for what it does."""
    if rule.opsets and not rule.opsets[0] <= node.version <= rule.opsets[1]:
        yield Verdict("refused", f"opset {node.version}, not {rule.opsets[0]} to {rule.opsets[1]}")
    for index, value in enumerate(node.inputs):
        if value is not None:
            yield _input_fault(rule, index, value)
    if rule.ranks:
        yield _rank_fault(rule, node)
    for limit in rule.limits:
        yield _limit_fault(limit, node)


def _input_fault(rule: Rule, index: int, value: ValueView) -> Verdict | None:
    if index in rule.constant and not value.is_weight:
        return Verdict("refused", f"input {index} is no constant")
    if not rule.types or value.kind != "tensor" or (index and _is_index(value.dtype)):
        return None
    if value.dtype is None:
        return Verdict("unknown", f"the type of input {index} is unknown")
    return None if value.dtype in rule.types else Verdict("refused", f"input {index} is {value.dtype}")


def _rank_fault(rule: Rule, node: NodeView) -> Verdict | None:
    shape = node.inputs[0].shape if node.inputs and node.inputs[0] is not None else None
    if shape is None:
        return Verdict("unknown", "the rank of its input is unknown")
    return None if len(shape) in rule.ranks else Verdict("refused", f"rank {len(shape)}")


def _is_index(dtype: str | None) -> bool:
    """Whether an input that is not the first says shapes, axes or positions."""
    return dtype in ("int64", "bool")


def _limit_fault(limit: Limit, node: NodeView) -> Verdict | None:
    """None where the limit holds, or the node has no such attribute."""
    name = SHORT.get(limit.attribute, limit.attribute)
    given = _attribute(node, name)
    if given is None:
        return None
    elements = given if isinstance(given, tuple) else (given,)
    for element in elements:
        if not isinstance(element, str if isinstance(limit.bound, str) else int | float):
            return Verdict("unknown", f"{name} is {given!r}, which {limit.text!r} does not fit")
        if not SIGNS[limit.sign](element, limit.bound):
            return Verdict("refused", f"{name} is {_shown(given)}, not {limit.sign} {limit.bound}")
    return None


def _shown(given: Any) -> str:
    return " x ".join(map(str, given)) if isinstance(given, tuple) else str(given)


def _attribute(node: NodeView, name: str) -> Any:
    """As the node has it; what it leaves out is ONNX's default, or follows from the weights."""
    if name in node.attributes:
        given = node.attributes[name]
        return tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else given
    if name == "kernel_shape" and node.op_type in ("Conv", "ConvTranspose", "ConvInteger", "DeformConv"):
        shape = node.inputs[1].shape if len(node.inputs) > 1 and node.inputs[1] is not None else None
        return None if shape is None else shape[2:]
    default = _defaults(node.op_type, node.version, node.domain).get(name)
    return UNSAID.get(name) if default is None else default


@cache
def _defaults(op_type: str, version: int, domain: str) -> Mapping[str, Any]:
    """What the operator's attributes are that a node leaves out."""
    import onnx

    try:
        schema = onnx.defs.get_schema(op_type, version, domain)
    except onnx.defs.SchemaError:
        return {}
    found = {}
    for name, attribute in schema.attributes.items():
        if attribute.default_value.type:
            value = onnx.helper.get_attribute_value(attribute.default_value)
            found[name] = value.decode() if isinstance(value, bytes) else value
    return found


def traits(
    op_type: str, version: int, domain: str, attributes: Mapping[str, Any], rank: int
) -> dict[str, Any]:
    """What of a node's attributes decides whether a tool takes it, in few values.

    Numbers are below 0, 0, 1 or more; lists those that are in them; texts as they are; an axis is the first,
    the last or between them. What is ONNX's default, and what are sizes alone (``kernel_shape``, fractions,
    tensors), is left out.
    """
    defaults = {**UNSAID, **_defaults(op_type, version, domain)}
    found: dict[str, Any] = {}
    for name, value in attributes.items():
        trait, default = _trait(name, value, rank), defaults.get(name)
        is_default = value == default or trait == [default]
        if name == "axis" and default is not None:
            is_default = trait == _trait(name, default, rank)
        if trait is not None and not is_default:
            found[name] = trait
    return found


def _trait(name: str, value: Any, rank: int) -> Any:
    """None for what is left out."""
    if isinstance(value, str):
        return value
    if name == "axis" and isinstance(value, int):
        return _axis(value, rank)
    if isinstance(value, bool | int):
        return _size(value)
    if name != "kernel_shape" and isinstance(value, Sequence) and value:
        return sorted({_size(each) for each in value}) if isinstance(value[0], int) else None
    return None


def _axis(axis: int, rank: int) -> str:
    at = axis + rank if axis < 0 else axis
    return "last" if at == rank - 1 else "first" if at == 0 else "between"


def _size(number: int) -> int:
    return max(-1, min(number, 2))


def _by_cases(cases: Sequence[Case], node: NodeView) -> Verdict:
    """What runs on the nodes that are most like it came to, if that is one thing.

    The type of the first input must be the same. Of these cases those with the same types, constants, outputs
    and ranks count, each where there are any; and at last those with the fewest other attributes. That a
    tool takes a node that is somewhat unlike is told as such; that it does not says nothing.
    """
    types = tuple(value.dtype or "" if value is not None else "" for value in node.inputs)
    first = node.inputs[0] if node.inputs else None
    rank = -1 if first is None or first.shape is None else len(first.shape)
    constant = tuple(
        index for index, value in enumerate(node.inputs) if value is not None and value.is_weight
    )
    outputs = sum(value is not None for value in node.outputs)
    near = [case for case in cases if case.types[:1] == types[:1]]
    if not near:
        tried = ", ".join(dict.fromkeys(case.types[0] for case in cases if case.types))
        return Verdict(
            "unknown", f"tried with {tried or 'no input'}, not with {types[0] if types else 'none'}"
        )
    unlike = []
    likeness: Mapping[str, Callable[[Case], bool]] = {
        "types": lambda case: _trimmed(case.types) == _trimmed(types),
        "constants": lambda case: case.constant == constant,
        "outputs": lambda case: case.outputs == outputs,
        "ranks": lambda case: case.rank == rank,
    }
    for what, is_alike in likeness.items():
        alike = [case for case in near if is_alike(case)]
        if not alike:
            unlike.append(what)
        near = alike or near
    own = traits(node.op_type, node.version, node.domain, dict(node.attributes), rank)
    least = min(_differences(case.attributes, own) for case in near)
    near = [case for case in near if _differences(case.attributes, own) == least]
    if least:
        unlike.append("attributes")
    return _agreed(near, f"with other {' and '.join(unlike)}" if unlike else "")


def _trimmed(types: tuple[str, ...]) -> tuple[str, ...]:
    """Without optional inputs at the end that are left out."""
    while types and not types[-1]:
        types = types[:-1]
    return types


def _differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> int:
    return sum(one.get(name) != other.get(name) for name in {*one, *other})


def _agreed(cases: Sequence[Case], unlike: str) -> Verdict:
    results: Counter[str] = Counter()
    for case in cases:
        results.update(case.results)
    reason = next((f" ({case.reason})" for case in cases if case.reason), "")
    if len(results) > 1:
        runs = ", ".join(f"{times} {result}" for result, times in results.most_common())
        return Verdict("unknown", f"of runs {unlike or 'like it'}: {runs}{reason}")
    (result,) = results
    support: Support = result  # type: ignore[assignment]
    if unlike and support != "accepted":
        return Verdict("unknown", f"{support} {unlike}{reason}")
    return Verdict(support, f"tried {unlike}" if unlike else reason.strip(" ()"))
