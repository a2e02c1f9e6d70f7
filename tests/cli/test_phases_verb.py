"""``onnxlens phases``: what it prints, what it draws, and what it refuses in a line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from benchmarks.language_graphs import CONFIGS, write_language_model
from tests.cli.calls import done, onnxlens
from tests.profile.language_nets import PER_TOKEN, language_model, scores
from tests.profile.models import op, save, value

ASKED = ("--prompt", "8", "--context", "24,100", "--batch", "1,3")


def test_the_tables_have_both_phases_and_the_modules(tmp_path: Path) -> None:
    text = done("phases", language_model(tmp_path), *ASKED, "--hardware", "h200", "--wide")
    prefill, decode, modules = (
        text.index(title) for title in ("prefill: a prompt", "decode: one", "modules:")
    )
    assert prefill < decode < modules
    assert "first_token  limited_by" in text[prefill:decode]
    assert "per_token  limited_by" in text[decode:modules]
    assert "layers.0-1" in text and "x2" in text
    assert "caches: 4 inputs (4 growing by GroupQueryAttention): 512 B per token and sequence" in text
    assert "the caches of 1 sequence outweigh the weights" in text
    assert "not predictions" in text


def test_csv_has_every_module_at_every_point_to_the_digit(tmp_path: Path) -> None:
    text = done("phases", language_model(tmp_path), *ASKED, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    whole = [row for row in rows if row["path"] == "main_graph"]
    assert [(row["phase"], row["batch"], row["context"]) for row in whole][-1] == ("decode", "3", "100")
    assert int(whole[-1]["macs"]) == 3 * (PER_TOKEN + scores(1, 101))


def test_depth_limits_the_rows_of_the_document(tmp_path: Path) -> None:
    path = language_model(tmp_path)
    deep, flat = (
        json.loads(done("phases", path, *ASKED, "--format", "json", *more)) for more in ((), ("--depth", 1))
    )
    assert deep["schema"] == "onnxlens.phases/1"
    assert max(row["depth"] for row in flat["rows"]) == 1 < max(row["depth"] for row in deep["rows"])
    assert flat["points"] == deep["points"]


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_a_step_is_drawn_over_its_context(tmp_path: Path, suffix: str) -> None:
    path, drawn = language_model(tmp_path), tmp_path / f"step.{suffix}"
    done("phases", path, *ASKED, "--hardware", "h200", "--plot", drawn)
    again = tmp_path / f"again.{suffix}"
    done("phases", path, *ASKED, "--hardware", "h200", "--plot", again)
    assert drawn.read_bytes() == again.read_bytes()


def test_every_batch_is_drawn(tmp_path: Path) -> None:
    """More than there are colors."""
    drawn, batches = tmp_path / "step.svg", ",".join(map(str, range(1, 10)))
    asked = ("--context", "24,100", "--batch", batches, "--hardware", "h200", "--plot", drawn)
    done("phases", language_model(tmp_path), *asked)
    assert drawn.read_text().count(": at least -->") == 9


def test_the_largest_graphs_are_counted_without_their_weights(tmp_path: Path) -> None:
    """By hand: 32 layers of 4096 x 6144, 4096 x 4096, and three of 4096 x 14336; a head of 128256."""
    path = write_language_model(tmp_path / "large.onnx", CONFIGS["llama-3.1-8b"])
    text = done("phases", path, "--prompt", "128", "--context", "1024", "--format", "json", "--depth", 0)
    prefill, step = json.loads(text)["points"]
    per_token = 32 * (4096 * 6144 + 4096**2 + 3 * 4096 * 14336) + 4096 * 128256
    assert prefill["cost"]["macs"] == 128 * per_token + 32 * 2 * 4096 * 128 * 128
    assert step["cost"]["macs"] == per_token + 32 * 2 * 4096 * 1025
    assert step["cost"]["cache_read_bytes"] == 1024 * 32 * 2 * 8 * 128 * 2
    assert json.loads(text)["cache_bytes_per_token"] == 131072


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--prompt", "0"), "prompts 0: give whole numbers from 1"),
        (("--prompt", "8,8"), "each once"),
        (("--context", "12x"), "is no list of whole numbers"),
        (("--batch", ""), "is no list of whole numbers"),
        (("--context", "128", "--latency"), "positions for 128 tokens, not for 129"),
        (("--dim", "sequence_length=4"), "give --batch, --prompt and --context instead"),
        (("--dim", "kv_cache_dim=7"), "kv_cache_dim"),
        (("--cache", "("), "no regular expression"),
        (("--cache", "nothing"), "matches no input"),
        (("--hardware", "none-such"), "there is no chip"),
        (("--plot", "step.gif"), "cannot be plotted"),
        (("--context", "24", "--plot", "step.svg"), "give at least two with --context"),
        (("--batch", ",".join(map(str, range(1, 200)))), "points are asked for"),
    ],
)
def test_bad_input_is_refused_in_a_line(
    tmp_path: Path, options: tuple[str, ...], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = onnxlens("phases", language_model(tmp_path), "--prompt", "8", "--context", "24,100", *options)
    assert outcome.code == 2 and complaint in outcome.err, outcome
    assert outcome.err.count("\n") == 1


def test_a_file_without_caches_is_told_what_to_do(tmp_path: Path) -> None:
    shape = (1, 8, 6, 6)
    path = save(tmp_path, [op("Relu", "x", "y", "body")], [value("x", shape)], [value("y", shape)], [])
    outcome = onnxlens("phases", path)
    assert outcome.code == 2 and outcome.err.count("\n") == 1
    assert "none of its inputs (x) is a cache" in outcome.err and "--cache PATTERN" in outcome.err
