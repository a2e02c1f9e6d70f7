"""The pose's steps once more, slowly and plainly: pixel by pixel, pair by pair."""

from __future__ import annotations

import math
from typing import Any

from onnxlens.reference_model.annotators.pose_limbs import LIMBS

Position = tuple[int, int]
Links = list[tuple[int, int, float]]


def maxima(values: list[list[float]], threshold: float) -> list[Position]:
    """(y, x) of every value over the threshold that no direct neighbor exceeds."""
    height, width = len(values), len(values[0])
    found = []
    for y in range(height):
        for x in range(width):
            around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            neighbors = [values[v][u] for v, u in around if 0 <= v < height and 0 <= u < width]
            if values[y][x] > threshold and all(values[y][x] >= other for other in neighbors):
                found.append((y, x))
    return found


def smoothed(values: list[list[float]], sigma: float) -> list[list[float]]:
    """A Gaussian over 4 sigma to either side; beyond the edge the map is mirrored, its edge repeated."""
    weights = [
        math.exp(-0.5 * (k / sigma) ** 2) for k in range(-int(4 * sigma + 0.5), int(4 * sigma + 0.5) + 1)
    ]
    weights = [weight / sum(weights) for weight in weights]
    rows = [_filtered(row, weights) for row in values]
    columns = [_filtered(list(column), weights) for column in zip(*rows, strict=True)]
    return [list(row) for row in zip(*columns, strict=True)]


def _filtered(line: list[float], weights: list[float]) -> list[float]:
    reach, count = len(weights) // 2, len(line)
    mirrored = line + line[::-1]
    return [
        sum(weight * mirrored[(at + k - reach) % (2 * count)] for k, weight in enumerate(weights))
        for at in range(count)
    ]


def limb_score(field: Any, start: Position, end: Position) -> float | None:
    """The score of one pair of (x, y), None where it is not a limb."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = math.sqrt(dx * dx + dy * dy)
    if length == 0:
        return None
    parts = []
    for k in range(10):
        x, y = round(start[0] + dx * k / 9), round(start[1] + dy * k / 9)
        parts.append((float(field[0, y, x]) * dx + float(field[1, y, x]) * dy) / length)
    score = sum(parts) / 10
    if 0.5 * field.shape[1] < length:
        score += 0.5 * field.shape[1] / length - 1
    agreeing = len([part for part in parts if part > 0.05])
    return score if agreeing >= 9 and score > 0 else None


def links(fields: Any, peaks: list[list[Position]]) -> list[Links]:
    """For each limb the best free pair, until there is none."""
    result = []
    for limb in LIMBS:
        field = fields[list(limb.field)]
        pairs: Links = []
        for i, start in enumerate(peaks[limb.joints[0]]):
            for j, end in enumerate(peaks[limb.joints[1]]):
                score = limb_score(field, start, end)
                if score is not None:
                    pairs.append((i, j, score))
        chosen: Links = []
        while pairs:
            top = max(pairs, key=lambda pair: pair[2])
            chosen.append(top)
            pairs = [pair for pair in pairs if pair[0] != top[0] and pair[1] != top[1]]
        result.append(chosen)
    return result


def persons(found: list[Links], scores: list[list[float]]) -> list[tuple[dict[int, int], float]]:
    """Joints (to index of peak) and score of every person that is kept."""
    people: list[tuple[dict[int, int], list[float]]] = []
    for number, (limb, limb_links) in enumerate(zip(LIMBS, found, strict=True)):
        a, b = limb.joints
        for i, j, score in limb_links:
            holders = [person for person in people if person[0].get(a) == i or person[0].get(b) == j]
            if not holders and number < 17:
                people.append(({a: i, b: j}, [score]))
            elif len(holders) == 1:
                joints, limb_scores = holders[0]
                lacking = {a: i} if joints.get(b) == j else {b: j}
                if not joints.keys() & lacking.keys():
                    joints.update(lacking)
                    limb_scores.append(score)
            elif len(holders) == 2 and not holders[0][0].keys() & holders[1][0].keys():
                holders[0][0].update(holders[1][0])
                holders[0][1].extend([*holders[1][1], score])
                people = [person for person in people if person is not holders[1]]
    kept = []
    for joints, limb_scores in people:
        total = sum(limb_scores) + sum(scores[joint][peak] for joint, peak in joints.items())
        if len(joints) >= 4 and total / len(joints) >= 0.4:
            kept.append((joints, total / len(joints)))
    return kept
