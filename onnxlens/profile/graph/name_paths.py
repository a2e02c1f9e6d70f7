"""Module paths as names spell them: the names of nodes and of weights, by whatever exporter wrote them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from onnxlens.specs.bounds import require_levels

WRAPPERS = re.compile(r"(Stateful)?PartitionedCall(_\d+)?")
"""What TensorFlow calls the function that a saved model is: not a level of the model."""

OPERATOR_SCOPES = re.compile(
    r"(Tensordot|einsum|MatMul|BiasAdd|Conv[123]D|ReadVariableOp|BatchNorm|moments|strided_slice|stack|split|"
    r"Reshape|Shape|Mean|Sum|Max|Softmax|batchnorm)(_\d+)?"
)
"""Scopes that TensorFlow opens inside one operator of a layer."""

OF_A_TENSOR = re.compile(r":\d+_")
"""Part of a node's name that is made of its input's: ``p_re_lu/add:0_pooling`` is no node of ``p_re_lu``."""

FUSED = re.compile(r"^fused |/\w+Fusion/?$")
"""What ONNX Runtime adds to the name of a node that it fuses with others: ``/fc/MatMul/MatMulAddFusion``."""

QUALIFIER = re.compile(r"^\w+::")
INLINED = re.compile(r"(__Inline_\d+)__")
"""What spox puts before the names of a graph that it took in."""

KERNELS = frozenset(
    "w b kernel bias weight weights biases gamma beta moving_mean moving_variance mean variance embedding "
    "embeddings depthwise_kernel pointwise_kernel recurrent_kernel alpha scale offset".split()
)
"""How TensorFlow calls a layer's variables: the last element of their names."""

ENDING = re.compile(
    r"_(w|b|scale|bias|mean|var|s|riv|rm)_0$|"  # Caffe2
    r"_(weight|weights|bias|biases|gamma|beta|running_mean|running_var|kernel|W|R|B|initializer_\d+)$"
)
"""Endings of weights' names that are joined to the layer's name by an underscore."""

NO_PARAMETER = re.compile(r"tmp_\d+|\d.*|output_\d+")
"""Last elements of dotted names that are not those of parameters: ``conv2d_3.tmp_0``, ``reshape.0.0``."""

PARAMETRIZED = re.compile(r"\.parametrizations(\.\w+)?$")
FRAMEWORKS_OWN = ("p2o.", "helper.")
"""Prefixes that a converter gives to constants which it makes."""


SCOPES = 2**14
"""The levels of so many scopes are kept: those of nearby nodes are the same."""


def node_levels(name: str, op_type: str = "") -> Sequence[str]:
    """The paths of the modules around a node, outermost first, as its name has them; empty without evidence.

    1. ``/layer1/layer1.0/conv1/Conv``, by torch: an element repeats the path so far, or only extends it.
       The model itself, "", comes first, and is all there is to ``/Conv``.
    2. ``StatefulPartitionedCall/model/dense/MatMul``, by TensorFlow, Flax, and functions written out.
    3. ``g_/lstm/LSTM``: a prefix before either, by onnx.compose or spox, is a level of its own.
    4. ``model/relu/Relu;model/conv/BiasAdd;model/conv/Conv2D``, by TFLite: several fused into one. A
       convolution or a matrix product is found by its type, and any other node is the first of them.

    A name without a slash is that of an operator, or of a layer that is this single node: no evidence.
    """
    if "Fusion" in name or name.startswith("fused "):
        name = FUSED.sub("", name)
    if "/" not in name:
        return ()
    if name[0] == "/":
        return _torch_levels(name[1 : name.rindex("/")])
    if OF_A_TENSOR.search(name):
        return ()
    return _other_levels((_part(name, op_type) if ";" in name else name).rpartition("/")[0])


@lru_cache(SCOPES)
def _other_levels(scope: str) -> Sequence[str]:
    elements = scope.split("/")
    while elements and (not elements[0] or WRAPPERS.fullmatch(elements[0])):
        del elements[0]
    while elements and OPERATOR_SCOPES.fullmatch(elements[-1]):
        del elements[-1]
    elements = [QUALIFIER.sub("", element).rstrip("_") for element in elements]
    elements = [element for element in elements if element]
    if not elements or all(element.isdigit() for element in elements) or " " in scope:
        return ()
    return _levels(elements[0], elements[1:], (elements[0],))


@lru_cache(SCOPES)
def _torch_levels(scope: str) -> Sequence[str]:
    return ("", *_levels("", scope.split("/"))) if scope else ("",)


def _levels(base: str, elements: Sequence[str], found: tuple[str, ...] = ()) -> Sequence[str]:
    """The path after each element; an element that begins with the path since ``base`` extends that."""
    require_levels("/".join((base, *elements)), len(found) + len(elements))
    path = ""
    levels = list(found)
    for element in elements:
        path = element if not path or element.startswith(f"{path}.") else f"{path}.{element}"
        levels.append(f"{base}.{path}" if base else path)
    return levels


def _part(name: str, op_type: str) -> str:
    """Of a name that several operators share, the part that names an operator of the node's type."""
    parts = name.split(";")
    kind = op_type.lower()
    return next((part for part in parts if part.rpartition("/")[2].lower().startswith(kind)), parts[0])


def prefix_of_graph(name: str) -> str:
    """The prefix ``g_`` that onnx.compose gives to every name of a graph; "" where the name has none."""
    first = name.partition("/")[0]
    return first if first.endswith("_") else ""


def weight_owner(name: str) -> str | None:
    """The path of the module that a weight's name puts it in; None where the name tells none.

    1. ``layer1.0.conv1.weight``, by torch and Paddle: all but the last element.
    2. ``model/dense/MatMul/ReadVariableOp``, ``dense/kernel:0``, by TensorFlow.
    3. ``inception_3a/1x1_w_0``, ``lstm_5_W``, ``conv0_weight``: up to a known ending.
    """
    if "::" in name or "__Inline_" in name:
        name = INLINED.sub(r"\1.", QUALIFIER.sub("", name))
    if "/" in name:
        owner = _slashed(name.partition(";")[0])
    elif "." in name:
        owner = _dotted(name)
    else:
        owner = _ended(name.partition(":")[0])
    require_levels(owner, owner.count(".") + 1)
    return owner or None


def _slashed(name: str) -> str:
    name = name.partition(":")[0]
    variable = name.partition("/ReadVariableOp")
    if variable[1]:
        *elements, _ = variable[0].split("/")
    else:
        *elements, last = name.split("/")
        if last not in KERNELS:
            layer = _dotted(last) if "." in last else _ended(last)
            elements = [*elements, layer] if layer else []
    while elements and WRAPPERS.fullmatch(elements[0]):
        del elements[0]
    return ".".join(filter(None, elements))


def _dotted(name: str) -> str:
    owner, _, last = name.rpartition(".")
    if _is_no_parameter(last) or " " in name or name.startswith(FRAMEWORKS_OWN):
        return ""
    owner = owner.removeprefix("self.")
    return PARAMETRIZED.sub("", owner) if ".parametrizations" in owner else owner


@lru_cache
def _is_no_parameter(last: str) -> bool:
    return NO_PARAMETER.fullmatch(last) is not None


def _ended(name: str) -> str:
    ending = ENDING.search(name)
    return name[: ending.start()] if ending else ""
