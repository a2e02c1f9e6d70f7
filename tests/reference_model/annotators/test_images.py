"""The size of a control image, and what each network is given, derived by hand from the stated formulas."""

from __future__ import annotations

from pathlib import Path
from zlib import compress, crc32

import numpy as np
import pytest

from onnxlens.errors import UsageError
from onnxlens.reference_model.annotators.control_image import maps_at_image, scale_image
from onnxlens.reference_model.annotators.images import (
    check_map,
    control_size,
    planes,
    read_image,
    resize_to_control,
    resized_linear,
    to_rgb,
    to_uint8,
    write_image,
)
from onnxlens.reference_model.annotators.maps import midas_input, mlsd_input


def plain(height: int, width: int, color: tuple[int, int, int] = (255, 0, 51)) -> np.ndarray:
    return np.full((height, width, 3), color, dtype=np.uint8)


@pytest.mark.parametrize(
    ("size", "resolution", "expected"),
    [
        ((512, 512), 512, (512, 512)),
        ((100, 100), 512, (512, 512)),
        ((480, 640), 512, (512, 704)),  # 682.67 is 10.67 times 64
        ((640, 480), 512, (704, 512)),
        ((512, 800), 512, (512, 768)),  # 12.5 times 64: the even one
        ((512, 864), 512, (512, 896)),  # 13.5 times 64: the even one
        ((480, 640), 384, (384, 512)),
        ((300, 300), 500, (512, 512)),  # 7.8 times 64
    ],
)
def test_the_short_side_has_the_resolution_and_both_are_multiples_of_64(
    size: tuple[int, int], resolution: int, expected: tuple[int, int]
) -> None:
    assert control_size(*size, resolution) == expected
    assert resize_to_control(plain(*size), resolution).shape == (*expected, 3)


def test_a_picture_that_shrinks_is_averaged_over_areas() -> None:
    stripes = np.zeros((128, 128, 3), dtype=np.uint8)
    stripes[:, ::2] = 200
    assert (resize_to_control(stripes, 64) == 100).all()


def test_a_picture_that_grows_is_interpolated_by_lanczos() -> None:
    step = np.zeros((64, 64, 3), dtype=np.uint8)
    step[:, 32:] = 200
    row = resize_to_control(step, 128)[64, :, 0]
    # Lanczos rings on both sides of a step; linear and area would stay within 0 and 200.
    assert row.max() > 200
    assert row[0] == 0
    assert row[-1] == 200


def test_a_picture_of_the_right_size_stays_as_it_is() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)
    assert (resize_to_control(noise, 64) == noise).all()


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (np.zeros((4, 4), np.uint8), "ndarray of uint8 (4, 4)"),
        (np.zeros((4, 4, 4), np.uint8), "ndarray of uint8 (4, 4, 4)"),
        (np.zeros((4, 4, 3), np.float32), "ndarray of float32 (4, 4, 3)"),
        (np.zeros((0, 4, 3), np.uint8), "ndarray of uint8 (0, 4, 3)"),
        ([[1]], "list of ? (1, 1)"),
    ],
)
def test_what_is_not_an_rgb_image_is_refused(image: np.ndarray, found: str) -> None:
    with pytest.raises(UsageError) as caught:
        resize_to_control(image)
    assert str(caught.value) == f"the image is a {found}; expected RGB as a numpy array of uint8 (H, W, 3)"


def test_sizes_that_cannot_be_are_refused() -> None:
    with pytest.raises(UsageError, match="resolution 63: expected .* at least 64"):
        control_size(512, 512, 63)
    with pytest.raises(UsageError, match="1x100 would become 512x51200; expected .* at most 16384 pixels"):
        control_size(1, 100, 512)


def test_maps_of_another_shape_or_with_nan_are_refused() -> None:
    with pytest.raises(UsageError, match=r"^edge has the shape \(1, 2\); expected \(1, any, 3\)$"):
        check_map(np.zeros((1, 2)), (1, None, 3), "edge")
    with pytest.raises(UsageError, match="^edge holds NaN or infinity"):
        check_map([[np.nan]], (1, 1), "edge")


def test_each_network_gets_its_range() -> None:
    image = plain(64, 128)
    assert planes(image)[0, :, 0, 0].tolist() == [255, 0, 51]
    assert planes(image)[0, :, 5, 7].tolist() == [255, 0, 51]
    assert midas_input(image)[0, :, 5, 7] == pytest.approx([1, -1, 51 / 127.5 - 1])
    # MLSD's fourth plane is 1 / 127.5 - 1.
    assert mlsd_input(image)[0, :, 5, 7] == pytest.approx([1, -1, -0.6, -0.99215686])
    for array in (planes(image), midas_input(image)):
        assert (array.shape, array.dtype) == ((1, 3, 64, 128), np.float32)
    assert (mlsd_input(image).shape, mlsd_input(image).dtype) == ((1, 4, 64, 128), np.float32)


def test_rows_stay_rows() -> None:
    image = plain(64, 128)
    image[3, 100] = (1, 2, 3)
    assert planes(image)[0, :, 3, 100].tolist() == [1, 2, 3]


def test_openpose_gets_bgr_at_its_scale_padded_with_128() -> None:
    scaled = scale_image(plain(300, 200), 0.5)
    # 0.5 * 368 = 184 high; 200 * 184 / 300 = 122.67 wide, padded to 128.
    assert scaled.size == (184, 123)
    assert scaled.array.shape == (1, 3, 184, 128)
    assert scaled.array[0, :, 90, 60].tolist() == [51 / 256 - 0.5, -0.5, 255 / 256 - 0.5]
    assert (scaled.array[0, :, :, 123:] == 0).all()  # 128 / 256 - 0.5
    assert scaled.array.dtype == np.float32


@pytest.mark.parametrize(("scale", "side"), [(0.5, 184), (1, 368), (1.5, 552), (2, 736)])
def test_openposes_scales_are_of_368_pixels(scale: float, side: int) -> None:
    scaled = scale_image(plain(100, 100), scale)
    assert scaled.size == (side, side)
    assert scaled.array.shape == (1, 3, side, side)


def test_maps_come_back_to_the_image_without_the_padding() -> None:
    scaled = scale_image(plain(300, 200), 0.5)
    # Column c of a map covers the input's pixels 8 c .. 8 c + 7, in the middle 8 c + 3.5.
    columns = np.broadcast_to(np.arange(16) * 8 + 3.5, (23, 16))
    rows = np.broadcast_to((np.arange(23) * 8 + 3.5)[:, None], (23, 16))
    maps = maps_at_image(np.stack([columns, rows])[None], scaled, (300, 200), "paf")
    assert maps.shape == (2, 300, 200)
    # The image's pixel x is at the input's (x + 0.5) * 123 / 200 - 0.5. OpenCV's cubic leaves a
    # ramp by less than half a pixel; with the padding left in, the last columns would be 4 pixels off.
    x, y = np.arange(30, 170), np.arange(30, 270)
    assert np.abs(maps[0][:, x] - ((x + 0.5) * 123 / 200 - 0.5)).max() < 0.5
    assert np.abs(maps[1][y] - ((y + 0.5) * 184 / 300 - 0.5)[:, None]).max() < 0.5


def test_maps_of_another_input_are_refused() -> None:
    scaled = scale_image(plain(300, 200), 0.5)
    with pytest.raises(UsageError, match=r"paf has the shape \(1, 38, 23, 23\); expected \(1, any, 23, 16\)"):
        maps_at_image(np.zeros((1, 38, 23, 23)), scaled, (300, 200), "paf")


def test_a_map_of_one_channel_keeps_its_axis() -> None:
    scaled = scale_image(plain(64, 64), 0.5)
    assert maps_at_image(np.ones((1, 1, 23, 23)), scaled, (64, 64), "m").shape == (1, 64, 64)


def test_images_end_as_rgb_in_whole_steps() -> None:
    assert to_uint8([-1.5, 0.9, 127.5, 300]).tolist() == [0, 0, 127, 255]
    gray = np.array([[0, 7]], dtype=np.uint8)
    assert to_rgb(gray).tolist() == [[[0, 0, 0], [7, 7, 7]]]
    assert to_rgb(plain(2, 2)).shape == (2, 2, 3)
    assert resized_linear(gray, (1, 2)) is gray
    assert resized_linear(np.array([[0.0, 4.0]]), (1, 4)).tolist() == [[0, 1, 3, 4]]


def test_a_damaged_picture_is_refused_without_the_lines_of_its_library(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_image(np.zeros((8, 8, 3), np.uint8), tmp_path / "p.png")
    whole = (tmp_path / "p.png").read_bytes()
    (tmp_path / "p.png").write_bytes(whole[:14] + b"\xff" + whole[15:])
    with pytest.raises(UsageError, match="not a picture that OpenCV can read"):
        read_image(tmp_path / "p.png")
    assert capfd.readouterr().err == ""


def test_half_a_photograph_is_refused_although_opencv_fills_the_rest(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    write_image(noise, tmp_path / "p.jpg")
    whole = (tmp_path / "p.jpg").read_bytes()
    (tmp_path / "p.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match=r"p\.jpg: ends before the whole picture is there"):
        read_image(tmp_path / "p.jpg")


def test_more_pixels_than_opencv_takes_are_refused(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + crc32(kind + data).to_bytes(4, "big")

    side = (100_000).to_bytes(4, "big")
    parts = chunk(b"IHDR", side + side + b"\1\0\0\0\0"), chunk(b"IDAT", compress(b"\0")), chunk(b"IEND", b"")
    (tmp_path / "p.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    with pytest.raises(
        UsageError, match=r"p\.png: OpenCV refuses it \(pixels <= .*\); give a smaller picture"
    ):
        read_image(tmp_path / "p.png")
