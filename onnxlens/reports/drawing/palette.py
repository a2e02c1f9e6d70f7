"""The colours of a picture, for any colour vision, and the ink that is read on each of them."""

from __future__ import annotations

HEAT = ("#fef9f5", "#ffe2cb", "#ffc79b", "#f5a663", "#df862f", "#bb6802")
"""Fill of a box by its cost: one hue (60 in OKLCH) from light to dark, for any colour vision."""
NO_FIGURE = "#e4e7eb"
PLAIN = "#ffffff"

INK, WHITE = "#1f2933", "#ffffff"
LINE = "#52606d"
BORDER = "#7b8794"
FRAME_LINE = "#9aa5b1"
FRAME_INK = "#334e68"
FRAMES = ("#f5f8fb", "#ffffff")
"""Grounds of the frames, level by level, so that one frame is told from the one around it."""
END = "#dfe9f5"
BADGE = "#334e68"

SKIPS = ("#0072b2", "#882255", "#117733", "#aa4499", "#332288", "#5c5c5c")
"""Skip connections in turn; far from the hue of the costs, and dark enough for white text."""
LANES = ("#44aa99", "#cc6677", "#88ccee", "#999933", "#ddcc77", "#aa4499")
"""Lanes of branches that can run at the same time: broad bars."""


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, 1 to 21, as WCAG 2 defines it."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def ink_on(ground: str) -> str:
    """The dark or the white ink, whichever is read better on ``ground``."""
    return max((INK, WHITE), key=lambda ink: contrast(ink, ground))


def _luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb`` (WCAG 2, with the coefficients of ITU-R BT.709)."""
    red, green, blue = (_linear(int(colour[start : start + 2], 16) / 255) for start in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)


def lane_colour(lane: int) -> str:
    """The colour of a lane's bar; "" for the trunk, which has none."""
    return LANES[(lane - 1) % len(LANES)] if lane else ""
