"""A half-written file never has its final name: not after an error, not after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from onnxlens.api.staging import STAGE_PREFIX, staged, staged_folder, temporary_folder
from onnxlens.errors import UsageError

ROOT = Path(__file__).parents[2]
ORDER = (".onnx", ".json")
NAMES = ("x.json", "x.onnx", "x.onnx.data", "y.onnx")


def write(stage: Path) -> None:
    for name in NAMES:
        (stage / name).write_text(f"new {name}", encoding="utf-8")


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def killed(folder: Path, body: str) -> None:
    """Run ``body`` inside ``staged(folder)``, in a process that kills itself in ``die()``."""
    script = f"""
import os, signal
from pathlib import Path
from onnxlens.api.staging import staged
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
with staged(Path({str(folder)!r}), {ORDER!r}) as stage:
    for name in {NAMES!r}:
        (stage / name).write_text("new " + name)
    {body}
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_files_appear_under_their_names_when_the_body_ends(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    with staged(out, ORDER) as stage:
        assert stage.parent == out
        write(stage)
        assert names_in(out) == [stage.name]
    assert names_in(out) == sorted(NAMES)
    assert (out / "x.json").read_text(encoding="utf-8") == "new x.json"


def test_weights_come_before_graphs_and_manifests_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed: list[str] = []
    replace = os.replace

    def recorded(source: Path, target: Path) -> None:
        renamed.append(Path(target).name)
        replace(source, target)

    monkeypatch.setattr(os, "replace", recorded)
    with staged(tmp_path, ORDER) as stage:
        write(stage)
    assert renamed[0] == "x.onnx.data"
    assert set(renamed[1:3]) == {"x.onnx", "y.onnx"}
    assert renamed[3:] == ["x.json"]


def test_an_earlier_result_is_replaced_and_other_files_stay(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("old", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with staged(tmp_path) as stage:
        write(stage)
        assert (tmp_path / "x.json").read_text(encoding="utf-8") == "old"
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == "new x.json"
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_after_an_error_nothing_is_left_and_earlier_files_stay(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("old", encoding="utf-8")
    with pytest.raises(KeyError, match="fault"), staged(tmp_path, ORDER) as stage:
        write(stage)
        raise KeyError("fault")
    assert names_in(tmp_path) == ["x.json"]
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == "old"


def test_new_folders_are_removed_after_an_error(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    with pytest.raises(KeyError), staged(tmp_path / "kept" / "a" / "b") as stage:
        write(stage)
        raise KeyError("fault")
    assert names_in(tmp_path) == ["kept"]
    assert names_in(tmp_path / "kept") == []


def test_after_a_kill_while_writing_no_file_has_a_final_name(tmp_path: Path) -> None:
    killed(tmp_path, "die()")
    (leftover,) = names_in(tmp_path)
    assert leftover.startswith(STAGE_PREFIX)


def test_after_a_kill_between_two_renames_no_graph_points_at_missing_weights(tmp_path: Path) -> None:
    killed(tmp_path, "replace = os.replace; os.replace = lambda a, b: (replace(a, b), die())")
    leftover, final = names_in(tmp_path)
    assert leftover.startswith(STAGE_PREFIX)
    assert final == "x.onnx.data"


def test_the_next_run_removes_files_of_a_killed_one_and_keeps_those_of_a_running_one(tmp_path: Path) -> None:
    killed(tmp_path, "die()")
    running = tmp_path / f"{STAGE_PREFIX}{os.getpid()}-other"
    foreign = tmp_path / f"{STAGE_PREFIX}notes-x"
    running.mkdir()
    foreign.mkdir()
    with staged(tmp_path) as stage:
        write(stage)
    assert set(names_in(tmp_path)) == {running.name, foreign.name, *NAMES}


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_file_in_the_way_is_refused(below: str, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x", encoding="utf-8")
    out = tmp_path / "taken" / below
    with pytest.raises(UsageError, match=r"taken.*: cannot be written \(.+\); choose another --out$"):
        with staged(out):
            pytest.fail("the body must not run")
    assert (tmp_path / "taken").read_text(encoding="utf-8") == "x"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="this system has no /proc to fail to write to")
def test_a_folder_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^/proc/nowhere: cannot be written \(.+\); choose another --out$"):
        with staged(Path("/proc/nowhere")):
            pytest.fail("the body must not run")


def test_a_folder_under_a_final_name_is_refused_and_the_stage_cleared(tmp_path: Path) -> None:
    (tmp_path / "x.json").mkdir()
    with (
        pytest.raises(UsageError, match=r": writing failed \(.+: .*x\.json\)$"),
        staged(tmp_path, ORDER) as stage,
    ):
        write(stage)
    assert not any(name.startswith(STAGE_PREFIX) for name in names_in(tmp_path))
    assert (tmp_path / "x.json").is_dir()


def test_a_folder_replaces_an_earlier_one_as_a_whole(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with staged_folder(tmp_path / "run", "proof.json") as stage:
            assert not (tmp_path / "run").exists()
            (stage / "proof.json").write_text(content, encoding="utf-8")
            (stage / f"{content}.txt").write_text("", encoding="utf-8")
    assert names_in(tmp_path / "run") == ["new.txt", "proof.json"]
    assert names_in(tmp_path) == ["run"]


def test_a_failed_run_leaves_no_folder_of_an_earlier_run(tmp_path: Path) -> None:
    with staged_folder(tmp_path / "run", "proof.json") as stage:
        (stage / "proof.json").write_text("old", encoding="utf-8")
    with pytest.raises(KeyError), staged_folder(tmp_path / "run", "proof.json") as stage:
        (stage / "proof.json").write_text("new", encoding="utf-8")
        raise KeyError("fault")
    assert names_in(tmp_path) == []


def test_a_folder_of_other_files_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match=r"photos: holds files that are not of an earlier run; choose "):
        with staged_folder(tmp_path / "photos", "proof.json"):
            pytest.fail("the body must not run")
    assert names_in(tmp_path / "photos") == ["cat.jpg"]


def test_a_temporary_folder_is_removed_and_so_is_one_of_a_killed_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    script = f"""
import os, signal, tempfile
from onnxlens.api.staging import temporary_folder
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
    (tmp_path / "onnxlens-without-a-lock").mkdir()  # of another program, or about to be locked
    with temporary_folder() as ours:
        assert names_in(tmp_path) == sorted(["onnxlens-without-a-lock", ours.parent.name])
    assert names_in(tmp_path) == ["onnxlens-without-a-lock"]
