"""Resizing, grids and regions of images: interpolation counts by the taps that it mixes.

Picking the nearest element is movement. The positions of samples and the coefficients of their taps are not
counted. Where regions depend on the data, each is taken as large as the whole map, the upper bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, prod

from onnxlens.profile.count.rules.matrix import conv_macs, matmul
from onnxlens.profile.count.rules.work import NOTHING, VECTOR, RuleTable, Work, constant_input, each_input
from onnxlens.profile.graph.node_view import NodeView, NotCountable

TAPS_PER_AXIS: Mapping[str, int] = {"nearest": 1, "linear": 2, "bilinear": 2, "cubic": 4}
"""Input elements that are mixed into an output element, per resized axis."""

SCALES_INPUT = 2


def mixed(taps: int) -> Work:
    """Per output element ``taps`` multiplies and ``taps - 1`` adds; nothing where one tap is copied."""
    return NOTHING if taps == 1 else (2 * taps - 1) * VECTOR


def resize(node: NodeView) -> Work:
    """Per output element ``taps`` multiplies and ``taps - 1`` adds; taps = (2 or 4) ** (axes it resizes).

    One tap is a copy: mode nearest, or no axis changes. With ``antialias`` an axis that shrinks by the factor
    s has a wider filter: 2 taps become 2 * ceil(s), 4 become 2 * ceil(2 * s).
    """
    return mixed(prod(_taps_by_axis(node))) * prod(node.output_shape(0))


def _taps_by_axis(node: NodeView) -> Sequence[int]:
    """The elements mixed along each axis; 1 where the axis keeps its size."""
    taps = TAPS_PER_AXIS[node.attribute("mode", "nearest")]
    filtered = taps > 1 and bool(node.attribute("antialias", 0))
    sizes = zip(node.input_shape(0), node.output_shape(0), _shrink_factors(node), strict=True)
    return [
        1 if old == new else 2 * ceil(taps // 2 * max(shrink, 1)) if filtered else taps
        for old, new, shrink in sizes
    ]


def _shrink_factors(node: NodeView) -> Sequence[float]:
    """The factor by which an axis shrinks: 1 / scale where the file holds it, else old / new size."""
    before, after = node.input_shape(0), node.output_shape(0)
    by_size = [old / max(new, 1) for old, new in zip(before, after, strict=True)]
    scales = constant_input(node, SCALES_INPUT)
    if scales is None or not scales.size:
        return by_size
    axes = node.attribute("axes") or range(len(before))
    by_scale = {axis % len(before): float(1 / scale) for axis, scale in zip(axes, scales, strict=True)}
    return [by_scale.get(axis, by_size[axis]) for axis in range(len(before))]


DENORMALIZE = 2 * VECTOR  # scale, shift
BILINEAR = 7 * VECTOR  # four multiplies and three adds
BOX = 7 * VECTOR  # corners sorted (4), area (3); or corners from the center (6), area (1)
OVERLAP = 13 * VECTOR  # 4 min and max, 2 sub, 2 clamps, mul; add, sub, div; compare
OFFSET_INPUT, BIAS_INPUT, MASK_INPUT = 2, 3, 4
MAX_BOXES_INPUT, SCORE_THRESHOLD_INPUT = 2, 4


def affine_grid(node: NodeView) -> Work:
    """prod(grid) * (k + 1) MACs: each homogeneous position, k + 1 wide, times the matrix of its image.

    The positions depend on the size alone and are not counted.
    """
    return matmul(node)


def grid_sample(node: NodeView) -> Work:
    """2 per grid coordinate, to denormalize it; per output element the mix of 1, 2 ** k or 4 ** k taps."""
    mode = node.attribute("mode", "linear").removeprefix("bi")
    spatial, coordinates = len(node.input_shape(0)) - 2, node.input_shape(1)[-1]
    if coordinates != spatial:
        raise NotCountable(f"GridSample: {coordinates:,} coordinates for {spatial} spatial dimensions")
    taps = TAPS_PER_AXIS[mode] ** spatial
    return DENORMALIZE * prod(node.input_shape(1)) + mixed(taps) * prod(node.output_shape(0))


def deform_conv(node: NodeView) -> Work:
    """The MACs of Conv; one add per offset; per sampled value the mix of 2 ** k taps, and its mask.

    N * C_in * prod(kernel) * prod(spatial_out) values are sampled. A bias is one add per output element.
    """
    output, kernel = node.output_shape(0), node.input_shape(1)[2:]
    sampled = prod(node.input_shape(0)[:2]) * prod(kernel) * prod(output[2:])
    per_sample = mixed(2 ** len(kernel)) + VECTOR * node.has_input(MASK_INPUT)
    adds = node.input(OFFSET_INPUT).elements + node.has_input(BIAS_INPUT) * prod(output)
    return Work(macs=conv_macs(node), vector_ops=adds) + per_sample * sampled


def roi_align(node: NodeView) -> Work:
    """Per output element and sample: four taps mixed (7), and one op to average or compare the samples.

    There are ``sampling_ratio`` ** 2 samples. A ratio of 0 takes one sample per pixel that the output element
    covers, here of the whole map.
    """
    output = node.output_shape(0)
    ratio = node.attribute("sampling_ratio", 0)
    covered = (ceil(old / new) for old, new in zip(node.input_shape(0)[2:], output[2:], strict=True))
    samples = ratio**2 if ratio else prod(covered)
    return (BILINEAR + VECTOR) * (samples * prod(output))


def max_roi_pool(node: NodeView) -> Work:
    """One compare per element of each region and channel, a region being the whole map: R * C * H * W."""
    return VECTOR * (node.output_shape(0)[0] * prod(node.input_shape(0)[1:]))


def non_max_suppression(node: NodeView) -> Work:
    """7 per box for corners and area; per score one compare to rank it, and one with the threshold, if given.

    13 for each pair of boxes compared: in each class, each box with those kept before it. The upper bound
    counts: ``max_output_boxes_per_class`` boxes are kept where the file holds it, else all.
    """
    batch, boxes, _ = node.input_shape(0)
    classes = node.input_shape(1)[1]
    kept = min(_max_kept(node, boxes), boxes)
    pairs = kept * boxes - kept * (kept + 1) // 2
    per_score = VECTOR * (1 + node.has_input(SCORE_THRESHOLD_INPUT))
    return BOX * (batch * boxes) + (per_score * boxes + OVERLAP * pairs) * (batch * classes)


def _max_kept(node: NodeView, boxes: int) -> int:
    """The most boxes kept per class; without the input 0, by the specification."""
    if not node.has_input(MAX_BOXES_INPUT):
        return 0
    most = constant_input(node, MAX_BOXES_INPUT)
    return boxes if most is None else int(most.item())


RULES: RuleTable = {
    "": {
        "Resize": resize,
        "Upsample": resize,
        "AffineGrid": affine_grid,
        "GridSample": grid_sample,
        "DeformConv": deform_conv,
        "RoiAlign": roi_align,
        "MaxRoiPool": max_roi_pool,
        "Col2Im": each_input(VECTOR),  # each column is added to the image
        "NonMaxSuppression": non_max_suppression,
    },
}
