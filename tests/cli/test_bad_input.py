"""Bad input: exit code 2, one line on stderr that says what and what to do, and nothing else anywhere."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from onnxlens.reference_model import catalog
from tests.cli.calls import onnxlens, onnxlens_process
from tests.export.tiny import TARGET
from tests.trust import TINY


def assert_refused(folder: Path, message: str, *arguments: object) -> None:
    """The call is refused in one line that matches ``message``, and leaves ``folder`` as it is."""
    before = sorted(folder.rglob("*"))
    outcome = onnxlens(*arguments)
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    assert re.fullmatch(r"onnxlens: [^\n]+\n", outcome.err), outcome.err
    assert re.search(message, outcome.err), outcome.err
    assert sorted(folder.rglob("*")) == before


EXPORTS: dict[str, tuple[str, list[str]]] = {
    "unknown graph": ("unknown graph 'hde': did you mean 'hed'\\? the graphs are ", ["hde"]),
    "opset under": ("opset 10 is not written faithfully .*; choose 11 to 25", ["hed", "--opset", "10"]),
    "opset over": ("opset 26 is not written faithfully .*; choose 11 to 25", ["hed", "--opset", "26"]),
    "no batch": ("graph 'hed': batch 0 is too small; use at least 1", ["hed", "--batch", "0"]),
    "small": ("graph 'hed': height 8 is too small; use at least 16", ["hed", "--height", "8"]),
    "odd size": (
        "graph 'controlnet': width 100 is not a multiple of 64 pixels; use 64 or 128",
        ["controlnet", "--width", "100"],
    ),
    "no number": ("Invalid value for '--batch'.*\\(see 'onnxlens export --help'\\)", ["hed", "--batch", "x"]),
    "no weights": (
        "none\\.pth: no such file; give a checkpoint, or --weights",
        ["hed", "--weights", "none.pth"],
    ),
    "no module": ("cannot be imported .*; give package\\.module:factory", ["no.such:factory"]),
    "no factory": (
        "expected a function that returns a GraphSpec, found int",
        ["tests.export.tiny:NOT_CALLABLE"],
    ),
    "no spec": (
        "expected it to return an onnxlens\\.GraphSpec, it returned int",
        ["tests.export.tiny:not_a_spec"],
    ),
    "file name": ("give tests.export.tiny:network, not the file's name", ["tests.export.tiny.py:network"]),
    "wrong outputs": ("outputs are logits .*, declared are logits ", ["tests.export.tiny:renamed_output"]),
    "untraceable": ("tiny: torch could not trace the module: ", ["tests.export.tiny:untraceable"]),
}


@pytest.mark.parametrize("case", EXPORTS)
def test_an_export_that_cannot_be_made_is_refused_and_leaves_nothing(case: str, tmp_path: Path) -> None:
    message, arguments = EXPORTS[case]
    assert_refused(tmp_path, message, "export", *arguments, "--out", tmp_path / "new" / "out")


def test_a_checkpoint_that_lacks_a_key_is_refused_with_the_key(tmp_path: Path) -> None:
    state = catalog.get("hed").build("meta").state_dict()
    entries = {key: torch.zeros(1).expand(tensor.shape) for key, tensor in state.items() if key != "norm"}
    torch.save(entries, tmp_path / "short.pth")
    assert_refused(
        tmp_path,
        r"short\.pth: not a checkpoint of hed: 1 of 37 keys missing \(norm\); is it another network's file\?",
        *("export", "hed", "--weights", tmp_path / "short.pth", "--out", tmp_path / "out"),
    )


@pytest.mark.parametrize("content", [b"hello world\n", b""], ids=["text", "empty"])
def test_a_file_that_is_not_a_checkpoint_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.pth"
    path.write_bytes(content)
    arguments = ("export", "hed", "--weights", path, "--out", tmp_path / "out")
    assert_refused(tmp_path, r"bad\.pth: ", *arguments)


def test_a_path_that_cannot_be_written_is_refused(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x", encoding="utf-8")
    message = r"taken: cannot be written \(.+\); choose another folder"
    assert_refused(tmp_path, message, "export", TARGET, "--out", tmp_path / "taken")
    assert_refused(tmp_path, message, "render", tiny, "--out", tmp_path / "taken" / "x.dot")


@pytest.mark.parametrize("verb", ["profile", "render"])
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.onnx", None, r"none\.onnx: no such file; give an \.onnx file or a graph of the catalog"),
        ("text.onnx", b"hello world\n", r"text\.onnx: not an ONNX file \(.*\); expected a serialised ModelP"),
        ("empty.onnx", b"", r"empty\.onnx: the file is empty; export or download it again"),
    ],
    ids=["missing", "text", "empty"],
)
def test_a_file_that_is_not_a_graph_is_refused(
    verb: str, name: str, content: bytes | None, message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    out = ["--out", tmp_path / "new" / "x.dot"] if verb == "render" else []
    assert_refused(tmp_path, message, verb, tmp_path / name, *out)


@pytest.mark.parametrize("verb", ["profile", "check", "bench"])
def test_an_unknown_graph_is_refused_with_the_nearest_name(verb: str, tmp_path: Path) -> None:
    assert_refused(tmp_path, "unknown graph 'clip-txt': did you mean 'clip-text'", verb, "clip-txt")


@pytest.mark.parametrize("verb", ["profile", "check", "bench"])
@pytest.mark.parametrize("option", [("--opset", "23"), ("--height", "64"), ("--weights", "none")])
def test_settings_of_another_export_are_refused_for_a_file(
    verb: str, option: tuple[str, str], tiny: Path, tmp_path: Path
) -> None:
    assert_refused(tmp_path, r"tiny\.onnx: .* are those of the file; leave those", verb, tiny, *option)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--shape", "y=1,2"), r"tiny\.onnx has no input 'y'; its inputs are "),
        (
            ("--dim", "batch=2"),
            r"tiny\.onnx has no dimension 'batch'; its inputs' dimensions are none: use --shape",
        ),
        (("--shape", "image=1,2,x"), r"Invalid value for '--shape': 'x' is not a size"),
        (("--shape", "image"), r"Invalid value for '--shape': 'image' has no NAME="),
        (("--dim", "batch=-1"), r"Invalid value for '--dim': '-1' is not a size"),
        (("--value", "y=1"), r"tiny\.onnx has no input 'y'; its inputs are "),
        (("--value", "image=x"), r"Invalid value for '--value': 'x' is not a number"),
    ],
)
@pytest.mark.parametrize("verb", ["profile", "render"])
def test_sizes_that_do_not_fit_a_file_are_refused(
    verb: str, options: tuple[str, str], message: str, tiny: Path, tmp_path: Path
) -> None:
    out = ["--out", tmp_path / "new" / "x.dot"] if verb == "render" else []
    assert_refused(tmp_path, message, verb, tiny, *options, *out)


@pytest.mark.parametrize("verb", ["profile", "check", "bench"])
def test_sizes_of_a_file_are_refused_for_a_graph_of_the_catalog(verb: str, tmp_path: Path) -> None:
    message = (
        "hed: --shape, --dim and --value are for .onnx files; a graph takes --batch, --height and --width"
    )
    assert_refused(tmp_path, message, verb, "hed", "--dim", "batch=2")


def without_manifest(path: Path) -> None:
    path.with_suffix(".json").unlink()


def without_data(path: Path) -> None:
    path.with_name("tiny.onnx.data").unlink()


def with_truncated_data(path: Path) -> None:
    path.with_name("tiny.onnx.data").write_bytes(b"short")


def with_a_manifest_of_lists(path: Path) -> None:
    path.with_suffix(".json").write_text('["onnxlens.manifest/1"]', encoding="utf-8")


def with_a_broken_manifest(path: Path) -> None:
    path.with_suffix(".json").write_text('{"schema": "onnxlens.manifest/1"', encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_manifest, r"tiny\.onnx: no manifest tiny\.json next to it.*--against unoptimised"),
        (without_data, r"tiny\.onnx\.data: no such file; it holds the weights of tiny\.onnx"),
        (
            with_truncated_data,
            r"tiny\.onnx\.data: is not the file that tiny\.json was written with; export again",
        ),
        (with_a_manifest_of_lists, r"tiny\.json: not a Manifest: a list, expected an object"),
        (with_a_broken_manifest, r"tiny\.json: cannot be read as JSON: "),
    ],
)
def test_a_spoiled_export_cannot_be_checked(
    spoil: Callable[[Path], None], message: str, tiny_copy: Path, tmp_path: Path
) -> None:
    spoil(tiny_copy)
    assert_refused(tmp_path, message, "check", tiny_copy, *TINY)


def test_a_weightless_file_cannot_be_checked(bare_tiny: Path) -> None:
    assert_refused(
        bare_tiny.parent,
        r"tiny\.onnx: exported with --weights none, so it cannot run; export with weights",
        *("check", bare_tiny),
    )
    assert_refused(bare_tiny.parent, r"tiny\.onnx: ", "check", bare_tiny, "--against", "unoptimised")


@pytest.mark.parametrize("tolerance", ["0", "-1", "nan"])
def test_a_tolerance_that_is_not_a_positive_number_is_refused(tolerance: str, tiny: Path) -> None:
    message = "not a positive number|not in the range"
    assert_refused(tiny.parent, message, "check", tiny, *TINY, "--tolerance", tolerance)


@pytest.mark.parametrize("name", ["x.gif", "x"])
def test_a_picture_of_an_unknown_kind_is_refused(name: str, tiny: Path, tmp_path: Path) -> None:
    message = r"cannot be drawn; choose one of \.svg, \.png, \.pdf, \.dot"
    assert_refused(tmp_path, message, "render", tiny, "--out", tmp_path / "new" / name)


def test_without_graphviz_a_picture_is_refused_and_its_source_is_still_written(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    outcome = onnxlens("render", tiny, "--out", tmp_path / "new" / "x.svg")
    assert (outcome.code, outcome.out) == (2, "")
    said = (
        r"onnxlens: Graphviz's dot is missing; install it \(apt-get install graphviz\); wrote .*new/x\.dot\n"
    )
    assert re.fullmatch(said, outcome.err)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["x.dot"]
    assert onnxlens("render", tiny, "--out", tmp_path / "y.dot").code == 0
    assert (tmp_path / "y.dot").read_text() == (tmp_path / "new" / "x.dot").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("bogus",), r"No such command 'bogus'\..*\(see 'onnxlens --help'\)"),
        (("--bogus",), r"No such option '?--bogus.*\(see 'onnxlens --help'\)"),
        (("export",), r"Missing argument 'TARGET'\. \(see 'onnxlens export --help'\)"),
        (("export", "hed"), r"Missing option '--out'\. \(see 'onnxlens export --help'\)"),
        (("profile", "hed", "--dpeth", "1"), r"No such option '?--dpeth.*--depth.*'onnxlens profile --help'"),
        (("profile", "hed", "--depth", "-1"), r"Invalid value for '--depth': -1 is not in the range"),
        (("profile", "hed", "--format", "xml"), r"'xml' is not one of 'table', 'json', 'csv', 'md'"),
        (
            ("profile", "hed", "--by", "layer"),
            r"--by 'layer' tells nothing apart; there are module, op, node, class, family",
        ),
        (("profile", "hed", "clip-text"), r"unexpected extra argument"),
        (("bench", "hed", "--runs", "0"), r"Invalid value for '--runs': 0 is not in the range"),
        (("bench", "hed", "--threads", "0"), r"Invalid value for '--threads': 0 is not in the range"),
        (("bench", "hed", "--level", "fast"), r"'fast' is not one of 'disabled', 'basic', 'extended', 'all'"),
        (("bench", "hed", "--provider", "npu"), r"'npu' is not one of 'cpu', 'cuda', 'tensorrt'"),
        (("bench", "hed", "--weights", "none"), r"hed: cannot run without weights; choose seeded ones"),
        (("check", "hed", "--against", "keras"), r"'keras' is not one of 'pytorch', 'unoptimised'"),
    ],
)
def test_a_wrong_command_line_is_refused_with_the_page_that_helps(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    assert_refused(tmp_path, message, *arguments)


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine may have a CUDA device")
@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_provider_without_its_device_is_one_line_whatever_onnx_runtime_prints(
    provider: str, tiny: Path
) -> None:
    outcome = onnxlens_process("bench", tiny, "--provider", provider)
    assert (outcome.code, outcome.out) == (2, "")
    assert re.fullmatch(f"onnxlens: provider '{provider}' is not available: [^\\n]+\\n", outcome.err)
