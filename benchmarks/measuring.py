"""Whole processes, measured: wall time, processor time, and the most memory they held."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from tempfile import TemporaryFile
from threading import Timer
from time import perf_counter
from typing import IO


@dataclass(frozen=True)
class Sample:
    """One process from start to end."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


@dataclass(frozen=True)
class Contender:
    """A command to measure.

    Attributes:
        limit_s: ends it, and then it is not run again.
        once: too slow to be repeated: its first run, with empty caches, is the one that is measured.
    """

    title: str
    command: Sequence[str]
    limit_s: float = 300.0
    once: bool = False


@dataclass(frozen=True)
class Result:
    """The measurements of a contender; no samples where it did not end in time.

    Attributes:
        failure: why there is none.
    """

    title: str
    samples: tuple[Sample, ...]
    failure: str = ""

    @property
    def wall_s(self) -> float:
        """The median."""
        return median(sample.wall_s for sample in self.samples)

    @property
    def cpu_s(self) -> float:
        """The median of user and system time together."""
        return median(sample.cpu_s for sample in self.samples)

    @property
    def peak_bytes(self) -> float:
        """The median of the peaks."""
        return median(sample.peak_bytes for sample in self.samples)


class Unfinished(Exception):
    """The process failed, or was ended at its limit."""


def measure(contenders: Sequence[Contender], runs: int, environment: Mapping[str, str]) -> list[Result]:
    """Run every contender once unmeasured, which fills the caches, and then in turn, ``runs`` times."""
    failures: dict[str, str] = {}
    samples: dict[str, list[Sample]] = {contender.title: [] for contender in contenders}
    for turn in range(runs + 1):
        for contender in contenders:
            if contender.title in failures or (contender.once and turn):
                continue
            try:
                sample = run_once(contender, environment)
            except Unfinished as reason:
                failures[contender.title] = str(reason)
                continue
            print(f"  {turn}/{runs} {contender.title}: {sample.wall_s:.2f} s", file=sys.stderr)
            if turn or contender.once:
                samples[contender.title].append(sample)
    return [Result(title, tuple(taken), failures.get(title, "")) for title, taken in samples.items()]


def run_once(
    contender: Contender, environment: Mapping[str, str], output: int | IO[bytes] = subprocess.DEVNULL
) -> Sample:
    """Run the command and wait for it; what it prints goes to ``output``.

    The peak that the system keeps for a new process starts at its parent's: this one must stay small, and
    imports nothing large.

    Raises:
        Unfinished: it failed, or ran into its limit.
    """
    with TemporaryFile() as complaints:
        start = perf_counter()
        process = subprocess.Popen(contender.command, stdout=output, stderr=complaints, env=dict(environment))
        timer = Timer(contender.limit_s, process.kill)
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = perf_counter() - start
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode == -signal.SIGKILL and wall_s >= contender.limit_s:
            raise Unfinished(f"not done after {contender.limit_s:.0f} s")
        if process.returncode:
            complaints.seek(0)
            lines = complaints.read().decode(errors="replace").strip().splitlines()
            raise Unfinished(f"exit code {process.returncode}: {lines[-1] if lines else 'it said nothing'}")
    return Sample(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)
