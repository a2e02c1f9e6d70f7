"""Netron's pictures: what they hold, what they need, and the error for a model that it cannot draw."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import cv2
import pytest

from onnxlens.errors import ToolError, UsageError
from onnxlens.reports.netron.pictures import Drawing, NetronPictures, netron_pictures, png_scale
from tests.reports.netron.netron_models import EDGES, small

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def pictures(chromium: str, netron: None) -> Iterator[NetronPictures]:
    with netron_pictures(chromium) as opened:
        yield opened


@pytest.fixture(scope="module")
def drawing(pictures: NetronPictures) -> Drawing:
    return pictures.draw(small().SerializeToString(), "small & <sound>")


def texts(root: ElementTree.Element, part: str) -> list[str]:
    """The text of the parts of a class, each as one text; a title is shown to who points at it."""
    return [
        "".join(inner.text or "" for inner in found.iter() if inner.tag in (f"{SVG}text", f"{SVG}tspan"))
        for found in root.iter()
        if part in found.get("class", "").split()
    ]


@pytest.mark.browser
def test_a_picture_shows_every_node_with_its_weights_and_every_tensor(drawing: Drawing) -> None:
    root = ElementTree.fromstring(drawing.svg)
    assert root.findtext(f"{SVG}title") == "small & <sound>"
    assert sorted(texts(root, "node-item-type")) == ["Conv", "Relu"]
    assert texts(root, "graph-item-input") == ["picture"]
    assert texts(root, "graph-item-output") == ["y"]
    assert texts(root, "node-argument") == ["W‹4×3×3×3›"]  # in brackets that every font has
    assert tuple(texts(root, "edge-labels")) == ("".join(EDGES),)
    paths = [found.get("d", "") for found in root.iter(f"{SVG}path") if found.get("class") == "edge-path"]
    assert len(paths) == len(EDGES)
    assert not any(re.search(r"\.\d\d", path) for path in paths)


@pytest.mark.browser
def test_a_picture_needs_no_other_file_and_has_a_white_background(drawing: Drawing) -> None:
    root = ElementTree.fromstring(drawing.svg)
    assert {"script", "image", "foreignObject"}.isdisjoint(
        found.tag.removeprefix(SVG) for found in root.iter()
    )
    assert not re.search(r"@import|url\((?!.?#)|href=", drawing.svg)
    style = root.findtext(f"{SVG}style") or ""
    assert ".node-item-type-layer path" in style
    assert ":hover" not in style and "prefers-color-scheme" not in style
    ground = next(found for found in root.iter(f"{SVG}rect") if found.get("id") == "background")
    size = {"width": str(drawing.width), "height": str(drawing.height)}
    assert {name: root.get(name) for name in size} == size
    assert {name: ground.get(name) for name in (*size, "x", "y", "fill")} == size | {
        "x": "0",
        "y": "0",
        "fill": "#fff",
    }


@pytest.mark.browser
def test_a_png_is_the_whole_picture_at_twice_the_size(
    pictures: NetronPictures, drawing: Drawing, tmp_path: Path
) -> None:
    pictures.write(small().SerializeToString(), "small", tmp_path / "small.png")
    image = cv2.imread(str(tmp_path / "small.png"), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    assert image.shape == (2 * drawing.height, 2 * drawing.width)
    # ink from the first box to the last, and none in the margin of 20 around them
    rows, columns = (image < 200).any(axis=1).nonzero()[0], (image < 200).any(axis=0).nonzero()[0]
    assert (rows[0] // 2, columns[0] // 2) == pytest.approx((20, 20), abs=2)
    assert drawing.height - rows[-1] / 2 == pytest.approx(20, abs=2)


@pytest.mark.browser
def test_names_that_xml_cannot_hold_do_not_spoil_the_file(pictures: NetronPictures) -> None:
    drawing = pictures.draw(small("a\x01<b>&").SerializeToString(), "small")
    assert texts(ElementTree.fromstring(drawing.svg), "graph-item-input") == ["a\ufffd<b>&"]


@pytest.mark.browser
def test_an_error_of_netron_is_one_line(pictures: NetronPictures) -> None:
    with pytest.raises(ToolError, match=r"^broken: Netron cannot draw it: Unsupported file content\.$"):
        pictures.draw(b"no model at all", "broken")
    assert pictures.draw(small().SerializeToString(), "the next").width > 0


@pytest.mark.browser
def test_a_drawing_that_takes_too_long_is_given_up(pictures: NetronPictures, tmp_path: Path) -> None:
    hasty = NetronPictures(pictures._browser, timeout_s=0.001)
    with pytest.raises(
        ToolError, match=r"^small: Netron has not drawn it after 0\.001 s.*; try one --module$"
    ):
        hasty.write(small().SerializeToString(), "small", tmp_path / "small.svg")
    assert not any(tmp_path.iterdir())


def test_a_png_has_the_largest_possible_scale_and_is_refused_below_a_legible_one() -> None:
    assert png_scale(1000, 2000, "g") == 2
    assert png_scale(1000, 16_000, "g") == 1  # 16,000 px is the largest side
    assert png_scale(12_000, 10_000, "g") == 1  # 120 million pixels, the most there may be
    with pytest.raises(UsageError, match=r"^g: a picture of 1000 x 22000 is too large .*\.svg.*--module$"):
        png_scale(1000, 22_000, "g")  # 0.73: letters of 9 px become 6.5
