"""Expected operations of the elementwise and transcendental operators, by hand."""

from __future__ import annotations

from tests.profile.count.rules.nodes import Case, case

ONE_VECTOR = (
    "Add Sub Mul Div Mod Neg Abs Sign Reciprocal Floor Ceil Round Equal Greater GreaterOrEqual Less "
    "LessOrEqual IsNaN IsInf And Or Xor Not BitShift BitwiseAnd BitwiseOr BitwiseXor BitwiseNot Where Relu"
).split()
ONE_SPECIAL = (
    "Exp Log Sqrt Pow Erf Sigmoid Sin Cos Tan Asin Acos Atan Sinh Cosh Tanh Asinh Acosh Atanh"
).split()
COMPUTES_NOTHING = (
    "Reshape Squeeze Unsqueeze Flatten Identity BitCast Shape Size Constant ConstantOfShape EyeLike "
    "OneHot Cast CastLike Concat Split Slice Pad CenterCropPad Expand Tile Transpose Trilu DepthToSpace "
    "SpaceToDepth ReverseSequence Gather GatherElements GatherND Compress Scatter TensorScatter "
    "Dropout ScatterElements ScatterND If Loop Scan SequenceMap"
).split()

ELEMENTWISE: tuple[Case, ...] = (
    # (4, 1) with (3,) broadcasts to 12 elements
    *(case(op_type, [(4, 1), (3,)], [(4, 3)], vector=12) for op_type in ONE_VECTOR),
    *(case(op_type, [(4, 1), (3,)], [(4, 3)], special=12) for op_type in ONE_SPECIAL),
    case("ThresholdedRelu", [(5, 2)], [(5, 2)], vector=2 * 10),
    case("LeakyRelu", [(5, 2)], [(5, 2)], vector=3 * 10),
    case("PRelu", [(5, 2), (2,)], [(5, 2)], vector=3 * 10),
    case("Softsign", [(5, 2)], [(5, 2)], vector=3 * 10),
    case("HardSigmoid", [(5, 2)], [(5, 2)], vector=4 * 10),
    case("HardSwish", [(5, 2)], [(5, 2)], vector=5 * 10),
    case("Shrink", [(5, 2)], [(5, 2)], vector=6 * 10),
    case("Elu", [(5, 2)], [(5, 2)], vector=4 * 10, special=10),
    case("Celu", [(5, 2)], [(5, 2)], vector=6 * 10, special=10),
    case("Selu", [(5, 2)], [(5, 2)], vector=6 * 10, special=10),
    case("Softplus", [(5, 2)], [(5, 2)], vector=10, special=2 * 10),
    case("Mish", [(5, 2)], [(5, 2)], vector=2 * 10, special=3 * 10),
    case("Swish", [(5, 2)], [(5, 2)], vector=2 * 10, special=10),
    case("SwiGLU", [(5, 2), (5, 2)], [(5, 2)], vector=3 * 10, special=10),
    case("Gelu", [(5, 2)], [(5, 2)], vector=4 * 10, special=10),
    case("Gelu", [(5, 2)], [(5, 2)], approximate="tanh", vector=6 * 10, special=2 * 10),
    # a compare and a select for each bound, wherever it is given
    case("Clip", [(5, 2)], [(5, 2)]),
    case("Clip", [(5, 2), ()], [(5, 2)], vector=2 * 10),
    case("Clip", [(5, 2), None, ()], [(5, 2)], vector=2 * 10),
    case("Clip", [(5, 2), (), ()], [(5, 2)], vector=4 * 10),
    case("Clip", [(5, 2)], [(5, 2)], version=6, min=0.0, max=6.0, vector=4 * 10),
    # three inputs are joined by two operations; a mean divides once more
    case("Sum", [(4, 1), (3,), (4, 3)], [(4, 3)], vector=2 * 12),
    case("Max", [(4, 1), (3,), (4, 3)], [(4, 3)], vector=2 * 12),
    case("Min", [(4, 1), (3,)], [(4, 3)], vector=12),
    case("Mean", [(4, 1), (3,), (4, 3)], [(4, 3)], vector=3 * 12),
)

NORMALIZATIONS: tuple[Case, ...] = (
    case("Softmax", [(2, 3, 5)], [(2, 3, 5)], vector=4 * 30, special=30),
    case("Hardmax", [(2, 3, 5)], [(2, 3, 5)], vector=30),
    # rows along the last axis: 6; along the middle one: 10; before opset 13 all from axis 1 on: 2
    case("LogSoftmax", [(2, 3, 5)], [(2, 3, 5)], vector=4 * 30, special=30 + 6),
    case("LogSoftmax", [(2, 3, 5)], [(2, 3, 5)], axis=1, vector=4 * 30, special=30 + 10),
    case("LogSoftmax", [(2, 3, 5)], [(2, 3, 5)], axis=-2, version=13, vector=4 * 30, special=30 + 10),
    case("LogSoftmax", [(2, 3, 5)], [(2, 3, 5)], version=12, vector=4 * 30, special=30 + 2),
    case("LogSoftmax", [(2, 3, 5)], [(2, 3, 5)], version=12, axis=2, vector=4 * 30, special=30 + 6),
    # 5 + scale + bias for each of 60 elements; 3 + a root for each of 12 rows
    case("LayerNormalization", [(4, 3, 5), (5,), (5,)], [(4, 3, 5)], vector=7 * 60 + 3 * 12, special=12),
    case("LayerNormalization", [(4, 3, 5), (5,)], [(4, 3, 5)], vector=6 * 60 + 3 * 12, special=12),
    case("LayerNormalization", [(4, 3, 5), (3, 5)], [(4, 3, 5)], axis=1, vector=6 * 60 + 3 * 4, special=4),
    # the inverse deviation as third output: one reciprocal for each of 4 rows; None is no output
    case("LayerNormalization", [(4, 3, 5), (3, 5)], [(4, 3, 5), (4, 1, 1), (4, 1, 1)], axis=1,
         vector=6 * 60 + 4 * 4, special=4),
    case("LayerNormalization", [(4, 3, 5), (3, 5)], [(4, 3, 5), (4, 1, 1), None], axis=1,
         vector=6 * 60 + 3 * 4, special=4),
    case("LayerNormalization", [(4, 3, 5), (3, 5)], [(4, 3, 5), (4, 1, 1)], axis=1,
         vector=6 * 60 + 3 * 4, special=4),
    case("RMSNormalization", [(4, 3, 5), (5,)], [(4, 3, 5)], vector=4 * 60 + 12, special=12),
    case("RMSNormalization", [(4, 3, 5), (3, 5)], [(4, 3, 5)], axis=1, vector=4 * 60 + 4, special=4),
    # 7 for each of 2 x 6 x 20 elements; 3 + a root for each of 2 x 3 groups, or 2 x 6 channels
    case("GroupNormalization", [(2, 6, 4, 5), (6,), (6,)], [(2, 6, 4, 5)], num_groups=3, version=21,
         vector=7 * 240 + 3 * 6, special=6),
    case("InstanceNormalization", [(2, 6, 4, 5), (6,), (6,)], [(2, 6, 4, 5)],
         vector=7 * 240 + 3 * 12, special=12),
    # 4 for each element; the deviation of 6 channels is constant-folded, or computed at run time
    case("BatchNormalization", [(2, 6, 4, 5), (6,), (6,), (6,), (6,)], [(2, 6, 4, 5)], weights={1, 2, 3, 4},
         vector=4 * 240),
    case("BatchNormalization", [(2, 6, 4, 5), (6,), (6,), (6,), (6,)], [(2, 6, 4, 5)],
         vector=4 * 240 + 6, special=6),
    case("BatchNormalization", [(2, 6, 4, 5), (6,), (6,), (6,), (6,)], [(2, 6, 4, 5)], weights={1, 2, 3},
         vector=4 * 240 + 6, special=6),
    # training: 7 for each element; per channel a root, an add, and 2 x 3 for the running statistics
    *(
        case("BatchNormalization", [(2, 6, 4, 5), (6,), (6,), (6,), (6,)], outputs, weights={1, 2, 3, 4},
             vector=7 * 240 + 7 * 6, special=6, **mode)
        for outputs, mode in (
            ([(2, 6, 4, 5), (6,), (6,)], {"training_mode": 1, "version": 14}),
            ([(2, 6, 4, 5), (6,), (6,)], {"version": 13}),
            ([(2, 6, 4, 5), None, (6,)], {"version": 9}),
            ([(2, 6, 4, 5), (6,)], {"version": 7}),
            ([(2, 6, 4, 5)], {"version": 6}),
            ([(2, 6, 4, 5)], {"is_test": 0, "version": 1}),
        )
    ),
    *(
        case("BatchNormalization", [(2, 6, 4, 5), (6,), (6,), (6,), (6,)], outputs, weights={1, 2, 3, 4},
             vector=4 * 240, **mode)
        for outputs, mode in (
            ([(2, 6, 4, 5), (6,), (6,)], {"version": 14}),
            ([(2, 6, 4, 5), None, None], {"training_mode": 1, "version": 13}),
            ([(2, 6, 4, 5)], {"version": 7}),
            ([(2, 6, 4, 5), (6,), (6,)], {"is_test": 1, "version": 6}),
        )
    ),
    # a power and 4 for each of 240; 2 and 2 for each of 6 channels, or of 2 x 6 x 4 rows
    case("MeanVarianceNormalization", [(2, 6, 4, 5)], [(2, 6, 4, 5)],
         vector=4 * 240 + 2 * 6, special=240 + 2 * 6),
    case("MeanVarianceNormalization", [(2, 6, 4, 5)], [(2, 6, 4, 5)], axes=(-1,),
         vector=4 * 240 + 2 * 48, special=240 + 2 * 48),
    case("LpNormalization", [(2, 3, 5)], [(2, 3, 5)], vector=3 * 30, special=6),
    case("LpNormalization", [(2, 3, 5)], [(2, 3, 5)], axis=1, vector=3 * 30, special=10),
    case("LpNormalization", [(2, 3, 5)], [(2, 3, 5)], p=1, vector=3 * 30),
    # square, 5 adds of the window, mul, add, div; a power
    case("LRN", [(2, 6, 4, 5)], [(2, 6, 4, 5)], size=5, vector=9 * 240, special=240),
)  # fmt: skip

REDUCTIONS: tuple[Case, ...] = (
    *(case(op_type, [(2, 3, 5), (1,)], [(2, 3, 1)], vector=30)
      for op_type in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd")),
    case("ReduceL1", [(2, 3, 5), (1,)], [(2, 3, 1)], vector=2 * 30),
    case("ReduceL2", [(2, 3, 5), (1,)], [(2, 3, 1)], vector=2 * 30, special=6),
    case("ReduceSumSquare", [(2, 3, 5), (1,)], [(2, 3, 1)], vector=2 * 30),
    case("ReduceLogSum", [(2, 3, 5), (1,)], [(2, 3, 1)], vector=30, special=6),
    case("ReduceLogSumExp", [(2, 3, 5), (1,)], [(2, 3, 1)], vector=30, special=30 + 6),
    # a shape that nobody could infer for the result is not asked for
    case("ReduceSum", [(2, 3, 5), (1,)], [None], vector=30),
    # no axes means all of them; unless noop_with_empty_axes says that it means none
    case("ReduceSum", [(2, 3, 5)], [()], vector=30),
    case("ReduceSum", [(2, 3, 5)], [(2, 3, 5)], noop_with_empty_axes=1),
    case("ReduceSum", [(2, 3, 5), (0,)], [(2, 3, 5)], noop_with_empty_axes=1),
    case("ReduceSum", [(2, 3, 5), (1,)], [(2, 3, 1)], noop_with_empty_axes=1, vector=30),
    case("ReduceSum", [(2, 3, 5)], [(2, 3, 1)], noop_with_empty_axes=1, axes=(2,), vector=30),
    case("ReduceL2", [(2, 3, 5)], [(2, 3, 5)], noop_with_empty_axes=1, vector=30, special=30),
    *(case(op_type, [(2, 3, 5)], [(2, 3, 1)], vector=30)
      for op_type in ("ArgMax", "ArgMin", "TopK", "NonZero", "Unique")),
    *(case(op_type, [(2, 3, 5), ()], [(2, 3, 5)], vector=30) for op_type in ("CumSum", "CumProd")),
    # a 3x2 window over each of 2 x 6 x 2 x 4 results
    case("MaxPool", [(2, 6, 6, 8)], [(2, 6, 2, 4)], kernel_shape=(3, 2), strides=(3, 2), vector=6 * 96),
    case("AveragePool", [(2, 6, 6, 8)], [(2, 6, 2, 4)], kernel_shape=(3, 2), strides=(3, 2), vector=6 * 96),
    # abs and add for each element of a window; square, add, and a root of each; a power more
    case("LpPool", [(2, 6, 6, 8)], [(2, 6, 2, 4)], kernel_shape=(3, 2), p=1, vector=2 * 6 * 96),
    case("LpPool", [(2, 6, 6, 8)], [(2, 6, 2, 4)], kernel_shape=(3, 2), vector=2 * 6 * 96, special=96),
    case("LpPool", [(2, 6, 6, 8)], [(2, 6, 2, 4)], kernel_shape=(3, 2), p=2, vector=2 * 6 * 96, special=96),
    case("LpPool", [(2, 6, 6, 8)], [(2, 6, 2, 4)], kernel_shape=(3, 2), p=3, vector=2 * 6 * 96,
         special=6 * 96 + 96),
    case("GlobalLpPool", [(2, 6, 4, 5)], [(2, 6, 1, 1)], vector=2 * 240, special=12),
    case("GlobalMaxPool", [(2, 6, 4, 5)], [(2, 6, 1, 1)], vector=240),
    case("AveragePool", [(1, 1, 4)], [(1, 1, 1)], kernel_shape=(2**63 - 1,), vector=2**63 - 1),
    case("GlobalAveragePool", [(2, 6, 4, 5)], [(2, 6, 1, 1)], vector=240),
)  # fmt: skip

RESIZING: tuple[Case, ...] = (
    case("Resize", [(1, 3, 4, 5)], [(1, 3, 8, 10)]),
    case("Upsample", [(1, 3, 4, 5)], [(1, 3, 8, 10)], version=9, mode="nearest"),
    # 2 axes, linear: 4 multiplies and 3 adds; 1 axis: 2 and 1; cubic: 16 and 15
    case("Resize", [(1, 3, 4, 5)], [(1, 3, 8, 10)], mode="linear", vector=(4 + 3) * 240),
    case("Resize", [(1, 3, 4, 5)], [(1, 3, 4, 10)], mode="linear", vector=(2 + 1) * 120),
    case("Resize", [(1, 3, 4, 5)], [(1, 3, 8, 10)], mode="cubic", vector=(16 + 15) * 240),
    case("Upsample", [(1, 3, 4, 5)], [(1, 3, 8, 10)], version=9, mode="linear", vector=(4 + 3) * 240),
    case("Upsample", [(1, 3, 4, 5)], [(1, 3, 8, 10)], version=7, mode="bilinear", vector=(4 + 3) * 240),
    # nothing changes: a copy; growing with antialias: the filter keeps its width; shrinking without it too
    case("Resize", [(1, 3, 4, 5)], [(1, 3, 4, 5)], mode="linear"),
    case("Resize", [(1, 3, 4, 5)], [(1, 3, 8, 5)], mode="linear", antialias=1, vector=(2 + 1) * 120),
    case("Resize", [(1, 3, 4, 5)], [(1, 3, 2, 5)], mode="linear", vector=(2 + 1) * 30),
    # antialias, by 3: a filter of 1 on either side covers 2 x 3, and of 2 on either side 2 x 6
    case("Resize", [(1, 3, 6, 5)], [(1, 3, 2, 5)], mode="linear", antialias=1, vector=(6 + 5) * 30),
    case("Resize", [(1, 3, 6, 5)], [(1, 3, 2, 5)], mode="cubic", antialias=1, vector=(12 + 11) * 30),
    # by 4 / 3: 2 x 2 taps; and 2 x ceil(8 / 3)
    case("Resize", [(1, 3, 4)], [(1, 3, 3)], mode="linear", antialias=1, vector=(4 + 3) * 9),
    case("Resize", [(1, 3, 4)], [(1, 3, 3)], mode="cubic", antialias=1, vector=(6 + 5) * 9),
    # by 5: 2 x 5; growing, cubic keeps its 4
    case("Resize", [(1, 3, 5)], [(1, 3, 1)], mode="linear", antialias=1, vector=(10 + 9) * 3),
    case("Resize", [(1, 3, 5)], [(1, 3, 10)], mode="cubic", antialias=1, vector=(4 + 3) * 30),
    # one axis shrinks by 2, to 4 taps, the other grows, with 2
    case("Resize", [(1, 3, 4, 5)], [(1, 3, 2, 10)], mode="linear", antialias=1, vector=(8 + 7) * 60),
    case("Resize", [(1, 3, 4)], [(1, 3, 2)], antialias=1),
    case("Resize", [(1, 3, 4)], [(1, 3, 0)], mode="linear", antialias=1),
    # a scale says it more exactly than the sizes: 5 at 0.5 is 2, and shrinks by 2, not by 2.5
    case(
        "Resize",
        [(1, 3, 5), None, (3,)],
        [(1, 3, 2)],
        mode="linear",
        antialias=1,
        constants={2: [1.0, 1.0, 0.5]},
        vector=(4 + 3) * 6,
    ),
    case(
        "Resize",
        [(1, 3, 5), None, (1,)],
        [(1, 3, 2)],
        mode="linear",
        antialias=1,
        axes=(-1,),
        constants={2: [0.5]},
        vector=(4 + 3) * 6,
    ),
    # a scale for some axes only: the last goes by its sizes, from 5 to 2, and has 2 x 3 taps
    case(
        "Resize",
        [(1, 5, 5), None, (1,)],
        [(1, 2, 2)],
        mode="linear",
        antialias=1,
        axes=(1,),
        constants={2: [0.5]},
        vector=(24 + 23) * 4,
    ),
    # scales that are empty, or known at run time
    case(
        "Resize",
        [(1, 3, 5), None, (0,), (3,)],
        [(1, 3, 2)],
        mode="linear",
        antialias=1,
        constants={2: []},
        vector=(6 + 5) * 6,
    ),
    case("Resize", [(1, 3, 5), None, (3,)], [(1, 3, 2)], mode="linear", antialias=1, vector=(6 + 5) * 6),
)

QUANTIZATION: tuple[Case, ...] = (
    # divide, round, two compares; a zero point is one add more
    case("QuantizeLinear", [(4, 3), ()], [(4, 3)], vector=4 * 12),
    case("QuantizeLinear", [(4, 3), (), ()], [(4, 3)], vector=5 * 12),
    case("DequantizeLinear", [(4, 3), ()], [(4, 3)], vector=12),
    case("DequantizeLinear", [(4, 3), (), ()], [(4, 3)], vector=2 * 12),
    # minimum, maximum and quantizing for each element; 11 on single numbers
    case("DynamicQuantizeLinear", [(4, 3)], [(4, 3), (), ()], vector=(2 + 5) * 12 + 11),
)

MOVEMENT: tuple[Case, ...] = (
    *(case(op_type, [(4, 3), (3,), (3,)], [(4, 3)], constants={2: False}) for op_type in COMPUTES_NOTHING),
    case("Dropout", [(4, 3)], [(4, 3)]),
    case("Dropout", [(4, 3), ()], [(4, 3)]),
    # in training, or perhaps: draw, compare, mask and scale for each of 12
    case("Dropout", [(4, 3), (), ()], [(4, 3)], constants={2: True}, vector=4 * 12),
    case("Dropout", [(4, 3), (), ()], [(4, 3)], vector=4 * 12),
    case("Dropout", [(4, 3)], [(4, 3)], version=6, vector=4 * 12),
    case("Dropout", [(4, 3)], [(4, 3)], version=6, is_test=0, vector=4 * 12),
    case("Dropout", [(4, 3)], [(4, 3)], version=6, is_test=1),
    case("Dropout", [(4, 3)], [(4, 3)], version=7),
    case("Range", [(), (), ()], [(9,)], vector=9),
    # updates that are joined to the data: one operation each
    case("ScatterElements", [(4, 3), (2, 3), (2, 3)], [(4, 3)], reduction="add", vector=6),
    case("ScatterND", [(4, 3), (2, 1), (2, 3)], [(4, 3)], reduction="max", vector=6),
    case("ScatterND", [(4, 3), (2, 1), (2, 3)], [(4, 3)], reduction="none"),
)

ELEMENTWISE_CASES = ELEMENTWISE + NORMALIZATIONS + REDUCTIONS + RESIZING + QUANTIZATION + MOVEMENT
