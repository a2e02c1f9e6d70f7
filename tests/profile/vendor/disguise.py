"""Reports of layers as tools write them, made of a file's nodes: each row with the nodes that it is of.

The nodes are read from the file, fused and put in another order here, by code that has nothing in common with
what leads rows back. The forms of names are those of public reports: of ``trtexec --exportProfile`` and
``--exportLayerInfo``, OpenVINO's counters on its three devices, QNN's and AI Hub's profiles, rknn's tables.
"""

from __future__ import annotations

import re
from ast import literal_eval
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from onnx import ModelProto, NodeProto

PRODUCTS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
POINTWISE = frozenset({"Relu", "Sigmoid", "Clip", "Mul", "Add", "Sub", "Div", "Erf", "Sqrt", "HardSwish"})
SCOPES = "pkg.torch.onnx.name_scopes"
NO_LAYER = frozenset({"Reshape", "Shape", "Identity", "Flatten", "Squeeze", "Unsqueeze"})


@dataclass(frozen=True)
class Row:
    """A row of a report.

    Attributes:
        nodes: what it is of, by their first outputs.
        sources: the names that the tool tells, if not the row's own.
        moves: it brings or converts what its nodes read or write, and computes none of them.
        zero: the tool prints 0 for it.
    """

    name: str
    op_type: str
    nodes: tuple[str, ...]
    sources: tuple[str, ...] = ()
    moves: bool = False
    zero: bool = False


class Net:
    """The nodes of a file that run: which reads which."""

    def __init__(self, model: ModelProto) -> None:
        constant = {tensor.name for tensor in model.graph.initializer}
        self.weights = frozenset(constant)
        self.nodes: list[NodeProto] = []
        for node in model.graph.node:
            if set(node.input) - {""} <= constant:
                constant.update(node.output)
            else:
                self.nodes.append(node)
        self.made = {output: node for node in self.nodes for output in node.output}
        self.outputs = {output.name for output in model.graph.output}
        self._readers: defaultdict[str, list[NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in dict.fromkeys(node.input):
                self._readers[name].append(node)

    def readers(self, node: NodeProto) -> list[NodeProto]:
        """None for what leaves the net."""
        if self.outputs.intersection(node.output):
            return []
        return [reader for output in node.output for reader in self._readers[output]]

    def groups(self, residual: bool) -> list[list[NodeProto]]:
        """A product with what follows it point by point; a sum of two branches only if it is ``residual``."""
        taken: set[str] = set()
        groups = []
        for node in self.nodes:
            if node.output[0] not in taken:
                groups.append(self._group(node, taken, residual))
                taken.update(each.output[0] for each in groups[-1])
        return groups

    def _group(self, node: NodeProto, taken: set[str], residual: bool) -> list[NodeProto]:
        group = [node]
        while group[0].op_type in PRODUCTS:
            following = self.readers(group[-1])
            if {each.op_type for each in following} == {"Sigmoid", "Mul"} and len(following) == 2:
                following.sort(key=lambda each: each.op_type, reverse=True)  # a SiLU
                if self.readers(following[0]) == following[1:]:
                    group += following
                    continue
            if len(following) != 1 or following[0].output[0] in taken:
                break
            (last,) = following
            if last.op_type not in POINTWISE | {"BatchNormalization"}:
                break
            branches = [name for name in last.input if name in self.made and name not in group[-1].output]
            if branches and not residual:
                break
            group.append(last)
        return group

    def in_some_order(self, groups: Sequence[list[NodeProto]], random: Random) -> list[list[NodeProto]]:
        """Any in which each runs behind what it reads."""
        of = {output: at for at, group in enumerate(groups) for node in group for output in node.output}
        waits = {
            at: {of[name] for node in group for name in node.input if name in of} - {at}
            for at, group in enumerate(groups)
        }
        order: list[list[NodeProto]] = []
        while waits:
            at = random.choice([at for at, before in waits.items() if not before])
            order.append(groups[at])
            del waits[at]
            for before in waits.values():
                before.discard(at)
        return order


def called(node: NodeProto) -> str:
    return node.name or node.output[0]


def of(group: Sequence[NodeProto]) -> tuple[str, ...]:
    return tuple(node.output[0] for node in group)


def flat(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _pointwise(names: Sequence[str], inner: bool) -> str:
    text = f"PWN({names[0]})"
    for name in names[1:]:
        text = f"PWN({text}, PWN({name}))" if inner else f"PWN({text}, {name})"
    return text


def tensorrt(net: Net, random: Random, form: str) -> Iterator[Row]:
    inner = random.random() < 0.5
    for at, group in enumerate(net.in_some_order(net.groups(residual=True), random)):
        if group[0].op_type in NO_LAYER:
            continue
        names = [node.name or f"node_of_{node.output[0]}" for node in group]
        name = names[0] + (f" + {_pointwise(names[1:], inner)}" if names[1:] else "")
        if group[0].op_type in POINTWISE:
            name = _pointwise(names, inner)
        weight = next((each for each in group[0].input if each in net.weights), "")
        kind = "CaskConvolution" if group[0].op_type == "Conv" else "PointWiseV2"
        sources: tuple[str, ...] = ()
        if form == "metadata":
            sources, name = tuple(names), f"__myl_{''.join(node.op_type[:3] for node in group)}_myl0_{at}"
        elif form == "myelin" and group[0].op_type in PRODUCTS and group[0].name:
            name = f"{names[0].replace('.', '_')}_myl{at % 7}_{at}"
        elif form == "weights" and weight and group[0].op_type in PRODUCTS:
            name = f"{weight} + {name}"
        if at % 5 == 0:
            copy = f"Reformatting CopyNode for {random.choice(('Input', 'Output'))} Tensor 0 to {name}"
            yield Row(copy, "Reformat", of(group), moves=True)
        yield Row(name, kind, of(group), sources)


def openvino(net: Net, random: Random, form: str) -> Iterator[Row]:
    kinds = {"Conv": "Convolution", "MatMul": "FullyConnected", "Gemm": "FullyConnected"}
    for group in net.in_some_order(net.groups(residual=True), random):
        if group[0].op_type in NO_LAYER:
            continue
        first, last = called(group[0]), called(group[-1])
        kind = kinds.get(group[0].op_type, group[0].op_type)
        if group[0].op_type == "Conv" and len(group[0].input) > 2:
            first += "/WithoutBiases"
        if form == "originals":
            yield Row(last, kind, of(group), (first, *map(called, group[1:])))
        elif form == "cpu":
            yield Row(random.choice((first, last)), kind, of(group))
        elif form == "gpu":
            yield Row(f"{kind.lower()}:{first}", kind, of(group))
        else:
            task = random.choice(("", "/cluster_0", "/output tile [0, 0, 1, 0]/cluster_1/variant_0"))
            yield Row(f"{first}?t_{kind}{task}", kind, of(group))


def qnn(net: Net, random: Random, form: str) -> Iterator[Row]:
    """What is fused says 0: the last node of a layer has all of it."""
    for group in net.groups(residual=False):
        for node in group:
            name = called(node)
            if form == "optimized" and node.name:
                name += random.choice(("", f"_token_{random.randrange(99)}"))
            elif form == "converted":
                name = flat(name) + random.choice(("", "", "_nchw" if not node.name else ""))
            last = node is group[-1]
            nodes = of(group) if last else of([node])
            own = name if form == "hub" else f"{name}:OpId_{random.randrange(999)}"
            yield Row(own, "", nodes, (name,), zero=not last)


def rknn(net: Net, random: Random, form: str) -> Iterator[Row]:
    for group in net.in_some_order(net.groups(residual=True), random):
        kind = "".join(node.op_type for node in group if node.op_type != "BatchNormalization")
        for part in range(random.choice((1, 1, 3)) if group[0].op_type in PRODUCTS else 1):
            name = called(group[0]) + random.choice(("", "", "#2")) + (f"_tile{part}" if part else "")
            yield Row(f"{kind}:{name}", kind, of(group))


def plain(net: Net, random: Random, form: str) -> Iterator[Row]:
    forms: Mapping[str, Callable[[str], str]] = {
        "upper": str.upper,
        "dots": lambda name: name.strip("/").replace("/", "."),
        "flat": flat,
        "parts": lambda name: name + random.choice(("_tile1", "_branch2", "#3", "_token_4", "/MyFusion")),
    }
    for group in net.groups(residual=False):
        names = [called(node) for node in group]
        if form in forms:
            yield Row(forms[form](names[0]), random.choice(("", group[0].op_type)), of(group))
        else:
            yield Row((", " if form == "comma" else " + ").join(names), "", of(group))


def numbered(net: Net, random: Random, form: str) -> Iterator[Row]:
    """As coremltools and ExecuTorch call operators of PyTorch: numbers of their own, or no name at all."""
    apple = {"Conv": "conv", "MatMul": "matmul", "Gemm": "linear", "Relu": "relu", "Mul": "mul", "Add": "add"}
    for at, node in enumerate(net.nodes):
        if node.op_type not in apple:
            continue
        if form == "core-ml":
            name = random.choice((f"x_{at}_cast_fp16", f"input_{at}", f"var_{7 * at}"))
            yield Row(name, apple[node.op_type], of([node]))
        else:
            call = {"Conv": "convolution"}.get(node.op_type, node.op_type.lower())
            yield Row(f"native_call_{call}.out", f"aten.{call}.default", of([node]))


TOOLS: Mapping[str, tuple[Callable[[Net, Random, str], Iterator[Row]], Sequence[str]]] = {
    "tensorrt": (tensorrt, ("names", "weights", "myelin", "metadata")),
    "openvino": (openvino, ("originals", "cpu", "gpu", "npu")),
    "qnn": (qnn, ("optimized", "converted", "hub")),
    "rknn": (rknn, ("tiles",)),
    "plain": (plain, ("upper", "dots", "flat", "parts", "comma", "plus")),
    "core-ml": (numbered, ("core-ml",)),
    "executorch": (numbered, ("calls",)),
}


def renamed(model: ModelProto, style: str) -> ModelProto:
    """The same net with names as other exporters give them; nothing tells the modules but these."""
    times: defaultdict[str, int] = defaultdict(int)
    new: dict[str, str] = {}
    kept = {each.name for each in (*model.graph.input, *model.graph.output, *model.graph.initializer)}
    for at, node in enumerate(model.graph.node):
        scopes = {each.key: each.value for each in node.metadata_props}.get(SCOPES, "[]")
        path = literal_eval(scopes)[1:-1]
        name, output = {
            "torchscript": (f"/{'/'.join(path)}/{node.op_type}", "{}_output_0"),
            "tf2onnx": (f"StatefulPartitionedCall/net/{'/'.join(path)}/{node.op_type}", "{}:0"),
            "paddle": (f"p2o.{node.op_type}.", f"{node.op_type.lower()}_{at}.tmp_0"),
            "unnamed": ("", str(300 + at)),
        }[style]
        if style != "unnamed":
            times[name] += 1
            number = times[name] - 1
            name += str(number) if style == "paddle" else f"_{number}" if number else ""
        node.name = name
        del node.metadata_props[:]
        for place, old in enumerate(node.output):
            if old not in kept:
                new[old] = output.format(name) + (f"_{place}" if place else "")
                node.output[place] = new[old]
        for place, old in enumerate(node.input):
            node.input[place] = new.get(old, old)
    del model.graph.value_info[:]
    return model
