"""From a flow file to a ``Flow``, or to every problem that the file has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from convo.flow.cards import CardReader
from convo.flow.codes import problem
from convo.flow.declared import read_data
from convo.flow.file import FlowFile
from convo.flow.model import Flow, State
from convo.flow.names import Contents, check_names, infer_types, name_problem
from convo.flow.problems import FlowError, Problem, Severity, nearest
from convo.flow.reader import Document, ListNode, MapNode, Scalar, read_file
from convo.flow.sentences import BUILT_IN_TEXTS
from convo.flow.shape import Shaped, shape_of
from convo.flow.template import Template, parse_template
from convo.flow.triggers import fold, parse_words
from convo.flow.values import Type


def load_flow(path: Path) -> Flow:
    """Return the flow in the file.

    Raises:
        FlowError: the file cannot be read or has problems; all of them, each with its place.
    """
    return parse_flow(read_file(path))


def parse_flow(document: Document) -> Flow:
    """Return the flow that was read.

    Raises:
        FlowError: every problem of the file, each with its place.
    """
    shaped = shape_of(document.root)
    found: Iterable[Problem] = shaped.problems
    flow = None
    if shaped.file is not None:
        reading = _Reading(shaped.file, shaped, document)
        flow = reading.flow()
        found = reading.problems
    problems = tuple(dict.fromkeys(each.located(document.path, document.lines) for each in found))
    if flow is None or any(each.severity is Severity.ERROR for each in problems):
        raise FlowError(problems)
    return replace(flow, warnings=problems)


class _Reading:
    """One file in the making; a problem is noted and the reading goes on."""

    def __init__(self, file: FlowFile, shaped: Shaped, document: Document) -> None:
        self.file = file
        self.document = document
        self.problems = list(shaped.problems)
        cards = document.root.get(Scalar("states")) if isinstance(document.root, MapNode) else None
        known = [str(name) for name in (cards if isinstance(cards, MapNode) else file.states or {})]
        self.cards = CardReader(known, shaped.cut, self.problems)
        if shaped.problems:
            # What was left out may have set these: what reads them cannot be judged.
            self.cards.doubtful.update(_named(document.root))

    def flow(self) -> Flow:
        """Return the flow as far as it can be read."""
        file, cards = self.file, self.cards
        states = cards.states(file)
        anywhere = cards.rules(file.anywhere)
        greeting = cards.text(file.greeting)
        data, untyped = read_data(file.data or {}, self.problems)
        declared = {name: datum.type for name, datum in data.items() if name not in untyped}
        contents = Contents.of(states.values(), anywhere)
        doubtful = cards.doubtful
        types = infer_types(declared, contents.assignments, doubtful, self.problems)
        for name in untyped:
            data[name] = replace(data[name], type=types.setdefault(name, Type.TEXT))
        self.problems += check_names(contents, types, doubtful - types.keys(), [greeting])
        return Flow(
            name=self._name(),
            start=self._start(states),
            states=states,
            version=self.document.version,
            path=self.document.path,
            about=str(file.about or ""),
            greeting=greeting,
            anywhere=anywhere,
            keywords=self._words(file.keywords) or (),
            opt_out=self._words(file.opt_out),
            opt_in=self._words(file.opt_in),
            data=data,
            types=types,
            moved=self._moved(),
            restart=file.restart is not None,
            zone=self._zone(),
            country=self._written(file.country, r"[A-Z]{2}", "AU", "two capital letters") or "",
            language=self._written(
                file.language, r"[a-z]{2,3}(-[A-Za-z]{2,4})?", "en", "the code of a language"
            )
            or "en",
            texts=self._texts(),
            max_segments=self._max_segments(),
        )

    def _add(self, found: Problem | None) -> None:
        if found is not None:
            self.problems.append(found)

    def _name(self) -> str:
        name = self.file.flow
        if name is None:
            return ""
        self._add(name_problem(name, "a flow"))
        return str(name)

    def _start(self, states: dict[str, State]) -> str:
        start = self.file.start
        if start is None:
            return next(iter(states))
        if start not in self.cards.known:
            hint = nearest(start, self.cards.known)
            self._add(problem("F015", f"start names '{start}', which is no state", start, hint=hint))
        return str(start)

    def _moved(self) -> dict[str, str]:
        moved = self.file.moved or {}
        for old, new in moved.items():
            if old in self.cards.known:
                hint = "only states that are gone are listed under 'moved'"
                self._add(problem("F016", f"'{old}' is still a state of this flow", old, hint=hint))
            if new not in self.cards.known:
                hint = nearest(new, self.cards.known)
                self._add(problem("F016", f"moved names '{new}', which is no state", new, hint=hint))
        return {str(old): str(new) for old, new in moved.items()}

    def _zone(self) -> str:
        zone = self.file.zone
        if zone is None:
            return "UTC"
        try:
            return ZoneInfo(zone).key
        except (KeyError, OSError, ValueError):
            hint = nearest(zone, available_timezones()) or "for example: Australia/Sydney"
            self._add(problem("F005", f"'{zone}' is no time zone", zone, hint=hint))
            return "UTC"

    def _written(self, word: Scalar | None, pattern: str, example: str, what: str) -> str | None:
        if word is not None and not re.fullmatch(pattern, word):
            self._add(problem("F005", f"'{word}' is not {what}", word, hint=f"for example: {example}"))
        return None if word is None else str(word)

    def _max_segments(self) -> int | None:
        number = self._written(
            self.file.max_segments, "[1-9][0-9]?", "2", "a number of segments from 1 to 99"
        )
        return int(number) if number is not None and number.isdecimal() else None

    def _words(self, listed: Scalar | list[Scalar] | None) -> tuple[str, ...] | None:
        """Return words as written: a list, or one text with commas."""
        if listed is None:
            return None
        found: dict[str, str] = {}
        for item in listed if isinstance(listed, list) else [listed]:
            for word, at in self._split(item):
                if (folded := fold(word)) in found:
                    message = f"'{word}' is there already as '{found[folded]}'"
                    self._add(problem("F011", message, at, hint="one of them is enough"))
                found.setdefault(folded, word)
        return tuple(found.values())

    def _split(self, item: Scalar) -> Iterator[tuple[str, Scalar]]:
        try:
            for matcher in parse_words(item):
                if not matcher.word:
                    hint = "words stand here, each a whole message"
                    self._add(problem("F010", f"'{matcher.label}' is no word", item, hint=hint))
                    continue
                if re.search(r" (number|text)$", matcher.label):
                    message = "a keyword that takes a value is not part of this version of the language"
                    self._add(problem("F002", message, item))
                yield matcher.label, item
        except FlowError as error:
            self.problems += error.problems

    def _texts(self) -> dict[str, Template]:
        """Return all built-in sentences, the author's where there is one."""
        found: dict[str, Template] = {}
        for name, source in (self.file.texts or {}).items():
            sentence = BUILT_IN_TEXTS.get(name)
            if sentence is None:
                hint, known = nearest(name, BUILT_IN_TEXTS), tuple(BUILT_IN_TEXTS)
                message = f"there is no built-in sentence '{name}'"
                self._add(problem("F021", message, name, hint=hint, expected=() if hint else known))
                continue
            text = self.cards.text(source)
            if text is None:
                continue
            if strangers := sorted(text.names - set(sentence.names)):
                can = " and ".join(f"${{{each}}}" for each in sentence.names)
                hint = f"it can say {can}" if can else "it can only be plain words"
                message = f"'{strangers[0]}' is not known to '{name}'"
                self._add(problem("F021", message, source, hint=hint))
            else:
                self.problems += text.check(dict.fromkeys(sentence.names, Type.TEXT))
            found[str(name)] = text
        built_in = {name: parse_template(Scalar(each.default)) for name, each in BUILT_IN_TEXTS.items()}
        return {**built_in, **found}


def _named(node: object) -> Iterator[str]:
    """Yield every name that something in the tree sets, saves or declares, as far as one can tell."""
    if isinstance(node, MapNode):
        for key, value in node.items():
            if key in ("set", "data", "states") and isinstance(value, MapNode):
                yield from map(str, value)
            elif key == "save":
                yield from map(str, value if isinstance(value, ListNode) else [value])
            yield from _named(value)
    elif isinstance(node, ListNode):
        for item in node:
            yield from _named(item)
