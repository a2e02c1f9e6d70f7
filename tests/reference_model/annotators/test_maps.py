"""Control images of edges, lines, depth and normals, from maps that are made by hand."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from onnxlens.errors import UsageError
from onnxlens.reference_model.annotators.maps import (
    Lines,
    canny_map,
    decode_lines,
    depth_map,
    drawing_map,
    hed_map,
    line_map,
    normal_map,
    ridges,
    scribble_map,
)


def step(height: int) -> np.ndarray:
    image = np.zeros((20, 20, 3), dtype=np.uint8)
    image[:, 10:] = height
    return image


def flat_edges(values: tuple[float, ...], side: int = 32) -> list[np.ndarray]:
    return [np.full((1, 1, side // 2**i, side // 2**i), value) for i, value in enumerate(values)]


def test_canny_draws_the_outline_of_a_square() -> None:
    image = np.zeros((60, 60, 3), dtype=np.uint8)
    image[20:40, 20:40] = 255
    edges = canny_map(image)
    assert edges.shape == (60, 60)
    assert set(np.unique(edges)) == {0, 255}
    assert not edges[22:38, 22:38].any()
    outside = edges.copy()
    outside[19:41, 19:41] = 0
    assert not outside.any()
    for line in (edges[30], edges[:, 30]):  # through the middle: one pixel at either side
        first, second = np.nonzero(line)[0].tolist()
        assert first in (19, 20)
        assert second in (39, 40)


# A 3x3 Sobel makes 4 times its height of a straight step.
@pytest.mark.parametrize(("height", "found"), [(24, False), (49, False), (51, True)])
def test_a_lone_edge_needs_a_gradient_over_200(height: int, found: bool) -> None:
    assert canny_map(step(height)).any() == found


@pytest.mark.parametrize(("weak", "rows"), [(24, 10), (30, 20)])
def test_an_edge_over_100_goes_on_from_a_strong_one(weak: int, rows: int) -> None:
    image = step(60)
    image[10:, 10:] = weak  # 240 above; below 96, or 120
    column = canny_map(image)[:, 9:11].any(axis=1)
    assert abs(int(column.sum()) - rows) <= 2  # the horizontal step bends the edge where the halves meet


def test_hed_averages_the_scores_before_the_sigmoid() -> None:
    edges = hed_map(flat_edges((1, 2, 3, 4, 5)), (32, 32))
    # sigmoid(3) = 0.952574, times 255 is 242.9; the mean of the five sigmoids would give 228.9.
    assert edges.shape == (32, 32)
    assert (edges == 242).all()
    assert (hed_map(flat_edges((0, 0, 0, 0, 0)), (32, 32)) == 127).all()


def test_hed_brings_coarse_maps_to_the_image_bilinearly() -> None:
    edges = [np.zeros((1, 1, 1, 4)), np.array([[[[0.0, 20.0]]]]), *[np.zeros((1, 1, 1, 1))] * 3]
    # Half-pixel centers: 0, 5, 15, 20; a fifth of it: 0, 1, 3, 4; sigmoids 0.5, 0.7311, 0.9526, 0.9820.
    assert hed_map(edges, (1, 4)).tolist() == [[127, 186, 242, 250]]


def test_hed_refuses_other_than_five_maps() -> None:
    with pytest.raises(UsageError, match="HED has 4 edge maps; expected 5"):
        hed_map(flat_edges((0, 0, 0, 0)), (32, 32))
    with pytest.raises(UsageError, match=r"edge_1 has the shape \(1, 2, 3, 3\); expected \(1, 1, any, any\)"):
        hed_map([np.zeros((1, 2, 3, 3))] * 5, (3, 3))


def test_a_band_becomes_a_thicker_stroke() -> None:
    edges = np.zeros((64, 64), dtype=np.uint8)
    edges[20:41] = 255
    # Blurred by sigma 3, row 20 is 255 * Phi(0.5 / 3) = 144 and row 19 is 111; along a row all are equal.
    crests = ridges(edges)
    assert np.unique(np.nonzero(crests)[0]).tolist() == list(range(20, 41))
    assert set(np.unique(crests)) == {0, 255}
    # After the second blur row 14 is 255 * Phi(-5.5 / 3) = 8.5 and row 13 is 255 * Phi(-6.5 / 3) = 3.9.
    strokes = scribble_map(edges)
    assert np.unique(np.nonzero(strokes)[0]).tolist() == list(range(14, 47))
    assert set(np.unique(strokes)) == {0, 255}


def test_faint_edges_leave_no_stroke() -> None:
    assert not scribble_map(np.full((64, 64), 126, dtype=np.uint8)).any()
    assert scribble_map(np.full((64, 64), 128, dtype=np.uint8)).all()
    thin = np.zeros((64, 64), dtype=np.uint8)
    thin[32] = 255  # one row blurred by sigma 3 is 255 / (3 * sqrt(2 pi)) = 34 high
    assert not scribble_map(thin).any()


def test_crests_agree_with_a_plain_version_on_random_maps() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        edges = (
            (cv2.GaussianBlur(rng.random((24, 20)), (0, 0), 1.5) * 600 - 120).clip(0, 255).astype(np.uint8)
        )
        blurred = cv2.GaussianBlur(edges.astype(np.float32), (0, 0), 3)
        expected = [[255 if is_crest(blurred, y, x) else 0 for x in range(20)] for y in range(24)]
        assert ridges(edges).tolist() == expected
        assert 0 < np.count_nonzero(expected) < 24 * 20


def is_crest(blurred: np.ndarray, y: int, x: int) -> bool:
    """Whether it is over 127 and no lower than its two neighbors in one of the four directions."""
    height, width = blurred.shape
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        sides = [(y + dy, x + dx), (y - dy, x - dx)]
        neighbors = [blurred[v, u] for v, u in sides if 0 <= v < height and 0 <= u < width]
        if blurred[y, x] > 127 and all(blurred[y, x] >= other for other in neighbors):
            return True
    return False


def test_a_scribble_is_made_of_a_gray_map() -> None:
    with pytest.raises(UsageError, match=r"the edges are uint8 \(4, 4, 3\); expected uint8 \(H, W\)"):
        scribble_map(np.zeros((4, 4, 3), dtype=np.uint8))


def test_a_drawings_dark_strokes_become_white() -> None:
    image = np.full((4, 4, 3), 255, dtype=np.uint8)
    image[0, 0] = (0, 0, 0)
    image[1, 1] = (255, 126, 255)  # the darkest channel decides
    image[2, 2] = (127, 127, 127)
    assert np.argwhere(drawing_map(image)).tolist() == [[0, 0], [1, 1]]
    assert drawing_map(image)[0, 0] == 255


RANDOM_MAPS = 1000
FAR_BELOW = -9.0


def mlsd_maps(
    *lines: tuple[int, int, float, float, float, float, float], size: tuple[int, int] = (16, 20)
) -> np.ndarray:
    """Center x and y, the center's logit, offsets of the start and of the end; in positions of the map."""
    maps = np.zeros((1, 9, *size))
    maps[0, 0] = FAR_BELOW
    for x, y, logit, *offsets in lines:
        maps[0, 0, y, x] = logit
        maps[0, 1:5, y, x] = offsets
    return maps


def test_one_line() -> None:
    lines = decode_lines(mlsd_maps((10, 5, 2.0, -4, -1, 4.5, 1)))
    # The center plus the offsets, twice: (10 - 4) * 2, (5 - 1) * 2, (10 + 4.5) * 2, (5 + 1) * 2.
    assert lines.ends.tolist() == [[12, 8, 29, 12]]
    assert lines.scores == pytest.approx([1 / (1 + math.exp(-2))])


def test_two_parallel_lines_the_surer_first() -> None:
    lines = decode_lines(mlsd_maps((10, 4, 1.0, -5, 0, 5, 0), (10, 9, 3.0, -5, 0, 5, 0)))
    assert lines.ends.tolist() == [[10, 18, 30, 18], [10, 8, 30, 8]]


def test_no_line() -> None:
    lines = decode_lines(mlsd_maps())
    assert lines.ends.shape == (0, 4)
    assert not line_map(lines, (32, 40)).any()


def test_a_center_next_to_a_surer_one_is_not_a_line() -> None:
    maps = mlsd_maps((10, 5, 2.0, -4, 0, 4, 0), (11, 6, 1.9, -4, 0, 4, 0), (13, 5, 1.0, -4, 0, 4, 0))
    assert decode_lines(maps).ends[:, 0].tolist() == [12, 18]


# sigmoid(-2.19) = 0.1006 and sigmoid(-2.2) = 0.0998.
@pytest.mark.parametrize(("logit", "found"), [(-2.19, 1), (-2.2, 0)])
def test_a_score_is_over_a_tenth(logit: float, found: int) -> None:
    assert len(decode_lines(mlsd_maps((10, 5, logit, -4, 0, 4, 0))).ends) == found


@pytest.mark.parametrize(("offset", "found"), [(0.11, 1), (0.09, 0)])
def test_a_length_is_over_a_tenth_of_a_position(offset: float, found: int) -> None:
    # The offsets are of 3 and more; the length is between the ends.
    assert len(decode_lines(mlsd_maps((10, 5, 2.0, 3, 4, 3, 4 + offset))).ends) == found


def test_the_two_hundred_surest_are_kept() -> None:
    centers = [(x, y, 1 + (x + 60 * y) / 1e4, -1, 0, 1, 0) for y in range(0, 60, 2) for x in range(0, 60, 2)]
    lines = decode_lines(mlsd_maps(*centers, size=(60, 60)))
    assert len(lines.ends) == 200
    # 30 centers a row: six rows from below, and 20 of row 46, down to x = 20.
    assert lines.ends[-1].tolist() == [2 * 19, 2 * 46, 2 * 21, 2 * 46]


def test_a_short_line_counts_among_the_two_hundred() -> None:
    centers = [(x, y, 1.0, 0, 0, 0 if y < 20 else 1, 0) for y in range(0, 60, 2) for x in range(0, 60, 2)]
    # Equal scores are taken in reading order: the first 200 lie in rows 0 to 12, and are all too short.
    assert len(decode_lines(mlsd_maps(*centers, size=(60, 60))).ends) == 0


def test_lines_are_white_and_one_pixel_wide() -> None:
    drawn = line_map(Lines(np.array([[2.9, 3.2, 8.0, 3.9], [4, 6, 4, 9]]), np.ones(2)), (12, 14))
    expected = np.zeros((12, 14), dtype=np.uint8)
    expected[3, 2:9] = 255
    expected[6:10, 4] = 255
    assert (drawn == expected).all()


def test_ends_far_outside_are_drawn_as_far_as_the_image_goes() -> None:
    drawn = line_map(Lines(np.array([[-1e12, 5.0, 1e12, 5.0]]), np.ones(1)), (12, 14))
    assert np.argwhere(drawn).tolist() == [[5, x] for x in range(14)]


def test_other_shapes_are_refused() -> None:
    with pytest.raises(UsageError, match=r"lines has the shape \(1, 5, 8, 8\); expected \(1, 9, any, any\)"):
        decode_lines(np.zeros((1, 5, 8, 8)))


def plain_lines(maps: list[list[list[float]]]) -> list[tuple[float, list[float]]]:
    """Pixel by pixel: score and ends, the surest first."""
    height, width = len(maps[0]), len(maps[0][0])
    centers = []
    for y in range(height):
        for x in range(width):
            around = [
                maps[0][v][u]
                for v in range(max(y - 1, 0), min(y + 2, height))
                for u in range(max(x - 1, 0), min(x + 2, width))
            ]
            if maps[0][y][x] >= max(around):
                centers.append((1 / (1 + math.exp(-maps[0][y][x])), x, y))
    centers.sort(key=lambda center: -center[0])
    found = []
    for score, x, y in centers[:200]:
        x0, y0, x1, y1 = (maps[channel][y][x] for channel in range(1, 5))
        if score > 0.1 and math.sqrt((x1 - x0) ** 2 + (y1 - y0) ** 2) > 0.1:
            found.append((score, [2 * (x + x0), 2 * (y + y0), 2 * (x + x1), 2 * (y + y1)]))
    return found


def test_lines_agree_with_the_plain_version_on_random_maps() -> None:
    rng = np.random.default_rng(0)
    for number in range(RANDOM_MAPS):
        maps = rng.normal(0, 3, size=(9, *rng.integers(1, 13, size=2))).astype(np.float32)
        if number % 2:
            maps[0] = np.round(maps[0])  # with equal neighbors, and equal centers
            maps[1:5] = np.round(maps[1:5] / 4)  # with lines of no length
        lines = decode_lines(maps[None])
        expected = plain_lines(maps.tolist())
        assert lines.scores == pytest.approx([score for score, _ in expected])
        assert lines.ends.ravel() == pytest.approx([end for _, ends in expected for end in ends])


def test_a_ramp_goes_from_black_to_white() -> None:
    depth = np.array([[[100.0, 102.0, 104.0]]])
    assert depth_map(depth).tolist() == [[0, 127, 255]]  # 127.5 loses its fraction


def test_depth_has_no_unit() -> None:
    depth = np.random.default_rng(0).random((1, 8, 9))
    assert (depth_map(depth) == depth_map(depth * 1024)).all()


def test_the_same_depth_everywhere_is_black() -> None:
    assert (depth_map(np.full((1, 4, 5), 7.0)) == 0).all()


def test_what_is_flat_faces_the_viewer() -> None:
    assert (normal_map(np.full((1, 4, 5), 7.0)) == (127, 127, 255)).all()


@pytest.mark.parametrize("axis", [1, 0])
def test_a_ramps_normal_leans_along_it(axis: int) -> None:
    ramp = np.broadcast_to(np.arange(101.0), (9, 101))
    depth = ramp if axis == 1 else ramp.T
    normals = normal_map(depth[None])
    if axis == 0:
        normals = normals.transpose(1, 0, 2)[:, :, [1, 0, 2]]
    # A slope of 1 is 8 by Sobel: (8, 0, 2 pi) / 10.1725 = (0.78643, 0, 0.61767);
    # times 127.5 plus 127.5 is 227.8, 127.5, 206.3. The last column's derivative is 0 at the edge.
    assert (normals[:, 10:100] == (227, 127, 206)).all()
    # 0 to 9 of 100 are under a tenth of the range: background.
    assert (normals[:, :10] == (127, 127, 255)).all()


def test_a_falling_ramp_leans_the_other_way() -> None:
    depth = np.broadcast_to(np.arange(100.0, -1, -1), (9, 101))
    # 127.5 - 100.27 = 27.2
    assert (normal_map(depth[None])[:, 1:90] == (27, 127, 206)).all()


def test_normals_know_the_depths_scale() -> None:
    ramp = np.broadcast_to(np.arange(101.0), (1, 9, 101))
    # A slope of 2 is 16 by Sobel: (16, 0, 2 pi) / 17.1896 = (0.93080, 0, 0.36552): 246.2, 127.5, 174.1.
    assert (normal_map(2 * ramp)[:, 10:100] == (246, 127, 174)).all()


def test_other_shapes_and_nan_are_refused() -> None:
    for function in (depth_map, normal_map):
        with pytest.raises(UsageError, match=r"depth has the shape \(4, 5\); expected \(1, any, any\)"):
            function(np.zeros((4, 5)))
        with pytest.raises(UsageError, match="depth holds NaN"):
            function(np.full((1, 4, 5), np.nan))
