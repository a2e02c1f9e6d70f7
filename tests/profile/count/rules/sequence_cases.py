"""Expected counts of attention over a state, losses, optimizers, sequences and text, by hand."""

from __future__ import annotations

from tests.profile.count.rules.nodes import Case, case

SCORES = 2 * 4 * 6 * 10

# 2 sequences x 7 tokens; 4 query heads on 2 key heads; keys 8 wide, values 5: a state of 40 for each head
Q, K, V = (2, 7, 4 * 8), (2, 7, 2 * 8), (2, 7, 2 * 5)
OUT, STATE = (2, 7, 4 * 5), (2, 2, 8, 5)
HEADS = {"q_num_heads": 4, "kv_num_heads": 2}
TOKENS = 2 * 7

STATES: tuple[Case, ...] = (
    case(
        "FlexAttention", [(2, 4, 6, 8), (2, 2, 10, 8), (2, 2, 10, 16)], [(2, 4, 6, 16)],
        domain="ai.onnx.preview",
        macs=SCORES * (8 + 16), vector=2 * 4 * (6 + 10) * 8 + 4 * SCORES, special=SCORES,
    ),
    # 2 outer products and 4 reads of 40 for each token; 2 x 40 adds to the state, the scale of 4 x 5 results
    case("LinearAttention", [Q, K, V], [OUT, STATE], update_rule="linear", **HEADS,
         macs=TOKENS * 6 * 40, vector=TOKENS * (80 + 20)),
    # a decay for each key element: 2 x 8 exponentials, and 2 x 40 multiplies
    case("LinearAttention", [Q, K, V, None, K], [OUT, STATE], update_rule="gated", **HEADS,
         macs=TOKENS * 6 * 40, vector=TOKENS * (2 * 80 + 20), special=TOKENS * 16),
    # 2 more reads, then subtract and multiply for each of 2 x 5 values
    case("LinearAttention", [Q, K, V, STATE, None, (2, 7, 2)], [OUT, STATE], update_rule="delta", **HEADS,
         macs=TOKENS * 8 * 40, vector=TOKENS * (80 + 20 + 2 * 10)),
    # both, which is the default; here one decay to a head
    case("LinearAttention", [Q, K, V, STATE, (2, 7, 2), (2, 7, 2)], [OUT, STATE], **HEADS,
         macs=TOKENS * 8 * 40, vector=TOKENS * (2 * 80 + 20 + 2 * 10), special=TOKENS * 2),
    # 2 x 6 channels x 9 positions, 4 taps each; a bias; sigmoid and multiply
    case("CausalConvWithState", [(2, 6, 9), (6, 1, 4)], [(2, 6, 9), (2, 6, 3)], macs=108 * 4),
    case("CausalConvWithState", [(2, 6, 9), (6, 1, 4), (6,)], [(2, 6, 9), (2, 6, 3)], activation="none",
         macs=108 * 4, vector=108),
    case("CausalConvWithState", [(2, 6, 9), (6, 1, 4), None, (2, 6, 3)], [(2, 6, 9), (2, 6, 3)],
         activation="silu", macs=108 * 4, vector=108, special=108),
)  # fmt: skip

# 3 x 6 targets of 5 classes
X, TARGETS, CLASSES = (3, 5, 6), (3, 6), (5,)

LOSSES: tuple[Case, ...] = (
    # one negation each; a weight is one multiply; an ignored index makes it 7
    case("NegativeLogLikelihoodLoss", [X, TARGETS], [TARGETS], reduction="none", vector=18),
    case("NegativeLogLikelihoodLoss", [X, TARGETS, CLASSES], [TARGETS], reduction="none", vector=2 * 18),
    case("NegativeLogLikelihoodLoss", [X, TARGETS], [TARGETS], reduction="none", ignore_index=0,
         vector=7 * 18),
    # a sum, or an unweighted mean, is one more; a weighted mean two, and one divide
    case("NegativeLogLikelihoodLoss", [X, TARGETS, CLASSES], [()], reduction="sum", vector=3 * 18),
    case("NegativeLogLikelihoodLoss", [X, TARGETS], [()], vector=2 * 18),
    case("NegativeLogLikelihoodLoss", [X, TARGETS, CLASSES], [()], vector=4 * 18 + 1),
    case("NegativeLogLikelihoodLoss", [X, TARGETS, CLASSES], [()], ignore_index=2, reduction="mean",
         vector=9 * 18 + 1),
    # the log-softmax of 90 scores in 18 rows, and the loss
    case("SoftmaxCrossEntropyLoss", [X, TARGETS], [(), X], reduction="sum",
         vector=4 * 90 + 2 * 18, special=90 + 18),
)  # fmt: skip

TRAINING: tuple[Case, ...] = (
    # 12 and 5 elements in two tensors, after the rate and the count
    case("Adagrad", [(), (), (4, 3), (5,), (4, 3), (5,), (4, 3), (5,)], [(4, 3), (5,), (4, 3), (5,)],
         domain="ai.onnx.preview.training", vector=8 * 17 + 3, special=17),
    case("Adam", [(), (), *[(4, 3), (5,), (2,)] * 4], [(4, 3), (5,), (2,)] * 3,
         domain="ai.onnx.preview.training", vector=14 * 19 + 6, special=19 + 3),
    case("Momentum", [(), (), *[(4, 3), (5,)] * 3], [(4, 3), (5,)] * 2, mode="standard",
         domain="ai.onnx.preview.training", vector=7 * 17 + 2),
    case("Momentum", [(), (), *[(4, 3), (5,)] * 3], [(4, 3), (5,)] * 2, mode="nesterov",
         domain="ai.onnx.preview.training", vector=9 * 17 + 2),
)  # fmt: skip

REFERENCES = (
    "SequenceEmpty SequenceConstruct SequenceInsert SequenceErase SequenceAt SequenceLength SplitToSequence "
    "ConcatFromSequence Optional OptionalGetElement OptionalHasElement"
).split()

TEXT: tuple[Case, ...] = (
    *(case(op_type, [(4, 3)], [(4, 3)], kinds={"x0": "sequence"}) for op_type in REFERENCES),
    # 2 rows of 9: 9 single items, 8 pairs side by side, 7 at distance 2; 7 + 5 triples
    case("TfIdfVectorizer", [(2, 9)], [(2, 11)], min_gram_length=1, max_gram_length=3, max_skip_count=1,
         mode="TF", vector=2 * (9 + 8 + 7 + 7 + 5)),
    case("TfIdfVectorizer", [(9,)], [(11,)], min_gram_length=2, max_gram_length=2, max_skip_count=0,
         mode="TF", vector=8),
    # pairs at distances up to 6 in a row of 4: 3, 2, 1 and no more; a weight for each of 11 results
    case("TfIdfVectorizer", [(4,)], [(11,)], min_gram_length=2, max_gram_length=2, max_skip_count=5,
         mode="TFIDF", vector=3 + 2 + 1 + 11),
    # triples in a row of 5: 3 side by side, 1 at distance 2, and no more
    case("TfIdfVectorizer", [(5,)], [(11,)], min_gram_length=3, max_gram_length=3, max_skip_count=5,
         mode="TF", vector=3 + 1),
    # no item is no n-gram
    case("TfIdfVectorizer", [(9,)], [(11,)], min_gram_length=0, max_gram_length=1, max_skip_count=0,
         mode="TF", vector=9),
    # a negative count skips nothing
    case("TfIdfVectorizer", [(9,)], [(11,)], min_gram_length=2, max_gram_length=2, max_skip_count=-1,
         mode="TF", vector=8),
    # n-grams of 1 to 1,000 items in a row of 1,000
    case("TfIdfVectorizer", [(1000,)], [(11,)], min_gram_length=1, max_gram_length=1000, max_skip_count=0,
         mode="TF", vector=1000 + sum(1000 - gap for gap in range(1, 1000))),
)  # fmt: skip

SEQUENCE_CASES = STATES + LOSSES + TRAINING + TEXT
