"""What nodes are told apart by, and the groups that they make: every node is in one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from onnxlens.specs.record import record
from onnxlens.specs.tensor import TensorSpec

OTHER = "(other)"
"""The group of what belongs to none of the others."""


@record(frozen=True, slots=True)
class NodeFacts:
    """What a ledger's row of a node leaves out.

    Attributes:
        inputs, outputs: those that are there; of a constant the shape too.
        attributes: numbers and texts as they are, lists of them, and of large ones how many there are.
        family: what kind of work it does, such as ``convolution`` or ``attention scores``.
        resolution: positions that it works on, such as ``64x64`` or ``4096 tokens``.
        dtype: of its first output.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    attributes: Mapping[str, Any]
    family: str = OTHER
    resolution: str = OTHER
    dtype: str = OTHER


@record(frozen=True, slots=True)
class Grouping:
    """The group of every node.

    Attributes:
        names: by the node's place in the ledger.
        params: elements of the parameters of each group, by its name; their sum is the whole's.
        ranked: whether groups stand by what they cost, not by what runs first.
    """

    names: tuple[str, ...]
    params: Mapping[str, int] = field(default_factory=dict)
    ranked: bool = True
