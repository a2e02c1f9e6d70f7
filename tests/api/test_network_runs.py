"""Pictures to control images with real networks: PyTorch and ONNX Runtime give the same map."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from onnxlens.api.annotate import NetworkRuns
from onnxlens.cli.annotate import KINDS
from onnxlens.cli.main import run as onnxlens
from onnxlens.errors import CheckpointError
from onnxlens.reference_model.annotators.control_image import ANNOTATORS, annotate
from onnxlens.reference_model.annotators.images import Image, read_image


@pytest.fixture(scope="module")
def picture() -> Image:
    """A bright disc before a slope, 96 x 64 pixels, in three different channels."""
    rows, columns = np.mgrid[0:96, 0:64]
    disc = (rows - 40) ** 2 + (columns - 30) ** 2 < 20**2
    channels = [np.where(disc, 230 - 30 * index, rows + (index + 1) * columns // 2) for index in range(3)]
    return np.stack(channels, axis=-1).astype(np.uint8)


@pytest.mark.parametrize("kind", ["hed", "mlsd", "scribble"])
def test_both_backends_draw_the_same_map(picture: Image, kind: str) -> None:
    maps = []
    for backend in ("torch", "onnx"):
        with NetworkRuns(backend, "seeded") as run:
            maps.append(annotate(picture, kind, run, resolution=64).astype(int))
    assert maps[0].shape == (128, 64, 3)  # 96 is one and a half times 64: a half goes to the even multiple
    # float32 rounding may move a value over a whole number, and no further
    assert abs(maps[0] - maps[1]).max() <= 1


def test_both_backends_segment_alike(picture: Image) -> None:
    maps = []
    for backend in ("torch", "onnx"):
        with NetworkRuns(backend, "seeded") as run:
            maps.append(annotate(picture, "seg", run, resolution=64))
    assert maps[0].shape == (128, 64, 3)
    assert len(np.unique(maps[0].reshape(-1, 3), axis=0)) > 1
    assert (maps[0] == maps[1]).all(axis=2).mean() > 0.99  # two scores may be equal but for rounding


def test_a_network_is_built_once_and_exported_once_for_each_size() -> None:
    image = np.zeros((1, 3, 32, 48), np.float32)
    with NetworkRuns("onnx", "seeded") as run:
        first = run("hed", image)
        assert first["edge_1"].shape == (1, 1, 32, 48)
        assert np.array_equal(run("hed", image)["edge_1"], first["edge_1"])
        run("hed", np.zeros((1, 3, 48, 32), np.float32))
        assert len(run._targets) == 2
        folder = next(iter(run._targets.values())).path.parent
    assert not folder.exists()


def test_a_folder_without_the_networks_checkpoint_is_refused(tmp_path: Path) -> None:
    with NetworkRuns("torch", tmp_path) as run, pytest.raises(CheckpointError, match=r"ControlNetHED\.pth"):
        run("hed", np.zeros((1, 3, 32, 32), np.float32))


def test_the_command_line_knows_every_kind() -> None:
    assert KINDS == tuple(ANNOTATORS)


def test_the_command_line_writes_what_the_function_makes(picture: Image, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "in.png"), picture[:, :, ::-1])
    assert (
        onnxlens(["annotate", str(tmp_path / "in.png"), "--kind", "canny", "--out", str(tmp_path / "o.png")])
        == 0
    )

    def no_network(graph: str, array: object) -> dict[str, np.ndarray]:
        raise AssertionError(graph)

    assert np.array_equal(read_image(tmp_path / "o.png"), annotate(picture, "canny", no_network))


@pytest.mark.parametrize(
    ("name", "content", "out", "said"),
    [
        ("gone.png", None, "o.png", "no such file"),
        ("text.png", b"no picture", "o.png", "not a picture"),
        ("in.png", b"", "o.txt", "suffix '.txt' is no picture's"),
    ],
)
def test_what_cannot_be_read_or_written_is_refused_in_one_line(
    name: str, content: bytes | None, out: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    before = sorted(tmp_path.iterdir())
    assert onnxlens(["annotate", str(tmp_path / name), "--kind", "canny", "--out", str(tmp_path / out)]) == 2
    printed = capsys.readouterr()
    assert said in printed.err and printed.err.count("\n") == 1 and printed.out == ""
    assert sorted(tmp_path.iterdir()) == before
