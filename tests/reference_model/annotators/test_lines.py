"""MLSD's map decoded: lines that are known, and a plain version on random maps."""

from __future__ import annotations

import math

import numpy as np
import pytest

from onnxlens.errors import UsageError
from onnxlens.reference_model.annotators.lines import Lines, decode_lines, line_map

RANDOM_MAPS = 1000
FAR_BELOW = -9.0


def mlsd_maps(
    *lines: tuple[int, int, float, float, float, float, float], size: tuple[int, int] = (16, 20)
) -> np.ndarray:
    """Centre x and y, the centre's logit, offsets of the start and of the end; in positions of the map."""
    maps = np.zeros((1, 9, *size))
    maps[0, 0] = FAR_BELOW
    for x, y, logit, *offsets in lines:
        maps[0, 0, y, x] = logit
        maps[0, 1:5, y, x] = offsets
    return maps


def test_one_line() -> None:
    lines = decode_lines(mlsd_maps((10, 5, 2.0, -4, -1, 4.5, 1)))
    # The centre plus the offsets, twice: (10 - 4) * 2, (5 - 1) * 2, (10 + 4.5) * 2, (5 + 1) * 2.
    assert lines.ends.tolist() == [[12, 8, 29, 12]]
    assert lines.scores == pytest.approx([1 / (1 + math.exp(-2))])


def test_two_parallel_lines_the_surer_first() -> None:
    lines = decode_lines(mlsd_maps((10, 4, 1.0, -5, 0, 5, 0), (10, 9, 3.0, -5, 0, 5, 0)))
    assert lines.ends.tolist() == [[10, 18, 30, 18], [10, 8, 30, 8]]


def test_no_line() -> None:
    lines = decode_lines(mlsd_maps())
    assert lines.ends.shape == (0, 4)
    assert not line_map(lines, (32, 40)).any()


def test_a_centre_beside_a_surer_one_is_no_line() -> None:
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
    centres = [(x, y, 1 + (x + 60 * y) / 1e4, -1, 0, 1, 0) for y in range(0, 60, 2) for x in range(0, 60, 2)]
    lines = decode_lines(mlsd_maps(*centres, size=(60, 60)))
    assert len(lines.ends) == 200
    # 30 centres a row: six rows from below, and 20 of row 46, down to x = 20.
    assert lines.ends[-1].tolist() == [2 * 19, 2 * 46, 2 * 21, 2 * 46]


def test_a_short_line_takes_a_place_among_the_two_hundred() -> None:
    centres = [(x, y, 1.0, 0, 0, 0 if y < 20 else 1, 0) for y in range(0, 60, 2) for x in range(0, 60, 2)]
    # Equal scores are taken in reading order: the first 200 lie in rows 0 to 12, and are all too short.
    assert len(decode_lines(mlsd_maps(*centres, size=(60, 60))).ends) == 0


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
    centres = []
    for y in range(height):
        for x in range(width):
            around = [
                maps[0][v][u]
                for v in range(max(y - 1, 0), min(y + 2, height))
                for u in range(max(x - 1, 0), min(x + 2, width))
            ]
            if maps[0][y][x] >= max(around):
                centres.append((1 / (1 + math.exp(-maps[0][y][x])), x, y))
    centres.sort(key=lambda centre: -centre[0])
    found = []
    for score, x, y in centres[:200]:
        x0, y0, x1, y1 = (maps[channel][y][x] for channel in range(1, 5))
        if score > 0.1 and math.sqrt((x1 - x0) ** 2 + (y1 - y0) ** 2) > 0.1:
            found.append((score, [2 * (x + x0), 2 * (y + y0), 2 * (x + x1), 2 * (y + y1)]))
    return found


def test_lines_agree_with_the_plain_version_on_random_maps() -> None:
    rng = np.random.default_rng(0)
    for number in range(RANDOM_MAPS):
        maps = rng.normal(0, 3, size=(9, *rng.integers(1, 13, size=2))).astype(np.float32)
        if number % 2:
            maps[0] = np.round(maps[0])  # with equal neighbours, and equal centres
            maps[1:5] = np.round(maps[1:5] / 4)  # with lines of no length
        lines = decode_lines(maps[None])
        expected = plain_lines(maps.tolist())
        assert lines.scores == pytest.approx([score for score, _ in expected])
        assert lines.ends.ravel() == pytest.approx([end for _, ends in expected for end in ends])
