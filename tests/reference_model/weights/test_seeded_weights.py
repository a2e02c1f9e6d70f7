"""Seeded values depend on the tensor's published name and shape, and on nothing else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from onnxlens.reference_model import catalog
from onnxlens.reference_model.weights.choice import SeededWeights, seeded_tensor
from onnxlens.specs.module_state import state_of
from onnxlens.specs.tensor import TensorSpec

TENSORS = {
    name: TensorSpec(name, "float32", shape)
    for name, shape in {"a.weight": (4, 3, 3, 3), "a.bias": (4,), "b.weight": (50, 40), "c": (2, 5)}.items()
}


def test_values_are_the_same_in_any_order_and_on_threads() -> None:
    source, again = SeededWeights(TENSORS, "net."), SeededWeights(TENSORS, "net.")
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
    whole = SeededWeights({"net.c": TensorSpec("net.c", "float32", (2, 5))})
    part = SeededWeights(TENSORS, "net.")
    other = SeededWeights(TENSORS, "other.")
    assert np.array_equal(whole.read("net.c"), part.read("c"))
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
    values = SeededWeights({"c": TensorSpec("c", dtype, (2, 5))}).read("c")
    assert values.dtype == np.dtype(dtype)
    assert np.array_equal(values, seeded_tensor("c", (2, 5)).astype(dtype))


def test_a_source_describes_itself() -> None:
    seeded = SeededWeights(TENSORS)
    assert seeded.label == "seeded"
    assert seeded.tensors is TENSORS
