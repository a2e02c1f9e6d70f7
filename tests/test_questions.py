"""docs/questions.md: its answers are what the tool prints."""

from __future__ import annotations

from pathlib import Path

import pytest

import questions

PAGE = questions.PAGE.read_text(encoding="utf-8")

LONG = "title\n\nname  size\n----  ----\n{rows}----  ----\nsum   99\n\nnotes\n"


def test_a_table_stands_alone_and_a_long_one_is_cut() -> None:
    rows = [f"r{index}    {index}   \n" for index in range(questions.MOST_ROWS + 1)]
    head, tail = "name  size\n----  ----\n", "----  ----\nsum   99\n"
    assert (
        questions.answer(LONG.format(rows="".join(rows[1:])))
        == head + "".join(f"r{index}    {index}\n" for index in range(1, questions.MOST_ROWS + 1)) + tail
    )
    shown = "".join(f"r{index}    {index}\n" for index in range(questions.SHOWN_ROWS))
    assert questions.answer(LONG.format(rows="".join(rows))) == f"{head}{shown}...\n{tail}"
    assert questions.answer("no table\n") == "no table\n"


def test_an_answer_is_replaced_and_a_measured_one_is_not_compared(tmp_path: Path) -> None:
    part = "## 1. Who?\n\n```python\n# it.py\nprint(6)\n```\n\n```console{kind}\n$ python it.py\n5\n```\n"
    for kind, compared in (("", False), (" measured", True)):
        old = part.replace("{kind}", kind)
        new = questions.renewed(old, tmp_path)
        assert new == old.replace("\n5\n", "\n6\n")
        assert (questions.comparable(new) == questions.comparable(old)) is compared


def test_every_question_has_an_answer() -> None:
    asked = questions.questions(PAGE)[1:]
    assert len(asked) >= 20
    for part in asked:
        answers = list(questions.ANSWER.finditer(part))
        assert answers, part
        assert all(found["printed"].strip() for found in answers), part


@pytest.mark.slow
def test_every_answer_is_what_the_tool_prints() -> None:
    assert questions.main(["--check"]) == 0
