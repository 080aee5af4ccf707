"""Graphs are laid out so that arrows go to the right, and drawn without a script."""

import pytest

from dwcp_jupyter.rendering import Graph, Node, View
from dwcp_jupyter.rendering.graphs import columns_of, graph_picture


def graph(*edges):
    names = dict.fromkeys(name for edge in edges for name in edge)
    return Graph("g", [Node(name, name) for name in names], [(a, b, "") for a, b in edges])


def test_every_arrow_goes_to_a_later_column():
    drawn = graph(("a", "c"), ("b", "c"), ("c", "d"), ("a", "d"), ("b", "e"))
    place = {node.id: number for number, column in enumerate(columns_of(drawn)) for node in column}
    assert all(place[source] < place[target] for source, target, _ in drawn.edges)
    assert place == {"a": 0, "b": 0, "c": 1, "e": 1, "d": 2}


def test_no_two_nodes_overlap():
    picture = graph_picture(graph(*[(f"a{n}", "hub") for n in range(6)], *[("hub", f"b{n}") for n in range(4)]))
    boxes = picture.boxes
    for place, one in enumerate(boxes):
        assert one.x >= 0
        assert one.x + one.width <= picture.width
        assert one.y + one.height <= picture.height
        for other in boxes[place + 1 :]:
            apart_x = one.x + one.width <= other.x or other.x + other.width <= one.x
            apart_y = one.y + one.height <= other.y or other.y + other.height <= one.y
            assert apart_x or apart_y


@pytest.mark.parametrize("edges", [[("a", "b"), ("b", "a")], [("a", "a")], [("a", "b"), ("b", "c"), ("c", "b")]])
def test_a_cycle_ends(edges):
    assert len(graph_picture(graph(*edges)).boxes) == len({name for edge in edges for name in edge})


def test_names_are_escaped_and_cut():
    view = View("v", [Graph("<t>", [Node("1", "<script>x", "<k>"), Node("2", "y" * 500, "k")], [("1", "2", "<r>")])])
    html = view.to_html()
    assert "<script>" not in html
    assert "<t>" not in html
    assert "y" * 31 not in html.replace("y" * 500, "")
    assert "→" in view.to_text()


def test_an_empty_graph_is_said():
    assert "No arrows" in View("v", [Graph("g", [], [])]).to_text()
    assert "<svg" in View("v", [Graph("g", [], [])]).to_html()


def test_an_arrow_to_nowhere_is_refused():
    with pytest.raises(ValueError, match="not there"):
        Graph("g", [Node("a", "a")], [("a", "b", "")])
