"""A picture without Graphviz: boxes in layers from left to right, drawn as SVG. Pure functions.

The usual four steps: circles are opened, each box gets a layer, boxes within a layer are put where
their neighbours are, and arrows are drawn between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from convo.analysis.graph import Edge, Graph, Kind, Node, forward
from convo.analysis.graph_formats import ARROW, COLOURS, INK, SOFT, box_lines

LETTER = 6.6
"""How wide a letter is taken to be; real fonts differ, boxes have room for that."""
LINE = 15.0
PADDING = 12.0
GAP_ACROSS = 26.0
ROUNDS = 8


@dataclass(slots=True)
class _Box:
    node: Node | None
    width: float
    height: float
    layer: int = 0
    x: float = 0.0
    y: float = 0.0

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


def svg(graph: Graph) -> str:
    """Return the graph as SVG; boxes and arrows have the ids and classes that Graphviz would give them."""
    boxes = {node.id: _box(node) for node in graph.nodes}
    onward = [(edge.source, edge.dest) for edge in forward(graph)]
    _layer(graph, boxes, onward)
    columns = _columns(boxes)
    _order(columns, boxes, onward)
    width, height = _place(columns, graph, boxes)
    backwards = [edge for edge in graph.edges if boxes[edge.dest].layer < boxes[edge.source].layer - 1]
    depths = {edge.id: 18.0 * number for number, edge in enumerate(backwards)}
    parts = [_arrow(edge, boxes, depths.get(edge.id, 0.0)) for edge in graph.edges]
    parts += [_drawn(box) for box in boxes.values()]
    start = boxes[graph.start]
    parts.append(
        f'<g id="begin" class="node"><circle cx="{start.x - 34:.0f}" cy="{start.middle:.0f}" r="6"'
        f' fill="{ARROW}"/><path class="edge" d="M{start.x - 28:.0f},{start.middle:.0f} H{start.x - 3:.0f}"'
        f' stroke="{ARROW}" fill="none" marker-end="url(#tip)"/></g>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}"'
        f' viewBox="0 0 {width:.0f} {height:.0f}" font-family="Helvetica,Arial,sans-serif">'
        f'<title>{escape(graph.name)}</title><defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5"'
        f' markerUnits="userSpaceOnUse" markerWidth="10" markerHeight="10" orient="auto">'
        f'<path d="M0,1 L10,5 L0,9 z"'
        f' fill="{ARROW}"/></marker></defs>{"".join(parts)}</svg>'
    )


def _box(node: Node) -> _Box:
    lines = list(_lines(node))
    longest = max(len(line) * (1.2 if what == "title" else 1.0) for what, line in lines)
    return _Box(node, max(60.0, longest * LETTER + 2 * PADDING), len(lines) * LINE + 2 * PADDING - 6)


def _lines(node: Node) -> Iterator[tuple[str, str]]:
    """Yield the lines of a box; without a frame around sub-flows their states go by their whole names."""
    within = f"{node.cluster}/" if node.cluster and node.kind is not Kind.RUN else ""
    for what, line in box_lines(node):
        yield what, within + line if what == "title" else line


def _layer(graph: Graph, boxes: dict[str, _Box], onward: list[tuple[str, str]]) -> None:
    """Put each box one layer behind the last box that leads to it."""
    into: dict[str, int] = dict.fromkeys(boxes, 0)
    nexts: dict[str, list[str]] = {name: [] for name in boxes}
    for source, dest in onward:
        into[dest] += 1
        nexts[source].append(dest)
    ready = [name for name, count in into.items() if not count]
    while ready:
        here = ready.pop()
        for dest in nexts[here]:
            boxes[dest].layer = max(boxes[dest].layer, boxes[here].layer + 1)
            into[dest] -= 1
            if not into[dest]:
                ready.append(dest)
    for node in graph.nodes:  # notes stand right before what they lead to
        after = [boxes[dest].layer for source, dest in onward if source == node.id]
        if node.kind is Kind.NOTE and after:
            boxes[node.id].layer = max(0, min(after) - 1)


def _columns(boxes: dict[str, _Box]) -> list[list[str]]:
    columns: list[list[str]] = [[] for _ in range(max(box.layer for box in boxes.values()) + 1)]
    for name, box in boxes.items():
        columns[box.layer].append(name)
    return columns


def _order(columns: list[list[str]], boxes: dict[str, _Box], onward: list[tuple[str, str]]) -> None:
    """Sort each layer by where its neighbours are, to and fro."""
    near: dict[str, list[str]] = {name: [] for name in boxes}
    for source, dest in onward:
        near[source].append(dest)
        near[dest].append(source)
    for _ in range(ROUNDS):
        for column in (*columns, *reversed(columns)):
            at = {name: index for each in columns for index, name in enumerate(each)}
            weight = {
                name: sum(at[other] for other in near[name]) / len(near[name]) if near[name] else at[name]
                for name in column
            }
            column.sort(key=weight.__getitem__)


def _place(columns: list[list[str]], graph: Graph, boxes: dict[str, _Box]) -> tuple[float, float]:
    heights = [sum(boxes[name].height + GAP_ACROSS for name in column) for column in columns]
    tallest = max(heights)
    x = 60.0
    for number, column in enumerate(columns):
        y = 34.0 + (tallest - heights[number]) / 2
        width = max(boxes[name].width for name in column)
        for name in column:
            box = boxes[name]
            box.x, box.y = x + (width - box.width) / 2, y
            y += box.height + GAP_ACROSS
        labels = [
            len(line)
            for edge in graph.edges
            for line in edge.label
            if number in (boxes[edge.source].layer, boxes[edge.dest].layer - 1)
        ]
        x += width + max(56.0, min(190.0, max(labels, default=0) * LETTER + 36))
    backwards = sum(boxes[edge.dest].layer < boxes[edge.source].layer for edge in graph.edges)
    return x, 50.0 + tallest + 18.0 * backwards


def _arrow(edge: Edge, boxes: dict[str, _Box], depth: float) -> str:
    source, dest = boxes[edge.source], boxes[edge.dest]
    if source is dest:
        x, y = source.x + source.width / 2, source.y
        far = y - 28
        path = (
            f"M{x - 14:.0f},{y:.0f} C{x - 22:.0f},{far:.0f} {x + 22:.0f},{far:.0f} {x + 14:.0f},{y - 2:.0f}"
        )
        middle, top = x, y - 26
    elif dest.layer > source.layer:
        x1, y1, x2, y2 = source.x + source.width, source.middle, dest.x - 3, dest.middle
        if edge.timer:  # beside the plain arrow between the same boxes
            y1, y2 = y1 + 9, y2 + 9
        bend = (x2 - x1) / 2
        crossed = _between(source, dest, boxes)
        if crossed:  # below the boxes that stand in the way
            low = max(box.y + box.height for box in crossed) + 22
            pull = (low - (y1 + y2) / 8) * 4 / 3
            path = f"M{x1:.0f},{y1:.0f} C{x1 + 20:.0f},{pull:.0f} {x2 - 20:.0f},{pull:.0f} {x2:.0f},{y2:.0f}"
            middle, top = (x1 + x2) / 2, low + 14 + 12 * (len(edge.label) - 1)
        else:
            path = f"M{x1:.0f},{y1:.0f} C{x1 + bend:.0f},{y1:.0f} {x2 - bend:.0f},{y2:.0f} {x2:.0f},{y2:.0f}"
            middle, top = (x1 + x2) / 2, (y1 + y2) / 2 + (6 if edge.timer else -4)
    elif dest.layer == source.layer - 1:
        x1, x2 = source.x, dest.x + dest.width + 3
        y1, y2 = source.middle + 13 + 8 * edge.timer, dest.middle + 13 + 8 * edge.timer
        bend = (x1 - x2) / 2
        path = f"M{x1:.0f},{y1:.0f} C{x1 - bend:.0f},{y1:.0f} {x2 + bend:.0f},{y2:.0f} {x2:.0f},{y2:.0f}"
        middle, top = x1 - (x1 - x2) * 0.3, y1 + (y2 - y1) * 0.2 + 4
    elif dest.layer == source.layer:
        x1, x2 = source.x + source.width, dest.x + dest.width + 3
        y1, y2, far = source.middle, dest.middle, max(x1, x2) + 44
        path = f"M{x1:.0f},{y1:.0f} C{far:.0f},{y1:.0f} {far:.0f},{y2:.0f} {x2:.0f},{y2:.0f}"
        middle, top = far - 8, (y1 + y2) / 2
    else:  # back, below every box on the way
        x1, x2 = source.x, dest.x + dest.width + 3
        y1, y2 = source.y + source.height - 9, dest.y + dest.height - 9
        on_the_way = [box for box in boxes.values() if dest.layer <= box.layer <= source.layer]
        low = max(box.y + box.height for box in on_the_way) + 16 + depth
        pull = (low - (y1 + y2) / 8) * 4 / 3
        path = f"M{x1:.0f},{y1:.0f} C{x1 - 40:.0f},{pull:.0f} {x2 + 40:.0f},{pull:.0f} {x2:.0f},{y2:.0f}"
        middle, top = (x1 + x2) / 2, low - 4
    dashed = ' stroke-dasharray="5 4"' if edge.timer else ""
    up = (len(edge.label) - 1) * 12
    words = "".join(
        f'<text x="{middle:.0f}" y="{top - up + 12 * index:.0f}" text-anchor="middle" font-size="11"'
        f' fill="{ARROW}">{escape(line.strip())}</text>'
        for index, line in enumerate(edge.label)
    )
    return (
        f'<g id="{edge.id}" class="edge {"timer" if edge.timer else "step"}"><path d="{path}" fill="none"'
        f' stroke="{ARROW}"{dashed} marker-end="url(#tip)"/>{words}</g>'
    )


def _between(source: _Box, dest: _Box, boxes: dict[str, _Box]) -> list[_Box]:
    """Return the boxes that a straight arrow would cross."""
    found = []
    for box in boxes.values():
        if source.layer < box.layer < dest.layer:
            share = (box.x + box.width / 2 - source.x) / (dest.x - source.x)
            y = source.middle + share * (dest.middle - source.middle)
            if box.y - 10 < y < box.y + box.height + 10:
                found.append(box)
    return found


def _drawn(box: _Box) -> str:
    node = box.node
    assert node is not None
    fill, border = COLOURS[node.kind]
    round_ = 0 if node.kind in (Kind.COMMAND, Kind.NOTE, Kind.CALL) else 9
    dashed = ' stroke-dasharray="5 4"' if node.kind is Kind.NOTE else ""
    frames = [(0.0, fill)] + ([(-4.0, "none")] if node.kind in (Kind.END, Kind.RESULT) else [])
    shapes = "".join(
        f'<rect x="{box.x + by:.0f}" y="{box.y + by:.0f}" width="{box.width - 2 * by:.0f}"'
        f' height="{box.height - 2 * by:.0f}" rx="{round_}" fill="{colour}" stroke="{border}"{dashed}/>'
        for by, colour in frames
    )
    words = []
    for index, (what, line) in enumerate(_lines(node)):
        style = (
            f'font-size="13" font-weight="bold" fill="{INK}"'
            if what == "title"
            else f'font-size="11" fill="{SOFT}"'
        )
        x, y = box.x + PADDING, box.y + PADDING + 7 + index * LINE
        words.append(f'<text x="{x:.0f}" y="{y:.0f}" {style} xml:space="preserve">{escape(line)}</text>')
    tip = escape(node.state or node.title) + (f", line {node.line}" if node.line else "")
    return f'<g id="{node.id}" class="node {node.kind}"><title>{tip}</title>{shapes}{"".join(words)}</g>'
