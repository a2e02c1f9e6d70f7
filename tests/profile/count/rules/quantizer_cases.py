"""Operators of other quantizers than ONNX Runtime's, in each of the domains that they are written in."""

from __future__ import annotations

from collections.abc import Iterator

from tests.profile.count.rules.nodes import Case, case

QUARK = ("com.amd.quark", "com.vai.quantize")
AIMET = ("aimet.customop.cpu", "aimet.customop.cuda", "aimet.customop")
QONNX = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")

X = (2, 3, 4)  # 24 elements


def quark(domain: str) -> Iterator[Case]:
    for name in ("Extended", "Vitis"):
        # divide, round, two compares; an add for a zero point. A multiply; a subtract
        yield case(f"{name}QuantizeLinear", [X, (), ()], [X], domain=domain, vector=5 * 24)
        yield case(f"{name}QuantizeLinear", [X, ()], [X], domain=domain, vector=4 * 24)
        yield case(f"{name}DequantizeLinear", [X, (), ()], [X], domain=domain, vector=2 * 24)
        yield case(f"{name}DequantizeLinear", [X, ()], [X], domain=domain, vector=24)
    own = "Extended" if domain == "com.amd.quark" else "Vitis"
    # 7 for each element, 3 and a root for each of 2 x 3 rows
    yield case(f"{own}InstanceNormalization", [X, (3,), (3,)], [X], domain=domain, vector=186, special=6)
    # 4 steps x 2 sequences of 5 to 3: four gates of 5 + 3 for each of 24; 8 and 5
    layer = [(4, 2, 5), (1, 12, 5), (1, 12, 3)]
    yield case(f"{own}LSTM", layer, [(4, 1, 2, 3)], domain=domain, hidden_size=3,
               macs=4 * 24 * 8, vector=8 * 24, special=5 * 24)  # fmt: skip
    # as a DequantizeLinear without a zero point: a multiply
    for op_type in ("BFPQuantizeDequantize", "MXQuantizeDequantize", "BFPFixNeuron", "MXFixNeuron"):
        yield case(op_type, [X], [X], domain=domain, vector=24)
    yield case("FixNeuron", [X], [X], domain=domain, vector=24)


def qonnx(domain: str) -> Iterator[Case]:
    # as a DequantizeLinear with a zero point: a subtract and a multiply
    for op_type in ("Quant", "IntQuant"):
        yield case(op_type, [X, (), (), ()], [X], domain=domain, vector=2 * 24)
    yield case("Trunc", [X, (), (), (), ()], [X], domain=domain, vector=2 * 24)
    # without one: a multiply
    yield case("BipolarQuant", [X, ()], [X], domain=domain, vector=24)
    yield case("FloatQuant", [X, (), (), (), (), ()], [X], domain=domain, vector=24)
    # 7 thresholds: a compare and an add each; a scale, a bias
    yield case("MultiThreshold", [(2, 3, 4), (3, 7)], [X], domain=domain, vector=14 * 24)
    yield case("MultiThreshold", [X, (1, 7)], [X], domain=domain, out_scale=0.5, vector=15 * 24)
    yield case("MultiThreshold", [X, (1, 7)], [X], domain=domain, out_bias=-3.0, vector=15 * 24)
    yield case("MultiThreshold", [X, (1, 7)], [X], domain=domain, out_scale=2.0, out_bias=1.0, vector=16 * 24)


def tensorrt() -> Iterator[Case]:
    for name in ("", "TRT_FP8", "TRT_INT4", "TRT_MXFP8"):
        yield case(f"{name}QuantizeLinear", [X, ()], [X], domain="trt", vector=4 * 24)
        yield case(f"{name}DequantizeLinear", [X, ()], [X], domain="trt", vector=24)
    yield case("TRT_FP4QDQ", [X], [X], domain="trt", vector=24)
    # abs, max, divide, round, two compares
    for name in ("MXFP8", "FP4"):
        yield case(f"TRT_{name}DynamicQuantize", [X], [X, (2, 3, 1)], domain="trt", vector=6 * 24)


QUANTIZER_CASES: tuple[Case, ...] = (
    *(each for domain in QUARK for each in quark(domain)),
    *(each for domain in QONNX for each in qonnx(domain)),
    *(case("QcQuantizeOp", [X], [X], domain=domain, vector=2 * 24) for domain in AIMET),
    *tensorrt(),
    case("FakeQuantize", [X, (), (), (), ()], [X], domain="org.openvinotoolkit", vector=2 * 24),
)
