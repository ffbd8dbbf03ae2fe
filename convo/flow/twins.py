"""A flow's words in another language: a twin file that has only texts and words, at the same paths."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path as FilePath

from convo.flow.answer_choices import ChoiceSpec, choice_problems
from convo.flow.cards import CardReader
from convo.flow.codes import problem
from convo.flow.model import Flow
from convo.flow.problems import FlowError, Position, Problem, Severity, nearest
from convo.flow.reader import MAX_BYTES, Document, ListNode, MapNode, Node, Scalar
from convo.flow.sentences import BUILT_IN_TEXTS
from convo.flow.settings import LANGUAGE
from convo.flow.template import Template, parse_template
from convo.flow.triggers import Matcher, parse_words
from convo.flow.values import Type

WORD_LISTS = ("keywords", "opt_out", "opt_in", "optional", "back", "also")
"""Keys whose words are given in each language."""

HEAD = ("translates", "language", "translated")
"""Keys of a twin that are no words."""

Path = tuple[str, ...]


def fingerprint(text: str) -> str:
    """Return what tells whether a text has changed since it was translated."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def with_twin(
    flow: Flow, cards: CardReader, base: Document, twin: Document, language: str
) -> tuple[Flow, list[Problem]]:
    """Return the flow with its words in ``language``, and the problems of the twin file."""
    reading = _Twin(flow, cards, base, twin, language)
    return reading.read(), reading.problems


def texts_of(cards: CardReader, root: Node) -> dict[Path, Scalar]:
    """Return the texts of a flow that people read, by their path in its file; labels of choices too.

    A choice of a plain list is named by its label, as in a twin: ``choices/Bill``.
    """
    found = {}
    for path, leaf in leaves(root):
        if "tell" not in path and (leaf.position in cards.texts or _is_label(path)):
            listed = _is_label(path) and path[-2] == "choices" and isinstance(_at(root, path[:-1]), ListNode)
            found[(*path[:-1], str(leaf)) if listed else path] = leaf
    return found


def _is_label(path: Path) -> bool:
    inner = path[path.index("choices") + 1 :] if "choices" in path else ()
    return path[0] == "states" and (len(inner) == 1 or inner[1:] == ("label",))


class _Twin:
    def __init__(self, flow: Flow, cards: CardReader, base: Document, twin: Document, language: str) -> None:
        self.flow = flow
        self.cards = cards
        self.base = base
        self.twin = twin
        self.language = language
        self.problems: list[Problem] = []
        self.found: set[Path] = set()
        self.words: dict[str, tuple[str, ...]] = {}

    def read(self) -> Flow:
        root = self.twin.root
        if not isinstance(root, MapNode):
            self._add("F004", "a mapping belongs here", root)
            return self.flow
        self._head(root)
        self._walk(root, self.base.root, ())
        self._missing(root)
        self._stale(root)
        types = {**self.flow.types}
        for text in self.cards.texts.values():
            if (twin := text.twins.get(self.language)) is not None:
                self.problems += [
                    each for each in twin.check({**types, "value": Type.TEXT}) if "value" not in text.names
                ]
        return self._with_words()

    def _head(self, root: MapNode) -> None:
        for key, wanted in (("translates", self.flow.name), ("language", self.language)):
            written = root.get(Scalar(key))
            if written is None:
                self._add("F030", f"'{key}' is missing", root, hint=f"write: {key}: {wanted}")
            elif written != wanted:
                self._add("F030", f"this file should say '{key}: {wanted}'", written)

    def _walk(self, twin: Node, base: Node | None, path: Path) -> None:
        """Put what stands in the twin beside what stands at the same path of the base."""
        if isinstance(twin, MapNode):
            for key, value in twin.items():
                if not path and key in HEAD:
                    continue
                here = (*path, str(key))
                if key == "texts" and not path:
                    self._sentences(value)
                elif key == "words":
                    self._trigger_words(value, path)
                elif key in WORD_LISTS:
                    self._listed_words(key, value, here, base)
                elif key == "choices" and isinstance(base, MapNode) and isinstance(value, MapNode):
                    self._choices(value, base, path)
                elif key == "choices" and isinstance(base, MapNode) and isinstance(value, ListNode):
                    self._choices_in_order(value, base, path)
                elif isinstance(base, MapNode) and key in base:
                    self._walk(value, base[key], here)
                elif isinstance(base, Scalar) and key in ("reply", "goto"):
                    self._extra(key)
                else:
                    known = list(base) if isinstance(base, MapNode) else []
                    hint = nearest(key, known)
                    if not hint and path and path[-1] in ("triggers", "anywhere") and known:
                        kept = next((each for each in known if each not in twin), known[0])
                        hint = f"keep the key '{kept}', and write what is sent for it below: words: [{key}]"
                    elif not hint and path == ("states",):
                        hint = "a state keeps its name in every language"
                    self._extra(key, hint)
        elif isinstance(twin, ListNode):
            items = base if isinstance(base, ListNode) else [base]
            if len(items) != len(twin):
                message = f"{len(twin)} texts stand here, and {len(items)} in {self.base.path}"
                self._add("F030", message, twin)
            for index, (one, other) in enumerate(zip(twin, items, strict=False)):
                self._walk(one, other, (*path, str(index)))
        else:
            self._text(twin, base, path)

    def _text(self, twin: Scalar, base: Node | None, path: Path) -> None:
        position = base.position if isinstance(base, Scalar) else None
        text = self.cards.texts.get(position) if position is not None else None
        if text is None:
            hint = ""
            if isinstance(base, ListNode) and base:
                hint = f"{len(base)} texts stand here in {self.base.path}: write as many, in a list"
            self._add("F030", "this is no text of the flow: a twin has words only", twin, hint)
            return
        self._put(twin, text, path)

    def _sentences(self, twin: Node) -> None:
        """Put built-in sentences in this language beside those of the flow, which need not be its own."""
        for key, value in twin.items() if isinstance(twin, MapNode) else ():
            sentence, text = BUILT_IN_TEXTS.get(key), self.flow.texts.get(str(key))
            if sentence is None or text is None or not isinstance(value, Scalar):
                message = f"there is no built-in sentence '{key}' to translate"
                self._add("F021", message, key, nearest(key, self.flow.texts))
                continue
            written = self._put(value, text, ("texts", str(key)))
            if written is not None and (strangers := sorted(written.names - set(sentence.names))):
                self._add("F021", f"'{strangers[0]}' is not known to '{key}'", value)

    def _put(self, twin: Scalar, text: Template, path: Path) -> Template | None:
        try:
            text.twins[self.language] = written = parse_template(twin)
            self.found.add(path)
        except FlowError as error:
            self.problems += error.problems
            return None
        return written

    def _trigger_words(self, value: Node, path: Path) -> None:
        base = _at(self.base.root, path[:-1])
        key = next((each for each in base if each == path[-1]), None) if isinstance(base, MapNode) else None
        if key is None:
            self._add("F030", "these words stand under no trigger of the flow", value)
            return
        matchers = tuple(self._matchers(value))
        self.cards.words.setdefault(key.position, {})[self.language] = matchers

    def _listed_words(self, key: Scalar, value: Node, path: Path, base: Node | None) -> None:
        if not isinstance(base, MapNode) or key not in base or base[key] == []:
            self._extra(key)
            return
        matchers = tuple(self._matchers(value))
        if len(path) == 1:
            self.words[str(key)] = tuple(matcher.label for matcher in matchers)
        else:
            node = base[key]
            at = node[0].position if isinstance(node, ListNode) else node.position
            self.cards.words.setdefault(at, {})[self.language] = matchers

    def _choices(self, twin: MapNode, base: MapNode, path: Path) -> None:
        node = base.get(Scalar("choices"))
        state = self.flow.states.get(path[1]) if len(path) == 2 else None
        if not isinstance(node, MapNode | ListNode) or state is None or state.question is None:
            self._add("F030", "there are no choices here to translate", twin)
            return
        found = []
        for choice in state.question.choices:
            written = twin.get(Scalar(choice.id))
            if written is None:
                self._add("F030", f"the choice '{choice.id}' is missing", twin, warning=True)
                found.append(choice)
            elif isinstance(written, MapNode):
                label, also = written.get(Scalar("label")), written.get(Scalar("also"))
                words = tuple(each.label for each in self._matchers(also)) if also is not None else ()
                found.append(ChoiceSpec(choice.id, str(label) if label is not None else choice.label, words))
            else:
                found.append(ChoiceSpec(choice.id, str(written), ()))
        for key in twin:
            if key not in [choice.id for choice in state.question.choices]:
                hint = nearest(key, [choice.id for choice in state.question.choices])
                self._extra(key, hint or "a choice keeps its id in every language")
        for _, sentence in choice_problems(found):
            self._add("F027", sentence, twin)
        self.cards.choices.setdefault(state.position, {})[self.language] = tuple(found)

    def _choices_in_order(self, twin: ListNode, base: MapNode, path: Path) -> None:
        """Read labels that are written as a plain list: each stands for the choice at its place."""
        state = self.flow.states.get(path[1]) if len(path) == 2 else None
        choices = state.question.choices if state is not None and state.question is not None else ()
        if not all(isinstance(each, Scalar) for each in twin) or not choices:
            self._add("F030", "there are no choices here to translate", twin)
        elif len(twin) != len(choices):
            message = f"{len(twin)} choices stand here, and {len(choices)} in {self.base.path}"
            self._add("F030", message, twin)
        else:
            named = MapNode()
            named.position = twin.position
            for choice, label in zip(choices, twin, strict=True):
                named[Scalar(choice.id, position=label.position)] = label
            self._choices(named, base, path)

    def _matchers(self, value: Node) -> Iterator[Matcher]:
        for item in value if isinstance(value, ListNode) else [value]:
            if not isinstance(item, Scalar):
                self._add("F004", "words belong here", item)
                continue
            try:
                for matcher in parse_words(item):
                    if matcher.word:
                        yield matcher
                    else:
                        self._add("F010", f"'{matcher.label}' is no word", item)
            except FlowError as error:
                self.problems += error.problems

    def _missing(self, root: MapNode) -> None:
        wanted = [path for path in texts_of(self.cards, self.base.root) if not _is_label(path)]
        missing = [path for path in wanted if path not in self.found]
        hint = f"to see them all: convo translate {self.base.path} {self.language}"
        for path in missing:
            message = f"'{'/'.join(path)}' is missing; the text of {self.base.path} is sent instead"
            self._add("F030", message, root, hint if path == missing[-1] else "", warning=True)

    def _stale(self, root: MapNode) -> None:
        written = root.get(Scalar("translated"))
        texts = {"/".join(path): text for path, text in texts_of(self.cards, self.base.root).items()}
        for key, value in written.items() if isinstance(written, MapNode) else ():
            source = texts.get(str(key))
            if source is not None and value != fingerprint(source):
                message = f"'{key}' has changed in {self.base.path} since it was translated"
                hint = f"now: {source.strip()[:60]}"
                self._add("F030", message, key, hint=hint, warning=True)

    def _with_words(self) -> Flow:
        keywords = {**self.flow.twin_keywords}
        if "keywords" in self.words:
            keywords[self.language] = self.words["keywords"]
        opt_out = self.flow.opt_out
        if "opt_out" in self.words:
            opt_out = (*(opt_out or ()), *self.words["opt_out"])
        opt_in = self.flow.opt_in
        if "opt_in" in self.words:
            opt_in = (*(opt_in or ()), *self.words["opt_in"])
        return replace(self.flow, twin_keywords=keywords, opt_out=opt_out, opt_in=opt_in)

    def _extra(self, key: Scalar, hint: str = "") -> None:
        self._add("F030", f"'{key}' has nothing beside it in {self.base.path}", key, hint=hint)

    def _add(self, code: str, message: str, at: Node, hint: str = "", *, warning: bool = False) -> None:
        spot: Scalar | Position = at if isinstance(at, Scalar) else at.position
        found = problem(code, message, spot, hint=hint)
        self.problems.append(replace(found, severity=Severity.WARNING) if warning else found)


def twins_of(folder: FilePath, stem: str) -> Iterator[tuple[FilePath, str]]:
    """Yield the files beside a flow that hold its words in other languages, and which language that is."""
    for path in sorted(folder.glob(f"{stem}.*.yaml")):
        language = path.name.removeprefix(f"{stem}.").removesuffix(".yaml")
        if re.fullmatch(LANGUAGE, language) and path.is_file():
            with suppress(OSError), path.open("rb") as file:
                if file.read(MAX_BYTES).lstrip().startswith(b"translates:"):
                    yield path, language


def leaves(node: Node, path: Path = ()) -> Iterator[tuple[Path, Scalar]]:
    """Yield every text of a tree with its path."""
    if isinstance(node, MapNode):
        for key, value in node.items():
            yield from leaves(value, (*path, str(key)))
    elif isinstance(node, ListNode):
        for index, item in enumerate(node):
            yield from leaves(item, (*path, str(index)))
    else:
        yield path, node


def _at(node: Node | None, path: Path) -> Node | None:
    for part in path:
        if isinstance(node, MapNode):
            node = node.get(Scalar(part))
        elif isinstance(node, ListNode) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        else:
            return None
    return node
