"""Depth and normal maps of ramps, derived by hand."""

from __future__ import annotations

import numpy as np
import pytest

from onnxlens.errors import UsageError
from onnxlens.reference_model.annotators.depth import depth_map, normal_map


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
    # times 127.5 plus 127.5 is 227.8, 127.5, 206.3. The last column's derivative is 0 at the border.
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
