"""Every verb on hostile files: done or refused in one line, within 10 s and 1 GiB beyond an idle process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.campaign.hostile import TEXTS, VERBS
from tests.campaign.tally import ROOT
from tests.campaign.worker import environment


@pytest.mark.slow
def test_hostile_files_are_done_or_refused_within_limits(tmp_path: Path) -> None:
    run = [sys.executable, "-m", "tests.campaign.hostile", str(tmp_path)]
    done = subprocess.run(run, cwd=ROOT, env=environment(0), capture_output=True, check=True, text=True)
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) > len(TEXTS) * len(VERBS)
    assert [result for result in results if result["outcome"] not in ("ok", "refused")] == []
