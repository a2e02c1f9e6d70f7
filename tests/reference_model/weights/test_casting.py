"""Element types of a checkpoint: which are cast, with a word; which are refused, and in what words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from onnxlens.errors import CheckpointError
from onnxlens.reference_model.weights.checkpoint import STRICT, CheckpointReading, CheckpointWeights
from onnxlens.specs.graph import CheckpointScope
from onnxlens.specs.module_state import ModuleState
from onnxlens.specs.tensor import TensorSpec, as_tensor
from tests.reference_model.weights.files import saved, saved_safetensors

WEIGHT = torch.tensor([[1.0, -2.0, 0.5], [4.0, 0.25, -8.0]])  # the same in each floating type
STATE = {"a.weight": WEIGHT, "a.ids": torch.arange(4), "a.flags": torch.tensor([True, False])}
SPECS = {
    "a.weight": TensorSpec("a.weight", "float32", (2, 3)),
    "a.ids": TensorSpec("a.ids", "int64", (4,)),
    "a.flags": TensorSpec("a.flags", "bool", (2,)),
}


def opened(
    path: Path,
    reading: CheckpointReading = STRICT,
    computed: Mapping[str, Tensor] | None = None,
    **dtypes: str,
) -> CheckpointWeights:
    """The file as weights of the module of ``SPECS``, whose tensors ``a.NAME`` have other types if given."""
    given = {f"a.{name}": dtype for name, dtype in dtypes.items()}
    specs = {name: TensorSpec(name, given.get(name, spec.dtype), spec.shape) for name, spec in SPECS.items()}
    return CheckpointWeights(path, "net", ModuleState(specs, computed or {}), CheckpointScope(), reading)


def in_shards(state: Mapping[str, Tensor], folder: Path) -> Path:
    for key, values in state.items():
        saved_safetensors({key: values}, folder / f"{key}.safetensors")
    index = folder / "model.safetensors.index.json"
    places = {key: f"{key}.safetensors" for key in state}
    index.write_text(json.dumps({"weight_map": places}), encoding="utf-8")
    return folder


WRITERS: Mapping[str, Callable[[Mapping[str, Tensor], Path], Path]] = {
    "pt": lambda state, folder: saved(dict(state), folder / "a.pt"),
    "old pt": lambda state, folder: saved(dict(state), folder / "a.pt", zipped=False),
    "safetensors": lambda state, folder: saved_safetensors(state, folder / "a.safetensors"),
    "sharded folder": in_shards,
}
PLAIN = pytest.mark.parametrize("writer", WRITERS)


@pytest.mark.parametrize("writer", ["pt", "safetensors", "sharded folder"])  # the old format has no float8
@pytest.mark.parametrize(
    ("dtype", "note"),
    [
        (torch.float16, "1 tensor cast from float16 to float32"),
        (torch.bfloat16, "1 tensor cast from bfloat16 to float32"),
        (torch.float64, "1 tensor cast from float64 to float32 (rounded)"),
        (torch.float8_e4m3fn, "1 tensor cast from float8e4m3fn to float32"),
        (torch.float8_e5m2, "1 tensor cast from float8e5m2 to float32"),
        (torch.float32, ""),
    ],
)
def test_floating_types_are_cast_with_a_word(
    writer: str, dtype: torch.dtype, note: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = opened(WRITERS[writer]({**STATE, "a.weight": WEIGHT.to(dtype)}, tmp_path))
    assert torch.equal(as_tensor(source.read("a.weight")), WEIGHT)
    assert [record.getMessage() for record in caplog.records] == (
        [f"onnxlens: {source.path}: {note}"] if note else []
    )


def test_what_torch_writes_and_cannot_read_is_named(tmp_path: Path) -> None:
    path = saved({**STATE, "a.weight": WEIGHT.to(torch.float8_e5m2)}, tmp_path / "a.pt", zipped=False)
    with pytest.raises(CheckpointError, match=r"holds a type of number \(float8, .* save it again as usual"):
        opened(path)


OTHER_KINDS: Mapping[str, tuple[str, Tensor, str]] = {
    "int8": ("a.weight", WEIGHT.to(torch.int8), "int8, expected float32; integers are quantized values "),
    "uint8": ("a.weight", WEIGHT.abs().to(torch.uint8), "uint8, expected float32; integers are quantized"),
    "int64": ("a.weight", WEIGHT.long(), "int64, expected float32; integers are quantized values without "),
    "bool": ("a.weight", WEIGHT > 0, "bool, expected float32; true and false are no such numbers; save it "),
    "complex": ("a.weight", WEIGHT + 1j, "complex64, expected float32; its imaginary part would be lost; "),
    "float for a flag": ("a.flags", torch.ones(2), "float32, expected bool; save it in the module's type"),
    "bytes for a flag": ("a.flags", torch.ones(2, dtype=torch.uint8), "uint8, expected bool; integers are "),
    "flags for numbers": ("a.ids", torch.ones(4) > 0, "bool, expected int64; true and false are no such "),
}


@PLAIN
@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_what_would_mean_something_else_is_refused(writer: str, kind: str, tmp_path: Path) -> None:
    key, values, words = OTHER_KINDS[kind]
    path = WRITERS[writer]({**STATE, key: values}, tmp_path)
    with pytest.raises(CheckpointError) as caught:
        opened(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert f": {key} is {words}" in message
    assert "\n" not in message


def quantized() -> Tensor:
    return torch.quantize_per_tensor(WEIGHT, 0.1, 0, torch.qint8)


NOT_PLAIN: Mapping[str, tuple[Callable[[], Tensor], str]] = {
    "meta": (
        lambda: WEIGHT.to("meta"),
        "a.weight is meta, expected float32; it was saved on the meta device",
    ),
    "quantized": (quantized, "a.weight is quantized, expected float32; save what its .dequantize() returns"),
    "sparse": (WEIGHT.to_sparse, "a.weight is sparse, expected float32; save what its .to_dense() returns"),
    "rows": (WEIGHT.to_sparse_csr, "a.weight is sparse, expected float32; save what its .to_dense() returns"),
}


@pytest.mark.filterwarnings("ignore")  # PyTorch's own, of the kinds that it deprecates
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kind", NOT_PLAIN)
def test_what_is_no_plain_tensor_is_refused(kind: str, zipped: bool, tmp_path: Path) -> None:
    make, words = NOT_PLAIN[kind]
    path = saved({**STATE, "a.weight": make()}, tmp_path / "a.pt", zipped=zipped)
    with pytest.raises(CheckpointError) as caught:
        opened(path)
    assert str(caught.value).startswith(f"{path}: {words}")


@pytest.mark.parametrize("beside", ["a.weight_scale", "a.scale_weight", "a.weight_scale_inv"])
def test_a_float8_weight_with_a_scale_beside_it_is_refused(beside: str, tmp_path: Path) -> None:
    state = {**STATE, "a.weight": WEIGHT.to(torch.float8_e4m3fn), beside: torch.ones(1)}
    path = saved_safetensors(state, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=rf"float8e4m3fn with a scale beside it \({beside}\), expected"):
        opened(path, CheckpointReading(allow_extra=True))


@PLAIN
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, float("nan"), float("inf"), 0, 0, 0], r"a\.weight: 2 of 6 values are NaN or infinite, so "),
        ([1.0, float("-inf"), 0, 0, 0, 0], r"a\.weight: 1 of 6 values are NaN or infinite, so nothing that "),
    ],
)
def test_values_that_are_not_finite_are_refused(
    writer: str, values: list[float], message: str, tmp_path: Path
) -> None:
    source = opened(WRITERS[writer]({**STATE, "a.weight": torch.tensor(values).reshape(2, 3)}, tmp_path))
    with pytest.raises(CheckpointError, match=message):
        source.read("a.weight")


@pytest.mark.parametrize("dtype", [torch.complex64, torch.float8_e5m2, torch.bfloat16])
def test_values_of_other_types_that_are_not_finite_are_refused(dtype: torch.dtype, tmp_path: Path) -> None:
    values = WEIGHT.clone()
    values[1, 1] = float("nan")
    path = saved({**STATE, "a.weight": values.to(dtype)}, tmp_path / "a.pt")
    wanted = "complex64" if dtype.is_complex else "float32"
    with pytest.raises(CheckpointError, match=r"a\.weight: 1 of 6 values are NaN or infinite"):
        opened(path, weight=wanted).read("a.weight")


def test_infinities_that_the_module_itself_computes_stay(tmp_path: Path) -> None:
    mask = torch.tensor([[0.0, float("-inf"), 0], [0, 0, 0]])
    path = saved({**STATE, "a.weight": mask}, tmp_path / "a.pt")
    assert torch.equal(as_tensor(opened(path, computed={"a.weight": mask}).read("a.weight")), mask)
    with pytest.raises(CheckpointError, match="1 of 6 values"):
        opened(path, computed={"a.weight": mask.flip(0)}).read("a.weight")


@pytest.mark.parametrize(
    ("own", "wanted", "message"),
    [
        (
            torch.float32,
            "float16",
            "1 of 6 values of float32 are out of the range of float16; choose ",
        ),
        (torch.float64, "bfloat16", ""),  # 1e5 fits
    ],
)
def test_values_out_of_range_are_refused(own: torch.dtype, wanted: str, message: str, tmp_path: Path) -> None:
    values = WEIGHT.to(own)
    values[0, 0] = 1e5
    source = opened(saved({**STATE, "a.weight": values}, tmp_path / "a.pt"), weight=wanted)
    if not message:
        assert as_tensor(source.read("a.weight")).dtype == torch.bfloat16
        return
    with pytest.raises(CheckpointError, match=message):
        source.read("a.weight")


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (torch.arange(4.0), ""),
        (torch.arange(4).half(), ""),
        (torch.arange(4, dtype=torch.int32), ""),
        (torch.tensor([0, 1.5, 2, 3]), r"a\.ids: 1 of 4 values of float32 are no int64; give the file with "),
        (torch.tensor([0, 1, float("nan"), 3]), r"a\.ids: 1 of 4 values of float32 are no int64"),
    ],
)
def test_integers_are_cast_where_they_stay_what_they_are(ids: Tensor, message: str, tmp_path: Path) -> None:
    source = opened(saved({**STATE, "a.ids": ids}, tmp_path / "a.pt"))
    if message:
        with pytest.raises(CheckpointError, match=message):
            source.read("a.ids")
    else:
        assert source.read("a.ids").tolist() == [0, 1, 2, 3]


def test_a_number_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = saved({**STATE, "a.ids": torch.tensor([0, 1, 2, 2**40])}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="1 of 4 values of int64 are no int32"):
        opened(path, ids="int32").read("a.ids")


def test_a_conjugate_is_read_as_its_values(tmp_path: Path) -> None:
    values = torch.complex(WEIGHT, WEIGHT).conj()
    source = opened(saved({**STATE, "a.weight": values}, tmp_path / "a.pt"), weight="complex64")
    assert torch.equal(as_tensor(source.read("a.weight")), torch.complex(WEIGHT, -WEIGHT))
