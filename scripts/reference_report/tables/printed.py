"""What the surveyed document prints, to the letter; the only figures here that nothing computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

UNKNOWN = "?"
NO_NETWORK = "/"


@dataclass(frozen=True, slots=True)
class PrintedAnnotator:
    """A row of the annotator table.

    Attributes:
        source: where in the document it stands.
        macs_g, params_m: in G and M, as printed; "" for a network that the table leaves out.
        graph: the same network in the catalog; "" where there is none.
    """

    source: str
    scenario: str
    model: str
    input: str
    output: str
    macs_g: str
    params_m: str
    graph: str


@dataclass(frozen=True, slots=True)
class PrintedScenario:
    """A row of the scenario table."""

    scenario: str
    audience: str
    main_checkpoint: str
    annotator_checkpoints: str
    paper: str
    training_data: str
    gpu_hours: str
    graphs: tuple[str, ...] = ()


ANNOTATORS: Sequence[PrintedAnnotator] = (
    PrintedAnnotator("annotators, row 1", "canny edges", "none (algorithm)", "", "", "/", "/", ""),
    PrintedAnnotator(
        "annotators, row 2", "human pose", "body_pose_model",
        "(1, 3, 512, 512)", "(1, 19, 64, 64)", "263.13", "52.31", "openpose-body",
    ),
    PrintedAnnotator(
        "annotators, row 3", "hand pose", "hand_pose_model",
        "(1, 3, 512, 512)", "(1, 22, 64, 64)", "199.74", "36.83", "openpose-hand",
    ),
    PrintedAnnotator(
        "annotators, row 4", "depth", "dpt_hybrid-midas-501f0c75",
        "(1, 3, 512, 512)", "(1, 3, 512, 512)", "?", "?", "midas-dpt-hybrid",
    ),
    PrintedAnnotator(
        "annotators, row 5", "straight lines", "mlsd_large_512_fp32",
        "(1, 4, 512, 512)", "(1, 16, 256, 256)", "25.72", "1.53", "mlsd-large",
    ),
    PrintedAnnotator("annotators, row 6", "scribble", "none", "", "", "/", "/", ""),
    PrintedAnnotator(
        "annotators, row 7", "soft edges", "ControlNetHED_Apache2",
        "(1, 3, 512, 512)", "(1, 1, 32, 32)", "80.21", "14.71", "hed",
    ),
    PrintedAnnotator("scenarios, row 2", "straight lines", "mlsd_tiny_512_fp32", "", "", "", "", "mlsd-tiny"),
    PrintedAnnotator("scenarios, row 3", "soft edges", "network-bsds500", "", "", "", "", "hed-bsds"),
)  # fmt: skip
"""The last two are named as checkpoints, but have no row in the annotator table."""

CONTROL_INPUTS = ("(2, 3, 512, 512)", "(2, 77, 768)", "(2, 4, 64, 64)", "(2,)")
CONTROL_FLOPS_G = "618.58"
CONTROL_PARAMS_M = "654.31"
CONTROL_OUTPUT = "(2, 1280, 8, 8)"
SD_FLOPS_G = "4335.24"
SD_PARAMS_M = "1066"
CONTROL_PART_PARAMS_M = "704"
BOTH_FLOPS_G = "5567.42"
BOTH_PARAMS_M = "1770"
"""The row of the ControlNet for one iteration, of the whole of SD, and of both together."""

SCENARIOS: Sequence[PrintedScenario] = (
    PrintedScenario(
        "canny, hard edges", "illustrators", "control_sd15_canny", "none", "",
        "3 M triples of edges, image and caption", "600",
    ),
    PrintedScenario(
        "straight lines", "architects", "control_sd15_mlsd", "mlsd_large_512_fp32, mlsd_tiny_512_fp32",
        "arXiv 2106.00186", "600 k pairs from Places2, captions by BLIP, started from canny", "150",
        ("mlsd-large", "mlsd-tiny"),
    ),
    PrintedScenario(
        "soft edges", "recolouring, styling", "control_sd15_hed", "network-bsds500 (v1.0), ControlNetHED",
        "arXiv 1504.06375", "3 M", "300", ("hed-bsds", "hed"),
    ),
    PrintedScenario(
        "scribble", "anyone", "control_sd15_scribble", "none", "", "500 k pairs, started from canny", "150"
    ),
    PrintedScenario(
        "human pose", "figures", "control_sd15_openpose", "body_pose_model, hand_pose_model",
        "arXiv 2103.02440, 1812.08008", "200 k", "300", ("openpose-body", "openpose-hand"),
    ),
    PrintedScenario(
        "depth", "game art", "control_sd15_depth", "dpt_hybrid-midas-501f0c75",
        "arXiv 1907.01341", "3 M", "500", ("midas-dpt-hybrid",),
    ),
)  # fmt: skip
