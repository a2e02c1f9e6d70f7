"""The palette's colors, what the network sees of a picture, and how scores become a picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from onnxlens.errors import UsageError
from onnxlens.reference_model.annotators.segmentation import COLORS, seg_input, seg_map

KNOWN = {
    0: (120, 120, 120),  # wall
    1: (180, 120, 120),  # building
    2: (6, 230, 230),  # sky
    3: (80, 50, 50),  # floor
    4: (4, 200, 3),  # tree
    6: (140, 140, 140),  # road
    9: (4, 250, 7),  # grass
    12: (150, 5, 61),  # person
    20: (0, 102, 200),  # car
    21: (61, 230, 250),  # water
    149: (92, 0, 255),  # flag
}
"""Of the data set's table, by the index of the class."""


def test_the_colors_are_the_data_set_s() -> None:
    assert (COLORS.shape, COLORS.dtype) == ((150, 3), np.uint8)
    assert {index: tuple(COLORS[index].tolist()) for index in KNOWN} == KNOWN
    first: dict[tuple[int, ...], int] = {}
    again = {
        index: first[c]
        for index, c in enumerate(map(tuple, COLORS.tolist()))
        if first.setdefault(c, index) != index
    }
    assert again == {48: 6}  # skyscraper and road are told apart by no picture


def test_each_channel_is_standardized_by_the_pictures_of_imagenet() -> None:
    image = np.zeros((4, 8, 3), np.uint8)
    image[1, 2] = (255, 51, 204)
    seen = seg_input(image)
    assert (seen.shape, seen.dtype) == ((1, 3, 4, 8), np.float32)
    # mean and deviation of values 0 to 1, as torchvision documents them for its models of ImageNet
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    expected = [(value - m) / d for value, m, d in zip((1, 0.2, 0.8), mean, deviation, strict=True)]
    assert seen[0, :, 1, 2] == pytest.approx(expected, rel=1e-5)
    assert seen[0, :, 0, 0] == pytest.approx([-m / d for m, d in zip(mean, deviation, strict=True)], rel=1e-5)


def test_the_best_class_of_a_pixel_is_that_of_its_interpolated_scores() -> None:
    scores = np.random.default_rng(0).normal(size=(1, 150, 12, 20)).astype(np.float32)
    enlarged = interpolate(torch.from_numpy(scores), (48, 80), mode="bilinear", align_corners=False)
    expected = COLORS[enlarged[0].argmax(dim=0).numpy()]
    assert (seg_map(scores, (48, 80)) == expected).all(axis=2).mean() > 0.999  # but for ties in rounding


def test_what_is_not_a_map_for_each_class_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"^scores has the shape \(1, 19, 4, 4\); expected \(1, 150, any, any\)$"
    ):
        seg_map(np.zeros((1, 19, 4, 4)), (16, 16))
