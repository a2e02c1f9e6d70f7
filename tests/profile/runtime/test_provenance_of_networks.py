"""Every node that ONNX Runtime runs of a network, at every level, has a module, and the right one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import onnxlens as api
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.runtime.session import LEVELS
from onnxlens.reference_model import catalog
from tests.conformance.nets import NETS
from tests.profile.runtime.ort_profiles import Profiled, profiled

OPSETS = (18, 23)
SIDE = 128
SMALL = (
    ("hed", 18),
    ("mlsd-tiny", 23),
    *(("tests.export.tiny:network", opset) for opset in OPSETS),
    *(("tests.profile.small_networks:denoiser", opset) for opset in OPSETS),
    *(("tests.profile.small_networks:text_encoder", opset) for opset in OPSETS),
)
"""A plain and a residual stack, alike at both opsets; group norm, attention and all that a UNet has."""

ALL_OF_CATALOG = [name for name in catalog.names() if name != "control-ldm"]
"""But the one that is two others in a row, and as large as both."""

Exported = Callable[[str, int], Path]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    """Exports a network at an opset with seeded weights, once."""

    @cache
    def path(name: str, opset: int) -> Path:
        return export(name, opset, tmp_path_factory.mktemp("net"))

    yield path


def export(name: str, opset: int, folder: Path) -> Path:
    size = {} if ":" in name else {"height": SIDE, "width": SIDE}
    return api.export_graph(name, folder, api.Settings(weights="seeded", opset=opset, **size)).onnx_path


def weight_users(graph: Graph) -> Mapping[str, set[int]]:
    """By weight, the source nodes that read it, or what is constant-folded from it."""
    made_of: dict[str, set[str]] = {name: {name} for name in graph.weights}
    users: dict[str, set[int]] = defaultdict(set)
    for index, node in enumerate(graph.nodes):
        read = {name for value in node.view.inputs if value for name in made_of.get(value.name, ())}
        if node.constant_folded:
            made_of.update((value.name, read) for value in node.view.outputs if value)
        for name in read:
            users[name].add(index)
    return users


def misattributed(ran: Profiled) -> list[tuple[str, str]]:
    """Nodes that read a weight of the file by its name, and are attributed to a module that does not."""
    users = weight_users(ran.graph)
    found = []
    for node, it in zip(ran.optimized.graph.node, ran.provenances.values(), strict=True):
        for name in set(node.input) & set(users):
            paths = {ran.graph.nodes[user].module.path for user in users[name]}
            known = users[name] & set(it.sources) if it.sources else it.module_path in paths
            if not known:
                found.append((it.node, name))
    return found


def check(ran: Profiled) -> None:
    assert ran.unattributed == (0.0, 0)
    assert ran.misattributed_macs == []
    assert ran.unmatched_sources == []
    assert misattributed(ran) == []


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("name", "opset"), SMALL)
def test_all_time_has_a_module(name: str, opset: int, level: str, exported: Exported) -> None:
    check(profiled(exported(name, opset), level))


@pytest.mark.slow
@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("name", ALL_OF_CATALOG)
def test_all_time_of_the_catalog_has_a_module(name: str, opset: int) -> None:
    with TemporaryDirectory() as folder:  # gigabytes, so only one graph's files exist at a time
        path = export(name, opset, Path(folder))
        for level in LEVELS:
            check(profiled(path, level))


@pytest.mark.slow
@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("name", NETS)
def test_all_time_of_networks_of_every_kind_has_a_module(name: str, opset: int, exported: Exported) -> None:
    for level in LEVELS:
        check(profiled(exported(f"tests.conformance.nets:{name}", opset), level))


def test_without_optimization_every_node_is_its_own_source(exported: Exported) -> None:
    ran = profiled(exported("mlsd-tiny", 23), "disabled")
    assert {it.kind for it in ran.provenances.values()} == {"node"}
    names = [ran.graph.nodes[it.sources[0]].view.name for it in ran.provenances.values()]
    assert names == list(ran.provenances)


def test_convolutions_in_blocked_layout_are_fused_with_the_nodes_around_them(exported: Exported) -> None:
    ran = profiled(exported("mlsd-tiny", 23), "all")
    taken = Counter(tuple(ran.op_types(it)) for it in ran.of("Conv"))
    # MobileNetV2: the stem and three strided depthwise convolutions pad before; residual sums end six blocks
    assert taken == {
        ("Pad", "Conv", "BatchNormalization", "Clip"): 4,
        ("Conv", "BatchNormalization", "Clip"): 16,
        ("Conv", "BatchNormalization", "Add"): 6,
        ("Conv", "BatchNormalization"): 4,
        ("Conv", "BatchNormalization", "Relu"): 10,
        ("Conv",): 1,
    }
    convs = [it for it in ran.of("Conv") if it.module_path]
    modules = [ran.graph.nodes[source].module.path for it in convs for source in it.sources[:2]]
    assert all(it.module_path in modules for it in convs)


def test_the_pieces_of_a_norm_belong_to_the_norm(exported: Exported) -> None:
    ran = profiled(exported("tests.profile.small_networks:denoiser", 23), "all")
    norms = {
        n.view.output().name: n.module.path for n in ran.graph.nodes if n.view.op_type == "GroupNormalization"
    }
    pieces: dict[str, set[str | None]] = defaultdict(set)
    lasts = {}
    for node, it in zip(ran.optimized.graph.node, ran.provenances.values(), strict=True):
        names = [name for name in (*node.input, *node.output) if name.startswith("_inlfunc_")]
        if names:
            call = names[0].rpartition("_")[0]
            pieces[call].add(it.module_path)
            assert it.kind == "inserted"
        if names and node.output[0] in norms:
            lasts[call] = norms[node.output[0]]
    assert len(lasts) == len(norms) == len(pieces)
    assert pieces == {call: {path} for call, path in lasts.items()}


def test_a_common_subexpression_of_every_block_is_computed_once(exported: Exported) -> None:
    ran = profiled(exported("tests.profile.small_networks:denoiser", 18), "all")
    # the timestep's embedding goes through a SiLU of its own in each residual block
    blocks = [path for path in ran.graph.called if path.endswith("emb_layers.0")]
    shared = [it for it in ran.of("QuickGelu") if len(it.sources) > 2]
    assert len(blocks) > 2
    assert [ran.op_types(it) for it in shared] == [["Sigmoid", "Mul"] * len(blocks)]
