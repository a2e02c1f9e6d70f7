"""Operators that move data, or only look at it from another side; what they move is in ``traffic``."""

from __future__ import annotations

from collections.abc import Mapping

from onnxlens.profile.node_view import NodeView, NotCountable
from onnxlens.profile.rules.work import NOTHING, VECTOR, Rule, Work, each_output, no_work


def may_drop(node: NodeView, mode: int = 2) -> bool:
    """Whether a Dropout may be in training mode: the input ``mode`` is given, and not known to hold False."""
    if not node.has_input(mode):
        return False
    read = node.input(mode).read_constant
    training = read() if read is not None else None
    return training is None or bool(training.any())


def dropout(node: NodeView) -> Work:
    """0: the identity, in inference.

    Raises:
        NotCountable: its training mode is on or decided at run time.
    """
    if may_drop(node):
        raise NotCountable("Dropout in training mode has no rule; export the model in eval mode")
    return NOTHING


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
    # facts about a shape
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
    "Split": no_work,
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
    "Scatter": no_work,
    "ScatterElements": scatter,
    "ScatterND": scatter,
    "TensorScatter": no_work,
    # graphs of their own: what runs in there is counted there, as often as ``profile/control_flow.py`` says
    "If": no_work,
    "Loop": no_work,
    "Scan": no_work,
    "SequenceMap": no_work,
}
