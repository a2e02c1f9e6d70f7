"""Files of language models cost what their configurations say: by hand, by part, in the prompt and in a step.

A few graphs of the builder are kept, without their weights; the slow test makes all others.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import pytest
from click.testing import CliRunner

from onnxlens.cli.main import cli
from tests.language_models.environment import PACKAGES, CannotInstall, build, install
from tests.language_models.expected import File
from tests.language_models.recipes import Decoder

KEPT = Path(__file__).parent.parent / "data" / "language_models"

BUILDERS = ("llama", "mistral", "phi3", "qwen2", "qwen3", "gemma2", "gemma3", "lfm2", "qwen3_5", "whisper")
FORMS = ("fp32-cpu", "fp16-cuda", "int4-cpu")
OTHERS = (
    "int4-cuda",
    "int4-dml",
    "int4-webgpu",
    "int8-cpu",
    "int4-cpu-qdq",
    "fp16-dml",
    "bf16-cuda",
    "fp16-cpu",
)
BY_TORCH = ("gpt2", "opt", "clip")
GRID = (
    *(f"{family}:{size}:{form}" for family in BUILDERS for size in (0, 1) for form in FORMS),
    *(f"gptoss:{size}:{form}" for size in (0, 1) for form in FORMS[:2]),
    *(f"llama:0:{form}" for form in OTHERS),
    *(f"{family}:0:{form}" for family in ("qwen3", "gemma2") for form in ("int4-dml", "int8-cpu")),
    *(
        f"{family}:{size}:torch18{form}"
        for family in BY_TORCH
        for size in (0, 1)
        for form in ("", "-fp16", "-int4")
    ),
    "gpt2:0:torch23",
)

INTEGERS_BYTES = 512
"""What axes, sizes and masks take at most, which no closed form tells of."""


def part_of(node: Mapping[str, Any]) -> str:
    """The part of the closed form that a node belongs to, by its names and by whether it reads a weight."""
    where = f"{node['module_path']} {node['node']}"
    if "lm_head" in where:
        return "head"
    if any(name in where for name in (".mlp", "/mlp/", "/moe/", ".fc")):
        return "mlp"
    if any(name in where for name in (".conv", "/conv/", "linear_attn", "preprocessing")):
        return "mixing"
    if "Attention" in node["op_type"] or not node["weight_read_bytes"]:
        return "scores"
    return "projections"


def profiled(path: Path, dims: Mapping[str, int]) -> dict[str, Any]:
    """The document of the verb; a dimension that the file lacks is not given."""
    model = onnx.load(path, load_external_data=False)
    there = {dim.dim_param for value in model.graph.input for dim in value.type.tensor_type.shape.dim}
    given = [f"--dim={name}={size}" for name, size in dims.items() if name in there]
    result = CliRunner().invoke(cli, ["profile", str(path), "--format", "json", *given])
    assert result.exit_code == 0, (path.name, result.output)
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def require_equal(path: Path) -> None:
    """MACs in every phase and part, params, and bytes of weights."""
    file = File(path.stem)
    for dims, macs in file.runs():
        document = profiled(path, dims)
        totals, counted = document["totals"], Counter[str]()
        for node in document["nodes"]:
            counted[part_of(node)] += node["macs"]
        assert totals["unknown_nodes"] == 0, (path.name, dims)
        assert totals["macs"] == macs.total, (path.name, dims)
        if not (file.family == "whisper" and file.is_encoder):  # whose attention projects, too
            assert dict(+counted) == macs.parts, (path.name, dims)
        assert totals["params"] == file.params + file.written_more, path.name
        if isinstance(file.recipe, Decoder) and "torch" not in path.stem:
            rest = totals["resident_weight_bytes"] - file.weight_bytes
            assert 0 <= rest <= INTEGERS_BYTES, path.name


@pytest.mark.parametrize("path", sorted(KEPT.glob("*.onnx")), ids=lambda path: path.stem)
def test_a_kept_graph_costs_what_its_configuration_says(path: Path) -> None:
    require_equal(path)


DECODERS = [path for path in sorted(KEPT.glob("*.onnx")) if not File(path.stem).is_encoder]


@pytest.mark.parametrize("path", DECODERS, ids=lambda path: path.stem)
def test_a_kept_decoder_keeps_what_its_configuration_says(path: Path) -> None:
    result = CliRunner().invoke(cli, ["phases", str(path), "--context", "256", "--format", "json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["cache_bytes_per_token"], found["cache_fixed_bytes"]) == File(path.stem).cache_bytes


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    try:
        install(folder)
    except CannotInstall as reason:
        pytest.skip(f"{', '.join(PACKAGES)} cannot be had from the package index here: {reason}")
    return folder


@pytest.mark.slow
def test_every_family_costs_what_its_configuration_says(packages: Path, tmp_path: Path) -> None:
    done = build(packages, tmp_path, GRID)
    assert done.returncode == 0, done.stdout + done.stderr
    made = sorted(tmp_path.glob("*.onnx"))
    assert len(made) == len(GRID) + sum(each.startswith("whisper") for each in GRID)  # which is two files
    for path in made:
        require_equal(path)
