"""Tries modules with litert-torch, ai-edge-quantizer and Vela for the Ethos-U55: run by ``generate.py``.

In a Python with the three. Vela runs nothing, so numbers are not compared: what is accepted is on the NPU.
"""

import os
import re
from importlib.metadata import version

import litert_torch  # noqa: F401 - before the processes of cases, which then have it
import numpy as np
from ai_edge_quantizer import quantizer  # noqa: F401
from ethosu.vela import vela  # noqa: F401
from trying import Refused, apart, printed, try_all, worker

COMPILE = worker("ethos_u")

CHOSEN = {
    "accelerator": "ethos-u55-256",
    "system": "Ethos_U55_High_End_Embedded",
    "memory": "Shared_Sram",
}

REFUSED = re.compile(r"^Warning \(.*\) operator: (\w+),.*\nReason: (.+)", re.M)


@apart
def outputs_of(folder, case, inputs):
    """Nothing, where the NPU takes all."""
    np.savez("inputs.npz", **{str(at): array for at, array in enumerate(inputs.values())})
    steps = {
        "litert-torch": lambda _: COMPILE._converted({"program": folder / "module.pt2", "labels": {}}),
        "ai-edge-quantizer": COMPILE._quantized,
        "Vela": lambda path: COMPILE._compiled(path, CHOSEN),
    }
    made = None
    for tool, step in steps.items():
        try:
            made = step(made)
        except BaseException as error:
            raise Refused(f"{tool}: {type(error).__name__}: {' '.join(str(error).split())}") from error
    if left := REFUSED.findall(printed()):
        operator, why = next((each for each in left if "QUANTIZE" not in each[0]), left[0])
        raise Refused(f"Vela leaves {operator} to the processor: {why.strip()}")
    return {}


if __name__ == "__main__":
    try_all(outputs_of, version("ethos-u-vela"))
    os._exit(0)
