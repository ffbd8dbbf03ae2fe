"""What a flow file declares at its top beside data: people, hours, quiet, languages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time
from typing import TypeVar

from convo.flow.codes import problem
from convo.flow.file import FlowFile
from convo.flow.model import Hours, Moment, Person, State
from convo.flow.naming import name_problem, reserved_problem
from convo.flow.problems import FlowError, Problem
from convo.flow.reader import Scalar
from convo.flow.times import parse_closed, parse_hours, parse_quiet
from convo.flow.values import Type
from convo.messages import to_address

Thing = TypeVar("Thing")
Words = TypeVar("Words", bound="Scalar | list[Scalar]")
LANGUAGE = r"[a-z]{2,3}(-[A-Za-z]{2,4})?"


@dataclass(frozen=True, slots=True)
class Declared:
    """Reads them; problems are added to ``problems``."""

    file: FlowFile
    problems: list[Problem]

    def people(self) -> dict[str, Person]:
        """Return the people by name."""
        found = {}
        country = self.file.country
        region = str(country) if country is not None and re.fullmatch("[A-Z]{2}", country) else "ZZ"
        for name, number in (self.file.people or {}).items():
            self._name(name)
            try:
                found[str(name)] = Person(str(name), to_address(number, region))
            except ValueError:
                message = f"the number of '{name}' is no phone number"
                hint = "write it with its country: +61400000009"
                self.problems.append(problem("F005", message, number, hint=hint))
        return found

    def hours(self) -> dict[str, tuple[Hours, ...]]:
        """Return the opening hours by name."""
        found = {}
        for name, source in (self.file.hours or {}).items():
            self._name(name)
            hours = self._read(parse_hours, source)
            found[str(name)] = hours or ()
        return found

    def quiet(self) -> tuple[time, time] | None:
        """Return from when to when nothing is sent that nobody asked for."""
        return None if self.file.quiet is None else self._read(parse_quiet, self.file.quiet)

    def closed(self) -> frozenset[date]:
        """Return the days on which all hours are closed."""
        found = None if self.file.closed is None else self._read(parse_closed, self.file.closed)
        return found or frozenset()

    def languages(self) -> tuple[str, tuple[str, ...]]:
        """Return the base language, and all languages."""
        listed = self.file.languages
        items = [listed] if isinstance(listed, Scalar) else listed or []
        codes = [(part.strip(), item) for item in items for part in item.split(",") if part.strip()]
        if self.file.language is not None:
            codes.insert(0, (str(self.file.language), self.file.language))
        found: dict[str, None] = {}
        for code, at in codes:
            if re.fullmatch(LANGUAGE, code):
                found[code] = None
            else:
                message = f"'{code}' is not the code of a language"
                self.problems.append(problem("F005", message, at, hint="for example: en"))
        return next(iter(found), "en"), tuple(found) or ("en",)

    def check_moments(
        self, states: Iterable[State], types: Mapping[str, Type], doubtful: set[str]
    ) -> Iterator[Problem]:
        """Yield the timers whose moment is of another type."""
        for state in states:
            for timer in state.timers:
                if isinstance(timer.when, Moment) and timer.when.name not in doubtful:
                    kind = types.get(timer.when.name)
                    if kind not in (Type.MOMENT, None):
                        message = f"'{timer.when.name}' is a {kind}, and a timer needs a moment"
                        yield problem("F024", message, timer.position)

    def _name(self, name: Scalar) -> None:
        wrong = name_problem(name, "this") or reserved_problem(name)
        if wrong is not None:
            self.problems.append(wrong)

    def _read(self, parse: Callable[[Words], Thing], source: Words) -> Thing | None:
        try:
            return parse(source)
        except FlowError as error:
            self.problems.extend(error.problems)
            return None
