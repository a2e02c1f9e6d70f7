"""Canny, HED's map and scribbles on shapes whose edges are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from onnxlens.errors import UsageError
from onnxlens.reference_model.annotators.canny import canny_map
from onnxlens.reference_model.annotators.edges import drawing_map, hed_map, ridges, scribble_map


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
    # Half-pixel centres: 0, 5, 15, 20; a fifth of it: 0, 1, 3, 4; sigmoids 0.5, 0.7311, 0.9526, 0.9820.
    assert hed_map(edges, (1, 4)).tolist() == [[127, 186, 242, 250]]


def test_hed_refuses_what_is_not_five_maps() -> None:
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
    """Whether it is over 127 and no lower than its two neighbours in one of the four directions."""
    height, width = blurred.shape
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        sides = [(y + dy, x + dx), (y - dy, x - dx)]
        beside = [blurred[v, u] for v, u in sides if 0 <= v < height and 0 <= u < width]
        if blurred[y, x] > 127 and all(blurred[y, x] >= other for other in beside):
            return True
    return False


def test_a_scribble_is_made_of_a_grey_map() -> None:
    with pytest.raises(UsageError, match=r"the edges are uint8 \(4, 4, 3\); expected uint8 \(H, W\)"):
        scribble_map(np.zeros((4, 4, 3), dtype=np.uint8))


def test_a_drawings_dark_strokes_become_white() -> None:
    image = np.full((4, 4, 3), 255, dtype=np.uint8)
    image[0, 0] = (0, 0, 0)
    image[1, 1] = (255, 126, 255)  # the darkest channel decides
    image[2, 2] = (127, 127, 127)
    assert np.argwhere(drawing_map(image)).tolist() == [[0, 0], [1, 1]]
    assert drawing_map(image)[0, 0] == 255
