"""What stands in a box, in the tags beside it, and in the title of a frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from onnxlens.reports.drawing import palette
from onnxlens.reports.drawing.links import Links, Tag
from onnxlens.reports.drawing.markup import Block, Text, cell, framed, label, table, text_block
from onnxlens.reports.drawing.names import shortened, shortened_path, wrapped
from onnxlens.reports.drawing.scale import NO_COLOUR, Scale, cost_column, figure_of
from onnxlens.reports.numbers import share
from onnxlens.specs.flow import FlowNode
from onnxlens.specs.tensor import TensorSpec

NAME_LETTERS = 30
"""A class name is broken or shortened to lines of so many."""
PATH_LETTERS = 34
TENSOR_LINES = 4
"""Of more tensors in one place the rest is counted."""
IN_PORT, OUT_PORT = "in", "out"
"""Where lines come in at the top of a box, and leave it at the bottom."""
TAGS_HIGH = 4
"""So many tags stand below each other."""


def row_label(node: FlowNode, scale: Scale, links: Links) -> str:
    """A box between its tags: left what it reads, right the skip connections and who reads what it makes."""
    read = [tag for tag in links.before.get(node.id, ()) if not tag.skip]
    skipped = [tag for tag in links.before.get(node.id, ()) if tag.skip]
    made = links.behind.get(node.id, ())
    cells = [*_columns(read, "RIGHT"), _arrow("→")] if read else []
    cells.append(cell(_box(node, scale).markup))
    if skipped:
        cells += [_arrow("←"), *_columns(skipped, "LEFT")]
    if made:
        cells += [_arrow("→"), *_columns(made, "LEFT")]
    return label(table([cells]))


def skip_port(tag: Tag) -> str:
    """The name of the place where the line of a skip connection ends."""
    return f"skip{tag.skip.number}" if tag.skip else ""


def _arrow(sign: str) -> str:
    return cell(text_block([Text(sign, 12, ink=palette.LINE)], padding=1, align="CENTER").markup)


def _columns(tags: Sequence[Tag], align: str) -> Sequence[str]:
    """Tags below each other; many stand in several columns."""
    return [
        cell(table([[_tag(tag, align)] for tag in tags[start : start + TAGS_HIGH]], CELLSPACING=2))
        for start in range(0, len(tags), TAGS_HIGH)
    ]


def _tag(tag: Tag, align: str) -> str:
    ground = tag.skip.colour if tag.skip else palette.END
    ink = palette.ink_on(ground)
    words = Text(shortened(tag.words, PATH_LETTERS), 9, bold=True, ink=ink)
    lines = [words, *(Text(line, 9, ink=ink) for line in tensor_lines(tag.tensors))]
    port = {"PORT": skip_port(tag)} if tag.skip else {}
    return cell(text_block(lines, {"STYLE": "ROUNDED", "BGCOLOR": ground, "ALIGN": align, **port}).markup)


def _box(node: FlowNode, scale: Scale) -> Block:
    """Number and class, path, and costs, a line each; how many blocks it stands for on a badge."""
    fill = scale.fill(node)
    ink = palette.ink_on(fill)
    lines = [*_names(node, ink), *(Text(line, 10, ink=ink) for line in _costs(node, scale))]
    styles = [
        *(["ROUNDED"] if node.kind == "module" else []),
        *(["DASHED"] if fill == palette.NO_FIGURE else []),
    ]
    style = {"STYLE": ",".join(styles)} if styles else {}
    blocks = [text_block(lines, padding=4)]
    if node.repeats > 1:
        badge = [Text(f"x{node.repeats}", 13, bold=True, ink=palette.WHITE)]
        blocks.append(text_block(badge, {"BGCOLOR": palette.BADGE}, padding=3))
    return framed(blocks, {"COLOR": palette.BORDER, "BGCOLOR": fill, **style}, (IN_PORT, OUT_PORT))


def _names(node: FlowNode, ink: str) -> Sequence[Text]:
    module = node.kind == "module"
    lines = wrapped(f"{node.order}  {node.title}", NAME_LETTERS)
    names = [Text(line, 11, bold=module, italic=not module, ink=ink) for line in lines]
    if module and node.path not in ("", node.title):
        names.append(Text(shortened_path(node.path, PATH_LETTERS), 10, ink=ink))
    return names


def _costs(node: FlowNode, scale: Scale) -> Sequence[str]:
    """MACs and params, the cost that the colour shows where it is another, and that of all blocks."""
    figures = [text for name in ("macs", "params") if (text := _cost(node, name, scale))]
    lines = [", ".join(figures)] if figures else []
    if scale.column not in ("macs", "params", NO_COLOUR) and (text := _cost(node, scale.column, scale)):
        lines.append(text)
    if node.repeats > 1:
        lines = [f"each {line}" for line in lines]
        lines += [text for text in [_cost_of_all(node, scale)] if text]
    return lines


def _cost(node: FlowNode, name: str, scale: Scale) -> str:
    """A cost of one block, with its share where the colour is by it."""
    figure = node.costs.get(name)
    if not figure:
        return ""
    kind = cost_column(name)
    text = f"{kind.short(figure)} {kind.title}"
    if name != scale.column or kind.meaning == "value" or node.repeats > 1:
        return text
    return f"{text} ({share(figure, scale.whole)})"


def _cost_of_all(node: FlowNode, scale: Scale) -> str:
    name = "macs" if scale.column == NO_COLOUR else scale.column
    kind, figure = cost_column(name), figure_of(node, name)
    if not figure or kind.meaning != "share":
        return ""
    part = f" ({share(figure, scale.whole)})" if scale.whole else ""
    return f"all {kind.short(figure)} {kind.title}{part}"


def end_label(node: FlowNode) -> str:
    """An input or output of the graph that has a place of its own."""
    words = text_block([Text(shortened(node.title, PATH_LETTERS), 11, bold=True, ink=palette.INK)])
    return label(
        framed([words], {"STYLE": "ROUNDED", "COLOR": palette.BORDER, "BGCOLOR": palette.END}).markup
    )


def line_label(tensors: Iterable[TensorSpec], ink: str) -> str:
    """The tensors on an arrow, clear of it on both sides."""
    return label(text_block([Text(line, 9, ink=ink) for line in tensor_lines(tensors)]).markup)


def tensor_lines(tensors: Iterable[TensorSpec]) -> Sequence[str]:
    """Shape and type of each; equal ones are counted."""
    counted: dict[str, int] = {}
    for tensor in tensors:
        text = f"{tensor.shape_text()} {tensor.dtype}"
        counted[text] = counted.get(text, 0) + 1
    lines = [text if times == 1 else f"{times} x {text}" for text, times in counted.items()]
    if len(lines) <= TENSOR_LINES:
        return lines
    rest = sum(list(counted.values())[TENSOR_LINES - 1 :])
    return [*lines[: TENSOR_LINES - 1], f"and {rest} more"]


def frame_title(class_name: str, path: str, cost: str) -> str:
    """Class, path and cost of an opened module."""
    name = class_name or path
    lines = [Text(line, 11, bold=True, ink=palette.FRAME_INK) for line in wrapped(name, NAME_LETTERS - 8, 3)]
    if class_name:
        lines.append(Text(shortened_path(path, NAME_LETTERS - 4), 10, ink=palette.FRAME_INK))
    if cost:
        lines.append(Text(cost, 10, ink=palette.FRAME_INK))
    return label(text_block(lines, padding=2).markup)
