"""The dimensions of a language model's file that a phase decides: sequences, new tokens, past ones."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Literal, NamedTuple

from onnxlens.errors import UsageError
from onnxlens.profile.graph.caches import MICROSOFT, PASSING, source_of
from onnxlens.profile.graph.graph import Graph
from onnxlens.specs.phases import CacheInput, PhasesRequest
from onnxlens.specs.record import record
from onnxlens.specs.tensor import Dim, TensorSpec, is_floating

LOOKUPS: Mapping[str, tuple[int, int]] = {
    "Gather": (0, 1), "GatherBlockQuantized": (0, 1), "EmbedLayerNormalization": (2, 0),
}  # fmt: skip
"""Operators that look up rows: where they take the table, and where its indices."""

COSINES: Mapping[tuple[str, str], int] = {
    ("", "RotaryEmbedding"): 1,
    (MICROSOFT, "RotaryEmbedding"): 2,
    (MICROSOFT, "MRotaryEmbedding"): 2,
    (MICROSOFT, "GroupQueryAttention"): 7,
    (MICROSOFT, "SparseAttention"): 9,
    (MICROSOFT, "PagedAttention"): 8,
}
"""Which input of an operator is the table of cosines, a row per position."""

LengthRole = Literal["past", "total", "last"]
"""``total`` is the number of all tokens, ``last`` one less."""

LENGTHS: Mapping[tuple[str, str], Mapping[int, LengthRole]] = {
    ("", "TensorScatter"): {2: "past"},
    ("", "Attention"): {6: "total"},
    (MICROSOFT, "GroupQueryAttention"): {5: "last", 6: "total"},
    (MICROSOFT, "SparseAttention"): {7: "total", 8: "total"},
    (MICROSOFT, "MultiHeadAttention"): {8: "past"},
    (MICROSOFT, "DecoderMaskedMultiHeadAttention"): {7: "past"},
    (MICROSOFT, "DecoderMaskedSelfAttention"): {6: "past"},
    (MICROSOFT, "Attention"): {6: "past"},
}
"""Inputs that say how long a cache is, by operator."""

BRANCH = re.compile(r"^use_(cache_branch|past)")
"""The input that selects, in a merged decoder, the branch that has a cache."""

TOKENS = re.compile(r"(^|_)(input_ids|inputs_embeds|tokens?|ids)$")
MASK = re.compile(r"mask")
WHOLE = re.compile(r"total|all|mask|\+")


class Size(NamedTuple):
    """A point: sequences, new tokens of each, tokens in its cache before."""

    batch: int
    tokens: int
    past: int


BLOCK = 256
"""Tokens in a block of a paged cache, where neither the file nor the user says: the model builder's."""


@record(frozen=True, slots=True)
class Pages:
    """How a paged cache is told what it holds.

    Attributes:
        ends: the input with the sequences' ends among the new tokens, from 0 on.
        pasts: that with the tokens that each has in the cache.
        blocks: how many blocks there are, and how many one sequence has at most.
        block: the tokens in a block.
    """

    ends: str
    pasts: str
    blocks: tuple[Dim, Dim]
    block: Dim

    def dims(self, size: Size, given: Mapping[str, int]) -> dict[Dim, int]:
        """The sizes that follow."""
        block = self.block if isinstance(self.block, int) else given.get(self.block, BLOCK)
        each = -(-(size.past + size.tokens) // max(block, 1))
        return {self.blocks[0]: size.batch * each, self.blocks[1]: each, self.block: block}


class Length(NamedTuple):
    """An input's numbers: one, or one for each sequence; of a flag whether there is a past."""

    each: bool
    role: LengthRole | Literal["flag"]

    def of(self, size: Size) -> Sequence[int]:
        """The numbers at a point."""
        total = size.past + size.tokens
        numbers = {"past": size.past, "total": total, "last": total - 1, "flag": int(size.past > 0)}
        return [numbers[self.role]] * (size.batch if self.each else 1)


@record(frozen=True, slots=True)
class PhaseAxes:
    """Which dimensions stand for what; a number where the file fixes it.

    Attributes:
        tokens_input: what the new tokens come in by.
        pasts: of the growing caches, by the symbol or number of their lengths.
        windows: of buffers, by symbol, the least that they must hold; None for all that there is.
        lengths: by the inputs that have them as values.
        slides: of caches that keep their last rows alone, by symbol, how many.
        wholes: symbols for past and new tokens together.
        pages: of a paged cache; its tokens are those of all sequences in a row.
        room: the tokens that buffers of a fixed length hold at most.
    """

    source: str
    tokens_input: TensorSpec
    batch: Dim
    tokens: Dim
    pasts: tuple[Dim, ...]
    windows: Mapping[str, int | None]
    wholes: tuple[str, ...]
    given: Mapping[str, int]
    pages: Pages | None = None
    room: int | None = None
    slides: Mapping[str, int] = field(default_factory=dict)
    lengths: Mapping[str, Length] = field(default_factory=dict)

    @property
    def fixed_past(self) -> int | None:
        """The tokens in the caches before, if the file fixes them: a buffer is full, if nothing says less."""
        grown = [dim for dim in self.pasts if isinstance(dim, int)]
        if grown or self.room is None or self.wholes or self.lengths:
            return grown[0] if grown else None
        return max(self.room - (self.tokens if isinstance(self.tokens, int) else 1), 0)

    def values(self, size: Size) -> Mapping[str, Sequence[int]]:
        """The inputs that say how long sequences are, at a point."""
        if self.pages is None:
            return {name: length.of(size) for name, length in self.lengths.items()}
        ends = [size.tokens * count for count in range(size.batch + 1)]
        return {self.pages.ends: ends, self.pages.pasts: [size.past] * size.batch}

    def dims(self, size: Size) -> dict[str, int]:
        """The symbols' sizes at a point."""
        if self.pages is not None:
            paged = {**self.pages.dims(size, self.given), self.batch: size.batch}
            paged[self.tokens] = size.batch * size.tokens
            return {**self.given, **{dim: number for dim, number in paged.items() if isinstance(dim, str)}}
        whole = size.past + size.tokens
        found = dict(self.given)
        found |= {symbol: whole for symbol in self.wholes if symbol not in self.given}
        found |= {
            symbol: window or whole for symbol, window in self.windows.items() if symbol not in self.given
        }
        found |= {symbol: min(size.past, rows) for symbol, rows in self.slides.items()}
        for symbol, number in ((self.batch, size.batch), (self.tokens, size.tokens)):
            if isinstance(symbol, str):
                found[symbol] = number
        return found | {symbol: size.past for symbol in self.pasts if isinstance(symbol, str)}


def read_axes(graph: Graph, caches: Sequence[CacheInput], given: Mapping[str, int]) -> PhaseAxes:
    """What the dimensions of the inputs stand for.

    Raises:
        UsageError: no input brings tokens, a size is given for what a phase decides, or a cache's length is
            open and no phase decides it.
    """
    names = {cache.tensor.name for cache in caches}
    pages, sequences = _pages(graph, caches)
    least = 1 if pages else 2
    others = [tensor for tensor in graph.inputs if tensor.name not in names and len(tensor.shape) >= least]
    tokens_input = _tokens_input(graph, others)
    if tokens_input is None:
        raise UsageError(
            f"{graph.path.name}: no input brings tokens (a table is looked up by none of "
            f"{', '.join(tensor.name for tensor in others) or 'its inputs'}); count it with 'profile --dim'"
        )
    batch, tokens = (sequences, tokens_input.shape[0]) if pages else tokens_input.shape[:2]
    pasts, windows, slides = _lengths(graph, caches, given, {batch, tokens})
    known = {batch, tokens, *pasts, *windows, *slides, *given}
    found = PhaseAxes(
        graph.path.name, tokens_input, batch, tokens, pasts, windows,
        () if pages else tuple(dict.fromkeys(_wholes(others, known))), given, pages, _room(caches), slides,
        {} if pages else dict(_given_lengths(graph)),
    )  # fmt: skip
    varied = (batch, tokens, *pasts, *slides, *(pages.blocks if pages else ()))
    decided = [symbol for symbol in given if symbol in varied]
    if decided:
        raise UsageError(
            f"--dim {decided[0]}: that is what the phases vary; give --batch, --prompt and --context instead"
        )
    return found


def _given_lengths(graph: Graph) -> Iterator[tuple[str, Length]]:
    """The inputs of the graph that say how long caches are, or whether there are any."""
    inputs = {tensor.name: tensor for tensor in graph.inputs}
    for tensor in graph.inputs:
        if tensor.dtype == "bool" and BRANCH.search(tensor.name):
            yield tensor.name, Length(each=False, role="flag")
    for view in (node.view for node in graph.nodes):
        for index, role in LENGTHS.get((view.domain, view.op_type), {}).items():
            value = view.inputs[index] if index < len(view.inputs) else None
            name = source_of(graph, value.name)[0] if value is not None else ""
            if name in inputs:
                yield name, Length(inputs[name].shape not in ((), (1,)), role)


def _room(caches: Sequence[CacheInput]) -> int | None:
    """The rows of the shortest buffer of a fixed length that does not slide."""
    axes = ((cache, cache.length_axis) for cache in caches if cache.kind == "buffer" and not cache.window)
    rows = [cache.tensor.shape[axis] for cache, axis in axes if axis is not None]
    return min((row for row in rows if isinstance(row, int)), default=None)


def _pages(graph: Graph, caches: Sequence[CacheInput]) -> tuple[Pages | None, Dim]:
    """What tells a paged cache its lengths, and how many sequences there are; None for other caches."""
    paged = {cache.tensor.name: cache.tensor for cache in caches if cache.kind == "paged"}
    shapes = {tensor.name: tensor.shape for tensor in graph.inputs}
    for view in (graph.nodes[index].view for name in paged for index in graph.consumers(name)):
        names = [value.name if value is not None else "" for value in view.inputs[5:8]]
        if view.op_type == "PagedAttention" and shapes.keys() >= set(names):
            held = next(iter(paged.values())).shape
            sequences, most = shapes[names[2]]
            return Pages(names[0], names[1], (held[0], most), held[1]), sequences
    return None, 0


def _lengths(
    graph: Graph, caches: Sequence[CacheInput], given: Mapping[str, int], taken: set[Dim]
) -> tuple[tuple[Dim, ...], Mapping[str, int | None], Mapping[str, int]]:
    """The lengths of growing caches, those of buffers, and those of caches that keep their last rows."""
    pasts: dict[Dim, None] = {}
    windows: dict[str, int | None] = {}
    slides: dict[str, int] = {}
    for cache in caches:
        dim = None if cache.length_axis is None else cache.tensor.shape[cache.length_axis]
        if dim is None or (cache.kind != "growing" and isinstance(dim, int)):
            continue
        if cache.kind == "growing" and cache.window and isinstance(dim, str):
            slides[dim] = cache.window
        elif cache.kind == "growing":
            pasts[dim] = None
        elif cache.kind == "buffer":
            windows[str(dim)] = cache.window
        elif dim not in given and dim not in taken:
            raise UsageError(
                f"{graph.path.name}: the cache {cache.tensor.name!r} is of another sequence, whose length "
                f"{dim!r} no phase decides; give --dim {dim}=SIZE"
            )
    return tuple(pasts), windows, {symbol: rows for symbol, rows in slides.items() if symbol not in pasts}


def _wholes(inputs: Sequence[TensorSpec], known: set[Dim]) -> Iterator[str]:
    """Symbols of masks that are for past and new tokens together."""
    for tensor in inputs:
        last = tensor.shape[-1]
        if isinstance(last, str) and last not in known and (MASK.search(tensor.name) or WHOLE.search(last)):
            yield last


def _tokens_input(graph: Graph, inputs: Sequence[TensorSpec]) -> TensorSpec | None:
    """What a table of tokens is looked up by, else states that come in instead."""
    looked_up = [tensor for tensor in inputs if any(_lookups(graph, tensor.name))]
    named = [tensor for tensor in inputs if TOKENS.search(tensor.name)]
    both = [tensor for tensor in looked_up if tensor in named]
    states = [tensor for tensor in inputs if len(tensor.shape) == 3 and is_floating(tensor.dtype)]
    return next(iter([*both, *named, *looked_up, *states]), None)


def _lookups(graph: Graph, name: str) -> Iterator[int]:
    """The nodes that look up rows of a weight by the value."""
    for index in graph.consumers(name):
        view = graph.nodes[index].view
        if view.op_type in LOOKUPS:
            read = LOOKUPS[view.op_type]
            table, indices = (view.inputs[at] if at < len(view.inputs) else None for at in read)
            if table is not None and table.is_weight and indices is not None and indices.name == name:
                yield index
        elif view.op_type in (*PASSING, "Unsqueeze", "Squeeze") and view.outputs[0] is not None:
            yield from _lookups(graph, view.outputs[0].name)


def embedding_nodes(graph: Graph, axes: PhaseAxes) -> frozenset[int]:
    """The nodes that look up the new tokens' rows."""
    return frozenset(_lookups(graph, axes.tokens_input.name))


LEARNED = re.compile(r"embed_positions|position_embeddings?|(^|[._])wpe([._]|$)")
"""What tables of learned positions are called."""


def positions_of(graph: Graph) -> int | None:
    """The tokens that rotary or learned tables have rows for; None where the file does not say."""
    learned = [value for name, value in graph.weights.items() if LEARNED.search(name)]
    rotary = [
        view.input(at)
        for view in (node.view for node in graph.nodes)
        for at in [COSINES.get((view.domain, view.op_type))]
        if at is not None and view.has_input(at) and view.input(at).is_weight
    ]
    rows = [value.shape[0] for value in (*learned, *rotary) if value.shape and len(value.shape) == 2]
    return min((row for row in rows if isinstance(row, int)), default=None)


def sizes_of(axes: PhaseAxes, request: PhasesRequest, positions: int | None) -> tuple[list[Size], list[str]]:
    """The points that are asked for, prefill first, and a note on each that the file has not.

    Raises:
        UsageError: the file has none of them, or not one that was typed.
    """
    chosen = _Chosen(axes, request, positions)
    batches, prompts, contexts = chosen.batches(), chosen.prompts(), chosen.contexts()
    sizes = [Size(batch, prompt, chosen.before) for batch in batches for prompt in prompts]
    sizes += [Size(batch, 1, context) for batch in batches for context in contexts]
    if not sizes:
        raise UsageError(f"{axes.source}: {'; '.join(chosen.notes)}: there is no phase left to count")
    return sizes, chosen.notes


class _Chosen:
    """The sizes that the file can be taken at."""

    def __init__(self, axes: PhaseAxes, request: PhasesRequest, positions: int | None) -> None:
        self._axes, self._request = axes, request
        self._positions = positions
        self.notes: list[str] = []
        self._past = axes.fixed_past
        self.before = self._past or 0

    def batches(self) -> Sequence[int]:
        return self._only("batches", "--batch", self._axes.batch, self._request.batches)

    def prompts(self) -> Sequence[int]:
        tokens = self._axes.tokens
        if tokens == 1 or (self.before and isinstance(tokens, str)):
            why = f"no prefill: the file takes {'one token at a time' if tokens == 1 else 'a full cache'}"
            return self._none("prompts", "--prompt", why)
        sizes = self._only("prompts", "--prompt", tokens, self._request.prompts)
        if self.before:
            self.notes.append(f"prefill: behind the {self.before:,} tokens that the file's caches hold")
        return self._within("prompts", "--prompt", sizes, self.before)

    def contexts(self) -> Sequence[int]:
        if isinstance(self._axes.tokens, int) and self._axes.tokens != 1:
            why = f"no decoding step: the file takes {self._axes.tokens} tokens at once"
            return self._none("contexts", "--context", why)
        if self._past == 0:
            return self._none("contexts", "--context", "no decoding step: the file takes no past tokens")
        sizes: Sequence[int] = self._request.contexts
        if self._past is not None:
            sizes = self._only("contexts", "--context", self._past, sizes)
        return self._within("contexts", "--context", sizes, 1)

    def _none(self, name: str, flag: str, why: str) -> Sequence[int]:
        if name in self._request.given:
            raise UsageError(f"{self._axes.source}: {flag}: {why}; leave it out")
        self.notes.append(why)
        return ()

    def _only(self, name: str, flag: str, dim: Dim, sizes: Sequence[int]) -> Sequence[int]:
        """What is asked for, or the one that the file fixes."""
        if isinstance(dim, str):
            return sizes
        if name in self._request.given and tuple(sizes) != (dim,):
            raise UsageError(f"{self._axes.source}: {flag}: the file fixes it to {dim}; give {flag} {dim}")
        return (dim,)

    def _within(self, name: str, flag: str, sizes: Sequence[int], new: int) -> Sequence[int]:
        """Those that the file has positions and buffers for."""
        room, positions, longest = self._axes.room, self._positions, max(sizes) + new
        if room is not None and longest > room and name in self._request.given:
            raise UsageError(
                f"{self._axes.source}: {flag} {max(sizes)}: the file's buffers have room for {room:,} "
                f"tokens; give at most {room - new}"
            )
        most = min((each for each in (positions, room) if each is not None), default=longest)
        if longest <= most:
            return sizes
        self.notes.append(f"{flag}: the file has positions for {most:,} tokens, and cannot run beyond them")
        if name in self._request.given:
            return sizes
        kept = tuple(size for size in sizes if size + new <= most) or (most - new,)
        return kept
