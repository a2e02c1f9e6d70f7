"""What the catalog says of one graph: its network, tensors, sizes, checkpoint and tolerance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnxlens.errors import UsageError
from onnxlens.specs.bounds import MOST_BATCH, MOST_PIXELS
from onnxlens.specs.graph import DEFAULT_TOLERANCE, CheckpointScope, Family, GraphSpec
from onnxlens.specs.tensor import TensorSpec

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Size:
    """The settings of a graph: how many samples, and the picture's pixels."""

    batch: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class TensorTemplate:
    """A tensor of shape (batch, *lead, height // reduction, width // reduction).

    Attributes:
        lead: the dimensions between the batch and the positions.
        reduction: pixels to one position along each side; None for a tensor without positions.
        sample_range: the lowest and highest value of a sample; for integers both can occur.
    """

    name: str
    lead: tuple[int, ...] = ()
    reduction: int | None = None
    dtype: str = "float32"
    sample_range: tuple[float, float] = (-1.0, 1.0)

    def at(self, size: Size) -> TensorSpec:
        """The tensor at one size."""
        shape = (size.batch, *self.lead)
        if self.reduction is not None:
            shape = (*shape, size.height // self.reduction, size.width // self.reduction)
        return TensorSpec(self.name, self.dtype, shape)


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One graph of the catalog.

    Attributes:
        title: what the network is, in a few words.
        factory: makes the module; it imports torch when it is called, not before.
        published: names of the checkpoint files that hold its weights.
        size_multiple: height and width must be multiples of this many pixels.
        min_size: and at least this many pixels; one multiple is needed in any case.
        tolerance: the largest relative L2 error of an output that passes in float32.
        structure_only: the main job counts and draws the graph without weights: its parts are graphs of their
            own, and run as such.
        nodes_vary: its export has other nodes at other sizes: adaptive pooling is written out as its windows.
    """

    family: Family
    title: str
    factory: Callable[[], nn.Module]
    inputs: tuple[TensorTemplate, ...]
    outputs: tuple[TensorTemplate, ...]
    published: tuple[str, ...]
    checkpoint: CheckpointScope = CheckpointScope()
    default_batch: int = 1
    size_multiple: int = 1
    min_size: int = 1
    tolerance: float = DEFAULT_TOLERANCE
    structure_only: bool = False
    nodes_vary: bool = False

    @property
    def takes_picture(self) -> bool:
        """Whether height and width mean anything to the graph."""
        return any(template.reduction is not None for template in self.inputs)

    @property
    def smallest_side(self) -> int:
        """The least height and width, in pixels."""
        return max(self.min_size, self.size_multiple)

    def spec(self, name: str, size: Size) -> GraphSpec:
        """The graph at one size.

        Raises:
            UsageError: the network cannot take the size.
        """
        if not 1 <= size.batch <= MOST_BATCH:
            asked = "small; use at least 1" if size.batch < 1 else f"large; use at most {MOST_BATCH:,}"
            raise UsageError(f"graph {name!r}: batch {size.batch} is too {asked}")
        if self.takes_picture:
            self._check_side(name, "height", size.height)
            self._check_side(name, "width", size.width)
        return GraphSpec(
            name=name,
            family=self.family,
            factory=self.factory,
            inputs=tuple(template.at(size) for template in self.inputs),
            outputs=tuple(template.at(size) for template in self.outputs),
            input_ranges={template.name: template.sample_range for template in self.inputs},
            dynamic_axes={template.name: {0: "batch"} for template in self.inputs},
            size_multiple=self.size_multiple,
            min_size=self.smallest_side,
            checkpoint=self.checkpoint,
            title=self.title,
            tolerance=self.tolerance,
            structure_only=self.structure_only,
        )

    def _check_side(self, name: str, side: str, pixels: int) -> None:
        below = pixels // self.size_multiple * self.size_multiple
        if pixels < self.smallest_side:
            asked = f"too small; use at least {self.smallest_side} pixels"
        elif pixels > MOST_PIXELS:
            asked = f"too large; use at most {MOST_PIXELS:,} pixels"
        elif pixels != below:
            asked = (
                f"not a multiple of {self.size_multiple} pixels; use {below} or {below + self.size_multiple}"
            )
        else:
            return
        raise UsageError(f"graph {name!r}: {side} {pixels} is {asked}")
