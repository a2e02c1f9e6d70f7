"""Modules as users write them, each with the plain PyTorch call that its graph has to be equal to.

``tests.export.factory_nets:NAME`` is the target of each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from onnxlens.specs.graph import GraphSpec
from onnxlens.specs.tensor import TensorSpec

X = TensorSpec("x", "float32", (2, 8))
SCALE = TensorSpec("scale", "float32", (2, 1))
IDS = TensorSpec("ids", "int64", (2, 5))
SEQUENCE = TensorSpec("input", "float32", (2, 5, 8))


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Any:
        return self.linear(x)


class Keyword(Layer):
    def forward(self, x: Tensor, *, scale: Tensor) -> Tensor:
        return self.linear(x) * scale


class Optional(Layer):
    def forward(self, x: Tensor, bias: Tensor | None = None, scale: Tensor | None = None) -> Tensor:
        y = self.linear(x) if bias is None else self.linear(x) + bias
        return y if scale is None else y * scale


class Options(Layer):
    def forward(self, x: Tensor, **options: Tensor) -> Tensor:
        return self.linear(x) * options["scale"]


class Several(Layer):
    def forward(self, xs: Any, scale: Tensor) -> Tensor:
        return self.linear(torch.cat(xs, 0)) * scale


class Batch(Layer):
    def forward(self, batch: Any) -> Tensor:
        return self.linear(batch["x"]) * batch["scale"]


class Annotated(Layer):
    def forward(self, xs: list[Tensor]) -> Tensor:
        (x,) = xs
        return self.linear(x)


class Hidden(Layer):
    """Keeps layers, a norm and a weight where PyTorch does not see them: it neither saves nor moves them."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = {"a.b": [nn.Linear(8, 8), nn.LayerNorm(8)], "c": self.linear, 3: nn.Linear(8, 4)}
        self.again = (self.parts,)
        self.weights = [nn.Parameter(torch.ones(4, 6))]
        for layer in (*self.parts["a.b"], self.parts[3]):
            self.weights += layer.parameters()
        with torch.no_grad():
            for weight in self.weights:
                weight.copy_(torch.linspace(-1, 2, weight.numel()).reshape(weight.shape))

    def forward(self, x: Tensor) -> Tensor:
        for layer in [*self.parts["a.b"], self.parts["c"], self.parts[3]]:
            x = layer(x)
        return x @ self.weights[0]


class InPlace(Layer):
    """Works on its input itself."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(x.mul_(2))
        y[:, 0] = 3
        return y


class Switched(Layer):
    def forward(self, x: Tensor, flag: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        return torch.where(flag, self.linear(x), x) / count, flag.logical_not()


class Named(Layer):
    def forward(self, x: Tensor) -> Any:
        y = self.linear(x)
        return {"logits": y, "more": (y.relu(), [y + 1]), "none": None}


class Pair(NamedTuple):
    low: Tensor
    high: Tensor


@dataclass
class Record:
    first: Tensor
    pair: Pair
    count: int = 2


class Records(Layer):
    def forward(self, x: Tensor) -> Any:
        y = self.linear(x)
        return Record(y, Pair(y - 1, y + 1))


class Passing(Layer):
    """Returns its input, a tensor twice, a weight, and a constant under the name of the output."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.arange(8.0)

    def forward(self, x: Tensor) -> Any:
        y = self.linear(x) * self.table
        return y, x, y, self.linear.bias, self.table


class Drawn(Layer):
    """What vision transformers do when they are made: draw, and read what they computed."""

    def __init__(self) -> None:
        super().__init__()
        nn.init.trunc_normal_(self.linear.weight, std=0.02)
        self.rates = [rate.item() for rate in torch.linspace(0, 0.2, 3)]
        self.sizes = torch.tensor([2, 4]).tolist()

    def forward(self, x: Tensor) -> Any:
        return self.linear(x).reshape(self.sizes[0], 2, self.sizes[1]) * self.rates[1]


class Tables(Layer):
    """Everything that a module computes for itself: saved, unsaved, shared, frozen, in lists, complex."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("index", torch.arange(7, -1, -1))
        self.register_buffer("mean", torch.full((8,), 3.0))
        self.register_buffer("mask", torch.tensor([True, False] * 4))
        self.register_buffer("steps", torch.tensor(3))
        self.register_buffer("frequencies", torch.arange(1.0, 9.0), persistent=False)
        self.register_buffer("absent", None)
        self.position = nn.Parameter(torch.zeros(8), requires_grad=False)
        self.position.data.copy_(torch.linspace(0, 1, 8))
        self.offset = torch.tensor([0.5] * 8)
        self.several = [torch.arange(8.0), {"deep": torch.full((8,), 2.0)}]
        self.ratio = torch.tensor(1.5)
        turns = torch.polar(torch.ones(4), torch.arange(4.0))
        self.register_buffer("turns", turns)
        self.register_buffer("unsaved_turns", turns * 2, persistent=False)
        self.turns_back = turns.conj()

    def forward(self, x: Tensor) -> Any:
        y = self.linear(x - self.mean)[:, self.index] * self.mask / self.steps  # type: ignore[index]
        y = y * self.frequencies.cos() + self.position - self.offset  # type: ignore[operator]
        y = y * self.several[0] + self.several[1]["deep"] * self.ratio.item()  # type: ignore[call-overload]
        turned = torch.view_as_complex(y.reshape(2, 4, 2)) * self.turns
        turned = turned * self.unsaved_turns * self.turns_back  # type: ignore[operator]
        return torch.view_as_real(turned).flatten(1)


class Spectral(nn.Module):
    """A complex parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(5, dtype=torch.complex64))

    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.irfft(torch.fft.rfft(x) * self.weight, n=8)


class Counting(Layer):
    """Changes its buffer when it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.tensor(3))

    def forward(self, x: Tensor) -> Any:
        self.count += 1  # type: ignore[operator]
        return self.linear(x) / self.count


class FrozenNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        for name, value in {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}.items():
            self.register_buffer(name, torch.full((8,), value))

    def forward(self, x: Tensor) -> Any:
        return (x - self.running_mean) * self.running_var.rsqrt() * self.weight + self.bias  # type: ignore[operator]


class Derived(Layer):
    """Computes a buffer from a parameter, which has no value on the meta device."""

    def __init__(self) -> None:
        super().__init__()
        nn.init.ones_(self.linear.weight)
        self.register_buffer("norm", self.linear.weight.norm())

    def forward(self, x: Tensor) -> Any:
        return self.linear(x) / self.norm


class TiedHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 8)
        self.head = nn.Linear(8, 50, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.embedding(ids))


class Repeated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(8, 8)] * 3)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x).relu()
        return x


class Encoder(Layer):
    def encode(self, x: Tensor, scale: Tensor) -> Tensor:
        return self.linear(x) * scale


def around(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    return lambda x: layer(x) * 2


Inputs = Mapping[str, Tensor]


@dataclass(frozen=True)
class Case:
    """A factory, its inputs and outputs, and how a user calls its module.

    ``params`` are the elements of its parameters, by hand.
    """

    factory: Callable[[], Any]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]
    call: Callable[[Any, Inputs], Any]
    params: int = 8 * 8 + 8


def one(module: Any, given: Inputs) -> Any:
    """The call of a module with one input."""
    return [module(*given.values())]


def named_leaves(module: Any, given: Inputs) -> Any:
    returned = module(given["x"])
    return [returned["logits"], returned["more"][0], returned["more"][1][0]]


STATE = (TensorSpec("h0", "float32", (1, 2, 8)), TensorSpec("c0", "float32", (1, 2, 8)))
PART = TensorSpec("part", "float32", (3, 8))
ROWS = TensorSpec("scale", "float32", (5, 1))
FLAG, COUNT = TensorSpec("flag", "bool", ()), TensorSpec("count", "int64", ())

CASES: Mapping[str, Case] = {
    "keyword_only": Case(Keyword, (X, SCALE), ("y",), lambda m, i: [m(i["x"], scale=i["scale"])]),
    "any_order": Case(Keyword, (SCALE, X), ("y",), lambda m, i: [m(i["x"], scale=i["scale"])]),
    "optional_skipped": Case(Optional, (X, SCALE), ("y",), lambda m, i: [m(i["x"], scale=i["scale"])]),
    "positions": Case(
        Optional,
        (TensorSpec("image", "float32", (2, 8)), TensorSpec("shift", "float32", (2, 8))),
        ("y",),
        lambda m, i: [m(i["image"], i["shift"])],
    ),
    "options": Case(Options, (X, SCALE), ("y",), lambda m, i: [m(i["x"], scale=i["scale"])]),
    "list": Case(Several, (X, PART, ROWS), ("y",), lambda m, i: [m([i["x"], i["part"]], i["scale"])]),
    "dict": Case(Batch, (X, SCALE), ("y",), lambda m, i: [m(dict(i))]),
    "dict_entries": Case(
        Batch,
        tuple(TensorSpec(f"batch.{t.name}", t.dtype, t.shape) for t in (SCALE, X)),
        ("y",),
        lambda m, i: [m({"x": i["batch.x"], "scale": i["batch.scale"]})],
    ),
    "annotated": Case(Annotated, (X,), ("y",), lambda m, i: [m([i["x"]])]),
    "state": Case(
        lambda: nn.LSTM(8, 8, batch_first=True),
        (SEQUENCE, *STATE),
        ("y", "h", "c"),
        lambda m, i: [(r := m(i["input"], (i["h0"], i["c0"])))[0], *r[1]],
        params=4 * 8 * (8 + 8 + 2),
    ),
    "scalars": Case(
        Switched, (X, FLAG, COUNT), ("y", "not"), lambda m, i: [*m(i["x"], i["flag"], i["count"])]
    ),
    "named_outputs": Case(Named, (X,), ("logits", "b", "c"), named_leaves),
    "some_by_name": Case(Named, (X,), ("more.1.0", "logits"), lambda m, i: named_leaves(m, i)[::-2]),
    "records": Case(
        Records, (X,), ("pair.high", "first"), lambda m, i: [(r := m(i["x"])).pair.high, r.first]
    ),
    "undeclared": Case(Records, (X,), (), lambda m, i: [(r := m(i["x"])).first, *r.pair]),
    "passing": Case(Passing, (X,), ("y", "same", "again", "weight", "table"), lambda m, i: [*m(i["x"])]),
    "drawn": Case(Drawn, (X,), ("y",), one),
    "tables": Case(Tables, (X,), ("y",), one, params=72 + 8),
    "spectral": Case(Spectral, (X,), ("y",), one, params=5),
    "counting": Case(Counting, (X,), ("y",), one),
    "frozen_norm": Case(FrozenNorm, (X,), ("y",), one, params=0),
    "derived": Case(Derived, (X,), ("y",), one),
    "tied": Case(TiedHead, (IDS,), ("y",), one, params=400),
    "repeated": Case(Repeated, (X,), ("y",), one),
    "half": Case(lambda: Layer().half(), (TensorSpec("x", "float16", (2, 8)),), ("y",), one),
    "double": Case(lambda: Layer().double(), (TensorSpec("x", "float64", (2, 8)),), ("y",), one),
    "moved": Case(lambda: Layer().to("cpu"), (X,), ("y",), one),
    "normalized": Case(
        lambda: nn.utils.parametrizations.weight_norm(nn.Linear(8, 8)), (X,), ("y",), one, params=80
    ),
    "function": Case(lambda: lambda x: x[:, :4] + 1, (X,), ("y",), one, params=0),
    "method": Case(lambda: Encoder().encode, (X, SCALE), ("y",), lambda m, i: [m(i["x"], i["scale"])]),
    "hidden": Case(Hidden, (X,), ("y",), one),
    "in_place": Case(InPlace, (X,), ("y",), one),
    "closure": Case(lambda: around(Layer()), (X,), ("y",), one),
}


def spec_of_case(name: str) -> GraphSpec:
    """The graph of a case: outputs are declared with the types and shapes that the plain call gives."""
    case = CASES[name]
    given = {tensor.name: zeros(tensor) for tensor in case.inputs}
    with torch.no_grad():
        returned = case.call(plain(case.factory()), given)
    outputs = tuple(
        TensorSpec(name, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
        for name, tensor in zip(case.outputs, returned, strict=False)
    )
    low, high = {"int64": (1, 9)}, {"ids": (0, 49)}
    ranges = {t.name: high.get(t.name, low.get(t.dtype, (-1.0, 1.0))) for t in case.inputs}
    return GraphSpec(name, "user", case.factory, case.inputs, outputs, input_ranges=ranges)


def zeros(tensor: TensorSpec) -> Tensor:
    return torch.zeros(tuple(map(int, tensor.shape)), dtype=getattr(torch, tensor.dtype))


def plain(made: Any) -> Any:
    """What the factory makes, for inference."""
    return made.eval() if isinstance(made, nn.Module) else made


def __getattr__(name: str) -> Callable[[], GraphSpec]:
    if name not in CASES:
        raise AttributeError(name)
    return lambda: spec_of_case(name)
