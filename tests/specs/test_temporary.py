"""Temporary folders: removed at the end, and after a kill by the next process."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from errno import ENOSPC
from pathlib import Path
from typing import Any

import pytest

from onnxlens.specs.temporary import PREFIX, owned_folder, temporary_folder

ROOT = Path(__file__).parents[2]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_temporary_folder_is_removed_and_so_is_one_of_a_killed_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    script = f"""
import tempfile
from onnxlens.specs.temporary import temporary_folder
tempfile.tempdir = {str(tmp_path)!r}
with temporary_folder() as folder:
    (folder / "weights").write_text("gigabytes")
    print("written", flush=True)
    input()
"""
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "written\n"
        (theirs,) = names_in(tmp_path)
        with temporary_folder() as ours:
            assert names_in(tmp_path) == sorted([theirs, ours.parent.name])  # a living process's stays
        other.kill()
    assert names_in(tmp_path) == [theirs]
    (tmp_path / "onnxlens-of-another-program").mkdir()
    (tmp_path / f"{PREFIX}link").symlink_to(tmp_path / "onnxlens-of-another-program")
    with temporary_folder() as ours:
        kept = {"onnxlens-of-another-program", f"{PREFIX}link"}
        assert {*names_in(tmp_path)} == {*kept, ours.parent.name}
    assert {*names_in(tmp_path)} == kept


def test_what_fails_in_it_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(OSError, match="No space") as caught, temporary_folder():
        raise OSError(ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path)
    assert names_in(tmp_path) == []


def test_a_folder_that_is_cleared_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    original = tempfile.mkdtemp

    def cleared_first(**where: Any) -> str:
        made.append(original(**where))
        if len(made) == 1:
            Path(made[0]).rmdir()
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", cleared_first)
    with owned_folder(tmp_path, PREFIX) as folder:
        assert str(folder.parent) == made[1]
    assert (names_in(tmp_path), len(made)) == ([], 2)
