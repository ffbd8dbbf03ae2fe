"""Which triggers a text could mean. Whether there is such a transition is the Machine's to say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from convo.engine.trace import KindTried, Trace
from convo.flow.triggers import Matcher, fold, matches


@dataclass(frozen=True, slots=True)
class Recognisers:
    """How texts and timers find the names of triggers.

    ``words`` gives the triggers of a folded word, each with the language that the word belongs to ("" for
    the base language, whose words everybody may send). ``answers`` gives the triggers of a question's
    outcomes, ``timers`` those of a state's timers, ``results`` those of a call.
    """

    words: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    kinds: dict[str, list[tuple[str, Matcher]]] = field(default_factory=dict)
    anywhere_kinds: dict[str, list[tuple[str, Matcher]]] = field(default_factory=dict)
    answers: dict[str, dict[str, str]] = field(default_factory=dict)
    timers: dict[tuple[str, str], str] = field(default_factory=dict)
    results: dict[tuple[str, str], str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    twin_labels: dict[str, dict[str, str]] = field(default_factory=dict)

    def labels_in(self, language: str) -> dict[str, str]:
        """Return the word that stands for each trigger, in that language where it has one."""
        twins = self.twin_labels.get(language)
        return {**self.labels, **twins} if twins else self.labels

    def of_words(self, text: str, language: str = "") -> Iterator[str]:
        """Yield the triggers whose word the whole text is: a state's own before those of ``anywhere``."""
        for trigger, spoken in self.words.get(fold(text), ()):
            if spoken in ("", language):
                yield trigger

    def of_own_kinds(
        self, state: str, text: str, trace: Trace | None = None
    ) -> Iterator[tuple[str, Matcher]]:
        """Yield the kinds of the state that the text is of, in file order."""
        return _fitting(self.kinds.get(state, ()), state, text, trace, anywhere=False)

    def of_anywhere_kinds(
        self, state: str, text: str, trace: Trace | None = None
    ) -> Iterator[tuple[str, Matcher]]:
        """Yield the kinds of ``anywhere`` that the text is of."""
        return _fitting(self.anywhere_kinds.get(state, ()), state, text, trace, anywhere=True)


def _fitting(
    kinds: Iterable[tuple[str, Matcher]], state: str, text: str, trace: Trace | None, *, anywhere: bool
) -> Iterator[tuple[str, Matcher]]:
    for trigger, matcher in kinds:
        fits = matches(matcher, text)
        if trace is not None:
            trace.add(KindTried(state, matcher, fits, anywhere))
        if fits:
            yield trigger, matcher
