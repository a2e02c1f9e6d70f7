"""How a MAC array is filled: a chip file's ``[[array.fit]]`` tables, and what a layer is to an array.

    [[array.fit]]
    layers = ["convolution", "matmul"]
    operands = ["int8xint8"]                # weights x activations
    macs_per_cycle = 1024                   # of one core, every slot busy
    steps = { input_channels = 32, output_channels = 32, "height*width" = 16 }
    cycles_per_step = 16
    outputs_per_cycle = 8                   # optional: the rate at which finished outputs leave the array,
    whole_outputs = true                    # and whether those of unfilled steps leave too
    source = "..."
    grade = "calculated"

MAC cycles are the product of ceil(dimension / step) over ``steps`` and all dimensions that are not named
there, times ``cycles_per_step``. Names joined by ``*`` are flattened before they are divided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Literal, get_args

from onnxlens.errors import GraphError

Layer = Literal["convolution", "depthwise", "matmul"]
Dimension = Literal["input_channels", "output_channels", "height", "width", "taps"]

DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
LAYERS: tuple[Layer, ...] = get_args(Layer)
OUTPUT_DIMENSIONS = frozenset({"output_channels", "height", "width"})
WEIGHT_DIMENSIONS = frozenset({"input_channels", "output_channels", "taps"})


@dataclass(frozen=True, slots=True)
class FitRule:
    """What an array needs for some kinds of layer and operands; of several that apply the least counts.

    Attributes:
        layers: the kinds of layers; ``depthwise`` is a grouped convolution with one input channel per group,
            whose channels are its output channels.
        operands: pairs of dtypes, weights x activations, as the chip file's peaks name them.
        macs_per_cycle: of one core when every slot of the array is busy, whatever the layer.
        steps: how much of a dimension, or of the product of several (``height*width``), one step takes.
        cycles_per_step: what a step takes.
        outputs_per_cycle: at most so many outputs leave the array in a cycle; None where no such limit is
            published.
        whole_outputs: the outputs that leave are those of whole steps.
        weight_cycles_per_step: every step's weights take at least so many cycles to feed, once per layer.
        fill_cycles: what is added each time other weights are placed in the array.
        source: where it is published.
        grade: of the source, as in the chip file's figures.
    """

    layers: tuple[Layer, ...]
    operands: tuple[str, ...]
    macs_per_cycle: int
    steps: Mapping[str, int]
    cycles_per_step: int = 1
    outputs_per_cycle: float | None = None
    whole_outputs: bool = False
    weight_cycles_per_step: int = 0
    fill_cycles: int = 0
    source: str = ""
    grade: str = ""

    def __post_init__(self) -> None:
        """Refuse steps that no array has.

        Raises:
            GraphError: a dimension that is not one or is named twice, or a figure that is out of its range.
        """
        named = [name for key in self.steps for name in key.split("*")]
        if unknown := [name for name in named if name not in DIMENSIONS]:
            raise GraphError(f"steps: {unknown[0]!r} is not a dimension; they are {', '.join(DIMENSIONS)}")
        if len(named) != len(set(named)):
            raise GraphError(f"steps: a dimension is named twice in {', '.join(self.steps)}; name each once")
        if unknown := [layer for layer in self.layers if layer not in LAYERS]:
            raise GraphError(f"layers: {unknown[0]!r} is not a kind of layer; they are {', '.join(LAYERS)}")
        positive = (self.macs_per_cycle, self.cycles_per_step, *self.steps.values())
        if min(positive) < 1 or (self.outputs_per_cycle is not None and self.outputs_per_cycle <= 0):
            raise GraphError(f"{dict(self.steps)}: steps, cycles and rates must be above 0; repair the file")
        if self.step_macs > self.macs_per_cycle * self.cycles_per_step:
            raise GraphError(
                f"steps: {self.step_macs:,} MACs in {self.cycles_per_step} cycles are more than the "
                f"{self.macs_per_cycle:,} of each; repair steps, macs_per_cycle or cycles_per_step"
            )

    @property
    def groups(self) -> tuple[tuple[frozenset[str], int], ...]:
        """The dimensions that are divided together, and their step; a dimension not named has a step of 1."""
        named = [(frozenset(key.split("*")), size) for key, size in self.steps.items()]
        inside = frozenset().union(*(names for names, _ in named))
        return (*named, *((frozenset({name}), 1) for name in DIMENSIONS if name not in inside))

    @property
    def step_macs(self) -> int:
        """The slots of one step."""
        return prod(self.steps.values())


@dataclass(frozen=True, slots=True)
class MatrixWork:
    """A layer as a MAC array sees it: ``times`` equal products, one after the other.

    Attributes:
        times: batch, or equal products of a batched MatMul or of a recurrent layer's steps.
        groups: parallel groups with their own channels.
        input_channels: per group; the inner dimension of a matrix product.
        output_channels: per group; the columns of a matrix product.
        height: of the output; 1 in a matrix product.
        width: of the output; the rows of a matrix product.
        kernel: the taps by spatial axis.
        stride: of the same axes.
        dilation: of the same axes.
        is_spread: every input position is multiplied by all taps, and what overlaps is added.
        given: the input's size along the same axes, without padding; arrays do not see it.
    """

    layer: Layer
    times: int
    groups: int
    input_channels: int
    output_channels: int
    height: int
    width: int
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    is_spread: bool = False
    given: tuple[int, ...] = field(default=(), compare=False)

    @property
    def taps(self) -> int:
        """The elements of the kernel."""
        return prod(self.kernel)

    @property
    def macs(self) -> int:
        """All products."""
        outputs = self.times * self.groups * self.output_channels * self.positions
        return outputs * self.input_channels * self.taps

    @property
    def positions(self) -> int:
        """The output's pixels, or the rows of a product."""
        return self.height * self.width


@dataclass(frozen=True, slots=True)
class LayerFit:
    """What a layer takes on an array.

    Attributes:
        cycles: of one core, all of the layer; divide by the cores for the bound of a chip.
        macs: those that are asked for.
        slots: MACs that the array could have done in ``cycles``.
        blame: the dimension, ``layer``, ``outputs``, ``weights`` or ``fill`` that wastes the most; empty
            where every slot is busy.
    """

    cycles: int
    macs: int
    slots: int
    blame: str

    @property
    def macs_lost(self) -> int:
        """Slots in which nothing was multiplied."""
        return self.slots - self.macs
