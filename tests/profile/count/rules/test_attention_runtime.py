"""The shapes that the rules of attention use are those that ONNX Runtime returns.

Where it has no kernel for the operator, ONNX's reference evaluator runs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

from onnxlens.profile.count.rules import attention, work_of
from onnxlens.profile.count.rules.attention_caches import caches_of
from onnxlens.profile.count.rules.attention_reach import LAYOUTS, reaches_of
from onnxlens.profile.count.rules.microsoft import attention as fused
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.graph.node_view import NodeView
from tests.profile.count.rules.attention_grid import QUICK, WIDE, Setting


def returned(setting: Setting) -> Sequence[tuple[int, ...]]:
    """The shapes of what a runtime makes."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    model = setting.model()
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
        made = ReferenceEvaluator(model).run(None, dict(setting.feeds))
    else:
        made = (
            in_place(session, setting)
            if setting.op_type == "SparseAttention"
            else session.run(None, dict(setting.feeds))
        )
    return [np.asarray(array).shape for array in made]


def in_place(session: onnxruntime.InferenceSession, setting: Setting) -> Sequence[np.ndarray]:
    """A run in which past and present are the same memory, as the operator wants it."""
    binding = session.io_binding()
    held = {name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in setting.feeds.items()}
    for name, array in held.items():
        binding.bind_ortvalue_input(name, array)
    binding.bind_output("y0")
    for past, present in (("x3", "y1"), ("x4", "y2")):
        binding.bind_ortvalue_output(present, held[past])
    session.run_with_iobinding(binding)
    return [array.numpy() for array in binding.get_outputs()]


def sizes_in(node: NodeView) -> attention.Sizes:
    """The sizes by which the rule counts."""
    if not node.domain:
        return attention.attention_sizes(node)
    if node.op_type.endswith("MultiHeadAttention"):
        return fused.multi_head_sizes(node)
    if "kv_num_heads" in node.attributes:
        return fused.grouped_sizes(node).sizes
    return fused.projected_sizes(node, reaches_of(node))


def agrees(setting: Setting, folder: Path) -> None:
    (node,) = load_graph(setting.saved(folder)).nodes
    view, shapes = node.view, returned(setting)
    assert [view.output(index).shape for index in range(len(shapes))] == shapes
    assert work_of(view).macs or setting.op_type == "TensorScatter"
    for use in caches_of(view):
        if use.past is not None and use.present is not None:
            assert (view.input(use.past).shape == shapes[use.present]) == (
                setting.shares or not setting.keys or bool(view.attribute("sliding_window_cache", 0))
            )
    if (setting.domain, setting.op_type) in LAYOUTS:
        keys_agree(setting, view, shapes)


def keys_agree(setting: Setting, view: NodeView, shapes: Sequence[tuple[int, ...]]) -> None:
    reaches, sizes = reaches_of(view), sizes_in(view)
    assert sorted(reach.total for times, reach in reaches for _ in range(times)) == sorted(setting.keys)
    totals = max(reach.total for _, reach in reaches)
    output, *caches = shapes
    size = sizes[0]
    rows = sum(each.batch for each in sizes)
    if len(output) == 3:
        assert output == (rows, size.queries, size.heads * size.value_width)
    else:
        assert output == (rows, size.heads, size.queries, size.value_width)
    if len(caches) == 3:  # the scores
        assert caches.pop() == (rows, size.heads, size.queries, totals)
    if caches and not setting.shares and not view.attribute("sliding_window_cache", 0):
        assert {cache[-2] for cache in caches} == {totals}
    if len(caches) == 2:
        assert [cache[-1] for cache in caches] == [size.key_width, size.value_width]


@pytest.mark.parametrize("setting", QUICK, ids=str)
def test_the_rule_uses_the_shapes_that_the_runtime_returns(setting: Setting, tmp_path: Path) -> None:
    agrees(setting, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("setting", WIDE, ids=str)
def test_over_a_wider_grid(setting: Setting, tmp_path: Path) -> None:
    agrees(setting, tmp_path)
