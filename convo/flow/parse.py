"""From a flow file to a ``Flow``, or to every problem that the file has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo, available_timezones

from convo.flow.cards import CardReader
from convo.flow.circles import circles
from convo.flow.codes import problem
from convo.flow.declared import read_data
from convo.flow.file import FlowFile
from convo.flow.inline import fits, inheriting, inlined, results_of
from convo.flow.model import Datum, Flow, State
from convo.flow.names import Contents, check_bounds, check_choices, check_names, infer_types, spread
from convo.flow.naming import NAME, name_problem
from convo.flow.problems import FlowError, Problem, Severity, nearest
from convo.flow.reader import Document, ListNode, MapNode, Scalar, read_file
from convo.flow.sentences import BUILT_IN_TEXTS
from convo.flow.settings import Declared
from convo.flow.shape import Shaped, shape_of
from convo.flow.template import Template, parse_template
from convo.flow.triggers import Matcher, fold, parse_words
from convo.flow.twins import texts_of, twins_of, with_twin
from convo.flow.values import Type
from convo.messages import is_country

Thing = TypeVar("Thing")


def load_flow(path: Path) -> Flow:
    """Return the flow in the file, with the flows that it runs and its words in other languages.

    They stand in files beside it: ``NAME.yaml`` and ``NAME.LANGUAGE.yaml``.

    Raises:
        FlowError: a file cannot be read or has problems; all of them, each with its place.
    """
    return parse_flow(read_file(path, strict=False), Beside(path.parent, (path.stem,)))


@dataclass(frozen=True, slots=True)
class Beside:
    """The folder of a flow file, where the files are that belong to it; ``stems`` are those being read."""

    folder: Path
    stems: tuple[str, ...]

    def flow(self, name: Scalar) -> Flow:
        """Return the flow of a ``run``.

        Raises:
            FlowError: there is none, it has problems, or it runs itself.
        """
        if name in self.stems:
            chain = " → ".join((*self.stems[self.stems.index(str(name)) :], str(name)))
            message = f"'{name}' would run itself: {chain}"
            raise FlowError([problem("F028", message, name, hint="a flow cannot be a part of itself")])
        path = self.folder / f"{name}.yaml"
        if not NAME.fullmatch(name) or not path.is_file():
            names = [each.stem for each in self.folder.glob("*.yaml") if "." not in each.stem]
            hint = nearest(name, names) or f"its file would be {path.name}, beside this one"
            raise FlowError([problem("F028", f"there is no flow '{name}' to run", name, hint=hint)])
        document = read_file(path, strict=False)
        return parse_flow(document, Beside(self.folder, (*self.stems, str(name))))

    def twin(self, language: str) -> Path:
        """Return the file of the flow's words in another language."""
        return self.folder / f"{self.stems[-1]}.{language}.yaml"


def parse_flow(document: Document, beside: Beside | None = None) -> Flow:
    """Return the flow that was read; without ``beside`` it can run no other flow and has one language.

    Raises:
        FlowError: every problem of the file, each with its place.
    """
    shaped = shape_of(document.root)
    found: Iterable[Problem] = shaped.problems
    flow = None
    elsewhere: Iterable[Problem] = ()
    if shaped.file is not None:
        reading = _Reading(shaped.file, shaped, document, beside)
        flow = reading.flow()
        found, elsewhere = reading.problems, reading.elsewhere
    located = (each.located(document.path, document.lines) for each in found if not document.is_told(each))
    problems = tuple(dict.fromkeys((*document.problems, *located, *elsewhere)))
    if flow is None or any(each.severity is Severity.ERROR for each in problems):
        raise FlowError(problems)
    return replace(flow, warnings=problems)


def texts_to_translate(path: Path) -> dict[tuple[str, ...], Scalar]:
    """Return the texts of a flow that people read, by their path in the file.

    Raises:
        FlowError: the file has problems.
    """
    document = read_file(path)
    beside = Beside(path.parent, (path.stem,))
    # Read as a flow of one language: its twins are what is being written.
    shaped = shape_of(document.root)
    problems = list(shaped.problems)
    if shaped.file is not None:
        shaped.file.languages = None
        reading = _Reading(shaped.file, shaped, document, beside)
        reading.flow()
        problems = [*reading.problems, *reading.elsewhere]
        if not any(each.severity is Severity.ERROR for each in problems):
            return texts_of(reading.cards, document.root)
    raise FlowError([each.located(document.path, document.lines) for each in problems])


def languages_of(path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the base language of a flow, and all languages that it lists.

    Raises:
        FlowError: the file has problems.
    """
    file = shape_of(read_file(path).root).file
    return Declared(file, []).languages() if file is not None else ("en", ("en",))


class _Reading:
    """One file in the making; a problem is noted and the reading goes on.

    ``elsewhere`` are the problems of the files that belong to it.
    """

    def __init__(self, file: FlowFile, shaped: Shaped, document: Document, beside: Beside | None) -> None:
        self.file = file
        self.document = document
        self.beside = beside
        self.problems = list(shaped.problems)
        self.elsewhere: list[Problem] = []
        self.children: dict[str, Flow] = {}
        cards = document.root.get(Scalar("states")) if isinstance(document.root, MapNode) else None
        known = [str(name) for name in (cards if isinstance(cards, MapNode) else file.states or {})]
        self.declared = Declared(file, self.problems)
        names = frozenset(name for node in (document.root, *document.dropped) for name in _named(node))
        self.cards = CardReader(
            known,
            shaped.cut | document.cut,
            self.problems,
            people=self.declared.people(),
            names=names,
            run=self._child,
        )
        if shaped.problems or document.problems:
            # What was left out may have set these: what reads them cannot be judged.
            self.cards.doubtful.update(names)

    def flow(self) -> Flow:
        """Return the flow as far as it can be read."""
        file, cards, declared = self.file, self.cards, self.declared
        own = cards.states(file)
        anywhere = cards.rules(file.anywhere)
        greeting = cards.text(file.greeting)
        zone = self._zone()
        data, untyped = read_data(file.data or {}, self.problems, zone)
        hours = declared.hours()
        keywords, values = self._keywords()
        start = self._start(own)
        contents = Contents.of(own.values(), anywhere, start, values.values())
        types = self._types(own, contents, data, untyped, hours, greeting)
        moments = declared.check_moments(own.values(), types, cards.doubtful)
        self.problems += moments
        states = self._with_children(own, types)
        states = inheriting(states.values(), anywhere)
        self.problems += circles(states)
        private = {name for name, datum in data.items() if datum.private}
        private |= {each.question.save for each in own.values() if each.question and each.question.private}
        language, languages = declared.languages()
        children = self.children.items()
        flow = Flow(
            name=self._name(),
            start=start,
            states=states,
            version=self._version(),
            path=self.document.path,
            about=str(file.about or ""),
            greeting=greeting,
            anywhere=anywhere,
            keywords=keywords,
            keyword_values=values,
            opt_out=self._words(file.opt_out),
            opt_in=self._words(file.opt_in),
            data=data,
            types={**types, **_below({card: child.types for card, child in children})},
            moved=self._moved(),
            restart=file.restart is not None,
            zone=zone,
            country=self._country(),
            language=language,
            languages=languages,
            people={**cards.people, **_below({card: child.people for card, child in children})},
            quiet=declared.quiet(),
            hours={**hours, **_below({card: child.hours for card, child in children})},
            closed=declared.closed().union(*(child.closed for _, child in children)),
            private=spread(private, contents)
            | {f"{card}/{name}" for card, child in children for name in child.private},
            texts=self._texts(),
            max_segments=self._max_segments(),
        )
        return flow if self.beside is None else self._in_languages(flow, self.beside)

    def _types(
        self,
        own: dict[str, State],
        contents: Contents,
        data: dict[str, Datum],
        untyped: set[str],
        hours: Mapping[str, object],
        greeting: Template | None,
    ) -> dict[str, Type]:
        """Return the type of each name; data whose type was left open gets it too."""
        doubtful = self.cards.doubtful
        known = {name: datum.type for name, datum in data.items() if name not in untyped}
        saved = {name: kind for name, (kind, _) in contents.saves.items()}
        for name, (kind, state) in contents.saves.items():
            if known.get(name, kind) is not kind:
                contents.clashes.append((name, known[name], kind, state))
        for card, child in self.children.items():
            run = own[card].run
            for name in run.save if run is not None else ():
                if name in child.types:
                    saved.setdefault(name, child.types[name])
        for name, one, other, state in contents.clashes:
            message = f"'{name}' is a {one} elsewhere and would be a {other} here"
            hint = "a name has one type in a flow; take two names, with 'save'"
            self.problems.append(problem("F008", message, state.position, hint=hint))
        fixed = dict.fromkeys(self.cards.people, Type.TEXT) | dict.fromkeys(hours, Type.HOURS)
        for name in fixed.keys() & (known.keys() | saved.keys()):
            message = f"'{name}' is data too; people, hours and data need different names"
            self.problems.append(problem("F008", message, self.document.root.position))
        types = infer_types({**saved, **known, **fixed}, contents.assignments, doubtful, self.problems)
        for name in untyped:
            data[name] = replace(data[name], type=types.setdefault(name, Type.TEXT))
        self.problems += check_names(contents, types, doubtful - types.keys(), [greeting])
        self.problems += check_bounds(contents, types, doubtful)
        cards = [card for state in own.values() for card in (state.run, state.call) if card is not None]
        brought = {name for card in cards for name in card.save}
        self.problems += check_choices(contents, own.values(), {*data, *doubtful, *brought})
        return types

    def _child(self, name: Scalar, card: Scalar) -> tuple[str, ...] | None:
        """Return the results of the flow that a card runs; None where it cannot be read."""
        try:
            if self.beside is None:
                message = "a flow without a file cannot run another"
                raise FlowError([problem("F028", message, name)])
            child = self.beside.flow(name)
        except FlowError as error:
            at_home = [each for each in error.problems if not each.path]
            self.problems += at_home
            self.elsewhere += [each for each in error.problems if each.path]
            if not at_home:
                self.problems.append(problem("F028", f"'{name}' has problems of its own", name))
            return None
        self.children[str(card)] = child
        return results_of(child)

    def _with_children(self, own: dict[str, State], types: Mapping[str, Type]) -> dict[str, State]:
        """Return the states with those of the sub-flows under their cards."""
        states: dict[str, State] = {}
        for name, state in own.items():
            child = self.children.get(name)
            if state.run is None or child is None:
                states[name] = state
                continue
            self.problems += fits(state, state.run, child, types)
            first = {each.name: each.first for each in child.data.values() if each.first is not None}
            run = replace(state.run, start=f"{name}/{child.start}", first=first)
            states[name] = replace(state, run=run)
            states |= inlined(states[name], child)
        return states

    def _version(self) -> str:
        """Return the hash of the file's content, and of the content of those that it runs."""
        if not self.children:
            return self.document.version
        parts = [self.document.version, *(child.version for child in self.children.values())]
        return sha256(" ".join(parts).encode()).hexdigest()[:16]

    def _in_languages(self, flow: Flow, beside: Beside) -> Flow:
        """Return the flow with its words in its other languages."""
        for language in flow.languages:
            if language == flow.language:
                continue
            path = beside.twin(language)
            if not path.is_file():
                at = self.document.root.position
                hint = f"write {path.name}, or run: convo translate {self.document.path} {language}"
                self.problems.append(problem("F030", f"there are no words in '{language}'", at, hint=hint))
                continue
            try:
                twin = read_file(path)
                flow, found = with_twin(flow, self.cards, self.document, twin, language)
                self.elsewhere += [each.located(twin.path, twin.lines) for each in found]
            except FlowError as error:
                self.elsewhere += error.problems
        self._unlisted(flow, beside)
        return flow

    def _unlisted(self, flow: Flow, beside: Beside) -> None:
        """Warn of words in a language that the flow does not list: nobody would hear them."""
        for path, language in twins_of(beside.folder, beside.stems[-1]):
            if language in flow.languages:
                continue
            at = self.file.languages[0] if isinstance(self.file.languages, list) else self.file.languages
            message = f"{path.name} stands beside this file, and its language is not listed"
            hint = f"write: languages: [{', '.join((*flow.languages, language))}]"
            found = problem("F030", message, at or self.file.flow or self.document.root.position, hint=hint)
            self.problems.append(replace(found, severity=Severity.WARNING))

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
            message, hint = f"start names '{start}', which is no state", self.cards.near_states(start)
            self._add(problem("F015", message, start, hint=hint))
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

    def _country(self) -> str:
        country = self._written(self.file.country, r"[A-Z]{2}", "AU", "two capital letters") or ""
        if self.file.country is not None and re.fullmatch(r"[A-Z]{2}", country) and not is_country(country):
            hint = "write 'GB'" if country == "UK" else "the two letters of ISO 3166, for example: KE"
            self._add(problem("F005", f"'{country}' is no country", self.file.country, hint=hint))
        return country

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
            for matcher in self.cards.read(parse_words, item) or ():
                word = matcher.label
                if not matcher.word:
                    hint = "words stand here, each a whole message"
                    self._add(problem("F010", f"'{word}' is no word", item, hint=hint))
                elif (folded := fold(word)) in found:
                    message = f"'{word}' is there already as '{found[folded]}'"
                    self._add(problem("F011", message, item, hint="one of them is enough"))
                else:
                    found[folded] = word
        return tuple(found.values())

    def _keywords(self) -> tuple[tuple[str, ...], dict[str, Matcher]]:
        """Return the keywords, and of those that take a value what the value has to be."""
        values: dict[str, Matcher] = {}
        for word in self._words(self.file.keywords) or ():
            head, _, kind = word.rpartition(" ")
            if head and kind in ("number", "text"):
                values[head] = parse_words(Scalar(kind))[0]
        plain = tuple(
            word.removesuffix(" number").removesuffix(" text")
            for word in self._words(self.file.keywords) or ()
        )
        return plain, values

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
        built_in = {
            name: parse_template(Scalar(each.default))
            for name, each in BUILT_IN_TEXTS.items()
            if each.default
        }
        return {**built_in, **found}


def _below(children: Mapping[str, Mapping[str, Thing]]) -> dict[str, Thing]:
    return {f"{card}/{name}": each for card, found in children.items() for name, each in found.items()}


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
