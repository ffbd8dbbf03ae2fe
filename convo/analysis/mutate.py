"""Changes of a flow, one at a time, by which its transcripts are put to the test.

A change is made to what was read of the file (``flow/reader.py``), and what comes of it is parsed and
compiled like any flow; one that makes no sound flow is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from convo.engine.machine import CompiledFlow, compile_flow
from convo.errors import ConvoError
from convo.flow.model import Flow, Rule, State
from convo.flow.parse import Beside, parse_flow
from convo.flow.problems import Position
from convo.flow.reader import Document, ListNode, MapNode, Node, Scalar, read_file
from convo.flow.triggers import Matcher, MatcherKind, fold

Where = tuple[str | int, ...]
"""Where something stands in a file: keys, and indexes of lists. ``#key`` is the key itself."""

_TARGETS = ("goto", "out_of_tries", "no_answer")
_LIMITS = ("answer", "tries", "many")
_DURATIONS = ("remind", "no_answer_after")
_WORD_LISTS = ("also", "opt_out", "opt_in", "keywords")
_WORKED_OUT = re.compile(r"[<>=!]=?|\b(is|not|and|or)\b")
"""What tells a condition under a goto from a choice or a result."""

_OPPOSITE = {"<=": "<", "<": "<=", ">=": ">", ">": ">=", "==": "!=", "!=": "=="}


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is changed. ``kind`` is goto, word, limit, condition, timer or set.

    ``becomes`` are what may stand there instead ("" takes it out), of which the first that makes a sound
    flow counts. ``state`` is whose it is, "" where every state may feel it.
    """

    kind: str
    position: Position
    was: str
    becomes: tuple[str, ...]
    path: Where
    state: str = ""
    matchers: tuple[Matcher, Matcher] | None = None


@dataclass(frozen=True, slots=True)
class Mutant:
    """A flow with one change in it, compiled. ``became`` is what stands there now."""

    change: Change
    became: str
    machine: CompiledFlow

    @property
    def sentence(self) -> str:
        """What was changed, for people."""
        became = f"→ {self.became}" if self.became else "taken out"
        return f"{self.change.kind}: {' '.join(self.change.was.split())} {became}"


class Mutation:
    """The changes of one flow file.

    Raises:
        FlowError: the flow has problems as it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._document = read_file(path)
        self._beside = Beside(path.parent, (path.stem,))
        self._flow = parse_flow(self._document, self._beside)
        self.changes = tuple(
            sorted(self._found(), key=lambda each: (each.position.line, each.position.column))
        )

    @property
    def start(self) -> str:
        """The state in which a conversation begins."""
        return self._flow.start

    def made(self, change: Change) -> Mutant | None:
        """Return the flow with a change in it, None where nothing sound comes of it."""
        for became in change.becomes:
            try:
                machine = compile_flow(self._changed(change, became))
            except ConvoError:
                continue
            return Mutant(change, became, machine)
        return None

    def _changed(self, change: Change, became: str) -> Flow:
        if change.matchers is not None:
            return _with_matcher(self._flow, *change.matchers)
        root = _put(self._document.root, change.path, became)
        document = Document(
            root or MapNode(), self._document.path, self._document.lines, self._document.version
        )
        return parse_flow(document, self._beside)

    # -- what can be changed ------------------------------------------------------------------------

    def _found(self) -> Iterator[Change]:
        root = self._document.root
        if not isinstance(root, MapNode):
            return
        states = [str(name) for name in _mapping(root, "states")]
        yield from _walk(root, (), "", states)
        yield from self._matchers()

    def _matchers(self) -> Iterator[Change]:
        """Yield words and numbers of triggers: they are changed in the flow, for a twin names them too."""
        seen: set[Position] = set()
        for state in self._flow.states.values():
            for rule in _rules_of(state) if not state.scope and not state.returns else ():
                whose = "" if rule in state.inherited else state.name
                for matcher in rule.matchers:
                    if matcher.position not in seen:
                        seen.add(matcher.position)
                        for other in _others(matcher):
                            yield Change(
                                "word" if matcher.word else "limit",
                                matcher.position,
                                matcher.label,
                                (other.label,),
                                (),
                                whose,
                                (matcher, other),
                            )


def _others(matcher: Matcher) -> Iterator[Matcher]:
    """Yield the matchers that may stand in the place of one."""
    if matcher.kind is MatcherKind.WORD:
        label = f"{matcher.label}QZ"
        yield replace(matcher, word=fold(label), label=label)
    elif matcher.low is not None and matcher.high is not None:
        for low, high in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            low, high = matcher.low + low, matcher.high + high
            if low <= high:
                yield replace(matcher, low=low, high=high, label=f"number {low} to {high}")


def _walk(node: Node, path: Where, state: str, states: Sequence[str]) -> Iterator[Change]:
    if isinstance(node, ListNode):
        for index, item in enumerate(node):
            yield from _walk(item, (*path, index), state, states)
    if not isinstance(node, MapNode):
        return
    for key, value in node.items():
        here = (*path, str(key))
        whose = str(key) if path == ("states",) else state
        make = _Making(here, whose, states)
        if key in _TARGETS:
            yield from make.targets(value)
        elif key in ("triggers", "anywhere", "after", "at") and isinstance(value, MapNode):
            yield from make.rules(value, is_time=key in ("after", "at"))
        elif key in ("if", "skip") and isinstance(value, Scalar) and value != "known":
            yield make.condition(value, here)
        elif key in _LIMITS:
            yield from make.limits(value, here)
        elif key in _DURATIONS:
            yield from make.durations(value, here)
        elif key in _WORD_LISTS:
            yield from make.words(value, here)
        elif key == "set" and isinstance(value, MapNode):
            yield from make.settings(value)
        elif key == "data" and not path and isinstance(value, MapNode):
            yield from make.firsts(value)
        yield from _walk(value, here, whose, states)


@dataclass(frozen=True, slots=True)
class _Making:
    """Makes the changes of what stands at ``here``."""

    here: Where
    state: str
    states: Sequence[str]

    def targets(self, value: Node) -> Iterator[Change]:
        """Another state; under a goto with conditions, those conditions too."""
        if isinstance(value, Scalar):
            yield self._target(value, self.here)
        elif isinstance(value, MapNode):
            for key, arm in value.items():
                if _WORKED_OUT.search(key):
                    yield self.condition(key, (*self.here, f"#{key}"))
                if isinstance(arm, Scalar):
                    yield self._target(arm, (*self.here, str(key)))

    def rules(self, value: MapNode, *, is_time: bool) -> Iterator[Change]:
        """Where a trigger or a timer leads, and when it comes."""
        for key, does in value.items():
            if isinstance(does, Scalar):
                yield self._target(does, (*self.here, str(key)))
            if is_time:
                yield from self.durations(key, (*self.here, f"#{key}"))

    def _target(self, value: Scalar, path: Where) -> Change:
        others = [name for name in self.states if name != value]
        nearby = [name for name in others if name != self.state] or others
        return self._change("goto", value, nearby, path)

    def condition(self, value: Scalar, path: Where) -> Change:
        """The comparison moved by one, or else the condition turned round."""
        found = re.search(r"<=|>=|==|!=|<|>", value)
        turned = f"not ({value})"
        if found is None:
            return self._change("condition", value, [turned], path)
        moved = value[: found.start()] + _OPPOSITE[found.group()] + value[found.end() :]
        return self._change("condition", value, [moved, turned], path)

    def limits(self, value: Node, path: Where) -> Iterator[Change]:
        """Each number one up, and one down."""
        if isinstance(value, MapNode):
            for key, inner in value.items():
                yield from self.limits(inner, (*path, str(key)))
        if not isinstance(value, Scalar) or value.startswith("pattern"):
            return
        for found in re.finditer(r"(?<![\w.])\d{1,9}(?![\w.:/-])", value):
            number = int(found.group())
            for other in (number - 1, number + 1):
                if other >= 0:
                    yield self._change("limit", value, [_in_place(value, found, str(other))], path)

    def durations(self, value: Node, path: Where) -> Iterator[Change]:
        """Each duration doubled, each time of day an hour later."""
        if isinstance(value, ListNode):
            for index, item in enumerate(value):
                yield from self.durations(item, (*path, index))
        if not isinstance(value, Scalar):
            return
        for found in re.finditer(r"\b(\d{1,6})([smhdw])\b", value):
            doubled = f"{2 * int(found[1])}{found[2]}"
            yield self._change("timer", value, [_in_place(value, found, doubled)], path)
        for found in re.finditer(r"\b(\d\d):(\d\d)\b", value):
            later = f"{(int(found[1]) + 1) % 24:02}:{found[2]}"
            yield self._change("timer", value, [_in_place(value, found, later)], path)

    def words(self, value: Node, path: Where) -> Iterator[Change]:
        """Each word of a list another one."""
        if isinstance(value, ListNode):
            for index, item in enumerate(value):
                yield from self.words(item, (*path, index))
        elif isinstance(value, Scalar):
            for found in re.finditer(r"[^,\s][^,]*", value):
                word = found.group().rstrip()
                other = value[: found.start()] + f"{word}QZ" + value[found.start() + len(word) :]
                yield self._change("word", value, [other], path)

    def settings(self, value: MapNode) -> Iterator[Change]:
        """A line of ``set`` taken out, or where a flow cannot be without it, another value."""
        for name, given in value.items():
            if isinstance(given, Scalar):
                path = (*self.here, str(name))
                was = f"{name}: {given}"
                yield Change("set", name.position, was, ("", *_otherwise(given)), path, self.state)

    def firsts(self, value: MapNode) -> Iterator[Change]:
        """Another first value."""
        for name, datum in value.items():
            first = datum.get(Scalar("first")) if isinstance(datum, MapNode) else datum
            path = (*self.here, str(name), "first") if isinstance(datum, MapNode) else (*self.here, str(name))
            if isinstance(first, Scalar) and re.fullmatch(r"\d+", first):
                yield self._change("set", first, [str(int(first) + 1)], path)

    def _change(self, kind: str, value: Scalar, becomes: Iterable[str], path: Where) -> Change:
        return Change(kind, value.position, str(value), tuple(becomes), path, self.state)


def _otherwise(given: Scalar) -> list[str]:
    if given.quoted:
        return [f"{given}."]
    found = re.search(r"(?<![\w.])\d+(?![\w.])", given)
    other = [_in_place(given, found, str(int(found.group()) + 1))] if found else []
    return [*other, f"not ({given})", f"({given}) + 1", f"({given}) - 1h"]


def _in_place(value: str, found: re.Match[str], other: str) -> str:
    return value[: found.start()] + other + value[found.end() :]


# -- making it ------------------------------------------------------------------------------------------


def _put(node: Node, path: Where, text: str) -> Node | None:
    """Return the tree with another text at a path; "" takes out what stands there, and what is empty then."""
    if not path:
        return _like(node, text) if isinstance(node, Scalar) and text else None
    head, rest = path[0], path[1:]
    if isinstance(node, ListNode):
        items = ListNode()
        items.position = node.position
        for at, item in enumerate(node):
            kept = _put(item, rest, text) if at == head else item
            items += [kept] if kept is not None else []
        return items or None
    made = MapNode()
    made.position = node.position if isinstance(node, MapNode) else Position(1, 1)
    for key, value in node.items() if isinstance(node, MapNode) else ():
        if head == f"#{key}" and not rest:
            made[_like(key, text)] = value
        elif key != head:
            made[key] = value
        elif (inner := _put(value, rest, text)) is not None:
            made[key] = inner
    return made or None


def _like(old: Scalar, text: str) -> Scalar:
    return Scalar(text, old.position, quoted=old.quoted, block=old.block, length=old.length)


def _with_matcher(flow: Flow, old: Matcher, new: Matcher) -> Flow:
    """Return the flow with one matcher in the place of another; sub-flows have matchers of their own."""

    def changed(rule: Rule) -> Rule:
        if any(action.scope for action in rule.actions):
            return rule
        matchers = tuple(new if each == old else each for each in rule.matchers)
        return replace(rule, matchers=matchers)

    def in_state(state: State) -> State:
        made = replace(state, inherited=tuple(map(changed, state.inherited)))
        if state.scope or state.returns:
            return made
        question = state.question
        if question is not None:
            optional = changed(question.optional) if question.optional is not None else None
            back = changed(question.back) if question.back is not None else None
            question = replace(question, optional=optional, back=back)
        return replace(made, rules=tuple(map(changed, state.rules)), question=question)

    states = {name: in_state(state) for name, state in flow.states.items()}
    return replace(flow, states=states, anywhere=tuple(map(changed, flow.anywhere)))


def _rules_of(state: State) -> Iterator[Rule]:
    question = state.question
    own = [each for each in (question.optional, question.back) if each is not None] if question else []
    for rule in chain(state.rules, own, state.inherited):
        if not any(action.scope for action in rule.actions):
            yield rule


def _mapping(node: MapNode, key: str) -> MapNode:
    found = node.get(Scalar(key))
    return found if isinstance(found, MapNode) else MapNode()


Progress = Callable[[int, int], None]
"""Told how many changes have been tried, and of how many."""
