"""Nodes and cases made by hand for the tests of the counting rules."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import starmap
from typing import Any

import numpy as np

from onnxlens.profile.count.rules import Work
from onnxlens.profile.graph.node_view import NodeView, ValueView

Shape = tuple[int | str, ...]


def node(
    op_type: str,
    inputs: Sequence[Shape | None],
    outputs: Sequence[Shape | None],
    *,
    weights: Collection[int] = (),
    constants: Mapping[int, Any] | None = None,
    dtypes: Mapping[str, str] | None = None,
    kinds: Mapping[str, str] | None = None,
    domain: str = "",
    version: int = 18,
    **attributes: Any,
) -> NodeView:
    """A node over inputs ``x0``, ``x1``, ... and outputs ``y0``, ``y1``, ...; None for one left out.

    ``weights`` and ``constants`` go by input index; ``dtypes`` by name, float32 by default, and
    ``kinds`` by name, a tensor by default.
    """
    constants, dtypes, kinds = constants or {}, dtypes or {}, kinds or {}

    def given(index: int, shape: Shape | None) -> ValueView | None:
        read = partial(np.asarray, constants[index]) if index in constants else None
        is_weight = index in weights or index in constants
        return view(f"x{index}", shape, is_weight, read)

    def made(index: int, shape: Shape | None) -> ValueView | None:
        return view(f"y{index}", shape)

    def view(name: str, shape: Shape | None, *rest: Any) -> ValueView | None:
        dtype, kind = dtypes.get(name, "float32"), kinds.get(name, "tensor")
        return None if shape is None else ValueView(name, dtype, shape, *rest, kind=kind)

    return NodeView(
        op_type,
        tuple(starmap(given, enumerate(inputs))),
        tuple(starmap(made, enumerate(outputs))),
        attributes,
        domain,
        version,
    )


@dataclass(frozen=True)
class Case:
    """A node and its expected counts."""

    node: NodeView
    expected: Work

    def __str__(self) -> str:
        shapes = "x".join(str(value.shape) if value else "-" for value in self.node.inputs)
        return f"{self.node.op_type}-{shapes}"


def case(
    op_type: str,
    inputs: Sequence[Shape | None],
    outputs: Sequence[Shape | None],
    *,
    macs: int = 0,
    vector: int = 0,
    special: int = 0,
    **rest: Any,
) -> Case:
    """The node of ``node(op_type, inputs, outputs, **rest)`` and the work expected of it."""
    return Case(node(op_type, inputs, outputs, **rest), Work(macs, vector, special))
