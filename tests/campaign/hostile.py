"""Small files of each kind that once took for ever, or gigabytes, or ended in a traceback: under limits.

``python -m tests.campaign.hostile FOLDER`` runs every verb on each and prints a JSON line for each run.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from onnx import ModelProto, TensorProto, helper, parser

from tests.campaign.cases import MODEL, Case
from tests.campaign.seeds import prepare
from tests.campaign.worker import Worker

HUGE, LONGEST = 2**40, 2**63 - 1

TEXTS: Mapping[str, str] = {
    "taps": f"""<ir_version: 9, opset_import: ["": 20]>
        g (float[1,1,4,4] x, float[1,6,6,{HUGE}] at) => (float[1,1,6,6] y) {{ y = GridSample(x, at) }}""",
    "directions": f"""<ir_version: 9, opset_import: ["": 18]>
        g (float[1,3,2] x, float[1,12,2] w, float[{HUGE},12,3] r) => (float[1,3,3] y)
        {{ h, y = LSTM <hidden_size = 3> (x, w, r) }}""",
    "rounds": """<ir_version: 9, opset_import: ["": 18]>
        g (float[2] x) => (float[2] y) <int64 rounds = {1099511627776}> {
            y = Loop (rounds, , x) <body = b (int64 i, bool on, float[2] v) => (bool go, float[2] w)
                { go = Identity(on) w = Relu(v) }>
        }""",
    "ring in a condition": """<ir_version: 9, opset_import: ["": 18]>
        g (float[2] x) => (float[2] y) <int64 rounds = {5}> {
            y = Loop (rounds, , x) <body = b (int64 i, bool on, float[2] v) => (bool go, float[2] w)
                { other = Identity(go) go = Identity(other) w = Relu(v) }>
        }""",
    "doubling functions": '<ir_version: 9, opset_import: ["": 18, "own": 1]>\n'
    "g (float[2] x) => (float[2] y) { y = own.f0(x) }\n"
    + "".join(
        f'<domain: "own", opset_import: ["": 18, "own": 1]> f{level} (a) => (c) '
        f"{{ b = own.f{level + 1}(a) c = own.f{level + 1}(b) }}\n"
        for level in range(40)
    )
    + '<domain: "own", opset_import: ["": 18]> f40 (a) => (c) { c = Relu(a) }',
    "elements": f"""<ir_version: 9, opset_import: ["": 18]>
        g (float[{LONGEST},{LONGEST}] x) => (float[{LONGEST},{LONGEST}] y) {{ y = Relu(x) }}""",
    "a large shape": f"""<ir_version: 9, opset_import: ["": 18]>
        g (float[1] x) => (float[a,b] y) <int64[2] s = {{{HUGE}, 4}}> {{ y = Expand(x, s) }}""",
    "a long range": f"""<ir_version: 9, opset_import: ["": 18]>
        g (int64[1] x) => (int64[a] y) <int64 first = {{0}}, int64 end = {{{HUGE}}}, int64 step = {{1}}>
        {{ r = Range(first, end, step) y = Add(r, x) }}""",
    "a scan without a count": """<ir_version: 9, opset_import: ["": 18]>
        g (float[2] s, float[3,2] x) => (float[2] a, float[3,2] b) {
            a, b = Scan (s, x) <body = k (float[2] t, float[2] e) => (float[2] u, float[2] v)
                { u = Add(t, e) v = Identity(u) }>
        }""",
    "an output of nobody": """<ir_version: 9, opset_import: ["": 18]>
        g (float[2] x) => (float[2] y) { z = Relu(x) }""",
    "pads that take away all": """<ir_version: 9, opset_import: ["": 18]>
        g (float[1,1,8,8] x) => (float[1,1,8,8] y) { y = MaxPool <kernel_shape = [0, 0]> (x) }""",
}


def models() -> Iterator[tuple[str, bytes]]:
    """Name and content of each file."""
    for name, text in TEXTS.items():
        yield name, parser.parse_model(text).SerializeToString()
    for levels in (100, 1500):
        yield f"{levels} levels", relu("/" + "/".join(f"a{level}" for level in range(levels)) + "/Relu")
    yield "names that a terminal obeys", relu("/\x1b[31mred\x07/\x1b]0;title\x07Relu")
    yield "not UTF-8", relu("/QQQQ/Relu").replace(b"QQQQ", b"\xff\xfe\xff\xfe")
    yield "300 dimensions", relu("it", dims=[2**62] * 300)
    deep = ModelProto.FromString(relu("it"))
    scopes = "[" * 20_000 + "]" * 20_000
    deep.graph.node[0].metadata_props.add(key="pkg.torch.onnx.name_scopes", value=scopes)
    yield "scopes in scopes", deep.SerializeToString()
    short = TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[HUGE, 2**20], raw_data=b"1234")
    large = ModelProto.FromString(relu("it"))
    large.graph.node[0].attribute.append(helper.make_attribute("v", short))
    yield "a tensor that is too short", large.SerializeToString()


def relu(name: str, dims: Sequence[int] = (2,)) -> bytes:
    ends = [helper.make_tensor_value_info(each, TensorProto.FLOAT, dims) for each in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"], name)], "g", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


VERBS: Sequence[tuple[str, ...]] = (
    ("profile", MODEL, "--by", "node", "--format", "json"),
    ("profile", MODEL, "--depth", "9"),
    ("ledger", MODEL, "--format", "json"),
    ("reconcile", MODEL),
    ("extract", MODEL, "--module", "a0", "--out", "out.onnx"),
    ("render", MODEL, "--out", "out.svg"),
    ("render", MODEL, "--viewer", "model-explorer", "--out", "out.json"),
    ("check", MODEL, "--against", "unoptimised"),
    ("bench", MODEL, "--runs", "1", "--warmup", "0", "--threads", "1"),
)
ENDLESS = {"rounds": ("check", "bench")}
"""What runs a file takes as long as the file says."""


def main(folder: Path) -> None:
    """Run all and print what became of them."""
    warnings.simplefilter("ignore")
    prepare(folder)
    worker = Worker(folder)
    for name, content in models():
        for arguments in VERBS:
            if arguments[0] in ENDLESS.get(name, ()):
                continue
            run, outcome = worker.run(Case("hostile", name, {MODEL: content}, MODEL, arguments))
            said = {"name": name, "arguments": arguments, "outcome": outcome.name, "key": outcome.key}
            print(json.dumps({**said, "err": run.err[-600:], "cpu_s": round(run.cpu_s, 2)}), flush=True)
    worker.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
