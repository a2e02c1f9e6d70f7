"""Every spec that is written as JSON is read back as itself; what is not such a spec is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from onnxlens.errors import GraphError
from onnxlens.specs.codec import from_plain, read_spec, to_plain, to_text
from onnxlens.specs.manifest import Manifest, StateTensor
from onnxlens.specs.tensor import TensorSpec
from tests.specs import samples

WRITTEN = (
    samples.MANIFEST,
    samples.LEDGER,
    samples.FLOW,
    samples.PARITY,
    samples.LATENCY,
    samples.BENCH,
    samples.IMAGE,
)


@pytest.mark.parametrize("spec", WRITTEN, ids=lambda spec: type(spec).__name__)
def test_a_spec_is_read_back_from_its_text_as_itself(spec: Any) -> None:
    assert from_plain(json.loads(to_text(spec)), type(spec), "here") == spec


def test_fields_have_their_own_names_and_none_is_left_out() -> None:
    plain = to_plain(samples.LEDGER)
    assert plain["modules"][1]["latency_s"] == 0.5
    assert {"latency_s", "bound_s", "parity_error"}.isdisjoint(plain["modules"][0])
    assert to_plain(samples.IMAGE) == {"name": "image", "dtype": "float32", "shape": ["batch", 3, 8, 8]}


def test_text_is_indented_and_ends_with_one_newline() -> None:
    assert to_text({"a": [1]}) == '{\n  "a": [\n    1\n  ]\n}\n'


AWKWARD = {
    "quoted": 'a "b" \\ \u00e9 \U0001f642 \n\x00',
    "numbers": [0, -1, 2**70, 0.1, 1e300, -0.0],
    "words": [True, False, None],
    "empty": [[], {}, [[]], [{}]],
    "nested": {"a": {"b": [1, [2, {"c": "d"}]]}, "e": 1},
}


def test_text_equals_that_of_the_standard_library() -> None:
    assert to_text(AWKWARD) == json.dumps(AWKWARD, indent=2) + "\n"


def test_what_json_has_no_number_for_is_null() -> None:
    assert json.loads(to_text([float("nan"), {"a": float("-inf")}])) == [None, {"a": None}]


def manifest_with(**changes: Any) -> Any:
    return {**to_plain(samples.MANIFEST), **changes}


@pytest.mark.parametrize(
    ("plain", "complaint"),
    [
        ({}, "required field missing @ $.graph"),
        (manifest_with(colour="red"), "extra fields found (colour)"),
        (manifest_with(opset="eighteen"), "$.opset"),
        (manifest_with(tensors=[{"name": "a"}]), "$.tensors[0]"),
        (manifest_with(inputs=[{"name": "x", "dtype": "float32", "shape": [-1]}]), "$.inputs[0]"),
        (manifest_with(schema="onnxlens.manifest/2"), "onnxlens.manifest/2"),
    ],
    ids=["missing", "extra", "type", "nested", "shape", "schema"],
)
def test_what_is_not_a_manifest_is_refused_with_its_position(plain: Any, complaint: str) -> None:
    with pytest.raises(GraphError, match=r"^x\.json: not a Manifest: ") as refusal:
        from_plain(plain, Manifest, "x.json")
    assert complaint in str(refusal.value)


def test_a_file_is_read_as_the_spec_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(to_text(samples.MANIFEST), encoding="utf-8")
    assert read_spec(path, Manifest) == samples.MANIFEST


@pytest.mark.parametrize(
    "content",
    [None, b"", b"{", b"\xff\xfe", b"[" * 100_000],
    ids=["absent", "empty", "truncated", "bytes", "deep"],
)
def test_a_file_that_is_not_json_is_refused_by_path(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(GraphError, match=r"x\.json: cannot be read as JSON: "):
        read_spec(path, Manifest)


def test_a_list_is_not_a_tensor() -> None:
    with pytest.raises(GraphError, match="not a TensorSpec"):
        from_plain([1, 2], TensorSpec, "here")


def test_a_state_tensor_counts_its_elements_and_a_scalar_is_one() -> None:
    assert StateTensor("a", "float32", (2, 3, 4), "parameter").elements == 24
    assert StateTensor("a", "int64", (), "buffer").elements == 1
