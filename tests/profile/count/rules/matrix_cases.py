"""Expected counts of matrix operators: the sizes of the loop nest written out, dimension by dimension."""

from __future__ import annotations

from tests.profile.count.rules.nodes import Case, case

CONVOLUTIONS: tuple[Case, ...] = (
    # 2 images x 10 channels x 9x9 positions, each a sum over 6/2 channels x 3x5 taps
    case("Conv", [(2, 6, 11, 13), (10, 3, 3, 5)], [(2, 10, 9, 9)], group=2, macs=2 * 10 * 81 * (3 * 15)),
    # depthwise, with a bias: one channel x 9 taps a sum; one add for each output element
    case(
        "Conv", [(1, 7, 8, 8), (7, 1, 3, 3), (7,)], [(1, 7, 8, 8)], group=7, pads=(1, 1, 1, 1),
        macs=7 * 64 * 9, vector=7 * 64,
    ),
    # stride 2 over a sequence: 12 positions, 5 channels x 3 taps each
    case("Conv", [(3, 5, 24), (4, 5, 3)], [(3, 4, 12)], strides=(2,), macs=3 * 4 * 12 * (5 * 3)),
    # 2 images x 6 channels x 5x7 positions, each multiplied into 4 of 8 channels x 3x2 taps
    case("ConvTranspose", [(2, 6, 5, 7), (6, 4, 3, 2)], [(2, 8, 11, 14)], group=2, macs=2 * 6 * 35 * (4 * 6)),
    case("ConvTranspose", [(1, 3, 4), (3, 5, 2), (5,)], [(1, 5, 8)], macs=3 * 4 * (5 * 2), vector=5 * 8),
    case("ConvInteger", [(2, 6, 11, 13), (10, 3, 3, 5)], [(2, 10, 9, 9)], group=2, macs=2 * 10 * 81 * 45),
    # both zero points given: one subtract for each of 3 x 16 inputs; the weights' is constant-folded
    case(
        "ConvInteger", [(1, 3, 4, 4), (5, 3, 1, 1), (), ()], [(1, 5, 4, 4)], weights={1, 3},
        macs=5 * 16 * 3, vector=3 * 16,
    ),
    case(
        "ConvInteger", [(1, 3, 4, 4), (5, 3, 1, 1), ()], [(1, 5, 4, 4)], weights={1, 2},
        macs=240, vector=48,
    ),
    # a weight that is computed at run time: its 5 x 3 elements too
    case("ConvInteger", [(1, 3, 4, 4), (5, 3, 1, 1), (), ()], [(1, 5, 4, 4)], macs=240, vector=48 + 15),
    # 5 operations to quantize each output again; one subtract for each of 6 x 36 inputs
    case(
        "QLinearConv", [(1, 6, 6, 6), (), (), (8, 3, 3, 3), (), (), (), ()], [(1, 8, 4, 4)],
        group=2, weights={3, 5},
        macs=8 * 16 * 27, vector=216 + 5 * 128,
    ),
    # with a bias 6, and 8 x 27 weights whose zero point is not known before
    case(
        "QLinearConv", [(1, 6, 6, 6), (), (), (8, 3, 3, 3), (), (), (), (), (8,)], [(1, 8, 4, 4)], group=2,
        macs=8 * 16 * 27, vector=216 + 8 * 27 + 6 * 128,
    ),
    # the zero point of an input that is a weight is subtracted once (constant-folded), whatever the rest is
    case(
        "QLinearConv", [(1, 6, 6, 6), (), (), (8, 3, 3, 3), (), (), (), ()], [(1, 8, 4, 4)],
        group=2, weights={0, 2},
        macs=8 * 16 * 27, vector=8 * 27 + 5 * 128,
    ),
)  # fmt: skip

PRODUCTS: tuple[Case, ...] = (
    case("Gemm", [(3, 7), (7, 5)], [(3, 5)], macs=3 * 5 * 7),
    case("Gemm", [(3, 7), (5, 7), (5,)], [(3, 5)], transB=1, macs=3 * 5 * 7, vector=15),
    case("Gemm", [(7, 3), (7, 5)], [(3, 5)], transA=1, macs=3 * 5 * 7),
    # alpha is one multiply for each output, beta one for each element of C, C one add for each output
    case("Gemm", [(3, 7), (7, 5), (5,)], [(3, 5)], alpha=0.5, beta=2.0, macs=105, vector=15 + 5 + 15),
    case("Gemm", [(3, 7), (7, 5), (5,)], [(3, 5)], alpha=0.5, beta=2.0, weights={2}, macs=105, vector=30),
    case("Gemm", [(3, 7), (7, 5)], [(3, 5)], beta=2.0, macs=105),
    case("MatMul", [(2, 4, 3, 7), (2, 4, 7, 5)], [(2, 4, 3, 5)], macs=2 * 4 * 3 * 5 * 7),
    case("MatMul", [(4, 3, 7), (7, 5)], [(4, 3, 5)], macs=4 * 3 * 5 * 7),
    case("MatMul", [(3, 7), (4, 7, 5)], [(4, 3, 5)], macs=4 * 3 * 5 * 7),
    case("MatMul", [(7,), (7,)], [()], macs=7),
    case("MatMul", [(7,), (7, 5)], [(5,)], macs=5 * 7),
    # 4x4 matrices, 6 of them: 3 + 2 + 1 quotients, 9 + 4 + 1 times a multiply and a subtract, 3 multiplies
    case("Det", [(2, 3, 4, 4)], [(2, 3)], vector=6 * (6 + 2 * 14 + 3)),
    case("Det", [(2, 2)], [()], vector=1 + 2 * 1 + 1),
    case("MatMulInteger", [(3, 7), (7, 5)], [(3, 5)], macs=3 * 5 * 7),
    # zero points: one subtract for each element of A, and of B where it is no weight
    case("MatMulInteger", [(3, 7), (7, 5), (), ()], [(3, 5)], weights={1, 2, 3}, macs=105, vector=21),
    case("MatMulInteger", [(3, 7), (7, 5), (), ()], [(3, 5)], macs=105, vector=21 + 35),
    # a weight whose zero point is computed at run time is not constant-folded
    case("MatMulInteger", [(3, 7), (7, 5), None, ()], [(3, 5)], weights={1}, macs=105, vector=35),
    case(
        "QLinearMatMul", [(2, 3, 7), (), (), (2, 7, 5), (), (), (), ()], [(2, 3, 5)], weights={3, 5},
        macs=2 * 3 * 5 * 7, vector=42 + 5 * 30,
    ),
    case(
        "QLinearMatMul", [(2, 3, 7), (), (), (2, 7, 5), (), (), (), ()], [(2, 3, 5)],
        macs=2 * 3 * 5 * 7, vector=42 + 70 + 5 * 30,
    ),
    case(
        "QLinearMatMul", [(2, 3, 7), (), (), (2, 7, 5), (), (), (), ()], [(2, 3, 5)], weights={0, 2},
        macs=2 * 3 * 5 * 7, vector=70 + 5 * 30,
    ),
)  # fmt: skip

EINSUMS: tuple[Case, ...] = (
    case("Einsum", [(2, 3, 7), (2, 7, 5)], [(2, 3, 5)], equation="bij, bjk -> bik", macs=2 * 3 * 5 * 7),
    case("Einsum", [(3, 7), (7, 5)], [(3, 5)], equation="ij,jk", macs=3 * 5 * 7),
    # the ellipsis broadcasts (4, 1) with (6,) to (4, 6), aligned on the right
    case(
        "Einsum", [(4, 1, 3, 7), (6, 7, 5)], [(4, 6, 3, 5)], equation="...ij,...jk->...ik",
        macs=4 * 6 * 3 * 5 * 7,
    ),
    case("Einsum", [(2, 3, 7), (7, 5)], [(2, 3, 5)], equation="...j,jk", macs=2 * 3 * 5 * 7),
    case("Einsum", [(4, 2, 7), (7, 5)], [(4, 2, 5)], equation="i...j,jk->i...k", macs=4 * 2 * 7 * 5),
    # without an arrow the ellipsis stays in the output: its dimension of 2 is not summed on the way
    case(
        "Einsum", [(2, 3, 7), (2, 7, 5), (5, 11)], [(2, 3, 11)], equation="...ij,...jk,kl",
        macs=2 * 3 * 7 * 5 + 2 * 3 * 5 * 11,
    ),
    # first ij,jk then ik,kl: the second product no longer has the summed label j
    case(
        "Einsum", [(3, 7), (7, 5), (5, 11)], [(3, 11)], equation="ij,jk,kl->il",
        macs=3 * 7 * 5 + 3 * 5 * 11,
    ),
    # the label j is needed by the third operand, and so kept through the first product
    case("Einsum", [(3, 7), (7, 5), (7,)], [(3, 5)], equation="ij,jk,j->ik", macs=3 * 7 * 5 + 3 * 7 * 5),
    # the fourth operand needs j: it stays through the second product, i j k l, up to the third, i j l
    case(
        "Einsum", [(3, 7), (7, 5), (5, 11), (7,)], [(3, 11)], equation="ij,jk,kl,j->il",
        macs=3 * 7 * 5 + 3 * 7 * 5 * 11 + 3 * 7 * 11,
    ),
    # m comes in with the fourth operand, not before
    case(
        "Einsum", [(3, 7), (7, 5), (5, 11), (11, 2)], [(3, 2)], equation="ij,jk,kl,lm->im",
        macs=3 * 7 * 5 + 3 * 5 * 11 + 3 * 11 * 2,
    ),
    # i is in one operand only: its 21 elements are summed before the product over j and k
    case("Einsum", [(3, 7), (7, 5)], [(5,)], equation="ij,jk->k", macs=7 * 5, vector=21),
    # one operand: a transpose computes nothing, a sum reads every element, a trace the diagonal
    case("Einsum", [(3, 7)], [(7, 3)], equation="ij->ji"),
    case("Einsum", [(3, 7)], [(3,)], equation="ij->i", vector=21),
    case("Einsum", [(5, 5)], [()], equation="ii->", vector=5),
    case("Einsum", [(5, 5)], [()], equation="ii", vector=5),
    # dimensions under an ellipsis that the output leaves out are summed
    case("Einsum", [(2, 3, 7)], [(7,)], equation="...j->j", vector=42),
    # one label a diagonal of the first operand, and the second's size 1 gives way to it
    case("Einsum", [(5, 5), (1, 4)], [(5, 4)], equation="ii,ij->ij", macs=5 * 4),
    case("Einsum", [(3,), (1,)], [(3,)], equation="i,i->i", macs=3),
    case("Einsum", [(1,), (1,)], [(1,)], equation="i,i->i", macs=1),
)  # fmt: skip

SCORES = 2 * 4 * 6 * 10
ATTENTIONS: tuple[Case, ...] = (
    # (B, H, S, D): 480 scores x (8 + 16); the scale on Q and K; softmax 4 + 1 for each score
    case(
        "Attention", [(2, 4, 6, 8), (2, 4, 10, 8), (2, 4, 10, 16)], [(2, 4, 6, 16)],
        macs=SCORES * (8 + 16), vector=2 * 4 * (6 + 10) * 8 + 4 * SCORES, special=SCORES,
    ),
    # (B, S, H * D), 4 query heads on 2 key heads: the same work, keys repeated for each query head
    case(
        "Attention", [(2, 6, 32), (2, 10, 16), (2, 10, 32)], [(2, 6, 64)], q_num_heads=4, kv_num_heads=2,
        macs=SCORES * (8 + 16), vector=1024 + 4 * SCORES, special=SCORES,
    ),
    # 7 past keys before the 3 new ones, and causal: one add for each score
    case(
        "Attention", [(2, 4, 6, 8), (2, 2, 3, 8), (2, 2, 3, 16), None, (2, 2, 7, 8), (2, 2, 7, 16)],
        [(2, 4, 6, 16), (2, 2, 10, 8), (2, 2, 10, 16)], is_causal=1,
        macs=SCORES * 24, vector=1024 + 5 * SCORES, special=SCORES,
    ),
    # a mask and a softcap: one add; divide, multiply and a tanh for each score
    case(
        "Attention", [(2, 4, 6, 8), (2, 4, 10, 8), (2, 4, 10, 16), (6, 10)], [(2, 4, 6, 16)], softcap=30.0,
        macs=SCORES * 24, vector=1024 + 7 * SCORES, special=2 * SCORES,
    ),
    # a window on either side is a limit too, and 0 is a window
    case(
        "Attention", [(2, 4, 6, 8), (2, 4, 10, 8), (2, 4, 10, 16)], [(2, 4, 6, 16)], left_window_size=0,
        macs=SCORES * 24, vector=1024 + 5 * SCORES, special=SCORES,
    ),
    case(
        "Attention", [(2, 4, 6, 8), (2, 4, 10, 8), (2, 4, 10, 16)], [(2, 4, 6, 16)], right_window_size=0,
        macs=SCORES * 24, vector=1024 + 5 * SCORES, special=SCORES,
    ),
    # lengths of padded keys hide scores as a mask does
    case(
        "Attention", [(2, 4, 6, 8), (2, 4, 10, 8), (2, 4, 10, 16), None, None, None, (2,)], [(2, 4, 6, 16)],
        macs=SCORES * 24, vector=1024 + 5 * SCORES, special=SCORES,
    ),
    # of the 10 keys 7 and 4 are there: 4 x 6 x 11 scores, Q and K of 2 x 6 + 11 vectors
    case(
        "Attention", [(2, 4, 6, 8), (2, 4, 10, 8), (2, 4, 10, 16), None, None, None, (2,)], [(2, 4, 6, 16)],
        constants={6: [7, 4]}, macs=264 * 24, vector=4 * 23 * 8 + 5 * 264, special=264,
    ),
    # a window of 2 before and 1 behind on 10 keys; 2 of the 7 past ones are seen: 4 x 2 x (6 + 5) vectors
    case(
        "Attention", [(2, 4, 6, 8), (2, 2, 3, 8), (2, 2, 3, 16), None, (2, 2, 7, 8), (2, 2, 7, 16)],
        [(2, 4, 6, 16), (2, 2, 10, 8), (2, 2, 10, 16)], left_window_size=2, right_window_size=1,
        macs=2 * 4 * 6 * 4 * 24, vector=8 * 11 * 8 + 5 * 192, special=192,
    ),
    # causality closes the window behind: 3 keys
    case(
        "Attention", [(2, 4, 6, 8), (2, 2, 3, 8), (2, 2, 3, 16), None, (2, 2, 7, 8), (2, 2, 7, 16)],
        [(2, 4, 6, 16), (2, 2, 10, 8), (2, 2, 10, 16)], left_window_size=2, is_causal=1,
        macs=2 * 4 * 6 * 3 * 24, vector=8 * 11 * 8 + 5 * 144, special=144,
    ),
    # a mask over 5 of 10 keys hides the others
    case(
        "Attention", [(2, 4, 6, 8), (2, 4, 10, 8), (2, 4, 10, 16), (6, 5)], [(2, 4, 6, 16)],
        macs=2 * 4 * 6 * 5 * 24, vector=8 * 11 * 8 + 5 * 240, special=240,
    ),
    # a pair of elements takes 6 operations: 3 for each of 2 x 4 x 6 x 8
    case("RotaryEmbedding", [(2, 4, 6, 8), (50, 4), (50, 4), (2, 6)], [(2, 4, 6, 8)], vector=3 * 384),
    # only 6 of the 8 elements of each head are rotated
    case("RotaryEmbedding", [(2, 4, 6, 8), (2, 6, 3), (2, 6, 3)], [(2, 4, 6, 8)], rotary_embedding_dim=6,
         vector=3 * 2 * 4 * 6 * 6),
    case("RotaryEmbedding", [(2, 6, 32), (2, 6, 3), (2, 6, 3)], [(2, 6, 32)], num_heads=4,
         rotary_embedding_dim=6, vector=3 * 2 * 6 * 4 * 6),
    case("RotaryEmbedding", [(2, 6, 32), (2, 6, 4), (2, 6, 4)], [(2, 6, 32)], num_heads=4,
         vector=3 * 2 * 6 * 32),
)  # fmt: skip

# 7 steps x 2 sequences, 5 features in, 3 hidden
RECURRENT: tuple[Case, ...] = (
    # 4 gates; 42 state elements: 4 sums, 3 for the cell, 1 for the output; 5 activations
    case("LSTM", [(7, 2, 5), (1, 12, 5), (1, 12, 3)], [(7, 1, 2, 3)],
         macs=14 * 4 * 3 * (5 + 3), vector=8 * 42, special=5 * 42),
    # both directions, bias (4) and peepholes (6)
    case("LSTM", [(7, 2, 5), (2, 12, 5), (2, 12, 3), (2, 24), None, None, None, (2, 9)], [(7, 2, 2, 3)],
         direction="bidirectional",
         macs=2 * 14 * 4 * 3 * (5 + 3), vector=18 * 84, special=5 * 84),
    # other activations: Relu for the 3 gates (1 each), Tanh, Affine (2); batch first
    case("LSTM", [(2, 7, 5), (1, 12, 5), (1, 12, 3)], [(2, 7, 1, 3)], layout=1,
         activations=("Relu", "Tanh", "Affine"),
         macs=14 * 12 * 8, vector=(8 + 3 + 2) * 42, special=42),
    # 3 gates: 3 sums, 1 for the reset, 4 for the state; 3 activations, each clipped (4)
    case("GRU", [(7, 2, 5), (1, 9, 5), (1, 9, 3)], [(7, 1, 2, 3)], clip=3.0,
         macs=14 * 3 * 3 * (5 + 3), vector=(8 + 3 * 4) * 42, special=3 * 42),
    case("GRU", [(7, 2, 5), (1, 9, 5), (1, 9, 3), (1, 18)], [(7, 1, 2, 3)],
         macs=1008, vector=11 * 42, special=126),
    case("GRU", [(7, 2, 5), (1, 9, 5), (1, 9, 3), (1, 18)], [(7, 1, 2, 3)], linear_before_reset=1,
         macs=1008, vector=12 * 42, special=126),
    case("RNN", [(7, 2, 5), (1, 3, 5), (1, 3, 3)], [(7, 1, 2, 3)],
         macs=14 * 3 * (5 + 3), vector=42, special=42),
    case("RNN", [(7, 2, 5), (1, 3, 5), (1, 3, 3), (1, 6)], [(7, 1, 2, 3)], activations=("ScaledTanh", "Tanh"),
         macs=336, vector=(2 + 2) * 42, special=42),
    # two directions, each with an activation of its own: 42 elements Relu, 42 Tanh
    case("RNN", [(7, 2, 5), (2, 3, 5), (2, 3, 3)], [(7, 2, 2, 3)], activations=("Relu", "Tanh"),
         macs=2 * 336, vector=84 + 42, special=42),
)  # fmt: skip

MATRIX_CASES = CONVOLUTIONS + PRODUCTS + EINSUMS + ATTENTIONS + RECURRENT
