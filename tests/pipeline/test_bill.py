"""The bill: what it calls is what a run calls, and its sums are those derived by hand."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from onnxlens.errors import UsageError
from onnxlens.pipeline.bill import bill_of, bill_sweep
from onnxlens.pipeline.calls import calls_of
from onnxlens.pipeline.generate import generate_pictures
from onnxlens.reference_model import catalog
from onnxlens.reference_model.annotators import pose
from onnxlens.reference_model.annotators.control_image import ANNOTATORS, annotate
from onnxlens.specs.bill import BillRequest
from onnxlens.specs.generate import Control, GenerateRequest
from tests import small_pipeline
from tests.cli.calls import ROOT, onnxlens
from tests.specs.test_document_schemas import complaints

CONTROLNET, UNET = 141_645_987_840, 401_636_720_640
"""MACs at batch 1 and 512 x 512, as two independent derivations have them."""

DECODER, ENCODER, CLIP = 1_257_259_466_752, 558_329_233_408, 6_649_251_840
BODY_184, HAND_368, HED, SEG = 33_983_501_696, 103_187_671_040, 80_210_296_832, 234_092_888_064

Counts = Mapping[tuple[str, int], int]


@pytest.fixture
def small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch, small_pipeline.one_thread():
        small_pipeline.install(monkeypatch)
        yield


def counted(calls: list[tuple[str, int, int]]) -> Counts:
    found: Counter[tuple[str, int]] = Counter()
    for graph, batch, times in calls:
        found[graph, batch] += times
    return found


@pytest.mark.parametrize(
    ("kinds", "changes"),
    [
        (("canny",), {}),
        (("canny", "canny", "scribble-drawing"), {"images": 2, "steps": 4}),
        (("canny",), {"guess_mode": True}),
        (("canny",), {"guess_mode": True, "schedule": "two-pass"}),
        (("canny",), {"schedule": "two-pass"}),
        (("canny",), {"scale": 1.0, "guess_mode": True, "denoising": 0.6, "steps": 4}),
    ],
)
def test_the_calls_are_those_of_a_run(
    small: None, tmp_path: Path, kinds: tuple[str, ...], changes: dict[str, object]
) -> None:
    picture = tmp_path / "picture.png"
    cv2.imwrite(str(picture), np.full((64, 128, 3), 90, np.uint8))
    request = BillRequest(kinds, height=64, width=128, **{"steps": 2, **changes})  # type: ignore[arg-type]
    given = {name: getattr(request, name) for name in ("steps", "scale", "guess_mode", "images", "schedule")}
    start = {} if request.denoising is None else {"start": picture, "denoising": request.denoising}
    controls = tuple(Control(kind, picture) for kind in kinds)
    run = generate_pictures(GenerateRequest("a", controls, size=64, **given, **start), tmp_path / "out")
    ran = [
        (each.name, each.batch, each.calls) for each in run.stages if not each.name.startswith("annotator")
    ]
    assert counted([(call.graph, call.batch, call.calls) for call in calls_of(request)]) == counted(ran)
    assert bill_of(request).timesteps == len(run.timesteps)


def annotator_runs(kind: str, height: int, width: int) -> Counts:
    """The runs of the networks that an annotator really asks for; all that they give is 0."""
    runs: Counter[tuple[str, int, int]] = Counter()

    def run(graph: str, image: np.ndarray) -> dict[str, np.ndarray]:
        batch, _, high, wide = image.shape
        runs[graph, high, wide] += 1
        outputs = catalog.get(graph, batch=batch, height=high, width=wide).outputs
        return {each.name: np.zeros([int(dim) for dim in each.shape], np.float32) for each in outputs}

    annotate(np.zeros((height, width, 3), np.uint8), kind, run, min(height, width))
    return runs


@pytest.mark.parametrize("kind", ANNOTATORS)
@pytest.mark.parametrize("hands", [0, 2])
def test_the_networks_of_an_annotator_are_those_that_it_runs(
    kind: str, hands: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = [pose.HandBox(10, 20, 77), pose.HandBox(30, 5, 120)][:hands]
    monkeypatch.setattr(pose, "hand_boxes", lambda persons, size: boxes)
    request = BillRequest((kind,), height=192, width=320, hands=hands)
    expected: Counter[tuple[str, int | None, int | None]] = Counter()
    for call in calls_of(request):
        if call.stage == "annotator":
            expected[call.graph, call.height, call.width] += call.calls
    assert annotator_runs(kind, 192, 320) == expected


def test_the_demo_costs_twenty_steps_at_batch_two_and_its_ends() -> None:
    bill = bill_of()
    assert bill.total.macs == 20 * 2 * (CONTROLNET + UNET) + DECODER + 2 * CLIP == 23_001_866_309_632
    assert bill.per_step.macs == 2 * (CONTROLNET + UNET) == 1_086_565_416_960
    # 4 bytes for each weight of CLIP, ControlNet, UNet and decoder, and for a few constants of the graphs
    weights = 4 * (123_060_480 + 361_279_120 + 859_520_964 + 49_490_199)
    assert 0 <= bill.resident_weight_bytes() - weights < 2**17


def test_openpose_looks_for_the_body_once_and_for_each_hand_at_four_scales() -> None:
    bill = bill_of(BillRequest(("openpose",)))
    body, *hands = (stage for stage in bill.stages if stage.call.stage == "annotator")
    assert (body.call.height, body.call.width, body.cost.macs) == (184, 184, BODY_184)
    assert [(each.call.height, each.call.calls) for each in hands] == [(184, 2), (368, 2), (552, 2), (736, 2)]
    # the scales' areas are 1/4, 1, 9/4 and 4 of that of 368 x 368
    one_hand = sum(each.cost.macs for each in hands)
    assert one_hand == HAND_368 * 15 // 2 == 773_907_532_800
    assert bill.total.macs == bill_of().total.macs + BODY_184 + 2 * one_hand
    assert len(bill_of(BillRequest(("openpose",), hands=0)).stages) == len(bill.stages) - 4


def test_seg_costs_its_network_at_the_pictures_size_once() -> None:
    (first, *_) = bill_of(BillRequest(("seg",))).stages
    # 234,092,888,064 at 512 x 512, as derived module by module in tests/reference_model
    assert (first.call.graph, first.call.height, first.cost.macs) == ("uniformer-seg", 512, SEG)
    assert bill_of(BillRequest(("seg",))).total.macs == bill_of().total.macs + SEG
    sizes = [{"height": 64 * side, "width": 64 * (side + 1)} for side in range(1, 7)]
    swept = bill_sweep(BillRequest(("seg",)), {"size": sizes})
    per_pixel = [each.stages[0].cost.macs / (each.request.height * each.request.width) for each in swept]
    assert per_pixel[1:] == sorted(per_pixel[1:])  # attention of all to all, once pooling is little


def test_the_documents_totals_are_of_one_step_and_twice_their_macs() -> None:
    alone = bill_of(BillRequest((), steps=1))  # "whole SD", printed as 4335.24
    assert 2 * alone.total.macs == 2 * (2 * UNET + DECODER + 2 * CLIP) == 4_147_662_823_424
    controlled = bill_of(BillRequest(steps=1))  # "ControlNet + SD", printed as 5567.42 with four annotators
    assert 2 * (controlled.total.macs - alone.total.macs) == 4 * CONTROLNET == 566_583_951_360
    params = {stage.call.network: stage.cost.params for stage in controlled.stages}
    assert sum(params.values()) == 1_427_514_427 - 34_163_664  # no VAE encoder
    start = bill_of(BillRequest((), steps=20, denoising=0.75))
    assert start.total.macs == 15 * 2 * UNET + DECODER + ENCODER + 2 * CLIP


def test_a_second_of_video_has_a_control_image_for_each_picture_and_one_prompt() -> None:
    bill = bill_of(BillRequest(("hed",), images=4, steps=10, rate=24), hardware="h200")
    loop = 10 * 2 * (CONTROLNET + UNET)
    assert bill.total.macs == HED + 2 * CLIP + 4 * (loop + DECODER)
    assert bill.per_image.macs == bill.total.macs / 4
    assert bill.per_second is not None
    assert bill.per_second.macs == 24 * (HED + loop + DECODER)
    text = next(stage for stage in bill.stages if stage.call.stage == "text")
    whole = bill.total.bound_s["h200"] - text.cost.bound_s["h200"]
    hed = bill.stages[0].cost.bound_s["h200"]
    assert bill.per_second.bound_s["h200"] == pytest.approx(24 * ((whole - hed) / 4 + hed), rel=1e-12)


def test_controlnets_of_one_kind_share_their_weights() -> None:
    one, same, two = (
        bill_of(BillRequest(kinds)) for kinds in (("canny",), ("canny", "canny"), ("canny", "mlsd"))
    )
    assert same.resident_weight_bytes() == one.resident_weight_bytes()
    control = next(stage.cost for stage in one.stages if stage.call.stage == "controlnet")
    lines = next(stage.cost for stage in two.stages if stage.call.graph == "mlsd-large")
    added = two.resident_weight_bytes() - one.resident_weight_bytes()
    assert added == control.resident_weight_bytes + lines.resident_weight_bytes
    assert same.total.macs - one.total.macs == 40 * CONTROLNET


def test_a_sweep_is_the_bill_at_every_point() -> None:
    request = BillRequest(scale=1.0)
    axes = {
        "size": [{"height": 256, "width": 256}, {"height": 512, "width": 768}],
        "steps": [{"steps": 10}, {"steps": 50}],
    }
    swept = bill_sweep(request, axes, hardware="h200")
    assert swept[1] == bill_of(replace(request, height=256, width=256, steps=50), hardware="h200")
    assert [(each.request.width, each.timesteps) for each in swept] == [
        (256, 10), (256, 50), (768, 10), (768, 50),
    ]  # fmt: skip
    with pytest.raises(UsageError, match="400 points are asked for; give at most 256"):
        bill_sweep(request, {"steps": [{"steps": 1 + index} for index in range(400)]})


def test_the_command_line_sweeps_and_its_documents_follow_the_schema() -> None:
    outcome = onnxlens("bill", "--sweep", "size=256,512x768", "steps=10,20", "--format", "json")
    assert (outcome.code, outcome.err) == (0, "")
    document = json.loads(outcome.out)
    assert complaints("bill", document) == []
    assert complaints("bill", {**document, "odd": 1}) != []
    assert [(each["request"]["width"], each["timesteps"]) for each in document["sweep"]] == [
        (256, 10), (256, 20), (768, 10), (768, 20),
    ]  # fmt: skip
    assert document["totals"]["all"]["macs"] == 23_001_866_309_632
    table = onnxlens("bill", "--hardware", "h200,a100", "--rate", 24, "--images", 2, "--wide")
    assert [line.split("  ")[0] for line in table.out.splitlines()[9:13]] == [
        "one step", "all", "per image", "a second of video at 24/s",
    ]  # fmt: skip
    assert "23.00 T" in onnxlens("bill", "--format", "md").out
    rows = onnxlens("bill", "--controls", 0, "--format", "csv").out.splitlines()
    assert [row.split(",")[0] for row in rows] == ["graph", "clip-text", "sd-unet", "vae-decoder"]


@pytest.mark.slow
def test_a_measured_time_is_that_of_one_call_as_often_as_it_runs(small: None) -> None:
    bill = bill_of(BillRequest(height=64, width=64, steps=2), runs=2)
    times = {stage.call.graph: stage.measured for stage in bill.stages}
    assert list(times) == ["clip-text", "controlnet", "sd-unet", "vae-decoder"]
    medians = [
        time.median_s * calls for time, calls in zip(times.values(), (1, 2, 2, 1), strict=True) if time
    ]
    assert bill.total.measured_s == pytest.approx(sum(medians), rel=1e-12)
    assert bill.machine["threads"]


def test_a_picture_is_drawn(tmp_path: Path) -> None:
    out = tmp_path / "bill.svg"
    outcome = onnxlens("bill", "--kind", "openpose", "--hardware", "h200", "--plot", out)
    assert (outcome.code, outcome.err) == (0, "")
    first = out.read_bytes()
    assert b"<svg" in first
    onnxlens("bill", "--kind", "openpose", "--hardware", "h200", "--plot", out)
    assert out.read_bytes() == first


def test_a_picture_of_more_graphs_than_colors_shows_those_of_least_work_as_one(tmp_path: Path) -> None:
    """Ten graphs and eight colors: CLIP, MLSD and the body have the least MACs (13 G, 25 G and 34 G)."""
    out = tmp_path / "bill.svg"
    onnxlens("bill", "--kind", "hed,mlsd,openpose,depth", "--denoising", 1, "--plot", out)
    texts = re.findall("<!-- (.*) -->", out.read_text())
    assert "38 %" in texts  # the UNet: 40 x 401.6 G of 42.37 T
    assert texts[-9:-1] == [
        "hed", "openpose-hand, x8", "midas-dpt-hybrid", "vae-encoder", "controlnet, x80", "sd-unet, x20",
        "vae-decoder", "3 other graphs",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--size", "500"), "size 500: ControlNet and UNet take multiples of 64 pixels; give 448 or 512"),
        (("--size", "0"), "size 0: expected 64 to 16384"),
        (("--size", "5x5x5"), "'5x5x5' is no size, such as 512 or 512x768"),
        (("--kind", "fog"), "'fog' is none of canny, hed"),
        (("--kind", "canny,hed", "--controls", "3"), "--kind names 2 ControlNets, and --controls 3"),
        (("--controls", "-1"), "-1 is not in the range"),
        (("--steps", "3"), "steps 3: the published schedule would begin at timestep 1000"),
        (("--steps", "501"), "steps 501: expected 1 to 500"),
        (("--rate", "0"), "rate 0.0: expected 1e-06 to 1000000.0; pictures per second"),
        (("--rate", "1e308"), "rate 1e+308: expected 1e-06 to 1000000.0"),
        (("--scale", "nan"), "scale nan: expected a finite number"),
        (("--hardware", "fog"), "fog"),
        (("--as-dtype", "int4"), "--as-dtype int4: a bill is in whole bytes"),
        (("--sweep", "fog=1"), "'fog=1': expected NAME=VALUE,.. with a NAME of size, steps"),
        (("--sweep", "steps=1,x"), "'x' is no number of steps"),
        (("--sweep", "steps=1", "--plot", "a.svg"), "--latency and --plot are of one bill"),
        (("sd-unet",), "'sd-unet': bill has no TARGET"),
        (("--plot", "a.pdf"), "a.pdf: suffix '.pdf' cannot be plotted"),
    ],
)
def test_the_command_line_refuses_in_one_line(arguments: tuple[str, ...], said: str) -> None:
    outcome = onnxlens("bill", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err and outcome.err.count("\n") == 1


def test_nothing_is_exported_or_loaded_for_it() -> None:
    code = (
        "import sys; sys.argv[1:] = ['bill', '--sweep', 'size=256,512']; import os; os._exit = sys.exit\n"
        "from onnxlens.cli.main import run; code = run(sys.argv[1:])\n"
        "assert not code and not {'torch', 'onnx', 'onnxruntime'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
