"""What a picture says of itself: what is drawn, from where, and what its colors and signs mean."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from onnxlens.reports.drawing import colors
from onnxlens.reports.drawing.colors import NO_COLOR, Scale, figure_of
from onnxlens.reports.drawing.labels import (
    Block,
    Text,
    bar,
    shortened,
    side_by_side,
    text_block,
    wrapped,
)
from onnxlens.reports.drawing.links import Links
from onnxlens.reports.numbers import AT_LEAST, UNKNOWN, bounded, cost_of
from onnxlens.specs.flow import FlowGraph, FlowNode
from onnxlens.specs.ledger import is_lower_bound

BRANCHES_SHOWN = 6
"""As many as there are colors."""
BRANCH_WIDTH = 6
SKIP_WORDS = {
    "skip": "a skip connection",
    "link": "a link between parallel modules",
    "loop": "a loop's back edge",
}
NAME_LETTERS = 40
TITLE_LETTERS, LINE_LETTERS, TITLE_LINES = 80, 120, 3
"""Letters in a line of the title and of what is said below it, and how many lines each may take."""


def title_blocks(flow: FlowGraph, scale: Scale, links: Links, branches: Mapping[str, int]) -> Sequence[Block]:
    """Title, totals, notes and legends, from the top down, at the left of the picture."""
    title = wrapped(heading(flow), TITLE_LETTERS, TITLE_LINES)
    lines = [line for text in _said(flow) for line in wrapped(text, LINE_LETTERS, TITLE_LINES)]
    about = [
        *(Text(line, 15, bold=True, ink=colors.INK) for line in title),
        *(Text(line, 11, ink=colors.INK) for line in lines),
    ]
    return [text_block(about), *_scale_legend(scale), *_branch_legend(flow, branches), _words(*_signs(links))]


def heading(flow: FlowGraph) -> str:
    """What is drawn."""
    inside = f" inside {_module(flow)}" if flow.module else ""
    return f"{flow.graph}: data flow between modules{inside}, depth {flow.depth}"


def _module(flow: FlowGraph) -> str:
    """The module that is shown alone, by its class too where the cluster around the boxes says it."""
    class_name = dict(parent for node in flow.nodes for parent in node.parents).get(flow.module, "")
    return f"{class_name} {flow.module}" if class_name not in ("", flow.module) else flow.module


def description(flow: FlowGraph) -> str:
    """Where it comes from, how much there is of it, and what a reader must know."""
    return ". ".join(_said(flow))


def _said(flow: FlowGraph) -> Sequence[str]:
    return [_origin(flow), *parallel_words(flow), *flow.notes]


def parallel_words(flow: FlowGraph) -> Sequence[str]:
    """What can run at the same time, and what that saves; nothing where all runs one after the other."""
    found = flow.parallelism
    if found is None or not found.independent:
        return []
    short = cost_of("macs").short
    words = [
        f"longest path {short(found.longest_path)} of {short(found.macs)} MACs, "
        f"on {found.engines} engines {short(found.schedule)}"
    ]
    for pair in found.independent:
        beside = ", ".join(pair.beside)
        words.append(
            f"independent: {pair.module} ({short(pair.macs)} MACs) and {beside} ({short(pair.beside_macs)})"
        )
    return words


def _origin(flow: FlowGraph) -> str:
    boxes = [node for node in flow.nodes if node.order]
    parts = ["1 box" if len(boxes) == 1 else f"{len(boxes)} boxes"]
    for name in ("macs", "params"):
        known = [figure for node in boxes if (figure := figure_of(node, name)) is not None]
        lower = any(is_lower_bound(name, node.lower_bounds) for node in boxes)
        total = flow.params if name == "params" and flow.params is not None else sum(known)
        if known or lower:
            parts.append(f"{bounded(cost_of(name).short(total), total, lower=lower)} {cost_of(name).title}")
    return f"from {flow.source}; {', '.join(parts)}"


def _scale_legend(scale: Scale) -> Sequence[Block]:
    if scale.column == NO_COLOR:
        return []
    kind = cost_of(scale.column)
    known = " known" if scale.lower else ""
    meaning = {"sum": f"share of all{known}", "max": "share of the largest", "none": "by"}[kind.combined]
    blocks = [_words(f"fill: {meaning} {kind.title}")]
    blocks += [
        _swatch([line for line in (step.share, step.figure) if line], step.fill) for step in scale.steps()
    ]
    if not scale.complete:
        blocks.append(_swatch(["no figure"], colors.NO_FIGURE, STYLE="DASHED"))
    if scale.lower:
        blocks.append(_words(f"{AT_LEAST}: at least; {UNKNOWN}: unknown"))
    return [side_by_side(blocks)]


def _swatch(words: Sequence[str], fill: str, **style: str) -> Block:
    lines = [Text(line, 10, ink=colors.ink_on(fill)) for line in words]
    attributes = {"COLOR": colors.BORDER, "BGCOLOR": fill, **style}
    return side_by_side([text_block(lines, align="CENTER")], attributes, border=1)


def _branch_legend(flow: FlowGraph, branches: Mapping[str, int]) -> Sequence[Block]:
    """The bars of the branches that can run at the same time, and what is in each."""
    members: dict[int, list[FlowNode]] = defaultdict(list)
    for node in flow.nodes:
        if branches.get(node.id):
            members[branches[node.id]].append(node)
    if not members:
        return []
    blocks = [_words("can run at the same time: no bar (the trunk),")]
    for branch in sorted(members)[:BRANCHES_SHOWN]:
        name = shortened(_common_name(members[branch]), NAME_LETTERS)
        words = _words(f"parallel branch {branch}: {name}")
        blocks += [bar(BRANCH_WIDTH, words.height, colors.branch_color(branch)), words]
    if (rest := len(members) - BRANCHES_SHOWN) > 0:
        blocks.append(_words(f"and {rest} more"))
    return [side_by_side(blocks)]


def _words(*lines: str) -> Block:
    return text_block([Text(line, 10, ink=colors.INK) for line in lines])


def _common_name(boxes: Sequence[FlowNode]) -> str:
    """The title that they share, the innermost cluster around all of them, or the heaviest and how many."""
    around = min((box.parents for box in boxes), key=len)
    common = [
        cluster for index, cluster in enumerate(around) if all(box.parents[index] == cluster for box in boxes)
    ]
    titles = Counter(box.title for box in boxes)
    if len(titles) == 1:
        times = f"{len(boxes)} x " if len(boxes) > 1 else ""
        return f"{times}{boxes[0].title}"
    if common:
        return common[-1][1] or common[-1][0]
    most, count = titles.most_common(1)[0]
    if count > 1:
        return f"{len(boxes)} boxes, mostly {most}"
    heaviest = max(boxes, key=lambda box: box.macs * box.repeats)
    return f"{heaviest.title} and {len(boxes) - 1} more"


def _signs(links: Links) -> Sequence[str]:
    lines = ["boxes are numbered in the order of execution; italics: operators that a module runs itself"]
    ports = [port for side in (links.before, links.behind) for some in side.values() for port in some]
    if any(not port.skip for port in ports):
        lines.append("a label beside a box names an input, an output, or a box that is not near")
    words = dict.fromkeys(port.skip.word for port in ports if port.skip)
    if words:
        what = " or ".join(SKIP_WORDS[word] for word in words)
        lines.append(f"a colored label marks an end of {what}, with its number at both ends")
    return lines
