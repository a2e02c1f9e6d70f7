"""The cache of exported graphs: its key, damaged entries, two processes, its bound."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import onnxlens as api
from onnxlens.api import cache
from tests import small_catalog

KEY = "0123456789abcdef"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ONNXLENS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "graphs"


def files(folder: Path, size: int = 1000) -> tuple[Path, Path]:
    folder.mkdir(exist_ok=True)
    graph, manifest = folder / "x.onnx", folder / "x.json"
    graph.write_bytes(os.urandom(size))
    manifest.write_text("{}", encoding="utf-8")
    return graph, manifest


def test_what_was_stored_is_fetched(tmp_path: Path) -> None:
    stored = files(tmp_path / "from")
    cache.store(KEY, *stored)
    (tmp_path / "into").mkdir()
    assert cache.fetch(KEY, tmp_path / "into")
    for file in stored:
        assert (tmp_path / "into" / file.name).read_bytes() == file.read_bytes()
    assert not cache.fetch("another", tmp_path / "into")


@pytest.mark.parametrize("damage", ["truncated", "a byte changed", "empty", "another file"])
def test_a_damaged_entry_is_none_and_removed(damage: str, tmp_path: Path, folder: Path) -> None:
    cache.store(KEY, *files(tmp_path / "from"))
    entry = folder / f"{KEY}.zip"
    content = bytearray(entry.read_bytes())
    if damage == "a byte changed":
        content[len(content) // 3] ^= 0xFF  # within the compressed graph
    damaged = {
        "truncated": content[:-200],
        "a byte changed": content,
        "empty": b"",
        "another file": b"x" * 500,
    }
    entry.write_bytes(damaged[damage])
    assert not cache.fetch(KEY, tmp_path)
    assert not entry.exists()
    assert [path.name for path in tmp_path.glob("x.*")] == []


def test_a_damaged_entry_is_rebuilt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    small_catalog.install(monkeypatch, tmp_path / "small")
    first = api.profile_graph("first")
    (entry,) = (tmp_path / "small" / "graphs").glob("*.zip")
    entry.write_bytes(entry.read_bytes()[:-50])
    assert api.profile_graph("first") == first
    assert cache.fetch(entry.stem, tmp_path)


def test_the_key_distinguishes_settings_sources_and_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"graph": "hed", "opset": 18, "height": 512}
    key = cache.entry_key(settings)
    assert cache.entry_key(dict(reversed(settings.items()))) == key
    assert cache.entry_key({**settings, "opset": 23}) != key
    with monkeypatch.context() as patch:
        patch.setattr(cache, "version", lambda package: "0.0")
        assert cache.entry_key(settings) != key
    with monkeypatch.context() as patch:
        patch.setattr(cache, "_sources_digest", lambda: "other sources")
        assert cache.entry_key(settings) != key


def test_the_entries_used_last_stay(tmp_path: Path, folder: Path) -> None:
    for index, name in enumerate("abcd"):
        cache.store(name, *files(tmp_path / "from", 10_000))
        os.utime(folder / f"{name}.zip", (index, index))
    assert cache.fetch("a", tmp_path)  # the oldest, used now
    cache._evict(folder, most_bytes=25_000)
    assert sorted(path.stem for path in folder.iterdir()) == ["a", "d"]


def test_two_processes_may_store_the_same_entry(tmp_path: Path, folder: Path) -> None:
    graph, manifest = files(tmp_path / "from", 300_000)
    program = (
        "import sys; from pathlib import Path; from onnxlens.api import cache\n"
        f"for _ in range(30): cache.store({KEY!r}, *map(Path, sys.argv[1:3]))\n"
        f"into = Path(sys.argv[3]); into.mkdir(); assert all(cache.fetch({KEY!r}, into) for _ in range(30))"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(graph), str(manifest), str(tmp_path / name)])
        for name in ("one", "two")
    ]
    assert [process.wait() for process in running] == [0, 0]
    assert (tmp_path / "one" / "x.onnx").read_bytes() == graph.read_bytes()
    assert [path.name for path in folder.iterdir()] == [f"{KEY}.zip"]


def test_a_cache_that_cannot_be_written_costs_a_warning_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("ONNXLENS_CACHE", str(tmp_path / "file"))
    cache.store(KEY, *files(tmp_path / "from"))
    assert "the cache cannot be written" in caplog.text
    assert not cache.fetch(KEY, tmp_path)


def test_without_the_variable_it_is_the_users_cache_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONNXLENS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache.cache_folder() == Path("/somewhere/onnxlens")
