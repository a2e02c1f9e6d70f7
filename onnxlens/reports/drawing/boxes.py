"""The content of boxes, port labels, edge labels and cluster titles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from onnxlens.reports.drawing import colors
from onnxlens.reports.drawing.colors import NO_COLOR, Scale, figure_of
from onnxlens.reports.drawing.labels import (
    Block,
    Text,
    bar,
    shortened,
    shortened_path,
    side_by_side,
    text_block,
    wrapped,
)
from onnxlens.reports.drawing.links import PortLabel
from onnxlens.reports.numbers import bounded, cost_of, share_text
from onnxlens.specs.flow import FlowNode
from onnxlens.specs.ledger import is_lower_bound
from onnxlens.specs.tensor import TensorSpec

NAME_LETTERS = 30
"""A class name is broken or shortened to lines of so many."""
PATH_LETTERS = 34
FILE_LINES = 6
"""As many as the longest name of a file takes."""
CLUSTER_LETTERS = 26
PATHS_SHOWN = 4
"""Of a group's paths."""
TENSOR_LINES = 6
"""Of more tensors at one label the rest is counted."""
BAR_WIDTH, BAR_INSET = 5, 3


def box_block(node: FlowNode, scale: Scale, *, repeats: int = 1, branch: str = "", page: str = "") -> Block:
    """Number and class, path, costs, and where it is opened, a line each.

    Args:
        node: the box.
        scale: the colors of the picture.
        repeats: how many blocks it stands for in the cluster around it, for the badge.
        branch: the color of the bar at its left; "" for none.
        page: the file of the picture of its inside, by its path from this one; "" for none.
    """
    fill = scale.fill(node)
    ink = colors.ink_on(fill)
    lines = [*_names(node, ink), *(Text(line, 10, ink=ink) for line in _costs(node, scale))]
    if page:
        file = wrapped(f"inside: {page.rpartition('/')[2]}", PATH_LETTERS, FILE_LINES)  # in the same folder
        lines += [Text(line, 10, italic=True, ink=ink) for line in file]
    blocks = [text_block(lines, padding=4)]
    if branch:
        blocks.insert(0, bar(BAR_WIDTH, blocks[0].height, branch, BAR_INSET))
    if repeats > 1:
        blocks.append(badge(repeats))
    shown = (("ROUNDED", node.kind == "module"), ("DASHED", fill == colors.NO_FIGURE))
    styles = ",".join(name for name, applies in shown if applies)
    style = {"STYLE": styles} if styles else {}
    return side_by_side(blocks, {"COLOR": colors.BORDER, "BGCOLOR": fill, **style}, border=1)


def badge(repeats: int) -> Block:
    """How many equal blocks something stands for."""
    lines = [Text(f"x{repeats}", 13, bold=True, ink=colors.WHITE)]
    return text_block(lines, {"BGCOLOR": colors.BADGE}, padding=3)


def _names(node: FlowNode, ink: str) -> Sequence[Text]:
    module = node.kind == "module"
    lines = wrapped(f"{node.order}  {node.title}", NAME_LETTERS)
    names = [Text(line, 11, bold=module, italic=not module, ink=ink) for line in lines]
    if module and node.path not in ("", node.title):
        names.append(Text(shortened_path(node.path, PATH_LETTERS), 10, ink=ink))
    return names


def _costs(node: FlowNode, scale: Scale) -> Sequence[str]:
    """MACs and params, the cost that the color shows where it is another, and that of all blocks."""
    lines = [", ".join(filter(None, (_cost(node, name, scale) for name in ("macs", "params"))))]
    if scale.column not in ("macs", "params", NO_COLOR):
        lines.append(_cost(node, scale.column, scale))
    lines = [line for line in lines if line]
    if node.repeats > 1:
        lines = [f"each {line}" for line in lines]
        lines += filter(None, [total_cost([node], scale, f"all {node.repeats}: ")])
    return lines


def _cost(node: FlowNode, name: str, scale: Scale) -> str:
    """A cost of one block, with its share where the color is by it."""
    figure = node.costs.get(name, 0)
    lower = is_lower_bound(name, node.lower_bounds)
    if not figure and not lower:
        return ""
    kind = cost_of(name)
    text = f"{bounded(kind.short(figure), figure, lower=lower)} {kind.title}"
    if not figure or name != scale.column or kind.combined == "none" or node.repeats > 1:
        return text
    return f"{text} ({share_text(figure, scale.whole, part_lower=lower, whole_lower=scale.lower)})"


def total_cost(nodes: Iterable[FlowNode], scale: Scale, words: str = "") -> str:
    """What boxes cost together, and the share of it; "" for a cost that is no sum."""
    name = "macs" if scale.column == NO_COLOR else scale.column
    kind = cost_of(name)
    boxes = list(nodes)
    total = sum(figure_of(node, name) or 0 for node in boxes)
    lower = any(is_lower_bound(name, node.lower_bounds) for node in boxes)
    if kind.combined != "sum" or not (total or lower):
        return ""
    part = share_text(total, scale.whole, part_lower=lower, whole_lower=scale.lower) if scale.whole else ""
    shown = f"{words}{bounded(kind.short(total), total, lower=lower)} {kind.title}"
    return f"{shown} ({part})" if part and total else shown


def port_block(port: PortLabel) -> Block:
    """What is at the far end of tensors, and their shapes."""
    ground = port.skip.color if port.skip else colors.END
    ink = colors.ink_on(ground)
    words = Text(shortened(port.words, PATH_LETTERS), 9, bold=True, ink=ink)
    lines = [words, *(Text(line, 9, ink=ink) for line in tensor_lines(port.tensors))]
    return text_block(lines, {"STYLE": "ROUNDED", "BGCOLOR": ground})


def end_block(node: FlowNode) -> Block:
    """An input or output of the graph that has a position of its own."""
    words = text_block([Text(shortened(node.title, PATH_LETTERS), 11, bold=True, ink=colors.INK)])
    style = {"STYLE": "ROUNDED", "COLOR": colors.BORDER, "BGCOLOR": colors.END}
    return side_by_side([words], style, border=1)


def tensor_block(tensors: Iterable[TensorSpec], ink: str) -> Block:
    """The tensors on a line, below each other."""
    return text_block([Text(line, 9, ink=ink) for line in tensor_lines(tensors)], padding=2)


def tensor_lines(tensors: Iterable[TensorSpec]) -> Sequence[str]:
    """Shape and type of each; equal ones are counted."""
    counted = Counter(f"{tensor.shape_text()} {tensor.dtype}" for tensor in tensors)
    lines = [text if times == 1 else f"{times} x {text}" for text, times in counted.items()]
    if len(lines) <= TENSOR_LINES:
        return lines
    rest = sum(list(counted.values())[TENSOR_LINES - 1 :])
    return [*lines[: TENSOR_LINES - 1], f"and {rest} more"]


def title_block(class_name: str, path: str, cost: str, repeats: int = 1) -> Block:
    """Class, path and cost of an opened module, and how many it stands for."""
    name = class_name or path
    lines = [Text(line, 11, bold=True, ink=colors.CLUSTER_INK) for line in wrapped(name, CLUSTER_LETTERS, 3)]
    if name != path:
        lines += [Text(line, 10, ink=colors.CLUSTER_INK) for line in _path_lines(path)]
    if cost:
        lines.append(Text(cost, 10, ink=colors.CLUSTER_INK))
    words = text_block(lines, padding=2)
    return words if repeats == 1 else side_by_side([words, badge(repeats)])


def _path_lines(path: str) -> Sequence[str]:
    """The path of a module, or those of a group, a line each; the rest of many is counted."""
    paths = path.split(", ")
    lines = [shortened_path(each, CLUSTER_LETTERS) for each in paths[:PATHS_SHOWN]]
    return [*lines, f"and {len(paths) - PATHS_SHOWN} more"] if len(paths) > PATHS_SHOWN else lines
