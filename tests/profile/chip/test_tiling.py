from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from onnx import NodeProto, TensorProto

from onnxlens.profile.chip.tiling import Statistics, Tiles
from onnxlens.profile.chip.traffic import GraphTraffic
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading import load_graph
from tests.profile.models import op, save, value, weight

Dims = tuple[int, ...]


def traffic_of(
    folder: Path, node: NodeProto, inputs: dict[str, Dims], output: Dims, weights: dict[str, Dims]
) -> GraphTraffic:
    """The traffic of one node."""
    path = save(
        folder,
        [node],
        [value(name, shape) for name, shape in inputs.items()],
        [value("y", output)],
        [weight(name, *shape) for name, shape in weights.items()],
        opsets={"": 23},
    )
    graph = load_graph(path)
    return GraphTraffic(graph, build_ledger(graph))


def tiles(folder: Path, node: NodeProto, inputs: dict[str, Dims], output: Dims, **weights: Dims) -> Tiles:
    """How the node is tiled."""
    (found,) = traffic_of(folder, node, inputs, output, weights).tiles.values()
    assert isinstance(found, Tiles)
    return found


def spilled(tiles: Tiles, on_chip_bytes: int) -> int:
    return tiles.spilled_bytes(on_chip_bytes, input_stays=False, weights_stay=False)


def convolution(folder: Path, batch: int = 1, **attributes: Any) -> Tiles:
    """3 x 3, from 4 x 8 x 10 to 6 channels: rows of 160 bytes in and of 240 out, 888 bytes of weights."""
    node = op("Conv", "x w b", "y", kernel_shape=[3, 3], pads=[1, 1, 1, 1], **attributes)
    return tiles(folder, node, {"x": (batch, 4, 8, 10)}, (batch, 6, 8, 10), w=(6, 4, 3, 3), b=(6,))


def test_a_convolution_runs_in_three_rows_and_its_weights(tmp_path: Path) -> None:
    found = convolution(tmp_path)
    weights_stay = 3 * 160 + 888 + 240
    input_stays = 8 * 160 + 888 // 6 + 8 * 240 // 6
    assert (weights_stay, input_stays) == (1608, 1748)
    assert found.whole_bytes == 1608
    assert spilled(found, 1608) == 0


def test_a_smaller_memory_reads_the_weights_for_each_band_of_rows(tmp_path: Path) -> None:
    found = convolution(tmp_path)
    # five of the six channels fit (480 + 5 * 188 = 1420), so that all 1,280 bytes of input are read twice;
    # five rows fit (7 * 160 + 148 + 5 * 40 = 1468; six take 1668), so that 888 bytes of weights are too
    assert spilled(found, 1607) == min(1280, 888)
    # at 1467 bytes four rows: still two bands; at 1067 (5 rows in, 3 out: 800 + 148 + 120 = 1068) two rows: 4
    # bands; and three channels (480 + 564 = 1044): two passes
    assert spilled(found, 1467) == 888
    assert spilled(found, 1067) == min(3 * 888, 1280)


def test_at_least_three_rows_and_one_channel_are_needed(tmp_path: Path) -> None:
    found = convolution(tmp_path)
    assert found.least_bytes == 3 * 160 + 148 + 40
    least = min(5 * 1280, 7 * 888)  # six passes of the input, or eight bands
    assert spilled(found, found.least_bytes) == spilled(found, 0) == least


def test_a_batch_reads_the_weights_for_every_image_that_does_not_fit_with_others(tmp_path: Path) -> None:
    found = convolution(tmp_path, batch=3)
    # an image takes 1,280 bytes in and 320 out of one channel, two of them twice that
    assert found.needed(8, 1) == 1280 + 148 + 320
    assert found.needed(16, 1) == 2 * 1280 + 148 + 2 * 320
    assert found.whole_bytes == 1608  # all weights, as for one image
    # 1607 bytes: five rows, so two bands in each of three images; or five channels, so two passes over all
    assert spilled(found, 1607) == min(5 * 888, 3 * 1280)


@pytest.mark.parametrize(
    ("stride", "dilation", "reach"), [(1, 1, 3), (2, 1, 3), (1, 2, 5), (2, 3, 7)], ids=str
)
def test_halo_grows_with_kernel_and_dilation_and_rows_with_stride(
    tmp_path: Path, stride: int, dilation: int, reach: int
) -> None:
    height = (32 + 2 * dilation - reach) // stride + 1
    node = op(
        "Conv", "x w", "y",
        kernel_shape=[3, 3], pads=[dilation] * 4, strides=[stride, stride], dilations=[dilation, dilation],
    )  # fmt: skip
    found = tiles(tmp_path, node, {"x": (1, 2, 32, 32)}, (1, 2, height, height), w=(2, 2, 3, 3))
    row, one = 4 * 2 * 32, 4 * 2 * height // 2  # a row in, a row of one channel out
    for rows in (1, 2, 5):
        window = (rows - 1) * stride + reach
        assert found.needed(rows, 1) == window * row + 4 * 2 * 9 + rows * one


def held_and_loaded(rows: int, band: int, height: int, reach: int, stride: int, pad: int) -> tuple[int, int]:
    """Go through bands of output rows, keep what is needed again: the most rows held, and all loaded."""
    held: set[int] = set()
    most = loaded = 0
    for start in range(0, rows, band):
        made = range(start, min(start + band, rows))
        needed = {row - pad + tap for out in made for row in [out * stride] for tap in range(reach)}
        needed &= set(range(height))
        loaded += len(needed - held)
        most = max(most, len(needed))
        later = {out * stride - pad for out in range(made[-1] + 1, rows)}
        held = {row for row in needed if later and row >= min(later)}
    return most, loaded


def test_the_rows_that_are_held_suffice_to_read_every_row_once() -> None:
    chance = random.Random(7)
    for _ in range(300):
        reach, stride, pad = chance.randint(1, 9), chance.randint(1, 3), chance.randint(0, 4)
        height = chance.randint(reach, 40)
        rows = (height + 2 * pad - reach) // stride + 1
        band = chance.randint(1, rows)
        most, loaded = held_and_loaded(rows, band, height, reach, stride, pad)
        layer = Tiles(1, rows, height, 1, 0, 0, 1, height, 0, reach=reach, stride=stride)
        assert most <= layer.needed(band, 1)
        assert loaded <= height


def test_a_depthwise_convolution_works_on_one_channel_at_a_time(tmp_path: Path) -> None:
    node = op("Conv", "x w", "y", kernel_shape=[3, 3], pads=[1, 1, 1, 1], group=16)
    found = tiles(tmp_path, node, {"x": (1, 16, 8, 10)}, (1, 16, 8, 10), w=(16, 1, 3, 3))
    assert found.whole_bytes == found.least_bytes == 3 * 40 + 36 + 40


def test_a_transposed_convolution_holds_the_rows_that_add_to_one(tmp_path: Path) -> None:
    node = op("ConvTranspose", "x w", "y", kernel_shape=[4, 4], strides=[2, 2], pads=[1, 1, 1, 1])
    found = tiles(tmp_path, node, {"x": (1, 2, 8, 8)}, (1, 3, 16, 16), w=(2, 3, 4, 4))
    # an output row takes two input rows; five in a row reach over (5 + 4 - 2) // 2 + 1 = 4
    row, one, slice_bytes = 4 * 2 * 8, 4 * 16, 4 * 2 * 16
    assert found.needed(1, 1) == 2 * row + slice_bytes + one
    assert found.needed(5, 1) == 4 * row + slice_bytes + 5 * one


def test_tokens_stream_past_a_matrix(tmp_path: Path) -> None:
    found = tiles(tmp_path, op("MatMul", "x w", "y"), {"x": (2, 5, 7)}, (2, 5, 3), w=(7, 3))
    # ten tokens of 28 bytes, three columns of 28 bytes
    assert found.whole_bytes == min(28 + 84 + 12, 280 + 28 + 40)
    # two columns (28 + 56 + 8), so two passes; or two tokens (56 + 28 + 8), so five bands
    assert spilled(found, 123) == min(280, 4 * 84)
    assert found.needed(2, 1) == 2 * 28 + 28 + 2 * 4


def test_a_batch_of_products_is_done_one_after_the_other(tmp_path: Path) -> None:
    node = op("MatMul", "a b", "y")
    found = tiles(tmp_path, node, {"a": (6, 5, 7), "b": (6, 7, 3)}, (6, 5, 3))
    assert found.whole_bytes == min(28 + 84 + 12, 140 + 28 + 20)
    # two columns fit at 100 bytes (28 + 56 + 8), two rows (56 + 28 + 8): all operands twice, or b three times
    assert spilled(found, 100) == min(6 * 140, 2 * 6 * 84)


def test_queries_stream_past_the_keys_and_values_of_a_head(tmp_path: Path) -> None:
    inputs = {name: (1, 2, 8, 4) for name in "qkv"}
    found = tiles(tmp_path, op("Attention", "q k v", "y"), inputs, (1, 2, 8, 4))
    head = 8 * 16
    assert found.whole_bytes == min(16 + 2 * head + 16, head + 2 * 16 + head)
    # 200 bytes: (200 - 32) // 32 = 5 queries with their results, and one key with its value: two bands; five
    # keys with their values would fit too, but what they add up to is not complete
    assert spilled(found, 200) == 2 * 2 * head


def test_earlier_keys_and_values_are_held_with_the_new_ones(tmp_path: Path) -> None:
    # 8 query heads share 2 of keys, 100 earlier and 1 new; rows of 32 floats are 128 bytes
    new, past = (1, 2, 1, 32), (1, 2, 100, 32)
    given = {"q": (1, 8, 1, 32), "k": new, "v": new, "pk": past, "pv": past}
    node = op("Attention", "q k v - pk pv", "y nk nv")
    inputs = [value(name, shape) for name, shape in given.items()]
    outputs = [value("y", (1, 8, 1, 32)), *(value(name, (1, 2, 101, 32)) for name in ("nk", "nv"))]
    graph = load_graph(save(tmp_path, [node], inputs, outputs, opsets={"": 23}))
    found = GraphTraffic(graph, build_ledger(graph)).tiles[0]
    assert isinstance(found, Tiles)
    # 4 queries and 4 results stay, and a key and a value stream past; keys and values would be 25,856 bytes
    assert found.whole_bytes == 4 * 128 + 2 * 128 + 4 * 128
    # a query and a result at a time: the other three read all keys and values of both heads again
    least = 128 + 2 * 128 + 128
    assert spilled(found, least) == 3 * 2 * 2 * 101 * 128


def test_a_norm_reads_twice_what_it_cannot_hold(tmp_path: Path) -> None:
    node = op("GroupNormalization", "x s s", "y", num_groups=2)
    traffic = traffic_of(tmp_path, node, {"x": (2, 4, 3, 3)}, (2, 4, 3, 3), {"s": (4,)})
    (found,) = traffic.tiles.values()
    assert found == Statistics(unit_bytes=4 * 2 * 9, reads_bytes=4 * 2 * 4 * 9)
    assert traffic.spilled(71, {}) == {0: 288}
    assert traffic.spilled(72, {}) == {0: 0}
    assert traffic.spilled(0, {0: frozenset("x")}) == {0: 0}  # it comes from the chip


def test_what_is_fused_is_not_read_again(tmp_path: Path) -> None:
    found = convolution(tmp_path)
    assert found.spilled_bytes(668, input_stays=True, weights_stay=False) == 0
    assert found.spilled_bytes(668, input_stays=False, weights_stay=True) == 0


def test_more_memory_never_spills_more(hed: Graph, clip_text: Graph) -> None:
    for graph in (hed, clip_text):
        traffic = GraphTraffic(graph, build_ledger(graph))
        for mode in ("none", "epilogue", "attention", "layer-pairs"):
            knee = traffic.knee(mode)
            assert len(knee) > 10
            figures = [(point.moved_bytes, point.untiled_nodes) for point in knee]
            assert figures == sorted(figures, reverse=True)
            assert [point.on_chip_bytes for point in knee] == sorted(point.on_chip_bytes for point in knee)
        for tiles in filter(None, traffic.tiles.values()):
            assert traffic.spilled(tiles.whole_bytes, {}) is not None
            assert tiles.spilled_bytes(tiles.whole_bytes, input_stays=False, weights_stay=False) == 0
            if isinstance(tiles, Tiles) and tiles.whole_bytes > tiles.least_bytes:
                assert spilled(tiles, tiles.whole_bytes - 1) > 0


def test_packed_queries_keys_and_values_are_tiled_as_separate_ones(tmp_path: Path) -> None:
    # 8 query heads and 2 of keys of width 4, 6 tokens: 6 x 32 floats of queries, 6 x 8 of keys and of values
    lengths = [value("s", (1,), TensorProto.INT32), value("t", (), TensorProto.INT32)]
    given = {"num_heads": 8, "kv_num_heads": 2, "domain": "com.microsoft"}
    found = []
    for inputs, widths in (("x - - - - s t", {"x": 48}), ("x k v - - s t", {"x": 32, "k": 8, "v": 8})):
        node = op("GroupQueryAttention", inputs, "y", **given)
        values = [value(name, (1, 6, width)) for name, width in widths.items()]
        path = save(tmp_path, [node], [*values, *lengths], [value("y", (1, 6, 32))], [])
        graph = load_graph(path)
        (tiles,) = GraphTraffic(graph, build_ledger(graph)).tiles.values()
        found.append(tiles)
    packed, separate = found
    assert packed == separate
    assert isinstance(packed, Tiles)
    assert (packed.reads_input_bytes, packed.reads_weight_bytes) == (4 * 6 * 32, 2 * 4 * 6 * 8)
