"""Small language models as figures alone: what a configuration says, and nothing of how a file is written.

Read by the closed forms, and by ``build.py``, which makes files of them in an environment of its own: this
module must not need more than Python.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

CONTEXT = 2048
"""Positions of the rotary tables."""

Layer = Literal["full", "sliding", "convolution", "linear"]


@dataclass(frozen=True)
class Experts:
    """``active`` of ``count`` experts for each token."""

    count: int
    active: int


@dataclass(frozen=True)
class Linear:
    """The heads of a gated delta network, and the taps of the convolution before it."""

    key_heads: int
    value_heads: int
    head: int
    taps: int


@dataclass(frozen=True)
class Decoder:
    """A decoder of text.

    Attributes:
        head: the width of one.
        inner: of the MLP, or of one expert.
        layers: what mixes tokens in each.
        window: how many keys a sliding layer attends to.
        matrices: of the MLP: 3 with a gate, else 2.
        norms: of the hidden width in each layer.
        head_norms: of queries and keys, each of one head's width.
        biased: which projections have a bias: any of qkv, out, mlp, norm.
        tied: whether the table of embeddings is the head's weight too.
        positions: rows of a learned table.
        sinks: whether each head has one.
        gated_queries: whether the projection of queries makes a gate of the same width.
        taps: of a layer that is a short convolution.
    """

    family: str
    hidden: int
    heads: int
    kv_heads: int
    head: int
    inner: int
    vocabulary: int
    layers: tuple[Layer, ...]
    window: int = 0
    matrices: int = 3
    norms: int = 2
    head_norms: bool = False
    biased: frozenset[str] = frozenset()
    tied: bool = False
    positions: int = 0
    sinks: bool = False
    gated_queries: bool = False
    experts: Experts | None = None
    linear: Linear | None = None
    taps: int = 0


@dataclass(frozen=True)
class Speech:
    """A Whisper: an encoder of sound, and a decoder of text that attends to it, of as many layers."""

    hidden: int
    heads: int
    inner: int
    vocabulary: int
    layers: int
    bins: int = 80
    frames: int = 3000
    text_positions: int = 448

    @property
    def sound_positions(self) -> int:
        """What the second convolution's stride leaves."""
        return self.frames // 2


def _sizes(decoder: Decoder) -> tuple[Decoder, Decoder]:
    """As it is given, and another with more layers, other widths, and another grouping of heads."""
    wider = replace(
        decoder,
        hidden=384, heads=6, kv_heads=6 if decoder.kv_heads == decoder.heads else 3, head=64, inner=960,
        vocabulary=1040, layers=(*decoder.layers, decoder.layers[0]),
    )  # fmt: skip
    return decoder, wider


_FULL: tuple[Layer, ...] = ("full", "full")
_ALTERNATE: tuple[Layer, ...] = ("sliding", "full")
_ALL_BIASED = frozenset({"qkv", "out", "mlp", "norm"})
_BASE = Decoder("llama", 256, 8, 2, 32, 704, 520, _FULL)

FAMILIES: tuple[tuple[Decoder, Decoder], ...] = tuple(
    _sizes(decoder)
    for decoder in (
        _BASE,
        replace(_BASE, family="mistral"),
        replace(_BASE, family="phi3"),
        replace(_BASE, family="qwen2", biased=frozenset({"qkv"}), tied=True),
        replace(_BASE, family="qwen3", head_norms=True, tied=True),
        replace(_BASE, family="gemma2", layers=_ALTERNATE, window=512, norms=4, tied=True),
        replace(_BASE, family="gemma3", layers=_ALTERNATE, window=64, norms=4, head_norms=True, tied=True),
        replace(
            _BASE, family="gptoss", layers=_ALTERNATE, window=128, sinks=True, experts=Experts(8, 2),
            biased=frozenset({"qkv", "out", "mlp"}), inner=256,
        ),
        replace(
            _BASE, family="gpt2", kv_heads=8, inner=1024, matrices=2, biased=_ALL_BIASED, tied=True,
            positions=2048,
        ),
        replace(
            _BASE, family="opt", kv_heads=8, inner=1024, matrices=2, biased=_ALL_BIASED, tied=True,
            positions=2050,
        ),
        replace(_BASE, family="lfm2", layers=("convolution", "full"), head_norms=True, tied=True, taps=3),
        replace(
            _BASE, family="qwen3_5", layers=("linear", "full"), head_norms=True, tied=True,
            gated_queries=True, linear=Linear(4, 8, 32, 4),
        ),
    )
)  # fmt: skip

WHISPERS = (Speech(256, 8, 1024, 520, 2), Speech(384, 6, 960, 1040, 3))


@dataclass(frozen=True)
class TextEncoder:
    """The text half of a CLIP: no head, no cache."""

    hidden: int
    heads: int
    inner: int
    vocabulary: int
    layers: int
    positions: int = 77


CLIPS = (TextEncoder(256, 8, 1024, 520, 2), TextEncoder(384, 6, 960, 1040, 3))
