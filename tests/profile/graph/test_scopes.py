from __future__ import annotations

from pathlib import Path

import pytest

from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.graph.scopes import CLASSES_KEY, SCOPES_KEY, TracedCall
from tests.profile.models import (
    NET_CLASSES,
    name_like_older_exporter,
    net_nodes,
    op,
    save,
    save_net,
    trace_in,
    value,
)

NET_MODULES = ["stem", "relu", "body.0.conv", "body.0", "relu", "", "", "head"]


def module_paths(path: Path) -> list[str]:
    return [node.module.path for node in load_graph(path).nodes]


def test_metadata_gives_each_node_its_module_and_class(tmp_path: Path) -> None:
    graph = load_graph(save_net(tmp_path))
    assert graph.attribution == "metadata"
    assert [node.module.path for node in graph.nodes] == NET_MODULES
    assert [node.module.class_name for node in graph.nodes] == [NET_CLASSES[path] for path in NET_MODULES]
    assert graph.called == {path: f"package.nets.{name}" for path, name in NET_CLASSES.items()}
    assert {node.call for node in graph.nodes} == {TracedCall("call_1", "aten.call")}


def test_older_exporters_names_give_the_modules_and_no_classes(tmp_path: Path) -> None:
    nodes = net_nodes()
    name_like_older_exporter(nodes)
    graph = load_graph(save_net(tmp_path, nodes))
    assert graph.attribution == "names"
    # that exporter gives the second call of a module a name of its own, and names the Sequential
    assert [node.module.path for node in graph.nodes] == [
        "stem", "relu", "body.0.conv", "body.0", "relu_1", "", "", "head",
    ]  # fmt: skip
    assert {node.module.class_name for node in graph.nodes} == {""}
    assert "body" in graph.called


def test_a_name_element_that_repeats_the_path_so_far_is_taken_once(tmp_path: Path) -> None:
    node = op("Relu", "x", "y")
    node.name = "/layer1/layer1.0/conv1/Relu"
    assert module_paths(save(tmp_path, [node], [value("x", (1,))], [value("y", (1,))])) == ["layer1.0.conv1"]


@pytest.mark.parametrize("name", ["", "Relu_3", "/Relu", "12/34", "a:0_pool"])
def test_names_that_hold_no_path_attribute_nothing(tmp_path: Path, name: str) -> None:
    node = op("Relu", "x", "y")
    node.name = name
    graph = load_graph(save(tmp_path, [node], [value("x", (1,))], [value("y", (1,))]))
    assert (graph.attribution, graph.nodes[0].module.path, graph.called) == ("none", "", {})


def test_metadata_wins_over_names(tmp_path: Path) -> None:
    node = op("Relu", "x", "y", "stem")
    node.name = "/layer1/Relu"
    assert module_paths(save(tmp_path, [node], [value("x", (1,))], [value("y", (1,))])) == ["stem"]


def chain(tmp_path: Path, *modules: str | None) -> list[str]:
    """The modules of a chain of Relus that were traced in ``modules``; None for lost metadata."""
    nodes = [op("Relu", f"t{i}", f"t{i + 1}", module) for i, module in enumerate(modules)]
    return module_paths(save(tmp_path, nodes, [value("t0", (1,))], [value(f"t{len(modules)}", (1,))]))


def test_a_node_that_lost_its_metadata_takes_its_consumers_module(tmp_path: Path) -> None:
    assert chain(tmp_path, "stem", None, "head") == ["stem", "head", "head"]


def test_a_last_node_that_lost_its_metadata_takes_its_producers_module(tmp_path: Path) -> None:
    assert chain(tmp_path, "stem", None) == ["stem", "stem"]


def test_several_in_a_row_without_metadata_all_find_a_module(tmp_path: Path) -> None:
    assert chain(tmp_path, None, None, "stem", None, None) == ["stem"] * 5


def fork(tmp_path: Path, *consumers: str) -> str:
    """The module of a node without metadata whose output nodes in the modules ``consumers`` read."""
    nodes = [op("Relu", "x", "a"), *(op("Neg", "a", f"y{i}", module) for i, module in enumerate(consumers))]
    outputs = [value(f"y{i}", (1,)) for i in range(len(consumers))]
    return module_paths(save(tmp_path, nodes, [value("x", (1,))], outputs))[0]


def test_consumers_in_two_modules_give_the_module_that_holds_both(tmp_path: Path) -> None:
    assert fork(tmp_path, "body.0.conv", "body.0.act") == "body.0"
    assert fork(tmp_path, "body.0", "body.0.conv") == "body.0"


def test_consumers_without_a_common_module_give_the_model(tmp_path: Path) -> None:
    assert fork(tmp_path, "stem", "head") == ""
    assert fork(tmp_path, "layer1", "layer10") == ""  # a common prefix of letters is not a module


@pytest.mark.parametrize("text", ["['', 'stem", "7", "{'a': 1}", "[1, 2]", "f(x)"])
def test_metadata_that_cannot_be_read_is_as_good_as_lost(tmp_path: Path, text: str) -> None:
    broken, whole = op("Relu", "x", "a"), op("Relu", "a", "y", "head")
    broken.metadata_props.add(key=SCOPES_KEY, value=text)
    assert (
        module_paths(save(tmp_path, [broken, whole], [value("x", (1,))], [value("y", (1,))])) == ["head"] * 2
    )


def test_classes_that_do_not_fit_the_scopes_are_dropped_and_the_path_kept(tmp_path: Path) -> None:
    node = op("Relu", "x", "y")
    node.metadata_props.add(key=SCOPES_KEY, value="['', 'stem', 'relu']")
    node.metadata_props.add(key=CLASSES_KEY, value="['package.Net', 'aten.relu']")
    module = load_graph(save(tmp_path, [node], [value("x", (1,))], [value("y", (1,))])).nodes[0].module
    assert (module.path, module.class_name) == ("stem", "")


def test_scopes_that_do_not_start_at_the_model_are_the_exporters_own_and_not_a_module(tmp_path: Path) -> None:
    hooked, whole = op("Relu", "x", "a"), op("Relu", "a", "y", "head")
    hooked.metadata_props.add(key=SCOPES_KEY, value="['hook', 'hook.inner', 'call']")
    path = save(tmp_path, [hooked, whole], [value("x", (1,))], [value("y", (1,))])
    assert module_paths(path) == ["head", "head"]


def test_a_call_in_the_model_itself_belongs_to_the_model(tmp_path: Path) -> None:
    node = op("Relu", "x", "y")
    trace_in(node, "")
    graph = load_graph(save(tmp_path, [node], [value("x", (1,))], [value("y", (1,))]))
    assert (graph.attribution, graph.nodes[0].module.path) == ("metadata", "")
    assert graph.nodes[0].module.class_name == "Net"
