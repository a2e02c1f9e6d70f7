"""Attention operators over a grid of settings, each a model of one node that a runtime can run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests.profile.models import IR_VERSION

Arrays = Sequence[np.ndarray | None]

OPSET = 24
"""Since which there is TensorScatter, and Attention has lengths of its own."""


@dataclass(frozen=True)
class Setting:
    """A node, the arrays that it reads, and what a file holds of them.

    Attributes:
        held: the inputs that are constants of the file: lengths.
        keys: how many keys each sequence has, as the caller knows.
        shares: whether past and present are one buffer.
    """

    op_type: str
    inputs: Arrays
    outputs: int
    keys: Sequence[int]
    held: frozenset[int] = frozenset()
    shares: bool = False
    domain: str = "com.microsoft"
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        shapes = " ".join("-" if array is None else "x".join(map(str, array.shape)) for array in self.inputs)
        return f"{self.op_type} {shapes} {dict(self.attributes)}"

    @property
    def feeds(self) -> Mapping[str, np.ndarray]:
        """What a run is given."""
        return {
            f"x{index}": array
            for index, array in enumerate(self.inputs)
            if array is not None and index not in self.held
        }

    def model(self) -> ModelProto:
        """One node, whose outputs have no shapes."""
        names = ["" if array is None else f"x{index}" for index, array in enumerate(self.inputs)]
        outputs = [f"y{index}" for index in range(self.outputs)]
        node = helper.make_node(self.op_type, names, outputs, domain=self.domain, **self.attributes)
        graph = helper.make_graph(
            [node],
            "one",
            [
                helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
                for name, array in self.feeds.items()
            ],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            [numpy_helper.from_array(array, f"x{index}") for index, array in self._constants()],
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)

    def _constants(self) -> Iterator[tuple[int, np.ndarray]]:
        for index in sorted(self.held):
            array = self.inputs[index]
            assert array is not None
            yield index, array

    def saved(self, folder: Path) -> Path:
        """The model as a file."""
        path = folder / "one.onnx"
        onnx.save(self.model(), path)
        return path


def floats(*shape: int) -> np.ndarray:
    """Small numbers, all different."""
    return np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)


def lengths(*numbers: int) -> np.ndarray:
    """One for each sequence."""
    return np.array(numbers, np.int32)


def grouped(
    batch: int, new: int, past: int, *, heads: tuple[int, int], buffer: int = 0, packed: bool = True,
    qk: bool = True, window: int = -1, **attributes: Any,
) -> Setting:  # fmt: skip
    """GroupQueryAttention, 16 wide; with a ``buffer`` of that length in which past keys stand."""
    queries, shared = heads
    width = 16
    cache = floats(batch, shared, buffer or past, width)
    query = [floats(batch, new, (queries + 2 * shared) * width), None, None]
    if not packed:
        query = [floats(batch, new, queries * width), *[floats(batch, new, shared * width)] * 2]
    tables = [floats(64, width // 2)] * 2 if attributes.get("do_rotary") else []
    return Setting(
        "GroupQueryAttention",
        [*query, cache, cache, lengths(*[past + new - 1] * batch), np.array(past + new, np.int32), *tables],
        4 if qk else 3,
        [past + new] * batch,
        frozenset({6}),
        bool(buffer),
        attributes={
            "num_heads": queries, "kv_num_heads": shared, "qk_output": int(qk), "local_window_size": window,
            **attributes,
        },
    )  # fmt: skip


def multi_head(batch: int, new: int, past: int, *, heads: int, buffer: int = 0, values: int = 8) -> Setting:
    """MultiHeadAttention, 8 wide in queries and keys."""
    inputs: list[np.ndarray | None] = [floats(batch, new, heads * 8)] * 2
    inputs += [floats(batch, new, heads * values), None, None, None]
    if past or buffer:
        inputs += [floats(batch, heads, buffer or past, 8), floats(batch, heads, buffer or past, values)]
    if buffer:
        inputs.append(lengths(past))
    held = frozenset({8} if buffer else ())
    return Setting(
        "MultiHeadAttention", inputs, 4, [past + new] * batch, held, bool(buffer),
        attributes={"num_heads": heads},
    )  # fmt: skip


def projecting(batch: int, new: int, past: int, *, heads: int, op_type: str = "Attention") -> Setting:
    """Attention or QAttention of 10 columns, 8 wide."""
    columns = 3 * 8 * heads
    cache = [floats(2, batch, heads, past, 8)]
    if op_type == "Attention":
        inputs: list[Any] = [floats(batch, new, 10), floats(10, columns), floats(columns), None, *cache]
    else:
        scale, zero = np.array(0.1, np.float32), np.array(0, np.uint8)
        inputs = [
            np.ones((batch, new, 10), np.uint8), np.ones((10, columns), np.int8), floats(columns), scale,
            scale, None, zero, zero.astype(np.int8), *cache,
        ]  # fmt: skip
    return Setting(op_type, inputs, 2, [past + new] * batch, attributes={"num_heads": heads})


def decoder(batch: int, past: int, buffer: int, *, heads: int) -> Setting:
    """DecoderMaskedMultiHeadAttention: one query for each sequence."""
    token, cache = floats(batch, 1, heads * 8), floats(batch, heads, buffer, 8)
    return Setting(
        "DecoderMaskedMultiHeadAttention",
        [token, token, token, None, None, cache, cache, lengths(past)],
        3,
        [past + 1] * batch,
        frozenset({7}),
        True,
        attributes={"num_heads": heads, "past_present_share_buffer": 1},
    )


def cross(batch: int, new: int, keys: int, *, heads: int) -> Setting:
    """MultiHeadAttention over keys that were made before."""
    held = floats(batch, heads, keys, 8)
    return Setting(
        "MultiHeadAttention", [floats(batch, new, heads * 8), held, held], 1, [keys] * batch,
        attributes={"num_heads": heads},
    )  # fmt: skip


def recurrent(batch: int, new: int, *, heads: tuple[int, int], state: bool) -> Setting:
    """LinearAttention by the gated delta rule: keys 8 wide, values 16."""
    queries, states = heads
    return Setting(
        "LinearAttention",
        [
            floats(batch, new, queries * 8), floats(batch, new, states * 8), floats(batch, new, states * 16),
            floats(batch, states, 8, 16) if state else None, floats(batch, new, states),
            floats(batch, new, states),
        ],
        2, (), attributes={"q_num_heads": queries, "kv_num_heads": states},
    )  # fmt: skip


def convolution(batch: int, new: int, taps: int, *, state: bool, dilation: int = 1) -> Setting:
    """CausalConvWithState of 6 channels."""
    inputs: list[np.ndarray | None] = [floats(batch, 6, new), floats(6, 1, taps)]
    if state:
        inputs += [None, floats(batch, 6, (taps - 1) * dilation)]
    return Setting("CausalConvWithState", inputs, 2, (), attributes={"dilation": dilation})


def sparse(new: int, past: int, *, heads: tuple[int, int]) -> Setting:
    """SparseAttention in blocks of 16, of which all are in the layout; caches of 64."""
    queries, shared = heads
    cache = floats(1, shared, 64, 16)
    rows = np.cumsum([0, 1, 2, 3, 4])[None].astype(np.int32)
    columns = np.array([[column for row in range(4) for column in range(row + 1)]], np.int32)
    return Setting(
        "SparseAttention",
        [
            floats(1, new, (queries + 2 * shared) * 16), None, None, cache, cache, rows, columns,
            np.array(past + new, np.int32), lengths(past + new),
        ],
        3, [past + new], frozenset({7, 8}), True,
        attributes={"num_heads": queries, "kv_num_heads": shared, "sparse_block_size": 16},
    )  # fmt: skip


ONNX = partial(Setting, domain="")


def standard(batch: int, new: int, past: int, *, heads: tuple[int, int], rank: int, scores: bool) -> Setting:
    """ONNX's Attention: 8 wide, its values 12."""
    queries, shared = heads
    apart = [(queries, 8), (shared, 8), (shared, 12)]
    inputs: list[np.ndarray | None] = [
        floats(batch, each, new, width) if rank == 4 else floats(batch, new, each * width)
        for each, width in apart
    ]
    if past:
        inputs += [None, floats(batch, shared, past, 8), floats(batch, shared, past, 12)]
    attributes = {} if rank == 4 else {"q_num_heads": queries, "kv_num_heads": shared}
    outputs = (4 if scores else 3) if past else 1
    return ONNX("Attention", inputs, outputs, [past + new] * batch, attributes=attributes)


def static(new: int, valid: Sequence[int], buffer: int, *, heads: tuple[int, int]) -> Setting:
    """ONNX's Attention over buffers, with the number of keys in each."""
    queries, shared = heads
    batch = len(valid)
    held = floats(batch, shared, buffer, 8)
    return ONNX(
        "Attention",
        [floats(batch, queries, new, 8), held, held, None, None, None, np.array(valid, np.int64)],
        1, list(valid), frozenset({6}), attributes={"is_causal": 1},
    )  # fmt: skip


def scattered(batch: int, new: int, buffer: int) -> Setting:
    """TensorScatter of new rows into a buffer."""
    return ONNX(
        "TensorScatter",
        [floats(batch, 2, buffer, 8), floats(batch, 2, new, 8), np.zeros(batch, np.int64)],
        1, (), shares=True,
    )  # fmt: skip


def settings(sizes: Sequence[tuple[int, int, int]], heads: Sequence[tuple[int, int]]) -> Iterator[Setting]:
    """Every operator with all of these, each (sequences, new tokens, earlier ones).

    A window, a quantized cache and a prompt to which others come have settings of their own.
    """
    for (batch, new, past), (queries, shared) in product(sizes, heads):
        both = queries, shared
        yield grouped(batch, new, past, heads=both)
        yield grouped(batch, new, past, heads=both, packed=False, do_rotary=1, window=4, qk=False)
        yield grouped(batch, new, past, heads=both, buffer=past + new + 5)
        yield multi_head(batch, new, past, heads=queries, values=8 if past else 12)
        yield multi_head(batch, 1, past, heads=queries, buffer=past + 9)
        for op_type in ("Attention", "QAttention"):
            yield projecting(batch, new, past, heads=queries, op_type=op_type)
        yield decoder(batch, past, past + 6, heads=queries)
        yield cross(batch, new, past + 3, heads=queries)
        yield sparse(new, 0 if new > 1 else past, heads=both)
        for state in (True, False):
            yield recurrent(batch, new, heads=both, state=state)
            yield convolution(batch, new, 4, state=state, dilation=1 + shared % 2)
        for rank, scores in ((3, False), (4, True)):
            yield standard(batch, new, past, heads=both, rank=rank, scores=scores)
        yield static(1, [past + 1 + each for each in range(batch)], past + batch + 2, heads=both)
        yield scattered(batch, new, past + new + 1)
        if batch == 1:
            yield grouped(1, new, past, heads=both, buffer=6, window=4, sliding_window_cache=1, qk=False)


QUICK = list(settings([(2, 1, 7), (1, 5, 0)], [(4, 2)]))
WIDE = list(
    settings([(1, 1, 0), (1, 1, 31), (3, 1, 16), (1, 16, 0), (2, 3, 0), (4, 9, 0)], [(4, 4), (6, 2), (3, 1)])
)
