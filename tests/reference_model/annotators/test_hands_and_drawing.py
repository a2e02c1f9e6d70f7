"""Boxes around hands, the points in them, and bodies and hands as they are drawn."""

from __future__ import annotations

from collections import deque

import numpy as np
import painted_maps
import pytest
from painted_maps import blob
from scipy.ndimage import gaussian_filter

from onnxlens.errors import UsageError
from onnxlens.reference_model.annotators.control_image import draw_hand, draw_person, hand_edge_color
from onnxlens.reference_model.annotators.pose import Person, Point, find_hand, hand_boxes
from onnxlens.reference_model.annotators.pose_limbs import COLORS, JOINTS, LIMBS

NO_HAND: tuple[None, ...] = (None,) * 21


def body(**joints: tuple[int, int]) -> Person:
    points = {name: Point(x, y, 1.0) for name, (x, y) in joints.items()}
    return Person(tuple(points.get(joint) for joint in JOINTS), 1.0)


def test_a_box_lies_beyond_the_wrist() -> None:
    arm = body(left_shoulder=(200, 100), left_elbow=(200, 200), left_wrist=(260, 280))
    # The forearm is 100 long, 0.9 of the upper arm 90: the side is 150. The center is (260, 280) plus 0.33 of
    # (60, 80): (279.8, 306.4). Less 75: (204.8, 231.4).
    assert hand_boxes([arm], (600, 800)) == [(204, 231, 150)]


def test_a_short_forearm_takes_its_size_from_the_upper_arm() -> None:
    arm = body(right_shoulder=(200, 100), right_elbow=(200, 200), right_wrist=(200, 250))
    # 1.5 * max(50, 90) = 135; the center is (200, 266.5).
    assert hand_boxes([arm], (600, 800)) == [(132, 199, 135)]


def test_a_box_stays_in_the_image() -> None:
    arm = body(left_shoulder=(200, 100), left_elbow=(200, 200), left_wrist=(260, 280))
    assert hand_boxes([arm], (600, 300)) == [(204, 231, 300 - 204)]
    assert hand_boxes([arm], (330, 800)) == [(204, 231, 330 - 231)]
    back = body(left_shoulder=(150, 150), left_elbow=(100, 100), left_wrist=(20, 40))
    # Its center is (20 - 0.33 * 80, 40 - 0.33 * 60), which is outside: moved in, at its full side of 150.
    assert hand_boxes([back], (600, 800)) == [(0, 0, 150)]


def test_boxes_under_20_pixels_are_left_out() -> None:
    def arm(length: int) -> Person:
        return body(left_shoulder=(100, 100), left_elbow=(100, 100), left_wrist=(100 + length, 100))

    assert hand_boxes([arm(13)], (200, 200)) == []  # 19.5
    assert [box.side for box in hand_boxes([arm(14)], (200, 200))] == [21]
    edge = body(left_shoulder=(168, 100), left_elbow=(168, 100), left_wrist=(198, 100))
    # A side of 45 around (207.9, 100): from 185 on, only 15 pixels are left.
    assert hand_boxes([edge], (200, 200)) == []


@pytest.mark.parametrize("missing", ["shoulder", "elbow", "wrist"])
def test_a_hand_needs_its_whole_arm(missing: str) -> None:
    arms = {
        f"{side}_{joint}": painted_maps.STANDING[f"{side}_{joint}"]
        for side in ("left", "right")
        for joint in ("shoulder", "elbow", "wrist")
    }
    assert len(hand_boxes([body(**arms)], (128, 100))) == 2
    del arms[f"left_{missing}"]
    (box,) = hand_boxes([body(**arms)], (128, 100))
    assert box.left < 50  # the right hand is at the left of the picture


def hand_maps(*peaks: tuple[int, int], size: tuple[int, int] = (60, 50)) -> np.ndarray:
    maps = np.zeros((22, *size), dtype=np.float32)
    for channel, at in enumerate(peaks):
        maps[channel] = blob(size, at)
    maps[21] = 1
    return maps


def test_points_are_the_heatmaps_peaks() -> None:
    points = find_hand(hand_maps((10, 20), (40, 50)))
    assert points[:2] == (Point(10, 20, 1.0), Point(40, 50, 1.0))
    assert points[2:] == NO_HAND[2:]


def test_the_heaviest_part_has_the_point_and_not_the_highest() -> None:
    maps = hand_maps()
    maps[0] = np.maximum(blob((60, 50), (10, 10), 2.5), 0.8 * blob((60, 50), (30, 40), 5))
    maps[0][maps[0] < 0.05] = 0  # two parts; the sums of blobs go with the squares of their sigmas
    assert find_hand(maps)[0] == Point(30, 40, pytest.approx(0.8))


@pytest.mark.parametrize(("height", "found"), [(0.09, False), (0.11, True)])
def test_a_point_is_over_a_twentieth_after_smoothing(height: float, found: bool) -> None:
    # A blob of sigma 3, smoothed by sigma 3, is half as high.
    assert (find_hand(hand_maps((25, 30)) * np.float32(height))[0] is not None) == found


def test_parts_that_touch_at_a_corner_are_one() -> None:
    one, two = blob((60, 110), (20, 20)), blob((60, 110), (31, 31))
    pair, heavier = np.maximum(one, two), 1.2 * blob((60, 110), (80, 25))
    # The saddle is at (25.5, 25.5): (25, 25) and (26, 26) lie on the ridge, (25, 26) and (26, 25) do not.
    smooth = gaussian_filter(pair, 3.0)
    assert smooth[25, 25] > smooth[25, 26]
    maps = hand_maps(size=(60, 110))
    maps[0] = np.maximum(pair, heavier) * 0.1 / (smooth[25, 25] + smooth[25, 26])
    # Together the two outweigh the third, which outweighs either.
    point = find_hand(maps)[0]
    assert point is not None
    assert (point.x, point.y) in ((20, 20), (31, 31))


def plain_point(heatmap: np.ndarray) -> tuple[int, int] | None:
    """Flood fill from every pixel over the threshold; (x, y)."""
    over = {(int(y), int(x)) for y, x in np.argwhere(gaussian_filter(heatmap, 3.0) > 0.05)}
    parts = []
    while over:
        queue, part = deque([over.pop()]), []
        while queue:
            y, x = queue.popleft()
            part.append((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & over
            over -= near
            queue.extend(near)
        parts.append(part)
    if not parts:
        return None
    heaviest = max(parts, key=lambda part: sum(heatmap[at] for at in part))
    y, x = max(heaviest, key=lambda at: heatmap[at])
    return x, y


def test_points_agree_with_a_plain_version_on_random_maps() -> None:
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(10):
        maps = np.zeros((22, 40, 36))
        for channel in maps:
            for _ in range(rng.integers(0, 4)):
                height, sigma = rng.random(), 1 + 3 * rng.random()
                channel += height * blob((40, 36), (int(rng.integers(36)), int(rng.integers(40))), sigma)
        points = find_hand(maps)
        assert [point and (point.x, point.y) for point in points] == [
            plain_point(channel) for channel in maps[:21]
        ]
        found += sum(point is not None for point in points)
    assert 50 < found < 210


def test_other_channels_are_refused() -> None:
    with pytest.raises(UsageError, match=r"the hand's maps are \(21, 4, 4\); expected \(22, H, W\)"):
        find_hand(np.zeros((21, 4, 4), dtype=np.float32))


def colors(canvas: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(color) for color in canvas.reshape(-1, 3).tolist()} - {(0, 0, 0)}


def test_a_joint_is_a_disc_of_radius_4_in_its_color() -> None:
    canvas = np.zeros((40, 40, 3), dtype=np.uint8)
    draw_person(canvas, body(left_ear=(20, 15)))
    assert colors(canvas) == {COLORS[17]}
    ys, xs = np.nonzero(canvas.any(axis=2))
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == (16, 24, 11, 19)
    assert not canvas[11, 16].any()  # round


def test_a_limb_is_4_wide_in_its_color_under_its_joints() -> None:
    canvas = np.zeros((40, 80, 3), dtype=np.uint8)
    draw_person(canvas, body(neck=(10, 20), nose=(60, 20)))
    assert LIMBS[12].joints == (1, 0)
    assert colors(canvas) == {COLORS[12], COLORS[0], COLORS[1]}
    column = canvas[:, 35].any(axis=1)
    assert 4 <= int(column.sum()) <= 5  # an even width has no middle pixel: OpenCV adds one
    assert canvas[20, 10].tolist() == list(COLORS[1])
    assert canvas[20, 60].tolist() == list(COLORS[0])


def test_a_limb_needs_both_joints_and_ears_are_not_tied_to_shoulders() -> None:
    canvas = np.zeros((40, 80, 3), dtype=np.uint8)
    draw_person(canvas, body(right_shoulder=(10, 20), right_ear=(60, 20)))
    assert colors(canvas) == {COLORS[2], COLORS[16]}
    assert not canvas[20, 35].any()


def test_a_whole_body_has_all_colors() -> None:
    canvas = np.zeros((512, 400, 3), dtype=np.uint8)
    draw_person(canvas, body(**{name: (4 * x, 4 * y) for name, (x, y) in painted_maps.STANDING.items()}))
    assert colors(canvas) == set(COLORS)


def test_joints_at_the_border_and_outside_are_drawn_as_far_as_they_can() -> None:
    canvas = np.zeros((20, 20, 3), dtype=np.uint8)
    draw_person(canvas, body(nose=(0, 0), neck=(50, 0)))
    assert canvas[0, 19].any()


def test_a_hands_edges_go_around_the_hues() -> None:
    assert hand_edge_color(0) == (255, 0, 0)
    assert hand_edge_color(5) == (128, 255, 0)  # a quarter around: halfway from yellow to green
    assert hand_edge_color(10) == (0, 255, 255)
    assert len({hand_edge_color(index) for index in range(20)}) == 20


def test_a_hand_is_drawn_with_blue_points_over_edges_2_wide() -> None:
    canvas = np.zeros((40, 80, 3), dtype=np.uint8)
    draw_hand(canvas, (Point(10, 20, 1.0), None, *NO_HAND[:7], Point(60, 20, 1.0), *NO_HAND[:11]))
    assert colors(canvas) == {(0, 0, 255), hand_edge_color(8)}  # edge 8 goes from the wrist to point 9
    assert 2 <= int(canvas[:, 35].any(axis=1).sum()) <= 3
    assert canvas[20, 10].tolist() == [0, 0, 255]
    canvas[:] = 0
    draw_hand(canvas, NO_HAND)
    assert not canvas.any()
