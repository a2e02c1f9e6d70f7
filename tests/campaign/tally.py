"""Runs a campaign in worker processes and gathers what became of its cases."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from tests.campaign.outcomes import FAULTS
from tests.campaign.seeds import prepare
from tests.campaign.worker import Work, environment, start

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Campaign:
    """Which cases are run: those of one seed, from a number on, until their number or the time ends."""

    seed: int
    first: int
    cases: int
    jobs: int
    seconds: float = 3600.0


@dataclass
class Tally:
    """What became of the cases, each counted once."""

    results: dict[int, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def cases(self) -> int:
        return len(self.results)

    @property
    def cpu_s(self) -> float:
        return sum(result["cpu_s"] for result in self.results.values())

    @property
    def faults(self) -> list[Mapping[str, Any]]:
        return [result for result in self.results.values() if result["outcome"] in FAULTS]

    def add(self, result: Mapping[str, Any]) -> None:
        """Count a result; the second of a number must be what the first was, under another hash seed."""
        first = self.results.setdefault(result["number"], result)
        if first["digest"] and result["digest"] and first["digest"] != result["digest"]:
            self.results[result["number"]] = {
                **first,
                "outcome": "nondeterministic",
                "key": " ".join(result["arguments"][::2][:2]),
            }


def run(campaign: Campaign, folder: Path) -> Tally:
    """Run it; the workers' lines are kept in ``folder`` too."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "seeds").is_dir():
        prepare(folder / "seeds")
    until = time.time() + campaign.seconds
    last = campaign.first + campaign.cases
    works = [
        Work(
            campaign.seed,
            job,
            campaign.jobs,
            campaign.first,
            last,
            until,
            str(folder.resolve() / "seeds"),
            str(folder.resolve() / f"job{job}"),
        )
        for job in range(campaign.jobs)
    ]
    tally = Tally()
    with ThreadPoolExecutor(len(works)) as pool:
        for result in chain.from_iterable(pool.map(lambda work: [*_lines(work)], works)):
            tally.add(result)
    return tally


def _lines(work: Work) -> Iterator[Mapping[str, Any]]:
    log = Path(work.folder).with_suffix(".jsonl")
    with subprocess.Popen(
        start(work), cwd=ROOT, env=environment(work.job), stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        with log.open("a", encoding="utf-8") as file:
            for line in worker.stdout:
                file.write(line)
                file.flush()
                yield json.loads(line)
    if worker.returncode:
        raise RuntimeError(f"a worker of the campaign ended with {worker.returncode}: {work}")
