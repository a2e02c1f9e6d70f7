from __future__ import annotations

from pathlib import Path

import pytest

from onnxlens.errors import UsageError
from onnxlens.profile.flow.group_file import read_groups
from onnxlens.specs.flow import Group

TEXT = """
[[group]]
name = "Encoder"
modules = ["blocks.0..2"]
closed = true

[[group]]
name = "Decoder"
[[group.group]]
name = "Attention"
modules = ["blocks.3.attn", "blocks.4.attn"]
"""


def written(folder: Path, text: str, name: str = "groups.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_groups_are_read_as_written(tmp_path: Path) -> None:
    assert read_groups(written(tmp_path, TEXT)) == (
        Group("Encoder", ("blocks.0..2",), (), closed=True),
        Group("Decoder", (), (Group("Attention", ("blocks.3.attn", "blocks.4.attn")),)),
    )


def test_an_included_file_is_next_to_it_and_its_modules_are_prefixed(tmp_path: Path) -> None:
    written(tmp_path, TEXT, "part.toml")
    text = (
        '[[include]]\nfile = "part.toml"\nwithin = "net.unet"\n[[group]]\nname = "Stem"\nmodules = ["stem"]'
    )
    groups = read_groups(written(tmp_path, text))
    assert [group.name for group in groups] == ["Encoder", "Decoder", "Stem"]
    assert groups[0].modules == ("net.unet.blocks.0..2",)
    assert groups[1].groups[0].modules == ("net.unet.blocks.3.attn", "net.unet.blocks.4.attn")
    assert groups[2].modules == ("stem",)
    plain = read_groups(written(tmp_path, '[[include]]\nfile = "part.toml"'))
    assert plain == read_groups(tmp_path / "part.toml")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "groups.toml: holds no group; start one with [[group]]"),
        ("[[group]", "is not TOML"),
        (f"group = {'[' * 20_000}", "is not TOML: maximum recursion"),
        ("[[groups]]\nname = 'A'", "groups.toml: unknown key 'groups': did you mean 'group'? the keys are"),
        ("group = 3", "groups.toml: 'group' is not a list of tables; start each with [[group]]"),
        ("[[group]]\nmodules = ['a']", "groups.toml: a group's name is None; expected a text"),
        ("[[group]]\nname = ' '\nmodules = ['a']", "a group's name is ' '"),
        ("[[group]]\nname = 'A'", "group 'A': holds nothing; give it modules, or groups of its own"),
        ("[[group]]\nname = 'A'\nmodules = 'a'", "group 'A': modules is 'a'; expected a list of paths"),
        ("[[group]]\nname = 'A'\nmodules = [1]", "group 'A': modules is [1]; expected a list of paths"),
        (
            "[[group]]\nname = 'A'\nmodule = ['a']",
            "group 'A': unknown key 'module': did you mean 'modules'? the keys are name, modules, ",
        ),
        ("[[group]]\nname = 'A'\nmodules = ['a']\nclosed = 1", "closed is 1; expected true or false"),
        (
            "[[group]]\nname = 'A'\nmodules = ['a']\n[[group]]\nname = 'A'\nmodules = ['b']",
            "two groups are named 'A'; give each its own name",
        ),
        ("[[include]]\nfile = 3", 'include takes a text: file = "other.toml"'),
        ("[[include]]\nfiles = 'x'", "include: unknown key 'files': did you mean 'file'?"),
        ("[[include]]\nfile = 'absent.toml'", "absent.toml: cannot be read (No such file or directory)"),
    ],
)
def test_a_malformed_file_is_an_error_of_one_line(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_groups(written(tmp_path, text))
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_included_file_includes_no_other(tmp_path: Path) -> None:
    text = '[[include]]\nfile = "groups.toml"'
    with pytest.raises(UsageError, match=r"groups\.toml: unknown key 'include': the keys are group"):
        read_groups(written(tmp_path, text))


def test_a_binary_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "groups.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"cannot be read \(it is not UTF-8\)"):
        read_groups(tmp_path / "groups.toml")
