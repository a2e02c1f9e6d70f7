"""The campaign for hours: ``python -m tests.campaign --hours 8 --seed 1 --jobs 2 --out FOLDER``.

Prints a table of the cases by their outcome, and the faults by their kind; exits with 1 where there are any.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.campaign.survival import survived
from tests.campaign.table import clusters, table, versions
from tests.campaign.tally import Campaign, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--cases", type=int, default=10**9, help="how many at most")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--out", type=Path, default=Path("campaign-out"), help="folder for failing inputs")
    parser.add_argument("--survival", action="store_true", help="also run the tests of kills and full disks")
    options = parser.parse_args()
    campaign = Campaign(options.seed, options.first, options.cases, options.jobs, options.hours * 3600)
    tally = run(campaign, options.out)
    print(f"{tally.cases} cases, seed {options.seed}, {tally.cpu_s:,.0f} s of processor time; {versions()}\n")
    print(table(tally))
    print(clusters(tally))
    if options.survival:
        print(survived())
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
