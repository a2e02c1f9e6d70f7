"""How many keys queries see, and what is read and written of caches, by hand for every operator."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple
from types import ModuleType
from typing import Any

import pytest

from onnxlens.profile.count.rules import attention_caches, attention_reach
from onnxlens.profile.count.rules.attention_caches import CacheUse, caches_of
from onnxlens.profile.count.rules.attention_reach import Reach, Reaches, reaches_of
from onnxlens.profile.graph.node_view import NodeView, NotCountable
from tests.profile.count.rules.attention_cases import (
    BLOCKS,
    ENDS,
    GROUPED_CASES,
    HEADS,
    MADE,
    PAST,
    PRESENT,
    Q4,
    ROW,
    TOKENS,
    Q,
    both,
    grouped,
    microsoft,
)
from tests.profile.count.rules.mutants import mutants_of, survives
from tests.profile.count.rules.nodes import node

HALF = {f"{name}{index}": "float16" for name in "xy" for index in range(20)}
REST = 2 * 4 * 8 * 4  # a row of all heads of both sequences

CASES: dict[str, tuple[NodeView, Reaches, tuple[CacheUse, ...]]] = {
    **GROUPED_CASES,
    "heads apart": (
        microsoft("MultiHeadAttention", [Q, Q, Q, None, None, None, (2, 4, 7, 8), (2, 4, 7, 8)],
                  [Q, MADE, MADE], num_heads=4),
        ((2, Reach(3, 7, 3)),), both(6, 1, 7 * REST, 3 * REST),
    ),
    "heads apart in a buffer": (
        microsoft("MultiHeadAttention", [Q, Q, Q, None, (2, 9), None, *[(2, 4, 20, 8)] * 2, ()],
                  [Q, *[(2, 4, 20, 8)] * 2], num_heads=4, constants={8: 4}),
        ((2, Reach(3, 4, 3)),), both(6, 1, 4 * REST, 3 * REST),
    ),
    "a padding mask": (
        microsoft("MultiHeadAttention", [Q, Q, Q, None, (2, 9), None, *[(2, 4, 20, 8)] * 2, ()],
                  [Q, *[(2, 4, 20, 8)] * 2], num_heads=4),
        ((2, Reach(3, 6, 3)),), both(6, 1, 6 * REST, 3 * REST),
    ),
    "a padding mask and a bias": (
        microsoft("MultiHeadAttention", [Q, Q, Q, None, (2, 9), (1, 1, 3, 7), *[(2, 4, 20, 8)] * 2, ()],
                  [Q, *[(2, 4, 20, 8)] * 2], num_heads=4),
        ((2, Reach(3, 4, 3)),), both(6, 1, 4 * REST, 3 * REST),
    ),
    "two lengths of earlier keys": (
        microsoft("MultiHeadAttention", [Q, Q, Q, None, None, None, *[(2, 4, 20, 8)] * 2, (2,)],
                  [Q, *[(2, 4, 20, 8)] * 2], num_heads=4, constants={8: [4, 5]}),
        ((2, Reach(3, 17, 3)),), both(6, 1, 17 * REST, 3 * REST),
    ),
    # a mask of the new keys alone says nothing of those before
    "a mask of new keys": (
        microsoft("MultiHeadAttention", [Q, Q, Q, None, (2, 3), None, *[(2, 4, 7, 8)] * 2],
                  [Q, MADE, MADE], num_heads=4),
        ((2, Reach(3, 7, 3)),), both(6, 1, 7 * REST, 3 * REST),
    ),
    "packed heads": (
        microsoft("MultiHeadAttention", [(2, 3, 4, 3, 8)], [Q], num_heads=4), ((2, Reach(3, 0, 3)),), (),
    ),
    "keys of another sequence": (
        microsoft("MultiHeadAttention", [Q, (2, 4, 9, 8), (2, 4, 9, 8)], [Q], num_heads=4),
        ((2, Reach(3, 0, 9)),), both(1, None, 9 * REST, 0),
    ),
    "one query": (
        microsoft("DecoderMaskedMultiHeadAttention",
                  [(2, 1, 32), (2, 1, 32), (2, 1, 32), None, (2, 1, 1, 9), *[(2, 4, 20, 8)] * 2, ()],
                  [(2, 1, 32), *[(2, 4, 20, 8)] * 2], num_heads=4, constants={7: [6]}),
        ((2, Reach(1, 6, 1)),), both(5, 1, 6 * REST, REST),
    ),
    "one query with a mask": (
        microsoft("DecoderMaskedMultiHeadAttention",
                  [(2, 1, 32), (2, 1, 32), (2, 1, 32), (2, 9), None, *[(2, 4, 20, 8)] * 2, ()],
                  [(2, 1, 32), *[(2, 4, 20, 8)] * 2], num_heads=4),
        ((2, Reach(1, 8, 1)),), both(5, 1, 8 * REST, REST),
    ),
    "one query with a mask and a bias": (
        microsoft("DecoderMaskedMultiHeadAttention",
                  [(2, 1, 32), (2, 1, 32), (2, 1, 32), (2, 9), (2, 1, 1, 7), *[(2, 4, 20, 8)] * 2, ()],
                  [(2, 1, 32), *[(2, 4, 20, 8)] * 2], num_heads=4),
        ((2, Reach(1, 6, 1)),), both(5, 1, 6 * REST, REST),
    ),
    "one query, keys of another sequence": (
        microsoft("DecoderMaskedMultiHeadAttention", [(2, 1, 32), (2, 4, 9, 8), (2, 4, 9, 8)], [(2, 1, 32)],
                  num_heads=4),
        ((2, Reach(1, 0, 9)),), both(1, None, 9 * REST, 0),
    ),
    "ONNX's": (
        node("Attention", [Q4, Q4, Q4, None, (2, 4, 7, 8), (2, 4, 7, 8)], [Q4, MADE, MADE]),
        ((2, Reach(3, 7, 3)),), both(4, 1, 7 * REST, 3 * REST),
    ),
    "ONNX's without heads apart": (
        node("Attention", [Q, Q, Q], [Q, (2, 4, 3, 8), (2, 4, 3, 8)], q_num_heads=4, kv_num_heads=4),
        ((2, Reach(3, 0, 3)),), both(None, 1, 0, 3 * REST),
    ),
    "ONNX's windows": (
        node("Attention", [Q4, Q4, Q4, None, (2, 4, 7, 8), (2, 4, 7, 8)], [Q4, MADE, MADE],
             left_window_size=2, right_window_size=1),
        ((2, Reach(3, 7, 3, 2, 1)),), both(4, 1, 2 * REST, 3 * REST),
    ),
    "ONNX's window on the left, causal": (
        node("Attention", [Q4, Q4, Q4, None, (2, 4, 7, 8), (2, 4, 7, 8)], [Q4, MADE, MADE],
             left_window_size=0, right_window_size=1, is_causal=1),
        ((2, Reach(3, 7, 3, 0, 0)),), both(4, 1, 0, 3 * REST),
    ),
    "ONNX's window on the right": (
        node("Attention", [Q4, Q4, Q4], [Q4], right_window_size=0), ((2, Reach(3, 0, 3, None, 0)),), (),
    ),
    "ONNX's causality": (
        node("Attention", [Q4, Q4, Q4], [Q4], is_causal=1), ((2, Reach(3, 0, 3, None, 0)),), (),
    ),
    "ONNX's short mask": (
        node("Attention", [Q4, (2, 4, 9, 8), (2, 4, 9, 8), (3, 5)], [Q4]), ((2, Reach(3, 0, 5)),), (),
    ),
    "ONNX's mask of two": (
        node("Attention", [Q4, (2, 4, 9, 8), (2, 4, 9, 8), (3, 2)], [Q4]), ((2, Reach(3, 0, 2)),), (),
    ),
    "ONNX's buffer of a row": (
        node("Attention", [(1, 4, 3, 8), *[(1, 4, 1, 8)] * 2, None, None, None, (1,)], [(1, 4, 3, 8)]),
        ((1, Reach(3, 0, 1)),), both(1, None, 4 * 8 * 4, 0),
    ),
    "ONNX's buffer of no row": (
        node("Attention", [Q4, *[(2, 4, 0, 8)] * 2, None, None, None, (2,)], [Q4]),
        ((2, Reach(3, 0, 0)),), both(1, None, 0, 0),
    ),
    # of buffers of 20 rows the 9 and 5 that are there are read, whatever made them
    "ONNX's buffers": (
        node("Attention", [Q4, *[(2, 4, 20, 8)] * 2, None, None, None, (2,)], [Q4], constants={6: [9, 5]}),
        ((1, Reach(3, 0, 9)), (1, Reach(3, 0, 5))), both(1, None, 14 * REST // 2, 0),
    ),
    # 3 queries see their own 3 and 2 before
    "ONNX's buffers in a window": (
        node("Attention", [Q4, *[(2, 4, 20, 8)] * 2, None, None, None, (2,)], [Q4], constants={6: [9, 4]},
             left_window_size=2),
        ((1, Reach(3, 0, 9, 2)), (1, Reach(3, 0, 4, 2))), both(1, None, 9 * REST // 2, 0),
    ),
    "ONNX's buffers of unknown lengths": (
        node("Attention", [Q4, *[(2, 4, 20, 8)] * 2, None, None, None, (2,)], [Q4]),
        ((2, Reach(3, 0, 20)),), both(1, None, 20 * REST, 0),
    ),
    "blocks": (
        microsoft("PagedAttention", [TOKENS, (5, 16), (5, 16), BLOCKS, BLOCKS, ENDS, (2,), (2, 2)],
                  [TOKENS, BLOCKS, BLOCKS], constants={5: [0, 2, 5], 6: [4, 20]}, dtypes=HALF, **HEADS),
        ((1, Reach(2, 4, 2)), (1, Reach(3, 20, 3))), both(3, 1, 24 * ROW // 2, 5 * ROW // 2),
    ),
    "blocks of sequences that are alike": (
        microsoft("PagedAttention", [(4, 64), None, None, BLOCKS, BLOCKS, ENDS, (2,), (2, 2)],
                  [(4, 32), BLOCKS, BLOCKS], local_window_size=3, constants={5: [0, 2, 4], 6: [4, 4]},
                  **HEADS),
        ((2, Reach(2, 4, 2, 2, 0)),), both(3, 1, 4 * ROW, 4 * ROW),
    ),
    "blocks with a scale for each row of a head": (
        microsoft("PagedAttention",
                  [(4, 64), None, None, BLOCKS, BLOCKS, ENDS, (2,), (2, 2), *[None] * 9, *[(2, 16, 3)] * 2],
                  [(4, 32), BLOCKS, BLOCKS, *[(2, 16, 3)] * 2], constants={5: [0, 2, 4], 6: [4, 4]}, **HEADS),
        ((2, Reach(2, 4, 2)),),
        (*both(3, 1, 8 * ROW, 4 * ROW), *both(17, 3, 8 * 3 * 4, 4 * 3 * 4)),
    ),
    "blocks of one sequence": (
        microsoft("PagedAttention", [(4, 64), None, None, BLOCKS, BLOCKS, (2,), (1,), (1, 2)], [(4, 32)],
                  constants={6: [9]}, is_causal=0, local_window_size=3, **HEADS),
        ((1, Reach(4, 9, 4, 2, None)),), both(3, None, 2 * ROW, 0),
    ),
    "blocks of one sequence that does not have all tokens": (
        microsoft("PagedAttention", [(4, 64), None, None, BLOCKS, BLOCKS, (2,), (1,), (1, 2)], [(4, 32)],
                  constants={5: [0, 3], 6: [9]}, **HEADS),
        ((1, Reach(3, 9, 3)),), both(3, None, 9 * ROW, 0),
    ),
    "keys and values in one row": (
        microsoft("PagedAttention", [(1, 96), (1, 24), None, (2, 16, 1, 24), None, (2,), (1,), (1, 2)],
                  [(1, 64), (2, 16, 1, 24)], constants={6: [7]}, num_heads=4, kv_num_heads=1),
        ((1, Reach(1, 7, 1)),), (CacheUse(3, 1, 7 * 24 * 4, 24 * 4),),
    ),
    "flags for another sequence": (
        microsoft("DecoderAttention", [(3, 2, 32), (5, 2, 32), *[()] * 3, None, None, None, *[()] * 4],
                  [(3, 2, 32)], constants={8: True, 9: False}, num_heads=4),
        ((2, Reach(3, 0, 5)),), (),
    ),
    "flags for another sequence's cache": (
        microsoft("DecoderAttention",
                  [(3, 2, 32), (5, 2, 32), *[()] * 3, None, *[(2, 4, 7, 8)] * 2, *[()] * 4],
                  [(3, 2, 32), *[(2, 4, 7, 8)] * 2], constants={8: True, 9: True}, num_heads=4),
        ((2, Reach(3, 7, 0)),), both(6, 1, 7 * REST, 0),
    ),
    "flags for earlier keys": (
        microsoft("DecoderAttention",
                  [(3, 2, 32), (5, 2, 32), *[()] * 3, None, *[(2, 4, 7, 8)] * 2, *[()] * 4],
                  [(3, 2, 32), *[(2, 4, 10, 8)] * 2], constants={8: False, 9: True}, num_heads=4),
        ((2, Reach(3, 7, 3)),), both(6, 1, 7 * REST, 3 * REST),
    ),
}  # fmt: skip

STATE = (2, 2, 8, 16)
STATES: dict[str, tuple[NodeView, tuple[CacheUse, ...]]] = {
    "a state": (
        microsoft("LinearAttention", [(2, 3, 32), (2, 3, 16), (2, 3, 32), STATE], [(2, 3, 64), STATE]),
        (CacheUse(3, 1, 4 * 512, 4 * 512),),
    ),
    "the last of 5 states": (
        microsoft("LinearAttention", [(2, 3, 32), (2, 3, 16), (2, 3, 32), (5, *STATE)],
                  [(2, 3, 64), (5, *STATE)], state_window=5),
        (CacheUse(3, 1, 4 * 512, 5 * 4 * 512),),
    ),
    "a state that begins": (
        node("LinearAttention", [(2, 3, 32), (2, 3, 16), (2, 3, 32)], [(2, 3, 64), STATE]),
        (CacheUse(None, 1, 0, 4 * 512),),
    ),
    "a state that ends": (
        node("CausalConvWithState", [(2, 6, 9), (6, 1, 4), None, (2, 6, 3)], [(2, 6, 9)]),
        (CacheUse(3, None, 4 * 36, 0),),
    ),
    "no state": (node("CausalConvWithState", [(2, 6, 9), (6, 1, 4)], [(2, 6, 9)]), ()),
    "taps of tokens in a row": (
        microsoft("VarlenCausalConvWithState", [(9, 6), (6, 1, 4), (3,), None, (2, 6, 3)],
                  [(9, 6), (2, 6, 3)]),
        (CacheUse(4, 1, 4 * 36, 4 * 36),),
    ),
    "a state of tokens in a row": (
        microsoft("GatedDeltaNet", [(12, 96), *[None] * 5, STATE], [(12, 4, 16), STATE]),
        (CacheUse(6, 1, 4 * 512, 4 * 512),),
    ),
    "rows that are scattered": (
        node("TensorScatter", [(2, 4, 20, 8), (2, 4, 3, 8), (2,)], [(2, 4, 20, 8)]),
        (CacheUse(0, 0, 0, 3 * REST),),
    ),
    "no cache at all": (node("Relu", [(3,)], [(3,)]), ()),
}  # fmt: skip


@pytest.mark.parametrize("what", CASES)
def test_what_queries_see(what: str) -> None:
    view, reaches, uses = CASES[what]
    assert tuple(reaches_of(view)) == tuple(reaches)
    assert caches_of(view) == uses


@pytest.mark.parametrize("what", STATES)
def test_states(what: str) -> None:
    view, uses = STATES[what]
    assert caches_of(view) == uses


def unknown_lengths(known: dict[int, list[int]]) -> NodeView:
    inputs: list[Any] = [(5, 64), None, None, BLOCKS, BLOCKS, ENDS, (2,), (2, 2)]
    return microsoft("PagedAttention", inputs, [TOKENS], constants=known)


@pytest.mark.parametrize(
    ("known", "name"), [({5: [0, 2, 5]}, "x6"), ({6: [4, 20]}, "x5")], ids=["ends", "pasts"]
)
def test_lengths_that_are_data_are_asked_for(known: dict[int, list[int]], name: str) -> None:
    with pytest.raises(NotCountable, match=f"PagedAttention: .* data of '{name}'; --value {name}=... fixes"):
        reaches_of(unknown_lengths(known))


def test_a_cache_of_unknown_element_size() -> None:
    view = grouped(PAST, PRESENT, dtypes={"x3": "string"})
    with pytest.raises(NotCountable, match="element size of 'x3'"):
        caches_of(view)


def plain(results: Iterable[Any]) -> Any:
    """Without the classes, of which a mutant has its own."""
    return tuple(
        (times_and_reach(*result)) if isinstance(result, tuple) else astuple(result) for result in results
    )


def times_and_reach(times: int, reach: Any) -> Any:
    return times, astuple(reach), reach.total, reach.keys, reach.seen


def found(rules: Any, view: NodeView) -> Any:
    try:
        return plain(rules[view.domain][view.op_type](view))
    except Exception as refusal:
        return type(refusal)


EXPECTED: dict[ModuleType, list[tuple[NodeView, Any]]] = {
    attention_reach: [
        *((view, plain(reaches)) for view, reaches, _ in CASES.values()),
        (unknown_lengths({5: [0, 2, 5]}), NotCountable),
        (unknown_lengths({6: [4, 20]}), NotCountable),
    ],
    attention_caches: [
        (grouped(PAST, PRESENT, dtypes={"x3": "string"}), NotCountable),
        *((view, plain(uses)) for view, _, uses in CASES.values() if view.op_type != "FlexAttention"),
        *((view, plain(uses)) for view, uses in STATES.values() if view.op_type != "Relu"),
    ],
}
EQUIVALENT = {
    **dict.fromkeys(
        (
            f"attention_reach: {before.format(past)} -> {before.format(past + 1)}"
            for before, past in (
                ("Layout(onnx_tokens, {}, each=(6, 0), masks=(3,), pads=True, window=onnx_window)", 4),
                ("Layout(multi_head_tokens, {}, before=8, masks=(4, 5))", 6),
                ("Layout(multi_head_tokens, {}, before=7, masks=(3, 4))", 5),
                ("Layout(grouped_tokens, {}, each=(5, 1), total=6, masks=(10,), window=local_window)", 3),
                ("Layout(grouped_tokens, {}, each=(8, 0), total=7)", 3),
                ("Layout(grouped_tokens, {}, each=(9, 1), total=10, window=beside_selected)", 3),
            )
        ),
        "past keys and past values are equally long",
    ),
    "attention_reach.is_shared: node.input(past).shape if node.has_input(past) and node.has_output(present) "
    "else None -> node.input(past).shape if node.has_output(present) else None": "there is a past",
    "attention_reach.local_window: -1 -> -2": "no window either",
    "attention_reach.local_window: -1 -> -0": "no window either",
    "attention_reach.onnx_window: -1 -> -2": "no window either",
    "attention_reach.grouped_tokens: node.has_input(1) -> node.has_input(2)": "a key comes with a value",
    "attention_reach.grouped_tokens: node.input_shape(1) -> node.input_shape(2)": "both are equally long",
    "attention_reach.multi_head_tokens: node.has_input(1) -> node.has_input(2)": "a key comes with a value",
    "attention_reach.multi_head_tokens: node.input_shape(1) -> node.input_shape(2)": "both are equally long",
    "attention_reach.onnx_tokens: node.input_shape(1) -> node.input_shape(2)": "both are equally long",
    "attention_reach.Layout: (None, 0) -> (None, 1)": "there is no such input",
    "attention_reach.paged_reaches: node.attribute('is_causal', 1) -> "
    "node.attribute('is_causal', 2)": "any number but 0 is causal",
    "attention_reach.decoder_reaches: node.input_shape(6) -> node.input_shape(7)": "both are equally long",
    "attention_caches._stored: storage_bytes(value.dtype or '', elements) -> "
    "storage_bytes(value.dtype, elements)": "neither is a type",
    "attention_caches._state.find: node.attribute('state_window', 0) -> "
    "node.attribute('state_window', 1)": "one state without a window",
}
"""Mutants that find the same, and why; ``caches_of``, ``buffers_of`` and ``unmeasured`` are in no table."""


@pytest.mark.parametrize("module", EXPECTED, ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_changed_term_is_noticed(module: ModuleType) -> None:
    expected = EXPECTED[module]
    assert all(found(module.RULES, view) == expectation for view, expectation in expected)
    elsewhere = (".caches_of:", ".buffers_of:", ".unmeasured:")
    mutants = [mutant for mutant in mutants_of(module) if not any(name in mutant.name for name in elsewhere)]
    survivors = {mutant.name for mutant in mutants if survives(mutant, module, expected, found)}
    short = module.__name__.rpartition(".")[2]
    assert survivors == {name for name in EQUIVALENT if name.startswith(short)}
