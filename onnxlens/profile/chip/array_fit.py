"""The cycles that a layer takes on a MAC array by its steps: how many, what is lost, and to which dimension.

The result is a lower bound over what a compiler may do without changing the file's arithmetic: of all rules
that apply, and of all shapes in which the same product can be given to the array, the least cycles count.
These shapes are

- the operands of a matrix product, or of a 1x1 convolution, swapped;
- a 1x1 convolution as a matrix product, and a depthwise one as one whose groups are dense;
- the positions of a 1x1 convolution or the rows of a product arranged as a plane of any sides;
- groups taken together, several at a time, with zeros between them;
- a stride along height, width or both folded into the input channels;
- the taps of a transposed convolution taken as output channels, whose results are added afterwards.

A kernel is never unrolled into channels, unless a rule of the chip says that the array does so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, prod

from onnxlens.specs.array_fit import (
    DIMENSIONS,
    OUTPUT_DIMENSIONS,
    WEIGHT_DIMENSIONS,
    FitRule,
    LayerFit,
    MatrixWork,
)


@dataclass(frozen=True, slots=True)
class _Filled:
    """One shape of a layer on one rule: the cycles, and by which factor each cause makes them more."""

    cycles: int
    losses: tuple[tuple[str, Fraction], ...]


def fit_layer(work: MatrixWork, rules: Iterable[FitRule], operands: str) -> LayerFit | None:
    """The least cycles of one core; None where no rule is for such a layer with such operands."""
    rules = [rule for rule in rules if operands in rule.operands]
    if not any(work.layer in rule.layers for rule in rules):
        return None
    ways = (
        (rule, rule_cycles(shape, rule, is_plane=_is_plane(shape)))
        for shape in shapes_of(work)
        for rule in rules
        if shape.layer in rule.layers
    )
    rule, filled = min(ways, key=lambda way: way[1].cycles)
    cause, factor = max(filled.losses, key=lambda loss: loss[1])
    slots = filled.cycles * rule.macs_per_cycle
    return LayerFit(filled.cycles, work.macs, slots, cause if factor > 1 else "")


def fit_layers(works: Sequence[MatrixWork], rules: Sequence[FitRule], operands: str) -> LayerFit | None:
    """All products of a node together; the blame is that of the one that loses most MACs."""
    fits = [fit_layer(work, rules, operands) for work in works]
    found = [fit for fit in fits if fit is not None]
    if not found or len(found) != len(works):
        return None
    worst = max(found, key=lambda fit: fit.macs_lost)
    cycles, macs, slots = (sum(getattr(fit, name) for fit in found) for name in ("cycles", "macs", "slots"))
    return LayerFit(cycles, macs, slots, worst.blame)


def _is_plane(work: MatrixWork) -> bool:
    """Whether positions can be arranged as any plane: of 1x1 kernels, or of kernels along a single row."""
    is_row = work.layer == "convolution" and work.height == 1 and prod(work.kernel[:-1]) == 1
    return is_row or _is_pointwise(work)


def _is_pointwise(work: MatrixWork) -> bool:
    return work.taps == 1 and set(work.stride) <= {1}


def shapes_of(work: MatrixWork) -> Iterator[MatrixWork]:
    """The layer in every shape in which an array may be given it."""
    yield work
    if work.layer == "matmul":
        yield _swapped(work)
    if work.layer == "depthwise":  # dense, and below several groups together
        work = replace(work, layer="convolution")
        yield work
    if work.layer == "convolution":
        if _is_pointwise(work):
            rows = replace(work, layer="matmul", height=1, width=work.positions)
            yield from (rows, _swapped(rows), replace(_swapped(rows), layer="convolution"))
        yield from _folded_strides(work)
        if work.is_spread:
            yield replace(work, output_channels=work.output_channels * work.taps, kernel=())
        for together in _divisors(work.groups):
            yield replace(
                work,
                groups=work.groups // together,
                input_channels=work.input_channels * together,
                output_channels=work.output_channels * together,
            )


def _swapped(work: MatrixWork) -> MatrixWork:
    return replace(work, width=work.output_channels, output_channels=work.width)


def _folded_strides(work: MatrixWork) -> Iterator[MatrixWork]:
    """Each stride of s folded: s times the channels, and ceil(k / s) of the taps along that axis."""
    axes = [axis for axis, size in enumerate(work.stride) if size > 1 and set(work.dilation) <= {1}]
    for chosen in [axes, *([axis] for axis in axes)] if len(axes) > 1 else [axes] if axes else []:
        kernel, stride = list(work.kernel), list(work.stride)
        for axis in chosen:
            kernel[axis], stride[axis] = -(-kernel[axis] // stride[axis]), 1
        channels = work.input_channels * prod(work.stride[axis] for axis in chosen)
        yield replace(work, input_channels=channels, kernel=tuple(kernel), stride=tuple(stride))


def _divisors(number: int) -> Iterator[int]:
    """All but 1."""
    low = [each for each in range(2, int(number**0.5) + 1) if number % each == 0]
    yield from low
    yield from (number // each for each in low if each * each != number)
    if number > 1:
        yield number


def rule_cycles(work: MatrixWork, rule: FitRule, *, is_plane: bool = False) -> _Filled:
    """The cycles of a layer in the shape it has: the product of the steps, and the rule's second limits.

    Args:
        work: the layer.
        rule: one that is for such layers.
        is_plane: its positions may be arranged as a plane of any height and width.
    """
    sizes: dict[str, int] = {name: getattr(work, name) for name in DIMENSIONS}
    if work.layer == "depthwise":  # a group is a channel: they are all there is along the outputs
        sizes["output_channels"] *= work.groups
    times = work.times * (1 if work.layer == "depthwise" else work.groups)
    steps = _steps(rule, is_plane)
    counts = [(names, -(-prod(sizes[name] for name in names) // step), step) for names, step in steps]
    by_steps = prod(count for _, count, _ in counts) * rule.cycles_per_step
    weights = prod(count for names, count, _ in counts if names & WEIGHT_DIMENSIONS)
    limits = {
        "weights": weights * rule.weight_cycles_per_step,
        "outputs": _output_cycles(rule, counts, sizes),
    }
    slowest = max(limits, key=lambda name: limits[name])
    one = max(by_steps, limits[slowest]) + weights * rule.fill_cycles
    losses = [
        ("*".join(sorted(names)), Fraction(count * step, prod(sizes[name] for name in names)))
        for names, count, step in counts
    ]
    losses.append(("layer", Fraction(rule.macs_per_cycle * rule.cycles_per_step, rule.step_macs)))
    losses.append((slowest, Fraction(max(by_steps, limits[slowest]), by_steps)))
    losses.append(("fill", Fraction(one, max(by_steps, limits[slowest]))))
    return _Filled(one * times, tuple(losses))


def _steps(rule: FitRule, is_plane: bool) -> list[tuple[frozenset[str], int]]:
    """The dimensions that are divided together; of a plane of any sides the height and the width."""
    apart = (frozenset({"height"}), frozenset({"width"}))
    steps = list(rule.groups)
    if not is_plane or not all(any(names == side for names, _ in steps) for side in apart):
        return steps
    plane = prod(step for names, step in steps if names in apart)
    return [(frozenset({"height", "width"}), plane), *(each for each in steps if each[0] not in apart)]


def _output_cycles(
    rule: FitRule, counts: Sequence[tuple[frozenset[str], int, int]], sizes: dict[str, int]
) -> int:
    """What it takes until all outputs have left, of whole steps where the rule says so."""
    if rule.outputs_per_cycle is None:
        return 0
    whole = [
        (names, count * step)
        for names, count, step in counts
        if rule.whole_outputs and names <= OUTPUT_DIMENSIONS
    ]
    outside = OUTPUT_DIMENSIONS.difference(*(names for names, _ in whole))
    outputs = prod(size for _, size in whole) * prod(sizes[name] for name in outside)
    return ceil(outputs / Fraction(rule.outputs_per_cycle))
