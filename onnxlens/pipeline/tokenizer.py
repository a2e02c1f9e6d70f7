"""A prompt as CLIP's tokens: byte-pair encoding by the package tokenizers, from the user's own vocabulary.

Without trained weights a surrogate will do: CLIP's own tokens of single bytes, and no merges. Each byte of a
word is then a token, so that a prompt of more than 75 bytes loses its end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from onnxlens.errors import ToolError, UsageError, first_line
from onnxlens.reference_model import catalog

if TYPE_CHECKING:
    from tokenizers import Tokenizer

VOCABULARY, MERGES = "vocab.json", "merges.txt"
"""The files of CLIP's tokenizer."""

START, END = "<|startoftext|>", "<|endoftext|>"
"""The tokens around a prompt; the second also fills it up to its length, and stands for what is unknown."""

END_OF_WORD = "</w>"

WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
"""What is split off before bytes are paired: endings, runs of letters, single digits, runs of all else."""

Merge = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Tokens:
    """A prompt's tokens.

    Attributes:
        ids: (1, 77) int64.
        lost: how many did not fit.
    """

    ids: np.ndarray
    lost: int


class PromptTokenizer:
    """Text to as many tokens as the text encoder takes."""

    def __init__(self, vocabulary: Mapping[str, int], merges: Sequence[Merge], name: str) -> None:
        """Prepare the encoder.

        Args:
            vocabulary: from the text of a token to its number.
            merges: pairs that become one token, the first first.
            name: where they come from, for messages.

        Raises:
            UsageError: the vocabulary does not hold what the merges make, or is not the text encoder's.
            ToolError: the package tokenizers is missing.
        """
        self.name = name
        most = catalog.CLIP_TEXT.vocabulary
        for token in (START, END):
            if token not in vocabulary:
                raise UsageError(f"{name}: lacks the token {token}; give CLIP's {VOCABULARY}")
        if wrong := next((token for token, number in vocabulary.items() if not 0 <= number < most), None):
            raise UsageError(
                f"{name}: token {wrong!r} has the number {vocabulary[wrong]}; CLIP's are 0 to {most - 1}"
            )
        self._encoder = _encoder(vocabulary, merges, name)
        self._start, self._end = vocabulary[START], vocabulary[END]

    def __call__(self, text: str) -> Tokens:
        """The start token, the text's, and end tokens up to the length; what is too long loses its end."""
        length = catalog.CLIP_TEXT.positions
        found = self._encoder.encode(text).ids
        kept = found[: length - 2]
        row = [self._start, *kept] + [self._end] * (length - 1 - len(kept))
        return Tokens(np.array([row], np.int64), len(found) - len(kept))


def _encoder(vocabulary: Mapping[str, int], merges: Sequence[Merge], name: str) -> Tokenizer:
    try:
        from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
    except ImportError as error:
        raise ToolError(
            "the package tokenizers is missing, which turns a prompt into tokens; pip install tokenizers"
        ) from error
    try:
        model = models.BPE(dict(vocabulary), list(merges), unk_token=END, end_of_word_suffix=END_OF_WORD)
    except Exception as error:  # a merge whose result is no token
        raise UsageError(f"{name}: the merges do not fit the vocabulary ({first_line(error)})") from error
    encoder = Tokenizer(model)
    encoder.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    words = pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True)
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    encoder.pre_tokenizer = pre_tokenizers.Sequence([words, as_bytes])
    encoder.add_special_tokens([START, END])
    return encoder


def tokenizer_of(folder: Path | None, weights: str | Path) -> PromptTokenizer:
    """The tokenizer of a folder, or of the weights: in their folder, or beside their file.

    Raises:
        UsageError: a file is missing or damaged; trained weights come without them.
    """
    if folder is None and weights == "seeded":
        return surrogate_tokenizer()
    place = folder or (Path(weights) if Path(weights).is_dir() else Path(weights).parent)
    return read_tokenizer(place)


def read_tokenizer(folder: Path) -> PromptTokenizer:
    """The tokenizer of a folder with CLIP's two files.

    Raises:
        UsageError: a file is missing or damaged.
    """
    for name in (VOCABULARY, MERGES):
        if not (folder / name).is_file():
            raise UsageError(
                f"{folder}: holds no {name}; trained weights need CLIP's {VOCABULARY} and {MERGES}: put them "
                "there, or name their folder with --tokenizer"
            )
    vocabulary = _vocabulary(folder / VOCABULARY)
    return PromptTokenizer(vocabulary, _merges(folder / MERGES), str(folder))


def _vocabulary(path: Path) -> Mapping[str, int]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not JSON ({first_line(error)}); download it again") from error
    if not isinstance(found, dict) or not all(type(number) is int for number in found.values()):
        raise UsageError(f"{path}: expected an object from each token to its number; give CLIP's")
    return found


def _merges(path: Path) -> Sequence[Merge]:
    """The pairs, one a line; a first line with a version is not one."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except ValueError as error:
        raise UsageError(f"{path}: not a text in UTF-8; download it again") from error
    merges: list[Merge] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or (number == 1 and line.startswith("#version")):
            continue
        first, _, second = line.strip("\r").partition(" ")
        if not first or not second or " " in second:
            raise UsageError(f"{path}: line {number} is not a pair of tokens; give CLIP's {MERGES}")
        merges.append((first, second))
    return merges


def surrogate_tokenizer() -> PromptTokenizer:
    """CLIP's tokens of single bytes under the numbers that they have there, and no merges."""
    count = catalog.CLIP_TEXT.vocabulary
    alphabet = byte_alphabet()
    vocabulary = {character: number for number, character in enumerate(alphabet)}
    vocabulary |= {f"{character}{END_OF_WORD}": 256 + number for number, character in enumerate(alphabet)}
    return PromptTokenizer({**vocabulary, START: count - 2, END: count - 1}, (), "the surrogate vocabulary")


def byte_alphabet() -> str:
    """The characters that stand for the 256 bytes: first those that are printed as they are, then others."""
    printed = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return "".join(map(chr, printed)) + "".join(chr(256 + index) for index in range(256 - len(printed)))
