"""Operators that move data, or only look at it from another side; what they move is in ``traffic``."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from onnxlens.profile.count.rules.sampling import DRAW
from onnxlens.profile.count.rules.work import NOTHING, VECTOR, Rule, Work, each_output, no_work
from onnxlens.profile.graph.node_view import NodeView

DROP = 3 * VECTOR  # compare with the ratio, mask, scale


def may_train(node: NodeView, mode: int) -> bool:
    """Whether the input ``mode`` says training: it is given, and not known to hold False."""
    if not node.has_input(mode):
        return False
    read = node.input(mode).read_constant
    training = read() if read is not None else None
    return training is None or bool(training.any())


def may_drop(node: NodeView) -> bool:
    """Whether a Dropout may be in training mode, which its third input says.

    Before opset 7 the attribute ``is_test`` says it, by default 0; from 7 to 11 there was no training mode.
    """
    return not node.attribute("is_test", 0) if node.version < 7 else may_train(node, mode=2)


def dropout(node: NodeView) -> Work:
    """0 in inference, where it is the identity; in training 4 per element: draw, compare, mask, scale.

    A mode that is decided at run time counts as training.
    """
    return (DRAW + DROP) * prod(node.input_shape(0)) if may_drop(node) else NOTHING


def scatter(node: NodeView) -> Work:
    """One vector operation per element of the updates where ``reduction`` joins them to the data; else 0."""
    joins = node.attribute("reduction", "none") != "none"
    return VECTOR * node.input(2).elements if joins else NOTHING


RULES: Mapping[str, Rule] = {
    # views
    "Reshape": no_work,
    "Squeeze": no_work,
    "Unsqueeze": no_work,
    "Flatten": no_work,
    "Identity": no_work,
    "BitCast": no_work,
    "Dropout": dropout,
    # references to tensors: sequences and optionals
    "SequenceEmpty": no_work,
    "SequenceConstruct": no_work,
    "SequenceInsert": no_work,
    "SequenceErase": no_work,
    "SequenceAt": no_work,
    "Optional": no_work,
    "OptionalGetElement": no_work,
    # facts about a shape, a sequence, an optional
    "SequenceLength": no_work,
    "OptionalHasElement": no_work,
    "Shape": no_work,
    "Size": no_work,
    # values from nothing
    "Constant": no_work,
    "ConstantOfShape": no_work,
    "EyeLike": no_work,
    "OneHot": no_work,
    "Range": each_output(VECTOR),
    # the same values elsewhere, or in another type
    "Cast": no_work,
    "CastLike": no_work,
    "Concat": no_work,
    "ConcatFromSequence": no_work,
    "Split": no_work,
    "SplitToSequence": no_work,
    "Slice": no_work,
    "Pad": no_work,
    "CenterCropPad": no_work,
    "Expand": no_work,
    "Tile": no_work,
    "Transpose": no_work,
    "Trilu": no_work,
    "DepthToSpace": no_work,
    "SpaceToDepth": no_work,
    "ReverseSequence": no_work,
    # values found by index
    "Gather": no_work,
    "GatherElements": no_work,
    "GatherND": no_work,
    "Compress": no_work,
    "MaxUnpool": no_work,
    "Scatter": no_work,
    "ScatterElements": scatter,
    "ScatterND": scatter,
    "TensorScatter": no_work,
    # graphs of their own: what runs in there is counted there, as often as ``profile/count/repeats.py`` says
    "If": no_work,
    "Loop": no_work,
    "Scan": no_work,
    "SequenceMap": no_work,
}
