"""``convo graph``: a flow as a picture."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("graph")
@click.argument("flow", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["mermaid", "dot", "svg", "png"]),
    help="Without it the ending of FILE decides, else mermaid.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write it to FILE.")
@click.option("--all", "everything", is_flag=True, help="Wrong answers, going back and reminders too.")
def command(flow: Path, form: str | None, output: Path | None, everything: bool) -> None:
    """Draw FLOW: its states as boxes, its transitions as arrows, timers dashed, ends doubled.

    Mermaid and DOT are written by convo itself; SVG and PNG need Graphviz, or the extra 'pictures'.
    """
    from convo.analysis.graph import graph_of
    from convo.analysis.graph_formats import dot, mermaid
    from convo.engine.machine import compile_flow
    from convo.errors import ConfigError
    from convo.flow.parse import load_flow

    ending = output.suffix.lower() if output is not None else ""
    chosen = form or _FORMS.get(ending)
    if chosen is None:
        raise ConfigError(
            f"{output}: no picture of convo's ends with {ending}; take .svg, .png, .dot or .mmd"
        )
    graph = graph_of(compile_flow(load_flow(flow)), everything=everything)
    if chosen == "mermaid":
        drawn = mermaid(graph).encode()
    elif chosen == "dot":
        drawn = dot(graph).encode()
    else:
        from convo.analysis.graphviz import draw

        drawn = draw(dot(graph, background="white" if chosen == "png" else "transparent"), chosen)
    if output is None:
        click.echo(drawn, nl=False)
        return
    try:
        output.write_bytes(drawn)
    except OSError as problem:
        raise ConfigError(f"{output} cannot be written: {problem.strerror}") from None


_FORMS = {
    **dict.fromkeys(("", ".mmd", ".mermaid", ".md", ".txt"), "mermaid"),
    **{".dot": "dot", ".gv": "dot", ".svg": "svg", ".png": "png"},
}
"""What a file holds, by its ending."""
