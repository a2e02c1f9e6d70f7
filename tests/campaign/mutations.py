"""Changes of a model: of the structure of its protobuf, field by field, and of its bytes.

A change is drawn from a random generator, so that a seed gives the same file again. What a field means is not
looked at: every message, number, name and block of data of ONNX's format is changed alike, the graphs inside
nodes, functions, metadata and entries of external data too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from onnx import AttributeProto, helper

INTEGERS = (0, 1, -1, 2, 3, 5, 16, 99, 4096, 2**31 - 1, 2**31, -(2**31), 2**40, 2**62, 2**63 - 1, -(2**63))
FLOATS = (0.0, 1.0, -1.0, 0.5, 1e38, float("inf"), float("-inf"), float("nan"))
TEXTS = (
    "",
    "x",
    "two",
    "é\u202eabc",
    "\x1b[31mred\x07",
    "a\nb",
    "\x00",
    "../../etc/hostname",
    "/etc/hostname",
    "os:getcwd",
    "/".join(f"a{level}" for level in range(300)),
    "n" * 5000,
    "[" * 5000,
    "['', 'a.b', 'x']",
    "-1",
    "99999999999999999999",
    "com.microsoft",
    "ai.onnx.ml",
    "%d%s{0}<b>&amp;",
)
BLOCKS = (b"", b"\x00", b"123", b"\xff\xfe" * 9, bytes(64), b"\x80" * 4096)

NUMBERS: Mapping[int, Sequence[Any]] = {
    FieldDescriptor.CPPTYPE_INT32: [number for number in INTEGERS if -(2**31) <= number < 2**31],
    FieldDescriptor.CPPTYPE_INT64: INTEGERS,
    FieldDescriptor.CPPTYPE_UINT64: [number for number in INTEGERS if number >= 0],
    FieldDescriptor.CPPTYPE_FLOAT: FLOATS,
    FieldDescriptor.CPPTYPE_DOUBLE: FLOATS,
}
"""Values for a field, by the type that protobuf gives it."""


@dataclass(frozen=True)
class Site:
    """A field of a message that is set: the field itself, or one element of it."""

    parent: Message
    field: FieldDescriptor
    index: int | None

    @property
    def value(self) -> Any:
        held = getattr(self.parent, self.field.name)
        return held if self.index is None else held[self.index]

    def remove(self) -> None:
        if self.index is None:
            self.parent.ClearField(self.field.name)
        else:
            del getattr(self.parent, self.field.name)[self.index]

    def put(self, value: Any) -> None:
        """Replace the value; a message takes what another of its kind holds."""
        if isinstance(value, Message):
            self.value.CopyFrom(value)
        elif self.index is None:
            setattr(self.parent, self.field.name, value)
        else:
            getattr(self.parent, self.field.name)[self.index] = value


def sites(message: Message) -> Iterator[Site]:
    """Every field and every element of the message and of those in it; the outermost first."""
    for field, value in message.ListFields():
        if field.is_repeated:
            found = [Site(message, field, index) for index in range(min(len(value), 200))]
        else:
            found = [Site(message, field, None)]
        yield from found
        if field.message_type is not None:
            for site in found:
                yield from sites(site.value)


def _is_message(site: Site) -> bool:
    return site.field.message_type is not None


def _draw(rng: Random, site: Site, others: Sequence[Site]) -> Any:
    """A value for the site: extreme, or another of the same type in the model."""
    kind = site.field.cpp_type
    alike = [
        other.value
        for other in others
        if other.field.cpp_type == kind and other.field.type == site.field.type
    ]
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return rng.choice([value.number for value in site.field.enum_type.values])
    if kind == FieldDescriptor.CPPTYPE_STRING:
        extreme: Sequence[Any] = BLOCKS if site.field.type == FieldDescriptor.TYPE_BYTES else TEXTS
    else:
        extreme = NUMBERS.get(kind, INTEGERS)
    small = kind in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64) and rng.random() < 0.4
    if small:
        return rng.randint(0, 30)  # such as another element type
    return rng.choice(alike if alike and rng.random() < 0.4 else extreme)


def remove(rng: Random, model: Message) -> None:
    """Takes a field, or one element of it, out."""
    rng.choice([*sites(model)]).remove()


def replace(rng: Random, model: Message) -> None:
    """Gives a number, a name or data another value."""
    found = [*sites(model)]
    plain = [site for site in found if not _is_message(site)]
    site = rng.choice(plain)
    site.put(_draw(rng, site, plain))


def graft(rng: Random, model: Message) -> None:
    """Puts a copy of a message in the place of another of its kind."""
    found = [site for site in sites(model) if _is_message(site)]
    site = rng.choice(found)
    alike = [other for other in found if other.field.message_type is site.field.message_type]
    copy = type(site.value)()
    copy.CopyFrom(rng.choice(alike).value)
    site.put(copy)


def double(rng: Random, model: Message) -> None:
    """Repeats an element of a list at its end."""
    repeated = [site for site in sites(model) if site.index is not None]
    if repeated:
        site = rng.choice(repeated)
        held = getattr(site.parent, site.field.name)
        held.extend([site.value])


def swap(rng: Random, model: Message) -> None:
    """Exchanges two elements of a list."""
    lists = {(id(site.parent), site.field.name): site for site in sites(model) if site.index}
    if lists:
        site = rng.choice([*lists.values()])
        held = getattr(site.parent, site.field.name)
        first, second = rng.randrange(len(held)), rng.randrange(len(held))
        if _is_message(site):
            copy = type(held[first])()
            copy.CopyFrom(held[first])
            held[first].CopyFrom(held[second])
            held[second].CopyFrom(copy)
        else:
            held[first], held[second] = held[second], held[first]


def add(rng: Random, model: Message) -> None:
    """Sets a field that is not set, or adds an element to a list."""
    found = [*sites(model)]
    messages = [model, *(site.value for site in found if _is_message(site))]
    message = rng.choice(messages)
    field = rng.choice(message.DESCRIPTOR.fields)
    if field.message_type is not None:
        alike = [site.value for site in found if site.field.message_type is field.message_type]
        held = getattr(message, field.name)
        target = held.add() if field.is_repeated else held
        if alike and (source := rng.choice(alike)) is not target:
            copy = type(source)()
            copy.CopyFrom(source)
            target.CopyFrom(copy)
        else:
            target.SetInParent()
        return
    value = _draw(rng, Site(message, field, None), [site for site in found if not _is_message(site)])
    if field.is_repeated:
        getattr(message, field.name).extend([value] * rng.choice([1, 2, 3, 70]))
    else:
        setattr(message, field.name, value)


def attribute(rng: Random, model: onnx.ModelProto) -> None:
    """Gives a node an attribute of its operator's, with a value of any kind."""
    nodes = [
        site.value
        for site in sites(model)
        if site.field.message_type and site.field.message_type.name == "NodeProto"
    ]
    if not nodes:
        return
    node = rng.choice(nodes)
    try:
        names = sorted(onnx.defs.get_schema(node.op_type, 28, node.domain).attributes)
    except onnx.defs.SchemaError:
        names = ["axis", "num_heads"]
    name = rng.choice(names or ["axis"])
    numbers = [rng.choice(INTEGERS) for _ in range(rng.randint(0, 4))]
    values: Sequence[Any] = (
        rng.choice(INTEGERS),
        rng.choice(FLOATS),
        rng.choice(TEXTS),
        numbers,
        [rng.choice(FLOATS)],
        [rng.choice(TEXTS)],
        helper.make_tensor("t", onnx.TensorProto.FLOAT, [2], [1.0, 2.0]),
        onnx.TensorProto(data_type=onnx.TensorProto.INT64, dims=[rng.choice(INTEGERS)], raw_data=b"1234"),
        helper.make_graph([], "empty", [], []),
    )
    value = rng.choice(values)
    kind = AttributeProto.INTS if isinstance(value, list) and not value else None
    for old in [old for old in node.attribute if old.name == name]:
        node.attribute.remove(old)
    node.attribute.append(helper.make_attribute(name, value, attr_type=kind))


Change = Callable[[Random, onnx.ModelProto], None]

CHANGES: Sequence[Change] = (
    *(remove, remove, replace, replace, replace, replace, attribute, attribute, attribute),
    *(graft, double, swap, add),
)


def changed(rng: Random, data: bytes) -> bytes:
    """The model with one to four changes of its structure, and one time in ten text that is not UTF-8."""
    model = onnx.ModelProto.FromString(data)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        if not model.ListFields():
            break
        rng.choice(CHANGES)(rng, model)
    spoiled = model.SerializeToString()
    return not_utf8(rng, model, spoiled) if rng.random() < 0.1 else spoiled


def not_utf8(rng: Random, model: onnx.ModelProto, data: bytes) -> bytes:
    """Puts bytes that are not UTF-8 for a name, wherever it stands."""
    texts = {site.value for site in sites(model) if site.field.type == FieldDescriptor.TYPE_STRING}
    names = sorted(text.encode() for text in texts if len(text) > 1)
    if not names:
        return data
    name = rng.choice(names)
    return data.replace(name, (b"\xff\xfe" * len(name))[: len(name)])


def bytes_changed(rng: Random, data: bytes) -> bytes:
    """Some bytes flipped, cut out, repeated, moved or put in."""
    spoiled = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        place = rng.randrange(len(spoiled) + 1)
        length = rng.choice((1, 1, 2, 4, 16, 200))
        match rng.choice(("flip", "flip", "flip", "set", "cut", "repeat", "insert", "end")):
            case "flip" if place < len(spoiled):
                spoiled[place] ^= 1 << rng.randrange(8)
            case "set" if place < len(spoiled):
                spoiled[place] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case "cut":
                del spoiled[place : place + length]
            case "repeat":
                spoiled[place:place] = spoiled[place : place + length] * rng.choice((1, 2, 50))
            case "insert":
                spoiled[place:place] = rng.randbytes(length)
            case "end" if rng.random() < 0.3:
                del spoiled[place:]
    return bytes(spoiled)
