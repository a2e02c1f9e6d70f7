"""What one run of a file takes: ``python -m tests.oracle FILE --dim N=2 --shape x=1,3 --value v=1``.

``--without-weights`` puts zeros for the tensors of a data file that is not there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from tests.oracle.inputs import feeds, load, sizes
from tests.oracle.interpreter import count
from tests.oracle.single import CannotRun

WITHOUT = "--without-weights"


def main(arguments: Sequence[str]) -> None:
    """One JSON document: the total, each node's part, what ran in each branch, body and function."""
    without_weights = WITHOUT in arguments
    path, *options = (argument for argument in arguments if argument != WITHOUT)
    model = load(path, without_weights)
    given = feeds(model, sizes(options))
    try:
        counted = count(model, given)
    except (CannotRun, NotImplementedError) as reason:
        raise SystemExit(f"{path}: {reason}") from reason
    nodes = {name: asdict(ran) for name, ran in counted.nodes.items()}
    inputs = {name: {"shape": array.shape, "dtype": str(array.dtype)} for name, array in given.items()}
    print(json.dumps({"macs": counted.macs, "inputs": inputs, "bodies": counted.bodies, "nodes": nodes}))


if __name__ == "__main__":
    main(sys.argv[1:])
