"""A flow's picture as Mermaid and as DOT. What an author wrote is quoted, never read as markup."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape

from convo.analysis.graph import Cluster, Edge, Graph, Kind, Node, forward

COLOURS: dict[Kind, tuple[str, str]] = {
    Kind.QUESTION: ("#e3eefb", "#3a6ea5"),
    Kind.COMMAND: ("#ffffff", "#475467"),
    Kind.MESSAGE: ("#eef0f3", "#98a2b3"),
    Kind.CALL: ("#efe7fb", "#7a4fb5"),
    Kind.RUN: ("#eef0f3", "#667085"),
    Kind.RESULT: ("#eef0f3", "#667085"),
    Kind.END: ("#e2f3e8", "#2f7d50"),
    Kind.NOTE: ("#fdf3d7", "#a5781c"),
}
"""What a box is filled with, and its border."""

INK = "#1d2530"
SOFT = "#4a5565"
ARROW = "#6e7781"
"""Grey enough to be read on white and on black alike, for pictures without a background."""

FONT = "Helvetica,Arial,sans-serif"

STAYS = "↻"
"""Stands before what happens without leaving a state."""

_MERMAID = {
    Kind.QUESTION: ("([", "])"),
    Kind.COMMAND: ("[", "]"),
    Kind.MESSAGE: ("(", ")"),
    Kind.CALL: ("[/", "/]"),
    Kind.RUN: ("(", ")"),
    Kind.RESULT: ("[[", "]]"),
    Kind.END: ("[[", "]]"),
    Kind.NOTE: (">", "]"),
}


def mermaid(graph: Graph) -> str:
    """Return the picture as a Mermaid flowchart, as GitHub and others draw it."""
    lines = ["flowchart LR", "  begin(( ))"]
    lines += _nested(graph, "", 1, _mermaid_node, lambda each: _mermaid_cluster(graph, each), "end")
    lines.append(f"  begin --> {graph.start}")
    for edge in graph.edges:
        arrow = "-.->" if edge.timer else "-->"
        label = f'|"{"<br>".join(map(_m, edge.label))}"|' if edge.label else ""
        lines.append(f"  {edge.source} {arrow}{label} {edge.dest}")
    for kind, (fill, border) in COLOURS.items():
        dashes = ",stroke-dasharray:4 3" if kind is Kind.NOTE else ""
        lines.append(f"  classDef {kind}_ fill:{fill},stroke:{border},color:{INK}{dashes}")
    lines += [f"  style c{index} fill:none,stroke:{ARROW}" for index in range(len(graph.clusters))]
    lines.append(f"  style begin fill:{ARROW},stroke:{ARROW}")
    return "\n".join(lines) + "\n"


def dot(graph: Graph, *, background: str = "transparent") -> str:
    """Return the picture in the language of Graphviz."""
    lines = [
        f"digraph {_q(graph.name)} {{",
        f"  graph [rankdir=LR, bgcolor={_q(background)}, pad=0.25, nodesep=0.35,"
        f' ranksep=0.6, fontname="{FONT}"]',
        f'  node [fontname="{FONT}", fontsize=13, fontcolor="{INK}", margin="0.14,0.09", height=0.4]',
        f'  edge [fontname="{FONT}", fontsize=11, fontcolor="{ARROW}", color="{ARROW}", arrowsize=0.7]',
        f'  begin [shape=circle, style=filled, label="", width=0.16, height=0.16, color="{ARROW}",'
        f' fillcolor="{ARROW}", id="begin", tooltip="here it starts"]',
    ]
    lines += _nested(graph, "", 1, _dot_node, lambda each: _dot_cluster(graph, each), "}")
    lines.append(f'  begin -> {graph.start} [id="e_begin", tooltip="here it starts"]')
    onward = {edge.id for edge in forward(graph)}
    lines += [f"  {_dot_edge(graph, edge, edge.id in onward)}" for edge in graph.edges]
    return "\n".join([*lines, "}"]) + "\n"


def box_lines(node: Node) -> Iterator[tuple[str, str]]:
    """Yield the lines of a box with what each is: ``title``, ``text`` or ``inside``."""
    yield "title", node.title
    for line in node.text:
        yield "text", line
    for index, line in enumerate(node.inside):
        starts = index == 0 or not line.startswith("  ")
        yield "inside", f"{STAYS} {line}" if starts else f"   {line.strip()}"


# -- Mermaid ------------------------------------------------------------------------------------------


def _mermaid_node(node: Node) -> str:
    opens, closes = _MERMAID[node.kind]
    shown = [f"<b>{_m(line)}</b>" if what == "title" else _m(line) for what, line in box_lines(node)]
    return f'{node.id}{opens}"{"<br>".join(shown)}"{closes}:::{node.kind}_'


def _mermaid_cluster(graph: Graph, each: Cluster) -> str:
    return f'subgraph c{_index(graph, each)}["{_m(each.title)}"]'


def _m(text: str) -> str:
    """Return a text for a Mermaid label: no markup, no Markdown, no directive."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return "".join(f"#{ord(letter)};" if letter in '"#<>&`*_~\\%{}[]()|;$' else letter for letter in plain)


# -- DOT ----------------------------------------------------------------------------------------------


def _dot_node(node: Node) -> str:
    fill, border = COLOURS[node.kind]
    style = {Kind.NOTE: "filled,dashed", Kind.COMMAND: "filled", Kind.CALL: "filled"}.get(
        node.kind, "filled,rounded"
    )
    doubled = ", peripheries=2" if node.kind in (Kind.END, Kind.RESULT) else ""
    shape = {Kind.NOTE: "note", Kind.CALL: "box3d"}.get(node.kind, "box")
    parts = []
    for what, line in box_lines(node):
        shown = _h(line)
        if what == "title":
            shown = f"<b>{shown}</b>"
        else:
            shown = f'<font point-size="11" color="{SOFT}">{shown}</font>'
        parts.append(shown)
    left = '<br align="left"/>' if len(parts) > 1 else ""
    label = "".join(part + left for part in parts)
    tip = _q(f"{node.state or node.title}" + (f", line {node.line}" if node.line else ""))
    return (
        f'{node.id} [shape={shape}, style="{style}", fillcolor="{fill}", color="{border}"{doubled},'
        f' label=<{label}>, id="{node.id}", class="{node.kind}", tooltip={tip}]'
    )


def _dot_edge(graph: Graph, edge: Edge, onward: bool) -> str:
    attributes = [f'id="{edge.id}"', f"class={_q('timer' if edge.timer else 'step')}"]
    if edge.timer:
        attributes.append("style=dashed")
    if edge.label:
        # Blanks keep the words off the line that they stand beside.
        attributes.append("label=" + _q("\n".join(f" {line} " for line in edge.label)))
    ends = {node.id for node in graph.nodes if node.kind is Kind.NOTE}
    if edge.source in ends:
        attributes += ['color="#a5781c"', "constraint=true", "weight=0"]
    if onward or edge.source == edge.dest:
        return f"{edge.source} -> {edge.dest} [{', '.join(attributes)}]"
    # Told the other way round, so that what leads back does not decide what stands left of what.
    return f"{edge.dest} -> {edge.source} [{', '.join([*attributes, 'dir=back'])}]"


def _dot_cluster(graph: Graph, each: Cluster) -> str:
    return (
        f"subgraph cluster_{_index(graph, each)} {{ graph [label={_q(each.title)}, labeljust=l, fontsize=12,"
        f' fontcolor="{ARROW}", color="{ARROW}", style="rounded", margin=14]'
    )


def _h(text: str) -> str:
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return escape(plain).replace("   ", "&#160;&#160;&#160;") or "&#160;"


def _q(text: str) -> str:
    plain = "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


# -- clusters -----------------------------------------------------------------------------------------


def _index(graph: Graph, cluster: Cluster) -> int:
    return graph.clusters.index(cluster)


def _nested(
    graph: Graph,
    path: str,
    depth: int,
    node: Callable[[Node], str],
    opening: Callable[[Cluster], str],
    closing: str,
) -> Iterator[str]:
    """Yield the boxes of a sub-flow, and the sub-flows within it, one line each."""
    margin = "  " * depth
    for each in graph.nodes:
        if each.cluster == path:
            yield margin + node(each)
    for cluster in graph.clusters:
        if cluster.parent == path:
            yield margin + opening(cluster)
            yield from _nested(graph, cluster.path, depth + 1, node, opening, closing)
            yield margin + closing
