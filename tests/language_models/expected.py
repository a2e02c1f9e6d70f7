"""What the file of a recipe costs by the closed forms, and what to tell the tool of its dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from tests.language_models import closed_forms as forms
from tests.language_models.closed_forms import Macs
from tests.language_models.recipes import CLIPS, CONTEXT, FAMILIES, WHISPERS, Decoder, Speech, TextEncoder

Recipe = Decoder | Speech | TextEncoder
FLOAT_BYTES = {"fp32": 4, "fp16": 2, "bf16": 2}
SENTENCE = 77
"""Tokens of a CLIP, at most."""


@dataclass(frozen=True)
class Phase:
    """New tokens, and those in the cache before them."""

    tokens: int
    past: int

    @property
    def dims(self) -> Mapping[str, int]:
        """What a user has to say."""
        return {"batch_size": 1, "sequence_length": self.tokens, "past_sequence_length": self.past}


PHASES = (Phase(128, 0), Phase(1, 1024))
SHORT_PHASES = (Phase(128, 0), Phase(1, 400))
"""Of a Whisper, which has positions for 448."""


@dataclass(frozen=True)
class File:
    """A file by its name: ``FAMILY-SIZE-FORM``, of a Whisper ``-encoder`` or ``-decoder`` too."""

    name: str

    @property
    def family(self) -> str:
        return self.name.split("-")[0]

    @property
    def is_encoder(self) -> bool:
        return self.name.endswith("-encoder") or self.family == "clip"

    @property
    def recipe(self) -> Recipe:
        size = int(self.name.split("-")[1])
        if self.family == "whisper":
            return WHISPERS[size]
        if self.family == "clip":
            return CLIPS[size]
        return next(sizes[size] for sizes in FAMILIES if sizes[0].family == self.family)

    @property
    def element_bytes(self) -> int:
        """Of what is not packed."""
        for precision, size in FLOAT_BYTES.items():
            if precision in self.name:
                return size
        return 4 if "cpu" in self.name or "torch" in self.name else 2

    def runs(self) -> Iterator[tuple[Mapping[str, int], Macs]]:
        """Dimensions to give, and what is then multiplied."""
        recipe = self.recipe
        if isinstance(recipe, TextEncoder):
            yield (
                {"batch_size": 1, "sequence_length": SENTENCE},
                forms.text_encoder_macs(recipe, SENTENCE),
            )
        elif isinstance(recipe, Speech) and self.is_encoder:
            yield {"batch_size": 1}, forms.encoder_macs(recipe)
        else:
            for phase in SHORT_PHASES if isinstance(recipe, Speech) else PHASES:
                yield phase.dims, _decoder_macs(recipe, phase, by_mask="torch" in self.name)

    @property
    def params(self) -> int:
        """Of the checkpoint's part that is in this file."""
        recipe = self.recipe
        if isinstance(recipe, TextEncoder):
            return forms.text_encoder_params(recipe)
        if isinstance(recipe, Speech):
            return forms.encoder_params(recipe) if self.is_encoder else forms.speech_decoder_params(recipe)
        return forms.decoder_params(recipe).total

    @property
    def cache_bytes(self) -> tuple[int, int]:
        """Of a decoder: what each token adds, and what is kept whatever the context."""
        recipe = self.recipe
        if isinstance(recipe, Speech):
            return forms.speech_cache_bytes(recipe, self.element_bytes)
        assert isinstance(recipe, Decoder)
        return forms.cache_bytes(recipe, self.element_bytes)

    @property
    def written_more(self) -> int:
        """Elements that the builder writes twice, or that no checkpoint has.

        The head of a Whisper beside its table, and an 8-bit head beside a table that stays in floats;
        biases of zeros for the convolution before linear attention, and for the keys of a Whisper's encoder.
        """
        recipe = self.recipe
        if isinstance(recipe, Speech):
            return recipe.hidden * (recipe.layers if self.is_encoder else recipe.vocabulary)
        if not isinstance(recipe, Decoder) or "torch" in self.name:
            return 0
        table = recipe.vocabulary * recipe.hidden if recipe.tied and "int8" in self.name else 0
        biases = recipe.layers.count("linear") * forms.linear_channels(recipe) if recipe.linear else 0
        return table + biases

    @property
    def weight_bytes(self) -> int:
        """Of a decoder by the builder: weights as they are stored, their scales, and the rotary tables.

        A tied table of floats is stored once, as the head's weight, and transposed before the run: both stay.
        """
        recipe, element = self.recipe, self.element_bytes
        assert isinstance(recipe, Decoder)
        bits = next((bits for bits in (4, 8) if f"int{bits}" in self.name), None)
        params, packed_table = forms.decoder_params(recipe), recipe.tied and bits == 4
        if recipe.tied and bits == 8:
            params = replace(params, head=params.table)
        stored = forms.weight_bytes(params, element, bits, tied=packed_table)
        if recipe.tied and not bits:
            stored += params.table * element
        return stored + self._kept_in_floats(recipe, bits) + self._rotary_bytes(recipe)

    def _kept_in_floats(self, recipe: Decoder, bits: int | None) -> int:
        """Gemma's norms have 32 bits; so do decays of linear attention, whose narrow products stay floats."""
        element = self.element_bytes
        if recipe.family in ("gemma2", "gemma3"):
            return (4 - element) * recipe.hidden * (recipe.norms * len(recipe.layers) + 1)
        if recipe.linear is None:
            return 0
        layers, heads = recipe.layers.count("linear"), recipe.linear.value_heads
        narrow = 2 * recipe.hidden * heads
        unpacked = narrow * element - narrow * bits // 8 - narrow // forms.BLOCK * element if bits else 0
        no_bias = forms.linear_channels(recipe) * element
        return layers * (unpacked + no_bias + 2 * heads * (4 - element))

    def _rotary_bytes(self, recipe: Decoder) -> int:
        """Sines and cosines of each position; beside linear attention of a quarter of a head, in 32 bits."""
        tables = 2 * (2 if recipe.family == "gemma3" else 1)
        pairs = recipe.head // 8 if recipe.linear else recipe.head // 2
        element = 4 if recipe.linear else self.element_bytes
        return tables * CONTEXT * pairs * element


def _decoder_macs(recipe: Recipe, phase: Phase, by_mask: bool) -> Macs:
    """An exporter that knows no windows multiplies all, and masks what is outside."""
    if isinstance(recipe, Speech):
        return forms.speech_decoder_macs(recipe, phase.tokens, phase.past)
    assert isinstance(recipe, Decoder)
    assert not (by_mask and recipe.window)
    return forms.decoder_macs(recipe, phase.tokens, phase.past)
