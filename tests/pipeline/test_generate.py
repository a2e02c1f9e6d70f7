"""Whole pictures from small networks: both backends, what is the same for the same seed, what is refused."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from onnxlens.errors import CheckpointError, UsageError
from onnxlens.pipeline import generate as pipeline
from onnxlens.pipeline.generate import generate_pictures
from onnxlens.reference_model import catalog
from onnxlens.reference_model.annotators.images import Image, read_image
from onnxlens.specs.generate import Control, Generated, GenerateRequest
from tests import small_pipeline
from tests.cli.calls import ROOT, onnxlens
from tests.pipeline.test_tokenizer import write_tokenizer
from tests.small_catalog import seeded_state
from tests.specs.test_document_schemas import complaints

SIDE = 64


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch, small_pipeline.one_thread():
        small_pipeline.install(monkeypatch)
        yield


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bright disc before a slope."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    disc = (rows - 40) ** 2 + (columns - 30) ** 2 < 20**2
    channels = [np.where(disc, 230 - 30 * index, rows + (index + 1) * columns // 2) for index in range(3)]
    path = tmp_path_factory.mktemp("picture") / "disc.png"
    cv2.imwrite(str(path), np.stack(channels, axis=-1).astype(np.uint8))
    return path


@pytest.fixture(scope="module")
def request_(picture: Path) -> GenerateRequest:
    return GenerateRequest("a disc", (Control("canny", picture),), size=SIDE, steps=2, seed=5)


def made(request: GenerateRequest, out: Path) -> tuple[Generated, list[Image]]:
    generated = generate_pictures(request, out)
    return generated, [read_image(out / name) for name in generated.pictures]


@pytest.mark.slow
def test_both_backends_draw_the_same_picture(
    request_: GenerateRequest, picture: Path, tmp_path: Path
) -> None:
    controls = (Control("canny", picture, 0.5), Control("scribble-drawing", picture, 0.25))
    both = replace(request_, controls=controls, start=picture, denoising=0.5, steps=4, eta=0.5)
    found, pictures = {}, {}
    for backend in ("torch", "onnx"):
        request: GenerateRequest = replace(both, backend=backend)
        found[backend], (pictures[backend],) = made(request, tmp_path / backend)
    difference = abs(pictures["torch"].astype(int) - pictures["onnx"])
    assert difference.max() <= 1  # a rounding may move a value over a whole number
    assert pictures["torch"].shape == (SIDE, SIDE, 3)
    assert pictures["torch"].std() > 10
    assert found["onnx"].timesteps == (251, 1)  # half of 751, 501, 251, 1
    stages = [(stage.name, stage.batch, stage.calls) for stage in found["onnx"].stages]
    # both ControlNets have the same seeded weights, so that one serves both: twice in each of the two steps
    assert stages == [
        ("annotator canny", 1, 1), ("annotator scribble-drawing", 1, 1), ("clip-text", 2, 1),
        ("vae-encoder", 1, 1), ("sd-unet", 2, 2), ("controlnet", 2, 4), ("vae-decoder", 1, 1),
    ]  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "onnx").iterdir()) == [
        "control-1-canny.png", "control-2-scribble-drawing.png", "generate.json", "picture-1.png",
    ]  # fmt: skip


def test_two_passes_and_a_batch_draw_the_same_in_guess_mode_too(
    request_: GenerateRequest, tmp_path: Path
) -> None:
    request = replace(request_, guess_mode=True, negative="grey")
    batched, (one,) = made(request, tmp_path / "batched")
    apart, (other,) = made(replace(request, schedule="two-pass"), tmp_path / "apart")
    assert abs(one.astype(int) - other).max() <= 1
    calls = [{stage.name: (stage.batch, stage.calls) for stage in each.stages} for each in (batched, apart)]
    assert [each["sd-unet"] for each in calls] == [(2, 2), (1, 4)]
    assert [each["controlnet"] for each in calls] == [(1, 2)] * 2  # the negative prompt has no control


@pytest.mark.slow
def test_a_picture_depends_on_its_seed_and_not_on_how_many_there_are(
    request_: GenerateRequest, tmp_path: Path
) -> None:
    generated, (first, second) = made(replace(request_, images=2), tmp_path / "two")
    assert generated.seeds == (5, 6)
    assert not np.array_equal(first, second)
    assert np.array_equal(made(replace(request_, seed=6), tmp_path / "one")[1][0], second)


@pytest.mark.slow
def test_guidance_of_1_leaves_the_negative_prompt_out(request_: GenerateRequest, tmp_path: Path) -> None:
    request = replace(request_, scale=1.0)
    generated, (one,) = made(replace(request, negative="grey"), tmp_path / "one")
    assert {stage.name: stage.batch for stage in generated.stages}["sd-unet"] == 1
    assert generated.negative == ""
    assert np.array_equal(made(request, tmp_path / "other")[1][0], one)


def test_thresholds_are_cannys_and_a_long_prompt_is_said_to_lose_its_end(
    request_: GenerateRequest, tmp_path: Path
) -> None:
    request = replace(request_, low=10, high=40, steps=1, prompt="x" * 80, added_prompt="")
    generated, _ = made(request, tmp_path)
    control = read_image(tmp_path / generated.controls[0])
    picture = read_image(request.controls[0].picture)
    assert np.array_equal(control[:, :, 0], cv2.Canny(picture, 10, 40))
    assert generated.notes[0] == (
        f"the prompt '{'x' * 40}'... loses its last 5 tokens of the surrogate vocabulary: CLIP takes 75"
    )


def test_an_earlier_runs_pictures_are_replaced_and_other_files_stay(
    request_: GenerateRequest, tmp_path: Path
) -> None:
    made(replace(request_, images=2, steps=1), tmp_path)
    (tmp_path / "mine.txt").write_text("mine")
    record = json.loads((tmp_path / "generate.json").read_text())
    changed = {**record, "pictures": [*record["pictures"], "mine.txt"]}  # names no file but ours
    (tmp_path / "generate.json").write_text(json.dumps(changed))
    made(replace(request_, steps=1), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "control-1-canny.png", "generate.json", "mine.txt", "picture-1.png",
    ]  # fmt: skip


def test_a_failure_leaves_nothing(
    request_: GenerateRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(image: Image, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(pipeline, "write_image", full)
    with pytest.raises(UsageError, match="No space left on device"):
        generate_pictures(replace(request_, steps=1), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_step_that_overflows_ends_the_run_and_says_what_to_look_at(
    request_: GenerateRequest, tmp_path: Path
) -> None:
    with pytest.raises(
        CheckpointError, match=r"step 1 gave NaN or infinity; check .* that --scale 1e\+39 and"
    ):
        generate_pictures(replace(request_, scale=1e39), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of published files: canny's holds the seeded values, scribble's another ControlNet."""
    folder = write_tokenizer(tmp_path_factory.mktemp("checkpoints"))
    graphs = [catalog.get(name, height=SIDE, width=SIDE) for name in small_pipeline.GRAPHS]
    state = {
        spec.checkpoint.prefix + key: torch.from_numpy(values)
        for spec in graphs
        for key, values in seeded_state(spec).items()
    }
    torch.save(state, folder / "control_sd15_canny.pth")
    control = {key: value * 1.5 for key, value in state.items() if key.startswith("control_model.")}
    torch.save({**state, **control}, folder / "control_sd15_scribble.pth")
    return folder


def test_a_checkpoint_of_the_seeded_values_draws_what_they_do(
    request_: GenerateRequest, checkpoints: Path, tmp_path: Path
) -> None:
    _, (seeded,) = made(replace(request_, tokenizer=checkpoints), tmp_path / "seeded")
    generated, (one,) = made(replace(request_, weights=checkpoints), tmp_path / "one")
    assert np.array_equal(one, seeded)
    assert (generated.weights, generated.notes) == (checkpoints.name, ())


@pytest.mark.slow
def test_each_kind_has_a_controlnet_of_its_own(
    request_: GenerateRequest, checkpoints: Path, picture: Path, tmp_path: Path
) -> None:
    controls = (Control("canny", picture), Control("scribble-drawing", picture))
    request = replace(request_, controls=controls, weights=checkpoints)
    generated, (two,) = made(request, tmp_path / "two")
    assert [stage.calls for stage in generated.stages if stage.name == "controlnet"] == [2, 2]
    same = replace(request, weights=checkpoints / "control_sd15_canny.pth")
    assert not np.array_equal(made(same, tmp_path / "same")[1][0], two)
    with pytest.raises(CheckpointError, match="holds no checkpoint of openpose-body"):
        generate_pictures(replace(request, controls=(Control("openpose", picture),)), tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"steps": 501}, "steps 501: expected 1 to 500; more visit timesteps that were not trained"),
        ({"steps": 0}, "steps 0: expected 1 to 500"),
        # range(1, 1001, 1000 // 3) ends with 1000, and alphas has no such index; 1000 // 105 = 9 divides 999
        ({"steps": 3}, "steps 3: the published schedule would begin at timestep 1000, and training ended at"),
        ({"steps": 105}, "steps 105: the published schedule would begin at timestep 1000"),
        ({"eta": 1.5}, "eta 1.5: expected 0 to 1"),
        ({"eta": float("nan")}, "eta nan: expected 0 to 1"),
        ({"scale": float("inf")}, "scale inf: expected a finite number"),
        ({"denoising": 2.0}, "denoising 2.0: expected 0 to 1"),
        ({"images": 0}, "images 0: expected 1 to 1000"),
        ({"seed": -1}, "seed -1: expected 0 to"),
        ({"low": 300}, "low 300 and high 200: expected 0 <= low <= high"),
        ({"controls": ()}, "there is no control"),
        ({"controls": (Control("canny", Path(), float("nan")),)}, "strength nan: expected a finite number"),
    ],
)
def test_values_out_of_range_are_refused(
    request_: GenerateRequest, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError) as refused:
        replace(request_, **changes)
    assert str(refused.value).startswith(said)


def test_what_does_not_fit_is_refused_before_anything_runs(
    request_: GenerateRequest, picture: Path, tmp_path: Path
) -> None:
    wide, weights = tmp_path / "wide.png", tmp_path / "weights"
    cv2.imwrite(str(wide), np.zeros((SIDE, 2 * SIDE, 3), np.uint8))
    weights.mkdir()
    (weights / "model.ckpt").write_bytes(b"")

    def refused(kind: type[Exception], said: str, **changes: Any) -> None:
        with pytest.raises(kind, match=said):
            generate_pictures(replace(request_, **changes), tmp_path / "out")

    refused(UsageError, r"wide\.png: becomes 64 x 128 pixels, and .*disc\.png 64 x 64; crop", start=wide)
    refused(UsageError, "unknown kind 'fog'", controls=(Control("fog", picture),))
    refused(UsageError, "resolution 32", size=32)
    refused(CheckpointError, "no such file or folder", weights=tmp_path / "gone")
    refused(UsageError, r"holds no vocab\.json", weights=weights)
    write_tokenizer(weights)
    refused(CheckpointError, r"no ControlNet for canny; put control_sd15_canny\.pth", weights=weights)
    hed = (Control("hed", picture),)
    refused(CheckpointError, "holds no annotator", weights=weights / "model.ckpt", controls=hed)
    assert not (tmp_path / "out").exists()


def test_the_command_line_takes_several_controls_and_prints_the_record(picture: Path, tmp_path: Path) -> None:
    odd = tmp_path / "a:2"
    odd.write_bytes(picture.read_bytes())
    arguments = ("generate", "--prompt", "a disc", "--size", SIDE, "--steps", 1, "--out", tmp_path / "out")
    controls = ("--control", f"canny:{picture}:0.5", "--control", f"scribble-drawing:{odd}")
    outcome = onnxlens(*arguments, *controls, "--format", "json")
    assert (outcome.code, outcome.err) == (0, "")
    record = json.loads(outcome.out)
    assert record["strengths"] == [0.5, 1.0]
    assert record == json.loads((tmp_path / "out" / "generate.json").read_text())
    assert complaints("generate", record) == []
    assert complaints("generate", {**record, "odd": 1}) != []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "there is no picture to steer by; give --image or --control"),
        (("--control", "fog:x.png"), "'fog:x.png': expected KIND:IMAGE[:STRENGTH]"),
        (("--control", "canny"), "'canny': expected KIND:IMAGE[:STRENGTH]"),
        (("--image", "gone.png"), "gone.png: no such file"),
        (("--control", "canny:x.png", "--strength", "2"), "--strength is of --image; give that too"),
        (("--image", "x.png", "--denoising", "0.5"), "--denoising is of --start; give that too"),
        (("--image", "x.png", "--kind", "hed", "--low", "5"), "--low is of canny; give that too"),
    ],
)
def test_the_command_line_refuses_in_one_line(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    outcome = onnxlens("generate", "--prompt", "a", "--out", tmp_path / "out", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err and outcome.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


KILLED = """
import pytest, sys
from tests import small_pipeline
small_pipeline.install(pytest.MonkeyPatch())
small_pipeline.one_thread().__enter__()
sys.argv[1:] = {arguments}
from onnxlens.cli.main import main
main()
"""


@pytest.mark.slow
def test_a_killed_run_leaves_nothing_half_written(picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = [
        "generate",
        "--image",
        picture,
        "--prompt",
        "a",
        "--size",
        SIDE,
        "--steps",
        500,
        "--out",
        out,
    ]
    code = KILLED.format(arguments=[str(argument) for argument in arguments])
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "sd-unet: building" in line:  # denoising has begun
                break
        time.sleep(0.3)
        process.kill()
        process.stderr.read()
    assert process.returncode == -signal.SIGKILL
    left = [] if not out.exists() else [path.name for path in out.iterdir() if not path.name.startswith(".")]
    assert left == []
