"""Seeded values depend on the tensor's published name and shape, and on nothing else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from onnxlens.errors import CheckpointError
from onnxlens.export.network import Network
from onnxlens.reference_model import catalog
from onnxlens.reference_model.weights.choice import SeededWeights, seeded_tensor
from onnxlens.specs.module_state import ModuleState, state_of
from onnxlens.specs.tensor import TensorSpec

TENSORS = {
    name: TensorSpec(name, "float32", shape)
    for name, shape in {"a.weight": (4, 3, 3, 3), "a.bias": (4,), "b.weight": (50, 40), "c": (2, 5)}.items()
}
STATE = ModuleState(TENSORS)


def seeded(name: str, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """The values of one entry of a module that has no other."""
    return SeededWeights(ModuleState({name: TensorSpec(name, dtype, shape)})).read(name)


def test_values_are_the_same_in_any_order_and_on_threads() -> None:
    source, again = SeededWeights(STATE, "net."), SeededWeights(STATE, "net.")
    forward = {name: source.read(name) for name in TENSORS}
    backward = {name: again.read(name) for name in reversed(TENSORS)}
    names = list(TENSORS) * 20
    with ThreadPoolExecutor(max_workers=4) as pool:
        threaded = list(pool.map(source.read, names))
    assert all(np.array_equal(forward[name], backward[name]) for name in TENSORS)
    assert all(np.array_equal(forward[name], values) for name, values in zip(names, threaded, strict=True))


def test_values_are_the_same_on_every_machine() -> None:
    # crc32(b"net.c") = 0x609cc042 seeds PCG64; a leaf of no known kind is 0.1 times a standard normal.
    expected = np.float32(0.1 * np.random.Generator(np.random.PCG64(0x609CC042)).standard_normal((2, 5)))
    assert np.array_equal(seeded_tensor("net.c", (2, 5)), expected)


def test_values_are_keyed_by_prefix_and_name_together() -> None:
    part = SeededWeights(STATE, "net.")
    other = SeededWeights(STATE, "other.")
    assert np.array_equal(seeded("net.c", "float32", (2, 5)), part.read("c"))
    assert not np.array_equal(other.read("c"), part.read("c"))
    assert not np.array_equal(seeded_tensor("a.c", (2, 5)), seeded_tensor("b.c", (2, 5)))


@pytest.mark.parametrize(
    ("key", "shape", "mean", "spread"),
    [
        ("conv.weight", (400, 10, 3, 3), 0, 1 / 90**0.5),  # fan-in 10 channels x 9 taps
        ("linear.weight", (300, 100), 0, 1 / 10),  # fan-in 100
        ("norm.weight", (30_000,), 1, 0.1),
        ("norm.bias", (30_000,), 0, 0.02),
        ("norm.running_mean", (30_000,), 0, 0.02),
        ("pos_embed", (30_000,), 0, 0.1),
    ],
)
def test_values_have_the_spread_of_a_trained_layer(
    key: str, shape: tuple[int, ...], mean: float, spread: float
) -> None:
    values = seeded_tensor(key, shape).astype(np.float64)
    # 30,000 draws: the mean is off by spread / 173 (one sigma), the spread by 0.4 %; six sigmas pass
    assert abs(values.mean() - mean) < 6 * spread / 173
    assert abs(values.std() / spread - 1) < 6 * 0.0041


def test_a_variance_is_never_under_one() -> None:
    assert seeded_tensor("norm.running_var", (1000,)).min() >= 1


def test_zero_convolutions_are_filled_like_any_other() -> None:
    spec = catalog.get("controlnet", batch=1, height=64, width=64)
    source = SeededWeights(state_of(spec.build("meta")), spec.checkpoint.prefix)
    zero_convolutions = [name for name in source.tensors if name.startswith("zero_convs.0.")]
    assert zero_convolutions == ["zero_convs.0.0.weight", "zero_convs.0.0.bias"]
    for name in zero_convolutions:
        values = source.read(name)
        assert np.count_nonzero(values) == values.size
        assert np.array_equal(values, seeded_tensor(f"control_model.{name}", values.shape))


def test_integer_entries_are_counters_and_tables() -> None:
    assert seeded_tensor("bn.num_batches_tracked", ()).dtype == np.int64
    assert seeded_tensor("bn.num_batches_tracked", ()) == 0
    assert seeded_tensor("e.position_ids", (1, 4)).tolist() == [[0, 1, 2, 3]]
    assert seeded_tensor("e.position_ids", (1, 4)).dtype == np.int64


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_values_come_in_the_entrys_dtype(dtype: str) -> None:
    values = seeded("c", dtype, (2, 5))
    assert values.dtype == np.dtype(dtype)
    assert np.array_equal(values, seeded_tensor("c", (2, 5)).astype(dtype))


def test_a_source_describes_itself() -> None:
    source = SeededWeights(STATE)
    assert source.label == "seeded"
    assert source.tensors is TENSORS


def test_what_the_module_computes_is_not_drawn() -> None:
    table = torch.arange(3, 0, -1)
    state = ModuleState({"index": TensorSpec("index", "int64", (3,))}, {"index": table})
    assert SeededWeights(state).read("index").tolist() == [3, 2, 1]


def test_a_table_without_values_is_refused_and_not_zero() -> None:
    with pytest.raises(CheckpointError, match=r"^index: a table of int64 that the factory makes on the meta"):
        seeded("index", "int64", (3,))


def test_complex_values_have_two_independent_parts() -> None:
    values = seeded("w", "complex64", (300, 100))
    assert values.dtype == np.complex64
    assert abs(values.real.std() / 0.1 - 1) < 0.03
    assert abs(np.corrcoef(values.real.ravel(), values.imag.ravel())[0, 1]) < 0.03


@pytest.mark.parametrize("graph", catalog.names())
def test_the_reference_models_tables_are_those_that_its_modules_compute(graph: str) -> None:
    """So that seeded values are the same whether a network was built or its export came from the cache."""
    state = Network(catalog.get(graph)).state
    for name, values in state.computed.items():
        assert np.array_equal(seeded_tensor(name, tuple(values.shape)), values.numpy())
