"""Runs cases: a process that has loaded everything once, and forks for each."""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnxlens
from tests.campaign.cases import Case, case_of
from tests.campaign.outcomes import FAULTS, Outcome, Run, classify, idle_bytes, run_forked
from tests.campaign.seeds import read

TWIN_EVERY = 20
"""Of so many cases one is run in two processes, whose hash seeds differ."""


@dataclass(frozen=True)
class Work:
    """What a worker does.

    Attributes:
        seed: of the campaign.
        job, jobs: this worker takes the numbers that leave ``job`` when divided by ``jobs``.
        first, last: the numbers of the campaign.
        until: the time, in seconds since the epoch, after which no case begins.
        seeds: the folder that ``seeds.prepare`` has filled.
        folder: where failing inputs are saved.
    """

    seed: int
    job: int
    jobs: int
    first: int
    last: int
    until: float
    seeds: str
    folder: str


class Worker:
    """Holds the seeds, and knows what an idle child takes."""

    def __init__(self, folder: Path) -> None:
        """Load all that a command line may load; a child then loads nothing."""
        for module in pkgutil.walk_packages(onnxlens.__path__, "onnxlens."):
            if ".workers." not in module.name:  # they run in the Python of another tool
                importlib.import_module(module.name)
        _add_to_catalog()
        self.seeds = read(folder)
        gc.collect()
        gc.freeze()  # a child's collector would copy the pages of all that was loaded here
        self.idle_bytes = idle_bytes()
        self._folder = Path(tempfile.mkdtemp(prefix="campaign-")) / "case"

    def close(self) -> None:
        """Remove the files of the last case."""
        shutil.rmtree(self._folder.parent)

    def run(self, case: Case) -> tuple[Run, Outcome]:
        """Run the case in a fresh folder."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        for name, data in case.files.items():
            (self._folder / name).write_bytes(data)
        run = run_forked(self._folder, case.arguments)
        outcome = classify(run, case.arguments, self._folder, self.idle_bytes)
        if (self._folder / "marker").exists():
            outcome = Outcome("exception", "a file ran code")
        return run, outcome


def _add_to_catalog() -> None:
    """Add the tiny network, so that checkpoints of some kilobytes can be read for a graph of the catalog."""
    from onnxlens.reference_model import catalog
    from tests.small_catalog import ENTRY

    catalog.ENTRIES = {**catalog.ENTRIES, "tiny": ENTRY}


def numbers(work: Work) -> Iterator[int]:
    """The numbers of this worker: its share, and of the next worker's share the twins."""
    for number in range(work.first, work.last):
        mine = number % work.jobs == work.job
        twin = (
            work.jobs > 1 and number // work.jobs % TWIN_EVERY == 0 and (number + 1) % work.jobs == work.job
        )
        if mine or twin:
            yield number


def results(work: Work) -> Iterator[Mapping[str, Any]]:
    """A line for each case: its number, kind, verb, outcome, what tells its fault, and its digest."""
    worker = Worker(Path(work.seeds))
    seen: Counter[str] = Counter()
    for number in numbers(work):
        if time.time() > work.until:
            break
        case = case_of(work.seed, number, worker.seeds)
        run, outcome = worker.run(case)
        yield {
            "number": number,
            "kind": case.kind,
            "verb": case.arguments[0],
            "source": case.source,
            "outcome": outcome.name,
            "key": outcome.key,
            "digest": run.digest if case.repeatable and run.code != -9 else "",
            "cpu_s": round(run.cpu_s, 2),
            "mib": run.peak_bytes - worker.idle_bytes >> 20,
            "arguments": case.arguments,
            "err": run.err[-1500:] if outcome.name in FAULTS else run.err[:300],
        }
        seen[outcome.key] += 1
        if outcome.name in FAULTS and seen[outcome.key] == 1:
            save(Path(work.folder) / "failing", f"{work.seed}-{number}", case, run, outcome, worker)
    worker.close()


def save(folder: Path, name: str, case: Case, run: Run, outcome: Outcome, worker: Worker) -> None:
    """Write the files of a failing case, the changed one as small as it can be made, and what it printed."""
    from tests.campaign.minimize import smaller

    def still_fails(data: bytes) -> bool:
        other = Case(case.kind, case.source, {**case.files, case.spoiled: data}, case.spoiled, case.arguments)
        return worker.run(other)[1] == outcome

    target = folder / name
    target.mkdir(parents=True, exist_ok=True)
    files = dict(case.files)
    if case.spoiled and not outcome.name.startswith("over"):
        files[case.spoiled] = smaller(case.spoiled, files[case.spoiled], still_fails)
    for file, data in files.items():
        (target / file).write_bytes(data)
    (target / "command.txt").write_text(
        f"{case.arguments}\n{case.kind} of {case.source}: {outcome.name}: {outcome.key}\n\n{run.err}"
    )


def main(text: str) -> None:
    """Do the work that the JSON describes, one JSON line for each case."""
    for result in results(Work(**json.loads(text))):
        print(json.dumps(result), flush=True)


def start(work: Work) -> list[str]:
    """The command line of the worker's process."""
    return [sys.executable, "-m", "tests.campaign.worker", json.dumps(asdict(work))]


def environment(job: int) -> dict[str, str]:
    """The process's environment: few threads, so that it can fork, and a hash seed of its own."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**os.environ, **one, "PYTHONHASHSEED": str(job + 1)}


if __name__ == "__main__":
    main(sys.argv[1])
