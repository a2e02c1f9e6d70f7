"""How many keys an attention's queries see.

The keys of a sequence are those that it has in a cache, and the new ones. How many there are is said, in this
order, by an input with a number for each sequence, by one with a number for all (both where the file, the
shapes or the user decide them), and by the length of the past. A cache may be a buffer that is longer than
what it holds: of such a one that is known by nothing else, the mask's last axis tells, and else all of it
counts. A window bounds how many keys each query sees; a mask, causality's too, does not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from onnxlens.profile.count.rules.work import constant_input
from onnxlens.profile.graph.node_view import NodeView, NotCountable, ValueView
from onnxlens.specs.record import record


@record(frozen=True, slots=True)
class Reach:
    """What one sequence's queries see.

    Attributes:
        past: its keys in a cache.
        new: its keys that come with the queries.
        left: how many keys before its own a query sees at most; None for all.
        right: how many behind its own; None for all.
    """

    queries: int
    past: int
    new: int
    left: int | None = None
    right: int | None = None

    @property
    def total(self) -> int:
        """All keys of the sequence."""
        return self.past + self.new

    @property
    def keys(self) -> int:
        """How many keys a query sees, those that a mask hides included."""
        if self.left is None or self.right is None:
            return self.seen
        return min(self.seen, self.left + 1 + self.right)

    @property
    def seen(self) -> int:
        """How many keys some query sees."""
        return self.cached + self.new

    @property
    def cached(self) -> int:
        """How many of the past keys some query sees: of the first query's own those to its left."""
        return self.past if self.left is None else min(self.past, self.left)


Reaches = Sequence[tuple[int, Reach]]
"""How many sequences have which reach."""


Tokens = Callable[[NodeView], tuple[int, int, int]]
"""From a node to the number of sequences, of queries in each, and of new keys."""


def no_window(node: NodeView) -> tuple[None, None]:
    """All keys on both sides."""
    return None, None


def local_window(node: NodeView) -> tuple[int | None, int | None]:
    """ONNX Runtime's ``local_window_size``: the keys that a query sees, its own and those before it."""
    size = node.attribute("local_window_size", -1)
    return (size - 1, 0) if size > 0 else (None, None)


def beside_selected(node: NodeView) -> tuple[int | None, int | None]:
    """The local window, where it is attended to beside selected keys; else any key may be selected."""
    return local_window(node) if node.attribute("attention_mode") == LOCAL_TOO else (None, None)


LOCAL_TOO = "local_plus_selected"


def onnx_window(node: NodeView) -> tuple[int | None, int | None]:
    """ONNX's window on both sides; causality closes the right one."""
    left, right = (node.attribute(f"{side}_window_size", -1) for side in ("left", "right"))
    behind = 0 if node.attribute("is_causal", 0) else None
    return None if left < 0 else left, behind if right < 0 or behind == 0 else right


def projected_tokens(node: NodeView) -> tuple[int, int, int]:
    """(B, S, I), which the node projects itself."""
    batch, length, _ = node.input_shape(0)
    return batch, length, length


def grouped_tokens(node: NodeView) -> tuple[int, int, int]:
    """(B, S, H * D), with keys apart or in the same tensor."""
    batch, length, _ = node.input_shape(0)
    return batch, length, node.input_shape(1)[1] if node.has_input(1) else length


def multi_head_tokens(node: NodeView) -> tuple[int, int, int]:
    """(B, S, H * D) or (B, S, H, 3, D); keys of another sequence are (B, H, S, D)."""
    batch, length = node.input_shape(0)[:2]
    key = node.input_shape(1) if node.has_input(1) else (batch, length)
    return batch, length, key[2 if len(key) == 4 else 1]


def onnx_tokens(node: NodeView) -> tuple[int, int, int]:
    """(B, H, S, D) or (B, S, H * D)."""
    query = node.input_shape(0)
    return query[0], query[-2], node.input_shape(1)[-2]


@record(frozen=True, slots=True)
class Layout:
    """The inputs of an operator that tell how many keys there are.

    Attributes:
        past: that with earlier keys, whose present ones are the output 1.
        each: that with a number for each sequence, and what that lacks of all its keys.
        total: that with the number of all keys.
        before: that with the number of earlier keys.
        masks: those whose last axis has all keys.
        pads: whether a mask that is shorter than the keys hides the others.
    """

    tokens: Tokens
    past: int | None = None
    each: tuple[int | None, int] = (None, 0)
    total: int | None = None
    before: int | None = None
    masks: Sequence[int] = ()
    pads: bool = False
    window: Callable[[NodeView], tuple[int | None, int | None]] = no_window


PROJECTED = Layout(projected_tokens, 4, before=6, masks=(3, 5))
LAYOUTS: Mapping[tuple[str, str], Layout] = {
    ("", "Attention"): Layout(onnx_tokens, 4, each=(6, 0), masks=(3,), pads=True, window=onnx_window),
    ("ai.onnx.preview", "FlexAttention"): Layout(onnx_tokens),
    ("com.microsoft", "Attention"): PROJECTED,
    ("com.microsoft", "DecoderMaskedSelfAttention"): PROJECTED,
    ("com.microsoft", "QAttention"): Layout(projected_tokens, 8, masks=(5,)),
    ("com.microsoft", "QOrderedAttention"): Layout(projected_tokens, 18, masks=(17, 19)),
    ("com.microsoft", "MultiHeadAttention"): Layout(multi_head_tokens, 6, before=8, masks=(4, 5)),
    ("com.microsoft", "DecoderMaskedMultiHeadAttention"): Layout(
        multi_head_tokens, 5, before=7, masks=(3, 4)
    ),
    ("com.microsoft", "GroupQueryAttention"): Layout(
        grouped_tokens, 3, each=(5, 1), total=6, masks=(10,), window=local_window
    ),
    ("com.microsoft", "SparseAttention"): Layout(grouped_tokens, 3, each=(8, 0), total=7),
    ("com.microsoft", "DynamicSparseAttention"): Layout(
        grouped_tokens, 3, each=(9, 1), total=10, window=beside_selected
    ),
}


def reaches_of(node: NodeView) -> Reaches:
    """What the queries of a node's sequences see; sequences that are alike together."""
    operator = (node.domain, node.op_type)
    if operator in OF_DATA:
        return OF_DATA[operator](node)
    layout = LAYOUTS[operator]
    batch, queries, new = layout.tokens(node)
    window = layout.window(node)
    each = numbers(node, layout.each[0])
    if each is not None and len(each) == batch:
        totals = Counter(number + layout.each[1] for number in each)
    else:
        totals = Counter({_total(node, layout, new): batch})
    found: Counter[Reach] = Counter()
    for total, times in totals.items():
        found[Reach(queries, max(total - new, 0), min(total, new), *window)] += times
    return tuple((times, reach) for reach, times in found.items())


def numbers(node: NodeView, index: int | None) -> Sequence[int] | None:
    """The whole numbers that an input holds; None where they are known at run time."""
    value = None if index is None else constant_input(node, index)
    return None if value is None else [int(number) for number in value.flat]


def _total(node: NodeView, layout: Layout, new: int) -> int:
    """The keys of every sequence."""
    for index, more in ((layout.total, 0), (layout.before, new)):
        found = numbers(node, index)
        if found is not None and len(found) == 1:
            return found[0] + more
    past = layout.past
    length = node.input_shape(past)[-2] if past is not None and node.has_input(past) else 0
    shared = past is not None and length >= new and is_shared(node, past, 1)
    total = length if shared else length + new
    return min([total, *_masked(node, layout)]) if shared or layout.pads else total


def _masked(node: NodeView, layout: Layout) -> Sequence[int]:
    """How many keys the masks have; of one that is the same for all keys nothing."""
    lasts = [node.input_shape(index)[-1] for index in layout.masks if node.has_input(index)]
    return [last for last in lasts if last > 1]


def unmeasured(node: NodeView) -> ValueView | None:
    """The input that would say how much of a buffer is in use, where all of it counts as nothing does."""
    layout = LAYOUTS.get((node.domain, node.op_type))
    if layout is None:
        return None
    indices = [index for index in (layout.each[0], layout.total, layout.before) if index is not None]
    given = [index for index in indices if node.has_input(index)]
    if not given or any(numbers(node, index) is not None for index in given):
        return None
    shared = layout.past is not None and is_shared(node, layout.past, 1)
    return node.input(given[-1]) if (shared or layout.pads) and not _masked(node, layout) else None


def is_shared(node: NodeView, past: int, present: int) -> bool:
    """Whether a cache is a buffer that comes back as long as it was, which only a shared one does."""
    shape = node.input(past).shape if node.has_input(past) and node.has_output(present) else None
    return shape is not None and node.output(present).shape == shape


def paged_reaches(node: NodeView) -> Reaches:
    """Of tokens in a row, whose sequences end where ``cumulative_sequence_length`` says.

    Raises:
        NotCountable: the lengths are known at run time only.
    """
    one = node.input_shape(5) == (2,) and numbers(node, 5) is None  # it has all the tokens
    ends = [0, node.input_shape(0)[0]] if one else _required(node, 5)
    news = [after - before for before, after in pairwise(ends)]
    left, right = local_window(node)
    window = left, right if node.attribute("is_causal", 1) else None
    found = Counter(
        Reach(new, past, new, *window) for new, past in zip(news, _required(node, 6), strict=True)
    )
    return tuple((times, reach) for reach, times in found.items())


def decoder_reaches(node: NodeView) -> Reaches:
    """Of DecoderAttention, (S, B, H * D), whose flags say which keys there are, and whether earlier ones.

    Raises:
        NotCountable: the flags are known at run time only.
    """
    length, batch, _ = node.input_shape(0)
    (static,), (used,) = _required(node, 8), _required(node, 9)
    new = node.input_shape(1)[0] if static else length
    past = node.input_shape(6)[2] if used else 0
    return ((batch, Reach(length, past, 0 if static and used else new)),)


def _required(node: NodeView, index: int) -> Sequence[int]:
    found = numbers(node, index)
    if found is None:
        name = node.input(index).name
        raise NotCountable(
            f"{node.op_type}: what it attends to is data of {name!r}; --value {name}=... fixes it"
        )
    return found


OF_DATA: Mapping[tuple[str, str], Callable[[NodeView], Reaches]] = {
    **dict.fromkeys(
        (("com.microsoft", "PagedAttention"), ("com.microsoft", "SparsePagedAttention")), paged_reaches
    ),
    ("com.microsoft", "DecoderAttention"): decoder_reaches,
}
"""Operators whose inputs' values decide what is attended to."""

RULES: Mapping[str, Mapping[str, Callable[[NodeView], Reaches]]] = {
    domain: {op_type: reaches_of for of, op_type in (*LAYOUTS, *OF_DATA) if of == domain}
    for domain in ("", "ai.onnx.preview", "com.microsoft")
}
"""All of them, by domain and operator type."""
