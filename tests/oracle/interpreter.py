"""Runs an ONNX file node by node and counts MACs from the tensors that were really there.

An oracle for tests: it shares no code with the library and trusts no shape that a file or an inference
states. Every node runs alone in ONNX Runtime; what holds other nodes is interpreted here: the branch of an
If that is taken, the iterations that a Loop or Scan really makes, functions that the file defines.
"""

from __future__ import annotations

from collections import ChainMap, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter

import numpy as np
import onnx
from onnx import helper

from tests.oracle.macs import macs_of
from tests.oracle.single import NOTHING, SingleNodes, Value, from_array

Env = MutableMapping[str, Value]
Opsets = Mapping[str, int]

RANDOM = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial"}
)
"""Results of these are no constants, whatever their inputs are."""


@dataclass
class Ran:
    """A node as often as it ran."""

    op_type: str
    times: int = 0
    macs: int = 0


@dataclass
class Counted:
    """What a run took.

    Attributes:
        nodes: by path, which begins with the paths of the nodes and bodies that the node runs in.
        bodies: MACs inside each branch, body and function call, by path; a branch not taken is absent.
    """

    macs: int = 0
    nodes: dict[str, Ran] = field(default_factory=dict)
    bodies: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    outputs: list[Value] = field(default_factory=list)


Feed = np.ndarray | Sequence[np.ndarray] | None


def count(model: onnx.ModelProto, feeds: Mapping[str, Feed]) -> Counted:
    """Run the model on inputs; those that are missing must have initializers.

    Args:
        model: with its external data, if it has any, loaded.
        feeds: a tensor, a sequence of some, or the empty optional for each input.
    """
    return _Interpreter(model).run(feeds)


class _Interpreter:
    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._single = SingleNodes()
        self._functions = {(f.domain, f.name, f.overload): f for f in model.functions}
        self._written_out: dict[int, tuple[onnx.NodeProto, list[onnx.NodeProto]]] = {}
        self._counted = Counted()
        self._structured: Mapping[str, Callable[..., list[Value]]] = {
            "If": self._if,
            "Loop": self._loop,
            "Scan": self._scan,
            "SequenceMap": self._sequence_map,
            "Optional": lambda node, env, opsets, path: [self._given(node, env)],
            "OptionalGetElement": lambda node, env, opsets, path: [self._given(node, env)],
            "OptionalHasElement": lambda node, env, opsets, path: [
                from_array(np.array(self._given(node, env).is_here()))
            ],
        }

    def run(self, feeds: Mapping[str, Feed]) -> Counted:
        opsets = _opsets(self._model.opset_import)
        env = _weights(self._model.graph) | {name: self._fed(feed) for name, feed in feeds.items()}
        self._counted.outputs = self._graph(self._model.graph, env, opsets, "")
        return self._counted

    def _fed(self, feed: Feed) -> Value:
        if feed is None:
            return Value()
        if isinstance(feed, Sequence):
            return self._sequence([from_array(array) for array in feed])
        return from_array(np.asarray(feed))

    def _graph(self, graph: onnx.GraphProto, env: Env, opsets: Opsets, path: str) -> list[Value]:
        """Run a graph in the names that it sees, its weights among them; what it makes is added."""
        self._nodes(list(graph.node), env, opsets, path)
        return [env[output.name] for output in graph.output]

    def _nodes(self, nodes: Sequence[onnx.NodeProto], env: Env, opsets: Opsets, path: str) -> None:
        for index in _order(nodes):
            node = nodes[index]
            name = node.name or next(filter(None, node.output), node.op_type)
            results = self._node(node, env, opsets, f"{path}{name}")
            env.update((to, value) for to, value in zip(node.output, results, strict=False) if to)

    def _node(self, node: onnx.NodeProto, env: Env, opsets: Opsets, path: str) -> list[Value]:
        domain = "" if node.domain == "ai.onnx" else node.domain
        function = self._functions.get((node.domain, node.op_type, node.overload))
        if function is not None:
            return self._call(function, node, env, path)
        if not domain and node.op_type in self._structured:
            self._record(node, path, 0)
            return self._structured[node.op_type](node, env, opsets, path)
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            self._record(node, path, 0)
            return [Value(True, None, node.attribute[0].t)]
        inputs = [env[name] if name else None for name in node.input]
        outputs = self._single.run(node, inputs, opsets)
        constant = all(value.constant for value in inputs if value) and node.op_type not in RANDOM
        results = [Value(constant, data) for data in outputs]
        self._record(node, path, 0 if constant else macs_of(node, domain, inputs, results))
        return results

    def _record(self, node: onnx.NodeProto, path: str, macs: int) -> None:
        ran = self._counted.nodes.setdefault(path, Ran(node.op_type))
        ran.times += 1
        ran.macs += macs
        self._counted.macs += macs

    def _call(self, function: onnx.FunctionProto, node: onnx.NodeProto, env: Env, path: str) -> list[Value]:
        """A function sees its arguments alone; what a call omits is not there."""
        if id(node) not in self._written_out:
            self._written_out[id(node)] = (node, _written_out(function, node))
        given = [env[name] if name else None for name in node.input]
        inside: Env = {
            name: value for name, value in zip(function.input, given, strict=False) if value is not None
        }
        absent = set(function.input) - set(inside)
        body = [_without(inner, absent) for inner in self._written_out[id(node)][1]] if absent else None
        before = self._counted.macs
        opsets = _opsets(function.opset_import)
        self._nodes(body or self._written_out[id(node)][1], inside, opsets, f"{path}/")
        self._counted.bodies[path] += self._counted.macs - before
        return [inside.get(name, NOTHING) for name in function.output]

    def _body(
        self, node: onnx.NodeProto, name: str, given: Sequence[Value], env: Env, opsets: Opsets, path: str
    ) -> list[Value]:
        """A graph inside a node: it sees the names around it too."""
        graph = _attributes(node)[name].g
        own = _weights(graph) | dict(zip((at.name for at in graph.input), given, strict=True))
        inside = ChainMap(own, env)
        before = self._counted.macs
        results = self._graph(graph, inside, opsets, f"{path}/{name}/")
        self._counted.bodies[f"{path}/{name}"] += self._counted.macs - before
        return results

    def _if(self, node: onnx.NodeProto, env: Env, opsets: Opsets, path: str) -> list[Value]:
        condition = env[node.input[0]]
        name = "then_branch" if condition.array().all() else "else_branch"
        results = self._body(node, name, (), env, opsets, path)
        return results if condition.constant else [_changing(value) for value in results]

    def _loop(self, node: onnx.NodeProto, env: Env, opsets: Opsets, path: str) -> list[Value]:
        limit, condition, *given = (env[name] if name else None for name in node.input)
        carried = [_changing(value) for value in given]
        most = int(limit.array().item()) if limit else None
        goes_on = bool(condition.array().item()) if condition else True
        graph = _attributes(node)["body"].g
        pieces: list[list[np.ndarray]] = [[] for _ in graph.output[1 + len(carried) :]]
        iteration = 0
        while goes_on and (most is None or iteration < most):
            counter = _like(graph.input[0], np.array(iteration, np.int64))
            flag = _like(graph.input[1], np.array(goes_on))
            found = self._body(node, "body", (counter, flag, *carried), env, opsets, path)
            goes_on = bool(found[0].array().item())
            carried = [_changing(value) for value in found[1 : 1 + len(carried)]]
            for piece, value in zip(pieces, found[1 + len(carried) :], strict=True):
                piece.append(value.array())
            iteration += 1
        shown = graph.output[1 + len(carried) :]
        return [*carried, *(_stacked(piece, info) for piece, info in zip(pieces, shown, strict=True))]

    def _scan(self, node: onnx.NodeProto, env: Env, opsets: Opsets, path: str) -> list[Value]:
        if opsets[""] < 9:
            raise NotImplementedError(f"{path}: Scan of opset 8, which has batches")
        attributes = {name: helper.get_attribute_value(at) for name, at in _attributes(node).items()}
        scanned = attributes["num_scan_inputs"]
        given = [env[name] for name in node.input]
        carried = [_changing(value) for value in given[: len(given) - scanned]]
        axes = attributes.get("scan_input_axes", [0] * scanned)
        reverse = attributes.get("scan_input_directions", [0] * scanned)
        sources = [
            np.moveaxis(value.array(), axis, 0)[:: -1 if backward else 1]
            for value, axis, backward in zip(given[len(carried) :], axes, reverse, strict=True)
        ]
        shown = attributes["body"].output[len(carried) :]
        pieces: list[list[np.ndarray]] = [[] for _ in shown]
        for slices in zip(*sources, strict=True):
            inputs = (*carried, *map(from_array, slices))
            found = self._body(node, "body", inputs, env, opsets, path)
            carried = [_changing(value) for value in found[: len(carried)]]
            for piece, value in zip(pieces, found[len(carried) :], strict=True):
                piece.append(value.array())
        out_axes = attributes.get("scan_output_axes", [0] * len(shown))
        backward = attributes.get("scan_output_directions", [0] * len(shown))
        return [
            *carried,
            *(
                _stacked(piece[:: -1 if back else 1], info, axis)
                for piece, info, axis, back in zip(pieces, shown, out_axes, backward, strict=True)
            ),
        ]

    def _sequence_map(self, node: onnx.NodeProto, env: Env, opsets: Opsets, path: str) -> list[Value]:
        given = [env[name] for name in node.input]
        columns = [self._elements(value) if not _is_tensor(value) else None for value in given]
        length = len(columns[0] or ())
        rows: list[list[Value]] = []
        for at in range(length):
            inputs = [column[at] if column else value for column, value in zip(columns, given, strict=True)]
            rows.append(self._body(node, "body", inputs, env, opsets, path))
        return [self._sequence([row[at] for row in rows]) for at in range(len(node.output))]

    def _elements(self, sequence: Value) -> list[Value]:
        length = int(self._alone("SequenceLength", sequence).array().item())
        return [
            self._alone("SequenceAt", sequence, from_array(np.array(at, np.int64))) for at in range(length)
        ]

    def _sequence(self, elements: Sequence[Value]) -> Value:
        return self._alone("SequenceConstruct" if elements else "SequenceEmpty", *elements)

    def _alone(self, op_type: str, *inputs: Value) -> Value:
        """An operator that no node of the file stands for: it is not recorded."""
        node = helper.make_node(op_type, [f"i{at}" for at in range(len(inputs))], ["o0"])
        return Value(False, self._single.run(node, [_changing(value) for value in inputs], {"": 17})[0])

    def _given(self, node: onnx.NodeProto, env: Env) -> Value:
        return env[node.input[0]] if node.input and node.input[0] else NOTHING


def _opsets(imports: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
    found = {"" if one.domain == "ai.onnx" else one.domain: one.version for one in imports}
    return {"": 1, **found}


def _weights(graph: onnx.GraphProto) -> dict[str, Value]:
    if graph.sparse_initializer:
        raise NotImplementedError("sparse initializers")
    return {weight.name: Value(True, None, weight) for weight in graph.initializer}


def _attributes(node: onnx.NodeProto) -> dict[str, onnx.AttributeProto]:
    return {attribute.name: attribute for attribute in node.attribute}


def _is_tensor(value: Value) -> bool:
    return value.weight is not None or bool(value.data.is_tensor())


def _changing(value: Value | None) -> Value:
    """The same tensor where another may stand in the next run or iteration."""
    if value is None or not value.is_here():
        return NOTHING
    return Value(False, value.ort())


def _like(declared: onnx.ValueInfoProto, scalar: np.ndarray) -> Value:
    """A scalar, or one element in a row where the body declares that."""
    return from_array(scalar.reshape((1,) * len(declared.type.tensor_type.shape.dim)))


def _stacked(pieces: Sequence[np.ndarray], declared: onnx.ValueInfoProto, axis: int = 0) -> Value:
    """The scan output; without an iteration as the body declares its slices."""
    if pieces:
        return from_array(np.stack(list(pieces), axis))
    tensor = declared.type.tensor_type
    sizes = [dim.dim_value for dim in tensor.shape.dim]
    return from_array(np.zeros([0, *sizes], helper.tensor_dtype_to_np_dtype(tensor.elem_type)))


def _order(nodes: Sequence[onnx.NodeProto]) -> Iterable[int]:
    """A topological order, the file's where that is one."""
    makers = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    needs = {
        index: {makers[name] for name in _reads(node) if name in makers} for index, node in enumerate(nodes)
    }
    if all(before < index for index, befores in needs.items() for before in befores):
        return range(len(nodes))
    return TopologicalSorter(needs).static_order()


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """All names around the node that it may read, in its bodies too."""
    yield from node.input
    for graph in _graphs(node):
        own = {name for inner in graph.node for name in inner.output}
        own.update(one.name for one in graph.input)
        own.update(one.name for one in graph.initializer)
        read = [name for inner in graph.node for name in _reads(inner)]
        read += [output.name for output in graph.output]
        yield from (name for name in read if name not in own)


def _graphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _written_out(function: onnx.FunctionProto, call: onnx.NodeProto) -> list[onnx.NodeProto]:
    """The nodes of a call, with the call's attributes, or the function's defaults, in place."""
    values = {attribute.name: attribute for attribute in function.attribute_proto} | _attributes(call)
    body = []
    for node in function.node:
        body.append(onnx.NodeProto())
        body[-1].CopyFrom(node)
        _fill_in(body[-1], values)
    return body


def _fill_in(node: onnx.NodeProto, values: Mapping[str, onnx.AttributeProto]) -> None:
    attributes = list(node.attribute)
    del node.attribute[:]
    for attribute in attributes:
        if not attribute.ref_attr_name:
            node.attribute.append(attribute)
        elif attribute.ref_attr_name in values:
            node.attribute.append(values[attribute.ref_attr_name])
            node.attribute[-1].name = attribute.name
    for graph in _graphs(node):
        for inner in graph.node:
            _fill_in(inner, values)


def _without(node: onnx.NodeProto, absent: set[str]) -> onnx.NodeProto:
    """A node that reads arguments which the call omits."""
    if not absent.intersection(node.input):
        return node
    changed = onnx.NodeProto()
    changed.CopyFrom(node)
    del changed.input[:]
    changed.input.extend("" if name in absent else name for name in node.input)
    return changed
