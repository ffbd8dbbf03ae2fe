"""A flow as a picture: boxes and arrows, made from the transitions that the Machine has.

``graph_of`` decides what is shown and how it is put together, ``convo.analysis.graph_formats`` writes
it down. What happens without leaving a state stands inside its box; what ``anywhere`` does is one box.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from textwrap import shorten, wrap

from convo.engine.machine import ONWARD, SKIP, CompiledFlow, Does, MachineRow, rows
from convo.flow.model import Card, State
from convo.flow.values import show

TEXT_WIDTH = 30
LABEL_WIDTH = 24
MOST_LINES = 8
"""Lines on an arrow, or of what happens inside a box; further ones are counted."""

SHARED = 3
"""From so many states on, a way out that they all have is drawn once."""


class Kind(StrEnum):
    """What a box is."""

    QUESTION = "question"
    COMMAND = "command"
    MESSAGE = "message"
    CALL = "call"
    RUN = "run"
    RESULT = "result"
    END = "end"
    NOTE = "note"


KINDS: Mapping[Card, Kind] = {
    Card.QUESTION: Kind.QUESTION,
    Card.COMMAND: Kind.COMMAND,
    Card.STEP: Kind.MESSAGE,
    Card.CALL: Kind.CALL,
    Card.RUN: Kind.RUN,
    Card.END: Kind.END,
}


@dataclass(frozen=True, slots=True)
class Node:
    """A box. ``state`` is the state it stands for ("" for a note), ``id`` is fit for any format.

    ``text`` are the first words that the state says, ``inside`` what happens without leaving it.
    """

    id: str
    title: str
    kind: Kind
    state: str = ""
    text: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()
    cluster: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow for all transitions between two boxes that are of one kind.

    ``taken`` is how steps name these transitions.
    """

    id: str
    source: str
    dest: str
    label: tuple[str, ...]
    timer: bool = False
    taken: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Cluster:
    """A sub-flow's box around its states; ``path`` is that of the card that runs it."""

    path: str
    title: str
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """A flow's picture. ``start`` is the id of the box in which it begins."""

    name: str
    start: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    clusters: tuple[Cluster, ...] = ()


def forward(graph: Graph) -> list[Edge]:
    """Return the arrows without those that close a circle, found by walking from the start."""
    nexts: dict[str, list[Edge]] = {node.id: [] for node in graph.nodes}
    for edge in graph.edges:
        if edge.source != edge.dest:
            nexts[edge.source].append(edge)
    found: list[Edge] = []
    done: set[str] = set()
    for root in [graph.start, *nexts]:
        if root in done:
            continue
        walked_through = {root}
        walk = [(root, iter(nexts[root]))]
        while walk:
            here, rest = walk[-1]
            onward = next(rest, None)
            if onward is None:
                walk.pop()
                walked_through.discard(here)
                done.add(here)
            elif onward.dest not in walked_through:
                found.append(onward)
                if onward.dest not in done:
                    walked_through.add(onward.dest)
                    walk.append((onward.dest, iter(nexts[onward.dest])))
    return found


def graph_of(compiled: CompiledFlow, *, everything: bool = False) -> Graph:
    """Return the picture of a flow; with ``everything`` wrong answers, going back and reminders too."""
    return _Drawing(compiled, everything).graph()


@dataclass(slots=True)
class _Arrow:
    labels: list[str] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)


class _Drawing:
    def __init__(self, compiled: CompiledFlow, everything: bool) -> None:
        self.compiled = compiled
        self.states = compiled.flow.states
        self.everything = everything
        self.rows = [row for row in _that_can_be_taken(rows(compiled)) if everything or _is_told(row)]
        self.ids = {name: f"s{index}" for index, name in enumerate(compiled.machine.states)}
        self.merged = dict(self._ends_that_only_return())
        for name, result in self.merged.items():
            self.ids[name] = self.ids[result]
        self.inside: dict[str, list[str]] = {}
        self.arrows: dict[tuple[str, str, bool], _Arrow] = {}
        self.notes: list[Node] = []

    def graph(self) -> Graph:
        shared = self._shared()
        inherited = [row for row in self.rows if row.name.startswith("anywhere_")]
        own = [
            row
            for row in self.rows
            if row not in inherited and id(row) not in shared and row.source not in self.merged
        ]
        before: dict[tuple[str, str], bool] = {}
        for row in own:
            guarded = before.get((row.source, row.name), False)
            before[row.source, row.name] = guarded or bool(row.condition)
            label = self._same_way(row, own) or _label(row, self.states[row.source], guarded)
            self._draw(self.ids[row.source], row, label)
        self._anywhere(inherited)
        self._tidy_answers()
        nodes = [self._node(name) for name in self.compiled.machine.states if name not in self.merged]
        drawn = {each for source, dest, _ in self.arrows for each in (source, dest)}
        start = self.ids[str(self.compiled.machine.initial)]
        shown = [node for node in nodes if node.kind is not Kind.RESULT or node.id in drawn]
        return Graph(
            self.compiled.flow.name,
            start,
            (*shown, *self.notes),
            tuple(
                Edge(
                    f"e{index}",
                    source,
                    dest,
                    _few(arrow.labels, self.everything),
                    timer,
                    frozenset(arrow.taken),
                )
                for index, ((source, dest, timer), arrow) in enumerate(self.arrows.items())
            ),
            tuple(self._clusters()),
        )

    def _ends_that_only_return(self) -> Iterable[tuple[str, str]]:
        """Yield the silent ends of sub-flows whose result has the same name: one box is enough."""
        for row in self.rows:
            result = self.states.get(row.dest or "")
            state = self.states[row.source]
            if result is None or not result.returns or state.speaks or row.name != ONWARD:
                continue
            if row.source.removeprefix(state.scope) == result.name.removeprefix(f"{result.returns}/end: "):
                yield row.source, result.name

    def _same_way(self, row: MachineRow, own: list[MachineRow]) -> str:
        """Return the trigger alone where its conditions, or the answers, all lead the same way."""
        if _is_answer(row):
            answers = [each for each in own if each.source == row.source and _is_answer(each)]
            if len(answers) > 1 and len({each.dest for each in answers}) == 1:
                return "answer"
        peers = [each for each in own if (each.source, each.name) == (row.source, row.name)]
        if len(peers) > 1 and len({each.dest for each in peers}) == 1 and not peers[-1].condition:
            return _label(replace(row, condition=""), self.states[row.source], False)
        return ""

    # -- arrows -------------------------------------------------------------------------------------

    def _draw(self, source: str, row: MachineRow, label: str) -> None:
        if row.dest is None:
            lines = self.inside.setdefault(source, [])
            if label and label not in lines:
                lines.append(label)
            return
        arrow = self.arrows.setdefault((source, self.ids[row.dest], _is_timer(row)), _Arrow())
        arrow.taken.add(row.taken)
        if label not in arrow.labels:
            arrow.labels.append(label)

    def _shared(self) -> set[int]:
        """Draw once what ``every_question`` gives to many states; return the rows that are done."""
        groups: dict[tuple[str, str | None, int], list[MachineRow]] = {}
        for row in self.rows:
            if row.trigger in ("(last wrong answer)", "(no answer)") and row.dest is not None:
                groups.setdefault((row.trigger, row.dest, row.line), []).append(row)
        found: set[int] = set()
        note = ""
        for (_, _, line), group in groups.items():
            if len(group) < SHARED or any(self.states[row.source].position.line == line for row in group):
                continue
            note = note or self._note("any question", "", line, group)
            for row in group:
                self._draw(note, row, _label(row, self.states[row.source], False))
                found.add(id(row))
        return found

    def _anywhere(self, inherited: list[MachineRow]) -> None:
        """Draw the rules that hold in every state of a scope as one box a scope."""
        scopes: dict[str, list[MachineRow]] = {}
        for row in inherited:
            scopes.setdefault(row.action.scope if row.action is not None else "", []).append(row)
        for scope, group in scopes.items():
            where = {row.source for row in group}
            waiting = [
                state.name
                for state in self.states.values()
                if state.scope.startswith(scope) and state.card in (Card.COMMAND, Card.QUESTION)
            ]
            left_out = [name for name in waiting if name not in where]
            but = f" but {', '.join(left_out)}" if left_out and len(left_out) < len(waiting) else ""
            note = self._note(f"anywhere{but}", scope, group[0].line, group)
            done: set[tuple[str, str, str | None]] = set()
            guards: dict[tuple[str, str], bool] = {}
            for row in group:
                key = (row.source, row.name)
                label = _label(row, self.states[row.source], guards.get(key, False))
                guards[key] = guards.get(key, False) or bool(row.condition)
                if (label, row.name, row.dest) not in done or row.dest is not None:
                    self._draw(note, row, label)
                done.add((label, row.name, row.dest))

    def _tidy_answers(self) -> None:
        """Leave ``answer`` out where it says nothing: the one arrow that goes on from a question."""
        for (source, _, timer), arrow in self.arrows.items():
            others = [each for key, each in self.arrows.items() if key[0] == source and each is not arrow]
            plain = not any("answer" in each.labels or each.labels == [""] for each in others)
            if not timer and arrow.labels == ["answer"] and plain:
                arrow.labels = [""]

    # -- boxes --------------------------------------------------------------------------------------

    def _note(self, title: str, scope: str, line: int, group: Iterable[MachineRow]) -> str:
        name = f"n{len(self.notes)}"
        inside = self.inside.setdefault(name, [])
        for row in group:
            if row.dest is None:
                label = _label(row, self.states[row.source], False)
                inside += [label] if label not in inside else []
        wrapped = _few(inside, self.everything)
        self.notes.append(Node(name, title, Kind.NOTE, inside=wrapped, cluster=scope.rstrip("/"), line=line))
        return name

    def _node(self, name: str) -> Node:
        state = self.states.get(name)
        if state is None:  # an end that is written in an action
            return Node(self.ids[name], name.removeprefix("end: "), Kind.END, name)
        inside = _few(self.inside.get(self.ids[name], []), self.everything)
        if state.returns:
            title = name.removeprefix(f"{state.returns}/end: ")
            return Node(self.ids[name], title, Kind.RESULT, name, cluster=state.returns)
        cluster = name if state.run is not None else state.scope.rstrip("/")
        title = name.removeprefix(state.scope)
        text = _wrapped(_first_words(state))
        kind = KINDS[state.card]
        return Node(self.ids[name], title, kind, name, text, inside, cluster, state.position.line)

    def _clusters(self) -> Iterable[Cluster]:
        for state in self.states.values():
            if state.run is not None:
                title = state.name.removeprefix(state.scope)
                flow = state.run.flow
                what = title if flow == title else f"{title} runs {flow}"
                yield Cluster(state.name, what, state.scope.rstrip("/"))


def _that_can_be_taken(found: Iterable[MachineRow]) -> Iterable[MachineRow]:
    """Yield the transitions without those that stand behind one of their trigger that always holds."""
    closed: set[tuple[str, str]] = set()
    for row in found:
        if (row.source, row.name) not in closed:
            yield row
        if not row.condition:
            closed.add((row.source, row.name))


def _is_told(row: MachineRow) -> bool:
    does = row.take.does if row.take is not None else Does.ACT
    return does not in (Does.SORRY, Does.BACK, Does.NOTHING_BEFORE, Does.REMIND)


def _is_answer(row: MachineRow) -> bool:
    return row.take is not None and row.take.does is Does.ANSWER


def _is_timer(row: MachineRow) -> bool:
    return row.name.startswith("timer_")


def _label(row: MachineRow, state: State, guarded: bool) -> str:
    """Return what an arrow says: the trigger and its condition in few words."""
    what = row.trigger[1:-1] if row.trigger.startswith("(") and row.trigger.endswith(")") else row.trigger
    condition = row.condition
    silence = state.question.silence if state.question is not None else None
    if row.trigger == "(no answer)" and silence is not None and silence.no_answer_after is not None:
        what = f"no answer for {show(silence.no_answer_after)}"
    elif row.trigger == "(last wrong answer)":
        condition = ""
    elif row.name == SKIP:
        what = "passed over"
    elif row.name in ("else", "anywhere_else"):
        what = "anything else"
    elif row.name == ONWARD:
        what = ""
    if condition:
        alone = what in ("", "answer")
        return f"if {condition}" if alone else f"{what} if {condition}"
    if guarded:
        return "else" if what in ("", "answer") else f"{what}, else"
    return what


def _first_words(state: State) -> str:
    if state.question is not None:
        return str(state.question.ask.source)
    if state.entry.reply:
        return str(state.entry.reply[0].source)
    return f"asks {state.call.service}" if state.call is not None else ""


def _wrapped(text: str) -> tuple[str, ...]:
    text = re.sub(r"\{%-?\s*el.*?%\}", " / ", text)
    text = re.sub(r"\{%.*?%\}", "", text)
    text = re.sub(r"\$\{\s*([\w./]+)\s*\|[^}]*\}", r"${\1}", text)
    return tuple(wrap(shorten(" ".join(text.split()), 3 * TEXT_WIDTH, placeholder=" …"), TEXT_WIDTH))


def _stands_alone(label: str) -> bool:
    return (
        " if " in label
        or "else" in label
        or label.startswith(("if ", "after ", "at ", "no answer"))
        or label[0].isdigit()
    )


def _few(labels: list[str], everything: bool) -> tuple[str, ...]:
    """Put short labels together on lines, wrap long ones, and count what is too much."""
    lines: list[str] = []
    for label in filter(None, labels):
        last = lines[-1] if lines else ""
        joined = f"{last}, {label}"
        short = not any(_stands_alone(each) for each in (last, label) if each)
        if last and short and len(joined) <= LABEL_WIDTH:
            lines[-1] = joined
        else:
            lines += wrap(label, LABEL_WIDTH, subsequent_indent="  ") or [label]
    if len(lines) > MOST_LINES and not everything:
        return (*lines[: MOST_LINES - 1], f"… and {len(lines) - MOST_LINES + 1} more lines")
    return tuple(lines)
