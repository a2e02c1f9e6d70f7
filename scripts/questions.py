"""Run the commands of docs/questions.md again: what they print replaces what stands below them there.

python scripts/questions.py [--check] [WORD]: only the questions that contain WORD; with --check nothing is
written, and the exit code is 1 if an answer is stale.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

PAGE = Path(__file__).parent.parent / "docs" / "questions.md"

ANSWER = re.compile(
    r"^```console(?P<measured> measured)?\n\$ (?P<command>.*)\n(?P<printed>(?:.*\n)*?)```$", re.MULTILINE
)
FILE = re.compile(r"^```python\n# (?P<name>\w+\.py)\n(?P<text>(?:.*\n)*?)```$", re.MULTILINE)
RULE = re.compile(r"-{2,}(  -{2,})*")
"""The line below a table's heads, and above its sums."""

MOST_ROWS, SHOWN_ROWS = 12, 5
"""Of a table with more rows than this, so many are shown."""


def questions(page: str) -> list[str]:
    """The page, cut before each heading."""
    return re.split(r"(?m)^(?=## )", page)


def answer(printed: str) -> str:
    """What stands on the page: the tables, without most of a long one's rows, or all if there is none."""
    return "\n".join(filter(None, map(_table, printed.split("\n\n")))) or printed


def _table(paragraph: str) -> str:
    lines = paragraph.splitlines()
    rules = [index for index, line in enumerate(lines) if RULE.fullmatch(line)]
    if not rules:
        return ""
    first, last = rules[0] + 1, rules[1] if len(rules) > 1 else len(lines)
    if last - first > MOST_ROWS:
        lines[first + SHOWN_ROWS : last] = ["..."]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def answered(command: str, folder: Path) -> str:
    """What a command prints in this folder, as far as the page shows it.

    Raises:
        CalledProcessError: it fails.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | {"PATH": path}
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=environment,
        check=True,
        text=True,
        stdout=subprocess.PIPE,
    )
    return answer(done.stdout)


def renewed(part: str, folder: Path) -> str:
    """One question with the answers of now; its files are written into the folder first."""
    for file in FILE.finditer(part):
        (folder / file["name"]).write_text(file["text"], encoding="utf-8")

    def block(found: re.Match[str]) -> str:
        head = f"```console{found['measured'] or ''}\n$ {found['command']}\n"
        return f"{head}{answered(found['command'], folder)}```"

    return ANSWER.sub(block, part)


def comparable(part: str) -> str:
    """The question without the figures that a machine measured, which differ from run to run."""
    return ANSWER.sub(lambda found: found["command"] if found["measured"] else found[0], part)


def main(arguments: list[str]) -> int:
    """Renew the page, or compare it; the exit code."""
    words = [word for word in arguments if word != "--check"]
    parts = questions(PAGE.read_text(encoding="utf-8"))
    stale = []
    with TemporaryDirectory() as folder:
        for index, part in enumerate(parts):
            if all(word in part for word in words):
                parts[index] = renewed(part, Path(folder))
                if comparable(parts[index]) != comparable(part):
                    stale.append(part.splitlines()[0])
    if "--check" not in arguments:
        PAGE.write_text("".join(parts), encoding="utf-8")
        return 0
    print("\n".join(f"stale: {title}" for title in stale) or "every answer is what the tool prints")
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
