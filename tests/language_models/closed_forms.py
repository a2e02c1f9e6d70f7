"""What a language model costs, derived by hand from its configuration alone.

Every product counts in full, as docs/counting.md has it: also the scores that causality hides, and the
head at every position. A layer that slides attends to at most its window of keys.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from tests.language_models.recipes import Decoder, Layer, Speech, TextEncoder

BLOCK = 32
"""Weights that share one scale at 4 bits."""


@dataclass(frozen=True)
class Macs:
    """By part of the model: what mixes tokens without scores is in ``mixing``, its projections too."""

    projections: int = 0
    scores: int = 0
    mixing: int = 0
    mlp: int = 0
    head: int = 0

    @property
    def total(self) -> int:
        return sum(self.parts.values())

    @property
    def parts(self) -> dict[str, int]:
        """Those that multiply anything."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: macs for name, macs in parts.items() if macs}

    def __add__(self, other: Macs) -> Macs:
        return Macs(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


@dataclass(frozen=True)
class Params:
    """Elements of what formats pack, of a head that is not the table, of the table, of all others."""

    matrices: int
    head: int
    table: int
    others: int

    @property
    def total(self) -> int:
        return self.matrices + self.head + self.table + self.others


def decoder_macs(model: Decoder, tokens: int, past: int) -> Macs:
    """Of ``tokens`` new ones of one sequence, after ``past`` in the cache."""
    total = Macs(head=tokens * model.hidden * model.vocabulary)
    for layer in model.layers:
        total += _layer_macs(model, layer, tokens, past)
        total += Macs(mlp=tokens * _multiplied_by_the_mlp(model))
    return total


def _layer_macs(model: Decoder, layer: Layer, tokens: int, past: int) -> Macs:
    if layer == "convolution":
        # in to three times the width, out again, and a tap at a time in each channel
        return Macs(mixing=tokens * (4 * model.hidden**2 + model.hidden * model.taps))
    if layer == "linear":
        return Macs(mixing=tokens * _multiplied_by_linear_attention(model))
    keys = tokens + past
    if layer == "sliding":
        keys = min(keys, model.window)
    # q k^T and the product with v, each query head by itself
    scores = 2 * model.heads * model.head * tokens * keys
    return Macs(projections=tokens * _attention_matrices(model), scores=scores)


def _attention_matrices(model: Decoder) -> int:
    queries, shared = model.heads * model.head, model.kv_heads * model.head
    return model.hidden * (queries * (2 if model.gated_queries else 1) + 2 * shared + queries)


def _multiplied_by_the_mlp(model: Decoder) -> int:
    matrix = model.hidden * model.inner
    if model.experts is None:
        return model.matrices * matrix
    return model.hidden * model.experts.count + model.experts.active * model.matrices * matrix


def _linear_matrices(model: Decoder) -> int:
    """To q, k, v and the output's gate, to two numbers for each head, and back."""
    linear = model.linear
    assert linear
    keys, values = linear.key_heads * linear.head, linear.value_heads * linear.head
    return model.hidden * (2 * keys + 2 * values + 2 * linear.value_heads + values)


def linear_channels(model: Decoder) -> int:
    """Queries, keys and values side by side, as the convolution sees them."""
    linear = model.linear
    assert linear
    return (2 * linear.key_heads + linear.value_heads) * linear.head


def _multiplied_by_linear_attention(model: Decoder) -> int:
    """The state of each value head is recalled by the key, updated, and read by the query."""
    linear = model.linear
    assert linear
    states = 3 * linear.value_heads * linear.head**2
    return _linear_matrices(model) + linear_channels(model) * linear.taps + states


def decoder_params(model: Decoder) -> Params:
    """Of the checkpoint, a tied table once."""
    table = model.vocabulary * model.hidden
    norm = model.hidden * (2 if "norm" in model.biased else 1)
    others, matrices = norm + model.positions * model.hidden, 0
    for layer in model.layers:
        packed, rest = _layer_params(model, layer)
        packed_mlp, rest_mlp = _mlp_params(model)
        matrices += packed + packed_mlp
        others += rest + rest_mlp + model.norms * norm
    return Params(matrices, 0 if model.tied else table, table, others)


def _layer_params(model: Decoder, layer: Layer) -> tuple[int, int]:
    """Elements of matrices, and others."""
    if layer == "convolution":
        return 4 * model.hidden**2, model.hidden * model.taps
    if layer == "linear":
        linear = model.linear
        assert linear
        # taps of each channel; the decay's rate and bias of each head; the norm before the output
        return (
            _linear_matrices(model),
            linear_channels(model) * linear.taps + 2 * linear.value_heads + linear.head,
        )
    queries, shared = model.heads * model.head, model.kv_heads * model.head
    biases = ("qkv" in model.biased) * (queries + 2 * shared) + ("out" in model.biased) * model.hidden
    return _attention_matrices(model), biases + 2 * model.head * model.head_norms + model.heads * model.sinks


def _mlp_params(model: Decoder) -> tuple[int, int]:
    matrix = model.hidden * model.inner
    biases = ("mlp" in model.biased) * ((model.matrices - 1) * model.inner + model.hidden)
    if model.experts is None:
        return model.matrices * matrix, biases
    count = model.experts.count
    router = model.hidden * count, ("mlp" in model.biased) * count
    return router[0] + count * model.matrices * matrix, router[1] + count * biases


def cache_bytes(model: Decoder, element: int) -> tuple[int, int]:
    """What each token adds, and what is kept whatever the context: windows, the last inputs of taps, states.

    A key and a value for each shared head, of all layers that attend to everything.
    """
    row = 2 * model.kv_heads * model.head * element
    fixed = model.layers.count("sliding") * model.window * row
    fixed += model.layers.count("convolution") * model.hidden * (model.taps - 1) * element
    if model.linear:
        state = model.linear.value_heads * model.linear.head**2
        before = linear_channels(model) * (model.linear.taps - 1)
        fixed += model.layers.count("linear") * (state + before) * element
    return model.layers.count("full") * row, fixed


def speech_cache_bytes(model: Speech, element: int) -> tuple[int, int]:
    """Keys and values of the text, which grow, and those of the sound."""
    row = model.layers * 2 * model.hidden * element
    return row, row * model.sound_positions


def weight_bytes(params: Params, element: int, bits: int | None = None, *, tied: bool = False) -> int:
    """As a file holds them: floats of ``element`` bytes, or matrices at ``bits`` with a scale for a block.

    The table of embeddings stays in floats, unless it is the head's weight too.
    """
    if bits is None:
        return params.total * element
    packed = params.matrices + params.head + (params.table if tied else 0)
    floats = params.others + (0 if tied else params.table)
    return packed * bits // 8 + packed // BLOCK * element + floats * element


def encoder_macs(model: Speech) -> Macs:
    """The encoder of one piece of sound, and each decoder layer's keys and values of it."""
    width, length = model.hidden, model.sound_positions
    convolutions = model.frames * width * model.bins * 3 + length * width * width * 3
    across = model.layers * 2 * length * width**2
    return Macs(
        projections=model.layers * 4 * length * width**2 + across,
        scores=model.layers * 2 * length**2 * width,
        mixing=convolutions,
        mlp=model.layers * 2 * length * width * model.inner,
    )


def speech_decoder_macs(model: Speech, tokens: int, past: int) -> Macs:
    """Each layer attends to the text so far, and to all of the sound, whose keys are there."""
    width, layers = model.hidden, model.layers
    return Macs(
        projections=layers * tokens * (4 + 2) * width**2,
        scores=layers * 2 * tokens * width * (past + tokens + model.sound_positions),
        mlp=layers * 2 * tokens * width * model.inner,
        head=tokens * width * model.vocabulary,
    )


def encoder_params(model: Speech) -> int:
    """Keys have no bias; the keys and values of the sound are here, where they are computed."""
    width = model.hidden
    convolutions = width * model.bins * 3 + width + 3 * width**2 + width
    layer = 4 * width**2 + 3 * width + 2 * 2 * width + 2 * width * model.inner + model.inner + width
    across = model.layers * (2 * width**2 + width)
    norm = 2 * width
    return convolutions + model.sound_positions * width + model.layers * layer + norm + across


def speech_decoder_params(model: Speech) -> int:
    """The table is the head's weight too; of the attention to the sound, queries and output are here."""
    width = model.hidden
    itself, across = 4 * width**2 + 3 * width, 2 * width**2 + 2 * width
    mlp = 2 * width * model.inner + model.inner + width
    layer = itself + across + mlp + 3 * 2 * width
    norm = 2 * width
    return (model.vocabulary + model.text_positions) * width + model.layers * layer + norm


def text_encoder_macs(model: TextEncoder, tokens: int) -> Macs:
    """No head, no cache."""
    width, layers = model.hidden, model.layers
    return Macs(
        projections=layers * 4 * tokens * width**2,
        scores=layers * 2 * tokens**2 * width,
        mlp=layers * 2 * tokens * width * model.inner,
    )


def text_encoder_params(model: TextEncoder) -> int:
    """Every projection has a bias, every norm too."""
    width = model.hidden
    layer = 4 * (width**2 + width) + 2 * width * model.inner + model.inner + width + 2 * 2 * width
    return (model.vocabulary + model.positions) * width + model.layers * layer + 2 * width
