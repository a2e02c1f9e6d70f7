"""A half-written file never has its final name: not after an error, not after a kill."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from onnxlens.api.staging import STAGE_PREFIX, require_replaceable, staged
from onnxlens.errors import UsageError

ROOT = Path(__file__).parents[2]
NAMES = ("x.json", "x.onnx", "x.onnx.data", "y.onnx")


def write(stage: Path) -> None:
    for name in NAMES:
        (stage / name).write_text(f"new {name}", encoding="utf-8")


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_appear_under_their_names_when_the_body_ends(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    with staged(out) as stage:
        assert stage.parent.parent == out
        write(stage)
        assert names_in(out) == [stage.parent.name]
    assert names_in(out) == sorted(NAMES)
    assert (out / "x.json").read_text(encoding="utf-8") == "new x.json"


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
    with pytest.raises(KeyError, match="fault"), staged(tmp_path) as stage:
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


def test_the_stages_of_living_processes_and_other_folders_stay(tmp_path: Path) -> None:
    (tmp_path / f"{STAGE_PREFIX}killed").mkdir()
    (tmp_path / ".onnxlens-notes").mkdir()
    with staged(tmp_path) as other:
        write(other)
        with staged(tmp_path) as stage:
            write(stage)
            assert set(names_in(tmp_path)) == {stage.parent.name, other.parent.name, ".onnxlens-notes"}
    assert set(names_in(tmp_path)) == {".onnxlens-notes", *NAMES}


@pytest.mark.parametrize("shared", [True, False])
def test_files_that_a_new_result_does_not_have_go_with_the_old_one(shared: bool, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    if shared:
        (out / "notes.txt").write_text("mine", encoding="utf-8")
    with staged(out) as stage:
        write(stage)
    with staged(out, ["y.onnx", "never.txt"]) as stage:
        (stage / "x.onnx").write_text("newer", encoding="utf-8")
    # x.json is not one of our manifests; the data beside a graph are the graph's
    assert names_in(out) == (["notes.txt"] if shared else []) + ["x.json", "x.onnx"]


def test_a_folder_is_exchanged_as_a_whole_unless_it_is_shared_or_worked_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o711)

    def published() -> bool:
        before = out.stat().st_ino
        with staged(out) as stage:
            write(stage)
        assert out.stat().st_mode & 0o777 == 0o711
        return out.stat().st_ino != before

    assert published()
    assert published()
    (out / "notes.txt").write_text("mine", encoding="utf-8")
    assert not published()
    (out / "notes.txt").unlink()
    monkeypatch.chdir(out)
    assert not published()


KILLS = """
import json, os, signal, sys
from pathlib import Path
from onnxlens.api.staging import settle, staged

STEPS = ("os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.scandir", "open", "ctypes.dlsym")

def publish(out, content):
    with staged(out, ["z.txt"]) as stage:
        for name in ("x.json", "x.onnx", "x.onnx.data"):
            (stage / name).write_text(content)
        (stage / "sub").mkdir()
        (stage / "sub" / "page").write_text(content)

def killed(out, step):
    pid = os.fork()
    if pid == 0:
        left = step
        def hook(event, arguments):
            nonlocal left
            if event in STEPS:
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(hook)
        publish(out, "new")
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])

def state(out):
    files = (path for path in out.rglob("*") if path.is_file() and ".onnxlens-" not in str(path))
    return {str(path.relative_to(out)): path.read_text() for path in files}

root, kind = Path(sys.argv[1]), sys.argv[2]
found, step, going_on = [], 0, True
while going_on:
    out = root / str(step) / "out"
    out.parent.mkdir()
    if kind != "fresh":
        publish(out, "old")
        (out / "z.txt").write_text("old")
    if kind == "shared":
        (out / "notes.txt").write_text("mine")
    going_on = killed(out, step)
    raw = state(out)
    settle(out)
    settled = state(out)
    publish(out, "newer")
    left = sorted(str(path) for path in out.parent.rglob(".onnxlens-*"))
    found.append([raw, settled, state(out), left])
    step += 1
print(json.dumps(found))
"""


@pytest.mark.parametrize("kind", ["fresh", "alone", "shared"])
def test_a_kill_at_any_step_leaves_the_old_result_or_the_new_one(kind: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLS, str(tmp_path), kind], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    found = json.loads(done.stdout)
    notes = {"notes.txt": "mine"} if kind == "shared" else {}
    names = ("x.json", "x.onnx", "x.onnx.data", "sub/page")
    old = {} if kind == "fresh" else {**dict.fromkeys((*names, "z.txt"), "old"), **notes}
    new, newer = ({**dict.fromkeys(names, content), **notes} for content in ("new", "newer"))
    settled = [at for _, at, _, _ in found]
    changed = settled.index(new)
    assert 10 < changed < len(found) - 2
    assert settled == [old] * changed + [new] * (len(found) - changed)
    assert [(after, left) for _, _, after, left in found] == [(newer, [])] * len(found)
    if kind != "shared":  # there, programs that do not settle it see a part until the rest is moved
        assert [raw for raw, _, _, _ in found] == settled


def test_two_processes_that_publish_at_once_leave_one_whole_result(tmp_path: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from onnxlens.api.staging import staged
for _ in range(30):
    with staged(Path({str(tmp_path / "out")!r})) as stage:
        for name in {NAMES!r}:
            (stage / name).write_text(sys.argv[1])
"""
    both = [
        subprocess.Popen([sys.executable, "-c", script, content], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for content in ("one", "two")
    ]
    assert [(process.communicate()[1], process.returncode) for process in both] == [("", 0)] * 2
    assert names_in(tmp_path / "out") == sorted(NAMES)
    assert len({(tmp_path / "out" / name).read_text(encoding="utf-8") for name in NAMES}) == 1
    assert names_in(tmp_path) == ["out"]


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_file_in_the_way_is_refused(below: str, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x", encoding="utf-8")
    out = tmp_path / "taken" / below
    with pytest.raises(UsageError, match=r"taken.*: cannot be written \(.+\); choose another folder$"):
        with staged(out):
            pytest.fail("the body must not run")
    assert (tmp_path / "taken").read_text(encoding="utf-8") == "x"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="this system has no /proc to fail to write to")
def test_a_folder_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^/proc/nowhere: cannot be written \(.+\); choose another folder$"):
        with staged(Path("/proc/nowhere")):
            pytest.fail("the body must not run")


def test_a_folder_under_a_final_name_is_refused_and_the_stage_cleared(tmp_path: Path) -> None:
    (tmp_path / "x.json").mkdir()
    with (
        pytest.raises(UsageError, match=r": writing failed \(.+: .*x\.json\)$"),
        staged(tmp_path) as stage,
    ):
        write(stage)
    assert not any(name.startswith(STAGE_PREFIX) for name in names_in(tmp_path))
    assert (tmp_path / "x.json").is_dir()


def test_a_folder_of_other_files_is_not_replaced(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    require_replaceable(photos, "proof.json")  # it is empty
    (photos / "cat.jpg").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match=r"photos: holds files that are not of an earlier run; choose "):
        require_replaceable(photos, "proof.json")
    (photos / "proof.json").write_text("", encoding="utf-8")
    require_replaceable(photos, "proof.json")
