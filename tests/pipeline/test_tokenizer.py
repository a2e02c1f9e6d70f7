"""Prompts to tokens: those of transformers' CLIPTokenizer for a synthetic vocabulary."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from onnxlens.errors import UsageError
from onnxlens.pipeline.tokenizer import (
    END,
    MERGES,
    START,
    VOCABULARY,
    byte_alphabet,
    read_tokenizer,
    surrogate_tokenizer,
    tokenizer_of,
)

PAIRS = (
    "t h", "th e</w>", "a n", "an d</w>", "h o", "ho u", "hou s", "hous e</w>", "i n", "in g</w>", "e r</w>",
    "' s</w>", "! !", "!! !</w>", "r e", "b e", "be s", "bes t</w>", "Ã ©</w>", "1 2</w>", "' t</w>",
)  # fmt: skip
"""Merges in CLIP's form, the first first."""


def write_tokenizer(folder: Path) -> Path:
    """Files of CLIP's form: bytes, bytes at the end of a word, merged pairs, the two special tokens."""
    alphabet = byte_alphabet()
    tokens = [*alphabet, *(f"{character}</w>" for character in alphabet)]
    tokens += [pair.replace(" ", "") for pair in PAIRS]
    numbers = {token: number for number, token in enumerate([*tokens, START, END])}
    (folder / VOCABULARY).write_text(json.dumps(numbers), encoding="utf-8")
    (folder / MERGES).write_text("\n".join(["#version: 0.2", *PAIRS, ""]), encoding="utf-8")
    return folder


# transformers 5.24.0 with tokenizers 0.23.3: CLIPTokenizer.from_pretrained(folder)(text).input_ids
RECORDED = {
    "": [533, 534],
    "  ": [533, 534],
    "the house": [533, 513, 519, 534],
    "The  HOUSE\tand\nthe best...": [533, 513, 519, 515, 513, 529, 13, 13, 269, 534],
    "the\x0bhouse\x85and\u2028best": [533, 513, 519, 515, 529, 534],
    "The'S AND'T": [533, 513, 523, 515, 532, 534],
    "''s 's' t'the": [533, 6, 262, 338, 523, 262, 339, 532, 71, 324, 534],
    "caf\u00e9": [533, 66, 64, 69, 530, 534],
    "cafe\u0301": [533, 66, 64, 69, 530, 534],  # composed first
    "wow!!! 12 houses": [533, 86, 78, 342, 525, 272, 273, 518, 68, 338, 534],  # digits are never paired
    "\u732b and \U0001f431": [533, 163, 234, 360, 515, 172, 253, 238, 365, 534],
    "\u2460\u00bd 3\u0664": [533, 158, 239, 510, 126, 377, 274, 149, 353, 534],
    "\u0939\u093f": [533, 156, 97, 373, 156, 97, 379, 534],
    "\u00a0the\u3000house\u200b": [533, 513, 519, 158, 222, 489, 534],
    "a\x00b\ufffd": [533, 320, 444, 321, 171, 123, 377, 534],
    "snake_case-and/or": [533, 82, 77, 64, 74, 324, 318, 66, 64, 82, 324, 268, 515, 270, 78, 337, 534],
    "a<|endoftext|>b": [533, 320, 534, 321, 534],
    "the <|endoftext|> and": [533, 513, 534, 515, 534],
    "a <|startoftext|> the": [533, 320, 533, 513, 534],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.mark.parametrize("text", RECORDED, ids=ascii)
def test_tokens_are_those_of_transformers(folder: Path, text: str) -> None:
    found = read_tokenizer(folder)(text)
    assert found.ids.shape == (1, 77)
    assert found.lost == 0
    expected = RECORDED[text]
    assert found.ids[0].tolist() == expected + [534] * (77 - len(expected))


def test_a_long_prompt_loses_its_end_and_keeps_the_end_token(folder: Path) -> None:
    found = read_tokenizer(folder)("the " * 90)
    assert found.ids[0].tolist() == [533, *[513] * 75, 534]
    assert found.lost == 15


def test_the_surrogate_has_clips_own_numbers_for_bytes() -> None:
    # in CLIP's vocabulary "!" is 0, "a" 64, "a</w>" 320; the blank's byte is printed as another character
    alphabet = byte_alphabet()
    assert len(set(alphabet)) == 256
    assert (alphabet[0], alphabet[64], alphabet[188], alphabet[188 + 32]) == ("!", "a", "\u0100", "\u0120")
    found = surrogate_tokenizer()("An a!")
    assert found.ids[0, :6].tolist() == [49406, 64, 256 + 77, 320, 256, 49407]
    assert surrogate_tokenizer()("ab " * 40).lost == 80 - 75


def test_seeded_weights_alone_do_without_a_vocabulary(folder: Path, tmp_path: Path) -> None:
    assert tokenizer_of(None, "seeded").name == "the surrogate vocabulary"
    assert tokenizer_of(folder, "seeded").name == str(folder)
    assert tokenizer_of(None, folder).name == str(folder)
    assert tokenizer_of(None, folder / "model.ckpt").name == str(folder)  # beside the file
    with pytest.raises(UsageError, match=r"holds no vocab\.json; trained weights need CLIP's"):
        tokenizer_of(None, tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (VOCABULARY, "{", "not JSON"),
        (VOCABULARY, "[]", "expected an object from each token to its number"),
        (VOCABULARY, '{"a": true}', "expected an object from each token to its number"),
        (VOCABULARY, '{"a": 1}', r"lacks the token <\|startoftext\|>"),
        (VOCABULARY, f'{{"{START}": 0, "{END}": 49408}}', "has the number 49408; CLIP's are 0 to 49407"),
        (VOCABULARY, f'{{"{START}": 0, "{END}": 1}}', "the merges do not fit the vocabulary"),
        (MERGES, "#version: 0.2\nt h\nthe\n", "line 3 is not a pair of tokens"),
        (MERGES, "t h e\n", "line 1 is not a pair of tokens"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, name: str, content: str, said: str) -> None:
    (write_tokenizer(tmp_path) / name).write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=said):
        read_tokenizer(tmp_path)
