"""Pictures to control images, with functions of known outputs instead of the networks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from onnxlens.errors import UsageError
from onnxlens.reference_model.annotators.control_image import ANNOTATORS, annotate, draw_pose, find_pose
from onnxlens.reference_model.annotators.pose_limbs import COLORS, JOINTS, LIMBS

Outputs = Mapping[str, np.ndarray]

ARM = {"neck": (20, 10), "left_shoulder": (30, 10), "left_elbow": (40, 20), "left_wrist": (46, 28)}
"""In eighths of a 512-pixel image: at its scale the network's input is 184 pixels, its maps 23."""


class FakeNetworks:
    """Fake networks with known outputs; records their calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[int, ...]]] = []

    def __call__(self, graph: str, array: np.ndarray) -> Outputs:
        self.calls.append((graph, array.shape))
        assert array.dtype == np.float32
        height, width = array.shape[2:]
        if graph == "openpose-body":
            return body_maps(height // 8, width // 8)
        if graph == "openpose-hand":
            return hand_maps(height // 8, width // 8)
        if graph == "hed":
            return {f"edge_{i + 1}": band(height >> i, width >> i)[None, None] for i in range(5)}
        if graph == "mlsd-large":
            return {"lines": one_line(height // 2, width // 2)}
        if graph == "uniformer-seg":
            return {"scores": halves(height // 4, width // 4)}
        assert graph == "midas-dpt-hybrid"
        return {"depth": np.broadcast_to(np.arange(float(width)), (1, height, width))}


def position_of(joint: str, height: int, width: int) -> tuple[float, float]:
    """Where the joint is in maps of this size."""
    x, y = ARM[joint]
    return x / 64 * width - 0.5, y / 64 * height - 0.5


def body_maps(height: int, width: int) -> Outputs:
    y, x = np.mgrid[:height, :width]
    heatmap, paf = np.zeros((1, 19, height, width)), np.zeros((1, 38, height, width))
    for joint in ARM:
        at = position_of(joint, height, width)
        heatmap[0, JOINTS.index(joint)] = np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / 2)
    for limb in LIMBS:
        ends = [position_of(JOINTS[joint], height, width) for joint in limb.joints if JOINTS[joint] in ARM]
        if len(ends) == 2:
            vector = np.subtract(ends[1], ends[0])
            paf[0, list(limb.field)] = (vector / np.hypot(*vector))[:, None, None]
    return {"paf": paf, "heatmap": heatmap}


def hand_maps(height: int, width: int) -> Outputs:
    """Every point in the middle of the box but the last, which is nowhere."""
    y, x = np.mgrid[:height, :width]
    heatmap = np.zeros((1, 22, height, width))
    spread = (height / 8) ** 2
    heatmap[0, :20] = np.exp(-((x - width / 2 + 0.5) ** 2 + (y - height / 2 + 0.5) ** 2) / (2 * spread))
    return {"heatmap": heatmap}


def band(height: int, width: int) -> np.ndarray:
    """Edges in the upper half."""
    logits = np.full((height, width), -20.0)
    logits[: height // 2] = 20
    return logits


def halves(height: int, width: int) -> np.ndarray:
    """Sky, class 2, in the upper half, and road, class 6, below."""
    scores = np.zeros((1, 150, height, width))
    scores[0, 2, : height // 2] = scores[0, 6, height // 2 :] = 1
    return scores


def one_line(height: int, width: int) -> np.ndarray:
    maps = np.full((1, 9, height, width), -9.0)
    maps[0, :5, height // 2, width // 2] = (9, -20, 0, 20, 0)
    return maps


def picture(height: int = 512, width: int = 512) -> np.ndarray:
    """White, with a black square in the middle."""
    image = np.full((height, width, 3), 255, dtype=np.uint8)
    image[height // 4 : height // 4 * 3, width // 4 : width // 4 * 3] = 0
    return image


@pytest.mark.parametrize("kind", ANNOTATORS)
def test_every_kind_gives_rgb_at_the_control_images_size(kind: str) -> None:
    networks = FakeNetworks()
    control = annotate(picture(300, 400), kind, networks, resolution=256)
    # 400 * 256 / 300 = 341.3 is 5.33 times 64.
    assert (control.shape, control.dtype) == ((256, 320, 3), np.uint8)
    assert {graph for graph, _ in networks.calls} == set(ANNOTATORS[kind].graphs)
    assert len(np.unique(control)) > 1


def test_canny_and_a_drawing_ask_for_no_network() -> None:
    networks = FakeNetworks()
    edges = annotate(picture(), "canny", networks)
    assert np.nonzero(edges[256, :, 0])[0].size == 2
    strokes = annotate(picture(), "scribble-drawing", networks)
    assert (strokes[128:384, 128:384] == 255).all()
    assert strokes.sum() == 256 * 256 * 3 * 255
    assert networks.calls == []


def test_hed_and_scribble_ask_for_hed_at_the_size() -> None:
    networks = FakeNetworks()
    edges = annotate(picture(512, 768), "hed", networks)
    assert edges[:200].min() == 255  # sigmoid(20) is 1 in single precision
    assert edges[312:].max() == 0
    scribble = annotate(picture(512, 768), "scribble", networks)
    assert (scribble[:256] == 255).all()
    assert not scribble[300:].any()
    assert networks.calls == [("hed", (1, 3, 512, 768))] * 2


def test_mlsd_draws_in_pixels_of_the_image() -> None:
    networks = FakeNetworks()
    lines = annotate(picture(), "mlsd", networks)
    # Center (128, 128), 20 positions to either side, twice.
    assert np.argwhere(lines[:, :, 0]).tolist() == [[256, x] for x in range(216, 297)]
    assert networks.calls == [("mlsd-large", (1, 4, 512, 512))]


def test_depth_and_normals_are_made_at_384_and_enlarged() -> None:
    networks = FakeNetworks()
    depth = annotate(picture(), "depth", networks)
    assert (depth[0, 0, 0], depth[0, 511, 0]) == (0, 255)
    assert (np.diff(depth[:, :, 0].astype(int), axis=1) >= 0).all()
    normals = annotate(picture(), "normal", networks)
    assert normals[256, 256].tolist() == [227, 127, 206]  # a slope of 1, as in the maps' own test
    assert networks.calls == [("midas-dpt-hybrid", (1, 3, 384, 384))] * 2


def test_a_segmentation_is_made_at_the_size_in_the_colors_of_its_classes() -> None:
    networks = FakeNetworks()
    control = annotate(picture(512, 768), "seg", networks)
    assert (control[:256] == (6, 230, 230)).all()
    assert (control[256:] == (140, 140, 140)).all()
    assert networks.calls == [("uniformer-seg", (1, 3, 512, 768))]


def test_openpose_runs_the_body_once_and_each_hand_at_four_scales() -> None:
    networks = FakeNetworks()
    found = find_pose(picture(), networks)
    assert networks.calls[0] == ("openpose-body", (1, 3, 184, 184))
    assert networks.calls[1:] == [("openpose-hand", (1, 3, side, side)) for side in (184, 368, 552, 736)]
    (person,) = found.persons
    points = {name: point for name, point in zip(JOINTS, person.joints, strict=True) if point is not None}
    assert set(points) == set(ARM)
    for name, (x, y) in ARM.items():  # the middle of an eighth: 8 * x pixels, less the half
        assert (points[name].x, points[name].y) == pytest.approx((8 * x - 0.5, 8 * y - 0.5), abs=2)
    (hand,) = found.hands
    # The forearm is 8 * (6, 8), 80 long; 0.9 of the upper arm of 8 * (10, 10) is 101.8: the side is 152.7.
    # The center is the wrist (368, 224) plus 0.33 of (48, 64): (383.8, 245.1), all within the image.
    assert hand[20] is None
    for point in hand[:20]:
        assert point is not None
        assert (point.x, point.y) == pytest.approx((383.8, 245.1), abs=4)


def test_a_hands_scales_are_averaged() -> None:
    """At 0.04 nothing is over the threshold of 0.05, and would be if the four scales were added."""

    def run(graph: str, array: np.ndarray) -> Outputs:
        if graph == "openpose-body":
            return FakeNetworks()(graph, array)
        return {"heatmap": np.full((1, 22, array.shape[2] // 8, array.shape[3] // 8), 0.04)}

    assert find_pose(picture(), run).hands == ((None,) * 21,)


def test_openpose_draws_bodies_and_hands() -> None:
    control = annotate(picture(), "openpose", FakeNetworks())
    found = find_pose(picture(), FakeNetworks())
    assert (control == draw_pose(found, (512, 512))).all()
    present = {tuple(color) for color in control.reshape(-1, 3).tolist()}
    limbs = {COLORS[index] for index in (1, 4, 5)}  # neck to shoulder, to elbow, to wrist
    joints = {COLORS[JOINTS.index(name)] for name in ARM}
    assert present == {(0, 0, 0), (0, 0, 255)} | limbs | joints


def test_nobody_is_black_and_asks_for_no_hand() -> None:
    calls = []

    def run(graph: str, array: np.ndarray) -> Outputs:
        calls.append(graph)
        return {"paf": np.zeros((1, 38, 23, 23)), "heatmap": np.zeros((1, 19, 23, 23))}

    assert not annotate(picture(), "openpose", run).any()
    assert calls == ["openpose-body"]


def test_bad_input_is_refused_in_one_line() -> None:
    networks = FakeNetworks()
    with pytest.raises(UsageError, match="^unknown kind of control 'pose': the kinds are canny, hed, mlsd"):
        annotate(picture(), "pose", networks)
    with pytest.raises(UsageError, match=r"^the image is a ndarray of uint8 \(4, 4\); expected RGB"):
        annotate(np.zeros((4, 4), np.uint8), "canny", networks)
    with pytest.raises(UsageError, match="^resolution 0: expected the short side in pixels, at least 64$"):
        annotate(picture(), "depth", networks, resolution=0)
    with pytest.raises(UsageError, match="^openpose-body gave heatmap; expected paf too$"):
        annotate(picture(), "openpose", lambda graph, array: {"heatmap": np.zeros(1)})
    with pytest.raises(UsageError, match="^hed gave nothing; expected edge_1, "):
        annotate(picture(), "hed", lambda graph, array: {})
    with pytest.raises(
        UsageError, match=r"^depth has the shape \(1, 1, 384, 384\); expected \(1, any, any\)$"
    ):
        annotate(picture(), "depth", lambda graph, array: {"depth": np.zeros((1, 1, 384, 384))})
