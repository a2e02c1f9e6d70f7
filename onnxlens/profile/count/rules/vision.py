"""Regions, grids and windows of images: what samples between pixels is counted by the taps it mixes.

Where the regions depend on the data, the rule counts regions as large as the whole map, the most that they
can take. Where a sample falls, and the coefficients of its taps, are not counted, as in Resize.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, prod

from onnxlens.profile.count.rules.matrix import conv_macs, product_macs
from onnxlens.profile.count.rules.resizing import TAPS_PER_AXIS, mixed
from onnxlens.profile.count.rules.work import NOTHING, VECTOR, Rule, Work, each_input
from onnxlens.profile.graph.node_view import NodeView

DENORMALIZE = 2 * VECTOR  # scale, shift
BILINEAR = 7 * VECTOR  # four multiplies and three adds
BOX = 7 * VECTOR  # corners put in order (4), area (3); or corners from the centre (6), area (1)
OVERLAP = 13 * VECTOR  # 4 min and max, 2 sub, 2 clamps, mul; add, sub, div; compare
OFFSET_INPUT, BIAS_INPUT, MASK_INPUT = 2, 3, 4
MOST_BOXES_INPUT, SCORE_THRESHOLD_INPUT = 2, 4


def affine_grid(node: NodeView) -> Work:
    """Prod(grid) * (k + 1) MACs: each position, (k + 1) wide, into the matrix of its image.

    The positions themselves come from the size alone.
    """
    return Work(macs=product_macs(node.input_shape(0), node.output_shape(0)))


def grid_sample(node: NodeView) -> Work:
    """2 per grid coordinate, to pixels; per output element the mix of 1, 2 ** k or 4 ** k taps."""
    mode = node.attribute("mode", "linear").removeprefix("bi")
    taps = TAPS_PER_AXIS[mode] ** node.input_shape(1)[-1]
    return DENORMALIZE * prod(node.input_shape(1)) + mixed(taps) * prod(node.output_shape(0))


def deform_conv(node: NodeView) -> Work:
    """The MACs of Conv; one add per offset; 2 ** k taps mixed for each sampled value, and its mask.

    The sampled values are N * C_in * prod(kernel) * prod(spatial_out). A bias is one add per output element.
    """
    output, kernel = node.output_shape(0), node.input_shape(1)[2:]
    sampled = prod(node.input_shape(0)[:2]) * prod(kernel) * prod(output[2:])
    per_sample = mixed(2 ** len(kernel)) + (VECTOR if node.has_input(MASK_INPUT) else NOTHING)
    work = Work(macs=conv_macs(node)) + per_sample * sampled + VECTOR * node.input(OFFSET_INPUT).elements
    return work + (VECTOR * prod(output) if node.has_input(BIAS_INPUT) else NOTHING)


def roi_align(node: NodeView) -> Work:
    """Per output element and sample: four taps mixed (7), and one to average the samples or to compare them.

    There are ``sampling_ratio`` ** 2 samples. With 0 there are as many as the region has pixels under the
    output element: as many as the whole map has.
    """
    output = node.output_shape(0)
    ratio = node.attribute("sampling_ratio", 0)
    height, width = (
        ceil(pixels / bins) for pixels, bins in zip(node.input_shape(0)[2:], output[2:], strict=True)
    )
    samples = ratio**2 if ratio else height * width
    return (BILINEAR + VECTOR) * (samples * prod(output))


def max_roi_pool(node: NodeView) -> Work:
    """One compare per element of each region, in each channel: R * C * H * W, the region the whole map."""
    return VECTOR * (node.output_shape(0)[0] * prod(node.input_shape(0)[1:]))


def non_max_suppression(node: NodeView) -> Work:
    """7 per box for corners and area; per score one compare to rank it, and one with the threshold, if given.

    Then 13 for each pair of boxes that is compared: each box, in each class, with those kept before it. The
    most is taken: ``max_output_boxes_per_class`` are kept where the file says it, else all.
    """
    batch, boxes, _ = node.input_shape(0)
    classes = node.input_shape(1)[1]
    kept = min(_most_kept(node, boxes), boxes)
    pairs = kept * boxes - kept * (kept + 1) // 2
    per_score = VECTOR + (VECTOR if node.has_input(SCORE_THRESHOLD_INPUT) else NOTHING)
    return BOX * (batch * boxes) + (per_score * boxes + OVERLAP * pairs) * (batch * classes)


def _most_kept(node: NodeView, boxes: int) -> int:
    """How many boxes of a class are kept at most; without the input none, by the specification."""
    if not node.has_input(MOST_BOXES_INPUT):
        return 0
    read = node.input(MOST_BOXES_INPUT).read_constant
    most = read() if read is not None else None
    return boxes if most is None else int(most.item())


RULES: Mapping[str, Rule] = {
    "AffineGrid": affine_grid,
    "GridSample": grid_sample,
    "DeformConv": deform_conv,
    "RoiAlign": roi_align,
    "MaxRoiPool": max_roi_pool,
    "Col2Im": each_input(VECTOR),  # each column is added to the image
    "NonMaxSuppression": non_max_suppression,
}
