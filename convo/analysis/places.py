"""Where in the files of a flow something stands: sub-flows have files of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from convo.engine.machine import Take
from convo.flow.model import Flow, Rule, State
from convo.flow.problems import Position
from convo.flow.triggers import Matcher, MatcherKind


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file, with its text ("" where the file cannot be read)."""

    path: str
    line: int
    text: str = ""

    @property
    def where(self) -> str:
        """The place as editors open it."""
        return f"{self.path}:{self.line}"


@dataclass(slots=True)
class Places:
    """Finds places, and remembers in ``found`` those that decided something, each once."""

    flow: Flow
    found: list[Place] = field(default_factory=list)
    _lines: dict[str, list[str]] = field(default_factory=dict)

    def file_of(self, scope: str) -> str:
        """Return the file of the flow that a scope belongs to; "" is the flow itself."""
        if not scope:
            return self.flow.path or self.flow.name
        card = self.flow.states.get(scope.removesuffix("/"))
        if card is None or card.run is None:
            return self.flow.path or self.flow.name
        beside = Path(self.flow.path).parent
        return str(beside / f"{card.run.flow}.yaml")

    def at(self, scope: str, line: int, *, decided: bool = True) -> Place:
        """Return a line of the file of a scope."""
        path = self.file_of(scope)
        lines = self._text(path)
        text = lines[line - 1].rstrip() if 0 < line <= len(lines) else ""
        place = Place(path, line, text)
        if decided and place not in self.found:
            self.found.append(place)
        return place

    def lines_of(self, scope: str) -> list[str]:
        """Return the lines of the file of a scope."""
        return self._text(self.file_of(scope))

    def of_take(self, take: Take | None) -> Place | None:
        """Return the line that a transition comes from."""
        return self.at(take.scope, take.line) if take is not None and take.line else None

    def of_word(self, state: str, label: str) -> Place | None:
        """Return the line of a word that a state takes."""
        for rule, scope in self._rules(state):
            for matcher in rule.matchers:
                if matcher.kind is MatcherKind.WORD and matcher.label == label:
                    return self.at(scope, matcher.position.line)
        return None

    def of_matcher(self, state: str, matcher: Matcher, *, decided: bool) -> Place | None:
        """Return the line of a kind that a state takes."""
        for rule, scope in self._rules(state):
            if matcher in rule.matchers:
                return self.at(scope, matcher.position.line, decided=decided)
        return None

    def of_else(self, state: str, *, own: bool) -> Place | None:
        """Return the line of the ``else`` of a state, or of the one of ``anywhere``."""
        found = self.flow.states.get(state)
        inherited = found.inherited if found is not None else ()
        for rule, scope in self._rules(state):
            if own != any(rule is each for each in inherited):
                for matcher in rule.matchers:
                    if matcher.kind is MatcherKind.ELSE:
                        return self.at(scope, matcher.position.line)
        return None

    def of_answer(self, state: State) -> Place | None:
        """Return the line that says what a good answer is."""
        question = state.question
        if question is None:
            return None
        position: Position = state.position if question.answer is None else question.answer.source.position
        return self.at(state.scope, position.line)

    def _rules(self, name: str) -> list[tuple[Rule, str]]:
        state = self.flow.states.get(name)
        if state is None:
            return []
        found = [(rule, state.scope) for rule in state.rules]
        question = state.question
        for rule in (question.optional, question.back) if question is not None else ():
            if rule is not None:
                found.append((rule, state.scope))
        # A rule of ``anywhere`` may be the caller's: its actions know whose it is.
        for rule in state.inherited:
            scope = rule.actions[0].scope if rule.actions else state.scope
            found.append((rule, scope))
        return found

    def _text(self, path: str) -> list[str]:
        if path not in self._lines:
            try:
                self._lines[path] = Path(path).read_text(encoding="utf-8-sig").splitlines()
            except (OSError, ValueError):
                self._lines[path] = []
        return self._lines[path]
