"""Operators that move data or only reinterpret it; ``traffic`` counts the bytes that they move."""

from __future__ import annotations

from onnxlens.profile.count.rules.work import NOTHING, VECTOR, RuleTable, Work, each_output, no_work
from onnxlens.profile.graph.node_view import NodeView


def scatter(node: NodeView) -> Work:
    """One elementwise op per element of the updates where a ``reduction`` combines them with the data."""
    combines = node.attribute("reduction", "none") != "none"
    return VECTOR * node.input(2).elements if combines else NOTHING


VIEWS = ("Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "BitCast")
REFERENCES = (
    "SequenceEmpty", "SequenceConstruct", "SequenceInsert", "SequenceErase", "SequenceAt",
    "Optional", "OptionalGetElement",
)  # fmt: skip
"""Sequences and optionals refer to tensors."""
FACTS = ("Shape", "Size", "SequenceLength", "OptionalHasElement")
NEW_VALUES = ("Constant", "ConstantOfShape", "EyeLike", "OneHot")
COPIES = (
    "Cast", "CastLike", "Concat", "ConcatFromSequence", "Split", "SplitToSequence", "Slice", "Pad",
    "CenterCropPad", "Expand", "Tile", "Transpose", "Trilu", "DepthToSpace", "SpaceToDepth",
    "ReverseSequence",
)  # fmt: skip
"""The same values at other positions, or in another type."""
INDEXED = (
    "Gather", "GatherElements", "GatherND", "Compress", "MaxUnpool", "Scatter", "TensorScatter",
)  # fmt: skip
CONTROL_FLOW = ("If", "Loop", "Scan", "SequenceMap")
"""The nodes of their bodies are counted, as often as ``profile/count/repeats.py`` says."""

RULES: RuleTable = {
    "": {
        **dict.fromkeys(
            (*VIEWS, *REFERENCES, *FACTS, *NEW_VALUES, *COPIES, *INDEXED, *CONTROL_FLOW), no_work
        ),
        "Range": each_output(VECTOR),
        "ScatterElements": scatter,
        "ScatterND": scatter,
    },
}
