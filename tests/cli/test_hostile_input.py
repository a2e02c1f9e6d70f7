"""Every verb over input that nobody should write: one line and exit code 2, or an escaped name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import onnx
import pytest
from onnx import ModelProto, NodeProto, helper

from onnxlens.specs.codec import read_spec
from onnxlens.specs.manifest import Manifest, manifest_path_of
from onnxlens.specs.text import printable, printable_lines
from tests.cli.calls import PROGRAM, Outcome, done, onnxlens
from tests.profile.models import value

ESCAPES = "\x1b[31mred\x07 \x9b31m \u202eback\u2066 a\nb"
"""A terminal's color, its bell, a C1 control, marks that turn text around, a line break."""

DEEP = 100_000

VERBS: dict[str, str] = {
    "profile": "profile {file}",
    "profile as JSON": "profile {file} --format json",
    "profile by a run": "profile {file} --run",
    "ledger": "ledger {file}",
    "traffic": "traffic {file} --on-chip 2MiB",
    "reconcile": "reconcile {file}",
    "check": "check {file}",
    "check by layers": "check {file} --layers",
    "bench": "bench {file} --runs 1 --warmup 0",
    "extract": "extract {file} --module x --out {out}.onnx",
    "render": "render {file} --out {out}.svg",
    "explore": "render {file} --out {out}.json --viewer model-explorer",
}


def relu(name: str = "it", reads: str = "x", makes: str = "y") -> NodeProto:
    return helper.make_node("Relu", [reads], [makes], name=name)


def model(*nodes: NodeProto, graph: str = "g", reads: str = "x") -> ModelProto:
    held = helper.make_graph(nodes, graph, [value(reads, (2,))], [value(nodes[-1].output[0], (2,))])
    return helper.make_model(held, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def _folder(path: Path) -> None:
    path.mkdir()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _lacking(path: Path) -> None:
    onnx.save(model(helper.make_node("If", ["x"], ["y"], name="it")), path)


def _garbled(path: Path) -> None:
    path.write_bytes(model(relu("QQQQ")).SerializeToString().replace(b"QQQQ", b"\xff\xfe\x1b\x9b"))


def _nested_manifest(path: Path) -> None:
    onnx.save(model(relu()), path)
    nested = '["onnxlens.manifest/1", ' * DEEP
    manifest_path_of(path).write_text(nested, encoding="utf-8")


def _unknown_value(path: Path) -> None:
    onnx.save(model(relu(reads=ESCAPES)), path)


BAD: dict[str, tuple[str, Callable[[Path], None]]] = {
    "a folder": ("is a folder", _folder),
    "a pipe": ("is a pipe or a device", _pipe),
    "no branch": ("the If 'it' lacks its attribute", _lacking),
    "bytes for a name": ("which is not UTF-8", _garbled),
    "a manifest nested deep": ("cannot be read as JSON", _nested_manifest),
    "a value of odd name": (r"reads '\\x1b\[31mred.*', which no input", _unknown_value),
}


def assert_one_line(outcome: Outcome, message: str) -> None:
    assert (outcome.code, outcome.out) == (2, ""), outcome
    assert re.fullmatch(r"onnxlens: [^\n]+\n", outcome.err), outcome.err
    assert outcome.err.rstrip("\n").isprintable()
    assert re.search(message, outcome.err), outcome.err


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_one_line_of_every_verb(kind: str, verb: str, tmp_path: Path) -> None:
    message, write = BAD[kind]
    write(tmp_path / "bad.onnx")
    before = sorted(tmp_path.iterdir())
    filled = VERBS[verb].format(file=tmp_path / "bad.onnx", out=tmp_path / "out")
    if kind == "a value of odd name":
        onnx.save(model(relu(reads="\x1b[31mred\x07")), tmp_path / "bad.onnx")
    assert_one_line(onnxlens(*filled.split()), message)
    assert sorted(tmp_path.iterdir()) == before


def odd_names(folder: Path) -> Path:
    """A file that runs, all of whose names hold what a terminal would obey."""
    nodes = [
        relu(f"/{ESCAPES}/{ESCAPES}/Relu", ESCAPES, f"h{ESCAPES}"),
        helper.make_node("Wobble", [f"h{ESCAPES}"], [f"y{ESCAPES}"], name=f"/{ESCAPES}/Wobble"),
    ]
    onnx.save(model(*nodes, graph=ESCAPES, reads=ESCAPES), folder / "odd.onnx")
    return folder / "odd.onnx"


@pytest.mark.parametrize(
    "verb",
    [
        "profile {file}", "profile {file} --by node", "profile {file} --by node --format md",
        "profile {file} --format json", "ledger {file}", "reconcile {file}", "render {file} --out {out}.dot",
        "extract {file} --module  --out {out}.onnx",
    ],
)  # fmt: skip
def test_what_a_terminal_would_obey_is_escaped(verb: str, tmp_path: Path) -> None:
    file = odd_names(tmp_path)
    words = verb.split(" ")
    text = done(*(word.format(file=file, out=tmp_path / "out") for word in words))
    assert all(line.isprintable() for line in text.split("\n"))
    if (drawn := tmp_path / "out.dot").exists():
        source = drawn.read_text(encoding="utf-8").replace("\t", "")
        assert all(line.isprintable() for line in source.split("\n"))
        assert "x1b[31mred" in source


def test_a_picture_of_odd_names_is_xml(tmp_path: Path) -> None:
    file = odd_names(tmp_path)
    done("render", file, "--out", tmp_path / "out.svg")
    drawn = (tmp_path / "out.svg").read_text(encoding="utf-8")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2066]", drawn)
    assert "\\x1b[31mred\\x07" in "".join(ElementTree.fromstring(drawn).itertext())


def test_csv_keeps_the_data(tmp_path: Path) -> None:
    text = done("profile", odd_names(tmp_path), "--by", "node", "--format", "csv")
    assert f"/{ESCAPES}/Wobble" in text


def test_text_is_escaped_as_python_does() -> None:
    assert printable(ESCAPES) == repr(ESCAPES)[1:-1]
    assert printable("größer \\ 'x'") == "größer \\ 'x'"
    assert printable("half \ud800") == "half \\ud800"
    assert printable_lines("a\nb\x1b") == "a\nb\\x1b"


def test_json_that_is_nested_deep_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "model.safetensors.index.json"
    checkpoint.write_text("[" * DEEP, encoding="utf-8")
    outcome = onnxlens("export", "hed", "--weights", checkpoint, "--out", tmp_path / "out")
    assert_one_line(outcome, "not an index of checkpoint files")
    groups = tmp_path / "groups.toml"
    groups.write_text(f"a = {'[' * 5000}", encoding="utf-8")
    onnx.save(model(relu()), tmp_path / "good.onnx")
    outcome = onnxlens("render", tmp_path / "good.onnx", "--groups", groups, "--out", tmp_path / "out.dot")
    assert_one_line(outcome, r"groups\.toml: is not TOML")
    with pytest.raises(Exception, match="cannot be read as JSON"):
        read_spec(checkpoint, Manifest)


def test_scopes_that_are_nested_deep_are_no_scopes(tmp_path: Path) -> None:
    node = relu()
    node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value="[" * 20_000 + "]" * 20_000)
    onnx.save(model(node), tmp_path / "deep.onnx")
    assert "deep.onnx" in done("profile", tmp_path / "deep.onnx")


def test_streams_that_cannot_hold_a_name_get_it_escaped(tmp_path: Path) -> None:
    onnx.save(model(relu("/größer/Relu")), tmp_path / "wide.onnx")
    program = [*PROGRAM, "profile", "--quiet", "--by", "node", str(tmp_path / "wide.onnx")]
    environment = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    result = subprocess.run(program, capture_output=True, env=environment, check=False)
    assert (result.returncode, result.stderr) == (0, b"")
    assert re.search("größer|" + re.escape(r"gr\xf6\xdfer"), result.stdout.decode())


@pytest.mark.skipif(sys.platform == "win32", reason="a folder in use cannot be removed")
def test_a_folder_that_is_gone_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    script = 'cd gone && rmdir ../gone && exec "$@"'
    for arguments, message in (
        (("profile", "--quiet", "m.onnx"), b"m.onnx: no such file"),
        (("export", "--quiet", "hed", "--out", "x"), b"x: cannot be written"),
    ):
        (tmp_path / "gone").mkdir(exist_ok=True)
        result = subprocess.run(
            ["bash", "-c", script, "bash", *PROGRAM, *arguments],
            cwd=tmp_path,
            capture_output=True,
            check=False,
        )
        assert result.returncode == 2
        assert result.stderr.count(b"\n") == 1
        assert message in result.stderr
