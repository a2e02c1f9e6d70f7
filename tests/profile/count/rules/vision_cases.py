"""Expected counts of operators on regions, grids, signals and random numbers, by hand."""

from __future__ import annotations

from tests.profile.count.rules.nodes import Case, case

REGIONS: tuple[Case, ...] = (
    # 2 images x 4x5 positions: a row of 3 into the 2 columns of each matrix; in space 4 into 3
    case("AffineGrid", [(2, 2, 3), (4,)], [(2, 4, 5, 2)], macs=2 * 20 * 2 * 3),
    case("AffineGrid", [(2, 3, 4), (5,)], [(2, 6, 4, 5, 3)], macs=2 * 120 * 3 * 4),
    # 2 for each of 40 positions x 2 coordinates; 2 x 3 x 20 results of 4 taps, of 16 or of one
    case("GridSample", [(2, 3, 8, 9), (2, 4, 5, 2)], [(2, 3, 4, 5)], vector=2 * 80 + (4 + 3) * 120),
    case("GridSample", [(2, 3, 8, 9), (2, 4, 5, 2)], [(2, 3, 4, 5)], mode="bilinear", vector=160 + 7 * 120),
    case("GridSample", [(2, 3, 8, 9), (2, 4, 5, 2)], [(2, 3, 4, 5)], mode="bicubic", vector=160 + 31 * 120),
    case("GridSample", [(2, 3, 8, 9), (2, 4, 5, 2)], [(2, 3, 4, 5)], mode="nearest", vector=160),
    # in space 8 taps: 2 x 3 coordinates x 6 positions
    case("GridSample", [(1, 3, 4, 4, 4), (1, 1, 2, 3, 3)], [(1, 3, 1, 2, 3)], vector=2 * 18 + (8 + 7) * 18),
    # 10 channels x 30 positions x (6 / 2 channels x 6 taps); 6 channels x 6 taps x 30 sampled from 4 pixels;
    # 2 x 6 offsets for each of 30
    case(
        "DeformConv", [(1, 6, 7, 7), (10, 3, 3, 2), (1, 12, 5, 6)], [(1, 10, 5, 6)], group=2,
        macs=10 * 30 * 18, vector=7 * 6 * 6 * 30 + 12 * 30,
    ),
    # a bias: one for each of 2 x 300 results; a mask: one for each sampled value
    case(
        "DeformConv", [(2, 6, 7, 7), (10, 3, 3, 2), (2, 12, 5, 6), (10,)], [(2, 10, 5, 6)], group=2,
        macs=2 * 5400, vector=2 * (7 * 1080 + 360 + 300),
    ),
    case(
        "DeformConv", [(1, 6, 7, 7), (10, 3, 3, 2), (1, 12, 5, 6), None, (1, 6, 5, 6)], [(1, 10, 5, 6)],
        group=2, macs=5400, vector=(7 + 1) * 1080 + 360,
    ),
    # over a sequence 2 taps: 3 channels x 3 taps x 5 positions
    case(
        "DeformConv", [(1, 3, 7), (4, 3, 3), (1, 3, 5)], [(1, 4, 5)],
        macs=4 * 5 * 9, vector=(2 + 1) * 45 + 15,
    ),
    # 2 x 2 samples of 7 + 1 for each of 3 regions x 5 channels x 4 bins
    case("RoiAlign", [(1, 5, 9, 7), (3, 4), (3,)], [(3, 5, 2, 2)], sampling_ratio=2, vector=8 * 4 * 60),
    # adaptive: at most ceil(9 / 2) x ceil(7 / 2) pixels to a bin
    case("RoiAlign", [(1, 5, 9, 7), (3, 4), (3,)], [(3, 5, 2, 2)], vector=8 * 5 * 4 * 60),
    # 3 regions of at most 5 x 9 x 7
    case("MaxRoiPool", [(2, 5, 9, 7), (3, 5)], [(3, 5, 2, 2)], vector=3 * 5 * 63),
    case("MaxUnpool", [(1, 2, 3, 3), (1, 2, 3, 3)], [(1, 2, 6, 6)]),
    # every column element is added: 2 x 3x2 taps x 20 positions
    case("Col2Im", [(1, 12, 20), (2,), (2,)], [(1, 2, 5, 6)], vector=240),
)  # fmt: skip

SUPPRESSIONS: tuple[Case, ...] = (
    # 2 images x 9 boxes, 3 classes. 7 for each of 18 boxes, 1 for each of 54 scores. 4 boxes are kept, so a
    # box meets at most 0, 1, 2, 3, 4, 4, 4, 4, 4 of them: 26 pairs for each of 6 images and classes, 13 each
    case("NonMaxSuppression", [(2, 9, 4), (2, 3, 9), ()], [("k", 3)], constants={2: 4},
         vector=7 * 18 + 54 + 13 * 26 * 6),
    # a threshold for the scores is one more for each
    case("NonMaxSuppression", [(2, 9, 4), (2, 3, 9), (), None, ()], [("k", 3)], constants={2: 4},
         vector=7 * 18 + 2 * 54 + 13 * 26 * 6),
    case("NonMaxSuppression", [(2, 9, 4), (2, 3, 9), (), ()], [("k", 3)], constants={2: 4},
         vector=7 * 18 + 54 + 13 * 26 * 6),
    # how many are kept is known at run time, or is more than there are: all 36 pairs; nothing said: none
    case("NonMaxSuppression", [(2, 9, 4), (2, 3, 9), ()], [("k", 3)], vector=7 * 18 + 54 + 13 * 36 * 6),
    case("NonMaxSuppression", [(2, 9, 4), (2, 3, 9), ()], [("k", 3)], constants={2: 100},
         vector=7 * 18 + 54 + 13 * 36 * 6),
    case("NonMaxSuppression", [(2, 9, 4), (2, 3, 9)], [("k", 3)], vector=7 * 18 + 54),
    case("NonMaxSuppression", [(2, 0, 4), (2, 3, 0), ()], [(0, 3)]),
)  # fmt: skip

SIGNALS: tuple[Case, ...] = (
    # 3 real signals of 16: half of 5 x 16 x 4; complex ones the whole of it
    case("DFT", [(3, 16, 1)], [(3, 16, 2)], version=20, vector=3 * 160),
    case("DFT", [(3, 16, 2)], [(3, 16, 2)], version=20, vector=3 * 320),
    # 17 needs 5 stages
    case("DFT", [(3, 17, 2)], [(3, 17, 2)], version=20, vector=3 * 425),
    case("DFT", [(3, 17, 1)], [(3, 17, 2)], version=20, vector=3 * 213),
    case("DFT", [(1, 1, 2)], [(1, 1, 2)], version=20),
    # padded to 32 or truncated: the result has the length; 8 signals along the first axis
    case("DFT", [(3, 16, 2), ()], [(3, 32, 2)], version=20, vector=3 * 5 * 32 * 5),
    case("DFT", [(3, 1, 2), ()], [(3, 16, 2)], version=20, vector=3 * 320),
    case("DFT", [(16, 4, 2, 2), None, ()], [(16, 4, 2, 2)], version=20, constants={2: 0}, vector=8 * 320),
    case("DFT", [(3, 16, 5, 2)], [(3, 16, 5, 2)], version=17, vector=15 * 320),
    case("DFT", [(16, 4, 2, 2)], [(16, 4, 2, 2)], version=19, axis=0, vector=8 * 320),
    case("DFT", [(3, 16, 0, 2)], [(3, 16, 0, 2)], version=20),
    # one-sided: 9 of 16 come out; its length is the input's, or is given
    case("DFT", [(3, 16, 1)], [(3, 9, 2)], version=20, onesided=1, vector=3 * 160),
    case("DFT", [(3, 16, 1), ()], [(3, 17, 2)], version=20, onesided=1, constants={1: 32}, vector=3 * 400),
    # the inverse divides: 3 x 16 results, x 2 where they are complex
    case("DFT", [(3, 16, 2)], [(3, 16, 2)], version=20, inverse=1, vector=3 * 320 + 96),
    case("DFT", [(3, 9, 2)], [(3, 16, 1)], version=20, inverse=1, onesided=1, vector=3 * 160 + 48),
    # 2 signals x 7 frames of 16; a window multiplies them first, each of 2 parts where they are complex
    case("STFT", [(2, 64, 1), (), None, ()], [(2, 7, 9, 2)], constants={3: 16}, vector=14 * 160),
    case("STFT", [(2, 64, 1), (), (16,)], [(2, 7, 9, 2)], vector=14 * (160 + 16)),
    case("STFT", [(2, 64, 2), (), (16,), ()], [(2, 7, 16, 2)], constants={3: 16}, onesided=0,
         vector=14 * (320 + 32)),
    # 7 and 2 cosines for each of 10; 5 once
    *(case(op_type, [()], [(10,)], vector=7 * 10 + 5, special=2 * 10)
      for op_type in ("HannWindow", "HammingWindow", "BlackmanWindow")),
    # 2 for each of 9 x 4 weights, 8 and a power for each of 6 borders, 8 and 2 logarithms once
    case("MelWeightMatrix", [(), (), (), (), ()], [(9, 4)], vector=2 * 36 + 8 * 6 + 8, special=6 + 2),
)  # fmt: skip

DRAWS: tuple[Case, ...] = (
    # a draw; multiplied and shifted unless it is to lie between 0 and 1
    *(case(op_type, [(4, 3)], [(4, 3)], vector=12) for op_type in ("RandomUniform", "RandomUniformLike")),
    case("RandomUniform", [], [(4, 3)], low=0.0, high=1.0, vector=12),
    case("RandomUniform", [], [(4, 3)], low=-1.0, vector=3 * 12),
    case("RandomUniform", [], [(4, 3)], high=2.0, vector=3 * 12),
    # a draw, two multiplies, and half of a pair's logarithm, root, sine and cosine
    *(case(op_type, [(4, 3)], [(4, 3)], vector=3 * 12, special=2 * 12)
      for op_type in ("RandomNormal", "RandomNormalLike")),
    case("RandomNormal", [], [(4, 3)], mean=0.0, scale=1.0, vector=3 * 12, special=2 * 12),
    case("RandomNormal", [], [(4, 3)], mean=1.0, vector=5 * 12, special=2 * 12),
    case("RandomNormal", [], [(4, 3)], scale=0.5, vector=5 * 12, special=2 * 12),
    case("Bernoulli", [(4, 3)], [(4, 3)], vector=2 * 12),
    # softmax and running sum of 2 x 5; 2 x 7 samples: a draw and 5 compares
    case("Multinomial", [(2, 5)], [(2, 7)], sample_size=7, vector=5 * 10 + 6 * 14, special=10),
)  # fmt: skip

VISION_CASES = REGIONS + SUPPRESSIONS + SIGNALS + DRAWS
