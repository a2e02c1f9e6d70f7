"""Experts: those that a token uses against those that are there, in every form that exporters write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from onnxlens.reports.tables.columns import COLUMNS
from onnxlens.specs.experts import Routing
from onnxlens.specs.ledger import Ledger
from tests.profile.models import integers, ledger_of, op, save, value, weight

TOKENS, HIDDEN, INNER, EXPERTS, PICKED = 3, 8, 12, 4, 2
MATRIX = HIDDEN * INNER
# each of 4 experts is missed by 3 tokens with a chance of (1/2) ** 3
REACHED = 4 * (1 - 1 / 8)


def saved(folder: Path, nodes: Sequence[NodeProto], weights: Sequence[TensorProto]) -> Path:
    return save(
        folder,
        [op("MatMul", "x router", "logits", at="router"), *nodes],
        [value("x", (TOKENS, HIDDEN))],
        [value("y", None)],
        weights=[weight("router", HIDDEN, EXPERTS), *weights],
        opsets={"": 18, "com.microsoft": 1},
    )


def routed(ledger: Ledger) -> list[Routing]:
    return list(ledger.experts.values())


def expert_note(ledger: Ledger) -> str:
    (note,) = (note for note in ledger.notes if note.startswith("experts: "))
    return note


def figures(ledger: Ledger, name: str) -> dict[str, int]:
    column = COLUMNS["module"][name](ledger)
    return {module.path: column.exact(module) for module in ledger.modules}


def mixture(folder: Path) -> Path:
    """MoE with a bias each: 2 x 96 weights and 12 + 8 biases."""
    node = op("MoE", "x logits up up_bias down down_bias", "y", at="moe", domain="com.microsoft", k=PICKED)
    return saved(
        folder,
        [node],
        [
            weight("up", EXPERTS, INNER, HIDDEN), weight("up_bias", EXPERTS, INNER),
            weight("down", EXPERTS, HIDDEN, INNER), weight("down_bias", EXPERTS, HIDDEN),
        ],
    )  # fmt: skip


def test_an_operator_of_experts(tmp_path: Path) -> None:
    _, ledger = ledger_of(mixture(tmp_path))
    one = 2 * MATRIX + INNER + HIDDEN
    assert routed(ledger) == [Routing(EXPERTS, PICKED, TOKENS, one, 4 * one)]
    assert routed(ledger)[0].expected == pytest.approx(REACHED)
    assert routed(ledger)[0].most == 4
    assert expert_note(ledger) == (
        f"experts: one node holds 4, of which a token uses 2: {2 * one} of {4 * one} params are active, "
        f"{16 * one:,} bytes are resident; 3 tokens reach 3.50 on average if routing is uniform "
        f"({14 * one:,} bytes read), at most 4 ({16 * one:,}, as counted)"
    )
    assert ledger.totals.weight_read_bytes == 16 * one + 4 * HIDDEN * EXPERTS
    router = HIDDEN * EXPERTS
    assert figures(ledger, "active_params") == {"": 2 * one + router, "router": router, "moe": 2 * one}
    assert figures(ledger, "expected_weight_read_bytes") == {
        "": 14 * one + 4 * router, "router": 4 * router, "moe": 14 * one,
    }  # fmt: skip


def test_packed_experts_have_the_params_of_their_matrices(tmp_path: Path) -> None:
    packed = [
        numpy_helper.from_array(np.zeros((EXPERTS, INNER, HIDDEN // 2), np.uint8), "up"),
        numpy_helper.from_array(np.zeros((EXPERTS, HIDDEN, INNER // 2), np.uint8), "down"),
        weight("up_scales", EXPERTS, INNER), weight("down_scales", EXPERTS, HIDDEN),
    ]  # fmt: skip
    node = op(
        "QMoE", "x logits up up_scales  down down_scales", "y", at="moe", domain="com.microsoft", k=1,
        expert_weight_bits=4,
    )  # fmt: skip
    node.input[:] = ["x", "logits", "up", "up_scales", "", "down", "down_scales"]
    _, ledger = ledger_of(saved(tmp_path, [node], packed))
    # half a byte for each weight, four for each scale
    assert routed(ledger) == [Routing(EXPERTS, 1, TOKENS, 2 * MATRIX, MATRIX + 4 * (INNER + HIDDEN))]
    assert routed(ledger)[0].expected == pytest.approx(4 * (1 - (3 / 4) ** 3))
    assert routed(ledger)[0].most == 3


def choice() -> list[NodeProto]:
    return [op("TopK", "logits k", "scores picked", at="router")]


def gathered(folder: Path) -> Path:
    """For each token the matrices of the experts that it is sent to: (3 x 2, 8, 12) of (4, 8, 12)."""
    return saved(
        folder,
        [
            *choice(),
            op("Reshape", "picked flat", "each", at="moe"),
            op("Gather", "up each", "own", at="moe"),
            op("Reshape", "x rows", "tokens", at="moe"),
            op("Expand", "tokens twice", "sent", at="moe"),
            op("Reshape", "sent single", "one", at="moe"),
            op("MatMul", "one own", "y", at="moe"),
        ],
        [
            weight("up", EXPERTS, HIDDEN, INNER), integers("k", [PICKED]), integers("flat", [-1]),
            integers("rows", [TOKENS, 1, HIDDEN]), integers("twice", [TOKENS, PICKED, HIDDEN]),
            integers("single", [TOKENS * PICKED, 1, HIDDEN]),
        ],
    )  # fmt: skip


def test_weights_that_are_gathered_for_each_token(tmp_path: Path) -> None:
    _, ledger = ledger_of(gathered(tmp_path))
    assert routed(ledger) == [Routing(EXPERTS, PICKED, TOKENS, MATRIX, 4 * MATRIX)]
    assert f"{2 * MATRIX} of {4 * MATRIX} params are active" in expert_note(ledger)
    # the product has a row for each token and expert
    assert ledger.totals.macs == TOKENS * HIDDEN * EXPERTS + TOKENS * PICKED * MATRIX


def test_experts_that_all_run(tmp_path: Path) -> None:
    path = saved(
        tmp_path,
        [*choice(), op("MatMul", "x up", "y", at="moe")],
        [weight("up", EXPERTS, HIDDEN, INNER), integers("k", [PICKED])],
    )
    _, ledger = ledger_of(path)
    (routing,) = routed(ledger)
    assert routing == Routing(EXPERTS, PICKED, TOKENS, MATRIX, 4 * MATRIX, all_run=True)
    assert (routing.expected, routing.most) == (4, 4)
    assert expert_note(ledger).endswith("; all 4 run for every token, and what the others make is dropped")
    # each of the 4 sees all tokens
    assert ledger.totals.macs == TOKENS * HIDDEN * EXPERTS + 4 * TOKENS * MATRIX


def finder(expert: int) -> list[NodeProto]:
    """The rows of tokens that are sent to one expert, as exporters find them."""
    name = f"e{expert}"
    return [
        op("Equal", f"picked {name}", f"{name}_is", at=f"moe.{expert}"),
        op("NonZero", f"{name}_is", f"{name}_at", at=f"moe.{expert}"),
        op("Gather", f"{name}_at first", f"{name}_rows", at=f"moe.{expert}"),
        op("Gather", f"x {name}_rows", f"{name}_x", at=f"moe.{expert}"),
        op("MatMul", f"{name}_x {name}_up", f"{name}_y", at=f"moe.{expert}"),
    ]


def unrolled(folder: Path) -> Path:
    nodes = [node for expert in range(EXPERTS) for node in finder(expert)]
    parts = " ".join(f"e{expert}_y" for expert in range(EXPERTS))
    weights = [weight(f"e{expert}_up", HIDDEN, INNER) for expert in range(EXPERTS)]
    numbers = [integers(f"e{expert}", expert) for expert in range(EXPERTS)]
    return saved(
        folder,
        [*choice(), *nodes, op("Concat", parts, "y", at="moe", axis=0)],
        [*weights, *numbers, integers("first", 0), integers("k", [PICKED])],
    )


def test_experts_that_run_on_tokens_of_their_own(tmp_path: Path) -> None:
    _, ledger = ledger_of(unrolled(tmp_path))
    assert not routed(ledger)
    assert ledger.totals.macs == TOKENS * HIDDEN * EXPERTS  # the router's
    assert ledger.totals.unknown_nodes
    # every token is a row of two experts, whichever these are
    assert expert_note(ledger) == (
        "experts: how many tokens each of 4 runs on is data; a token uses 2, so that they do "
        f"{TOKENS * PICKED * MATRIX} MACs together for 3 tokens, which the totals lack; --run counts a run"
    )


def test_experts_in_a_loop(tmp_path: Path) -> None:
    body = helper.make_graph(
        [
            op("Equal", "picked i", "is"), op("NonZero", "is", "at"), op("Gather", "at first", "rows"),
            op("Gather", "x rows", "own"), op("Gather", "up i", "own_up"), op("MatMul", "own own_up", "made"),
            op("ReduceSum", "made", "sum", keepdims=0), op("Identity", "go", "on"),
        ],
        "body",
        [value("i", (), TensorProto.INT64), value("go", (), TensorProto.BOOL)],
        [value("on", (), TensorProto.BOOL), value("sum", ())],
    )  # fmt: skip
    path = saved(
        tmp_path,
        [*choice(), op("Loop", "rounds true", "y", body=body)],
        [
            weight("up", EXPERTS, HIDDEN, INNER), integers("rounds", EXPERTS), integers("first", 0),
            integers("k", [PICKED]), numpy_helper.from_array(np.array(True), "true"),
        ],
    )  # fmt: skip
    _, ledger = ledger_of(path)
    assert f"they do {TOKENS * PICKED * MATRIX} MACs together for 3 tokens" in expert_note(ledger)


def test_without_experts_there_is_nothing(tmp_path: Path) -> None:
    """Not even with a TopK, a Gather and a product of other sizes."""
    path = saved(
        tmp_path,
        [*choice(), op("Gather", "table picked", "rows"), op("MatMul", "rows out", "y")],
        [weight("table", EXPERTS + 1, HIDDEN), weight("out", HIDDEN, INNER), integers("k", [PICKED])],
    )
    _, ledger = ledger_of(path)
    assert not routed(ledger)
    assert not [note for note in ledger.notes if note.startswith("experts: ")]
    assert set(figures(ledger, "active_params").values()) == {None}


@pytest.mark.parametrize(("tokens", "expected"), [(1, 4.0), (2, 32 * (1 - (7 / 8) ** 2)), (10**6, 32.0)])
def test_distinct_experts(tokens: int, expected: float) -> None:
    assert Routing(32, 4, tokens, 1, 1).expected == pytest.approx(expected)
