"""What one run of a file takes: ``python -m tests.oracle FILE --dim N=2 --shape x=1,3 --value v=1``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

import onnx

from tests.oracle.inputs import feeds, sizes
from tests.oracle.interpreter import count


def main(arguments: Sequence[str]) -> None:
    """One JSON document: the total, each node's part, what ran in each branch, body and function."""
    path, *options = arguments
    model = onnx.load(path)
    given = feeds(model, sizes(options))
    counted = count(model, given)
    nodes = {name: asdict(ran) for name, ran in counted.nodes.items()}
    inputs = {name: {"shape": array.shape, "dtype": str(array.dtype)} for name, array in given.items()}
    print(json.dumps({"macs": counted.macs, "inputs": inputs, "bodies": counted.bodies, "nodes": nodes}))


if __name__ == "__main__":
    main(sys.argv[1:])
