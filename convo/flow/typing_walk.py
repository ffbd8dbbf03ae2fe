"""A walk over a parsed text or expression: is everything in it of this language, and of which type?

Nodes are told apart by the name of their class, so that Jinja2 stays behind the door of ``template``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from convo.errors import ConfigError
from convo.flow.fence import problem_at
from convo.flow.filters import FILTERS, filter_of
from convo.flow.literals import clock_time
from convo.flow.problems import Problem, nearest
from convo.flow.typing_rules import BINARY, SIGNED, advice, comparable, joined, listed, refusal
from convo.flow.values import Type, type_of

if TYPE_CHECKING:
    from convo.flow.reader import Scalar

Node = Any
"""A node of Jinja2's tree; its ``lineno`` is the offset in the source, counted from 1."""

BINARY_NODES = {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/", "FloorDiv": "//", "Mod": "%"}

TESTS = ("set", "open")
"""What may stand after ``is``."""


class Walk:
    """One walk over one tree; ``problems`` holds what was found so far."""

    def __init__(self, source: Scalar, spans: Mapping[int, int]) -> None:
        self.source = source
        self.spans = spans
        self.problems: list[Problem] = []
        self.types: Mapping[str, Type] = {}
        self.beside_text: set[int] = set()

    def fence(self, tree: Node) -> list[Problem]:
        """Return a problem for everything in the tree that the language does not have."""
        for node in _all_nodes(tree):
            kind = type(node).__name__
            if kind in _REFUSED:
                hint = _INSTEAD.get(kind, "")
                self._report("T006", f"{_REFUSED[kind]} cannot be used here", node, hint)
            elif kind not in _ALLOWED:
                self._report("T006", f"'{kind}' is not part of this language", node)
            elif kind == "Const" and node.value is None:
                self._report("T006", "there is no empty value", node, "ask 'name is set' instead")
            elif kind == "CondExpr" and node.expr2 is None:
                self._report("T006", "this 'if' has no 'else'", node, "write 'a if condition else b'")
            elif kind == "Filter":
                self._fence_filter(node)
            elif kind == "Test":
                self._fence_test(node)
            elif kind == "Compare":
                self._fence_lists(node)
            elif kind in ("List", "Tuple") and not _is_in_list(tree, node):
                self._report("T006", "a list can only stand after 'in'", node)
        return self.problems

    def type_walk(self, tree: Node, types: Mapping[str, Type]) -> Type | None:
        """Return the type of an expression, None for a text or where a problem hides it."""
        self.types = types
        return self._infer(tree)

    def _report(
        self, code: str, message: str, node: Node, hint: str = "", expected: Iterable[str] = ()
    ) -> None:
        offset = node.lineno - 1
        length = self.spans.get(offset, 1)
        found = problem_at(code, message, self.source, offset, length, hint=hint, expected=tuple(expected))
        if found not in self.problems:
            self.problems.append(found)

    def _fence_filter(self, node: Node) -> None:
        try:
            takes = filter_of(node.name)
        except ConfigError as broken:
            self._report("T007", str(broken), node)
            return
        if takes is None:
            message, hint = f"there is no filter '{node.name}'", nearest(node.name, FILTERS)
            self._report("T007", message, node, hint, sorted(FILTERS))
            return
        if node.node is None or node.kwargs or node.dyn_args or node.dyn_kwargs:
            self._report("T008", f"'{node.name}' takes plain values only", node)
            return
        if not takes.required <= len(node.args) <= len(takes.arguments):
            wanted = f"{takes.required} to {len(takes.arguments)}"
            if takes.required == len(takes.arguments):
                wanted = str(takes.required or "no")
            values = "value" if wanted == "1" else "values"
            self._report("T008", f"'{node.name}' takes {wanted} {values} in parentheses", node)

    def _fence_test(self, node: Node) -> None:
        if node.name not in TESTS:
            known = [f"is {test}" for test in TESTS]
            hint = "write 'is not set'" if node.name.casefold() in _EMPTY else ""
            self._report("T009", f"there is no test 'is {node.name}'", node, hint, known)
        elif type(node.node).__name__ != "Name" or node.args:
            self._report("T009", f"'is {node.name}' goes after a name", node)

    def _fence_lists(self, node: Node) -> None:
        for operand in node.ops:
            right = operand.expr
            if operand.op not in ("in", "notin"):
                continue
            if type(right).__name__ in ("List", "Tuple"):
                if not all(type(item).__name__ == "Const" for item in right.items):
                    self._report("T006", "a list holds constants only", right)
            elif type(right).__name__ != "Name":
                self._report("T006", "after 'in' stands a list like ('a', 'b') or a name", right)

    def _infer(self, node: Node) -> Type | None:
        kind = type(node).__name__
        if kind in BINARY_NODES:
            return self._binary(node, BINARY_NODES[kind])
        rule = _RULES.get(kind)
        if rule is not None:
            return rule(self, node)
        for child in node.iter_child_nodes():
            self._infer(child)
        return None

    def _const(self, node: Node) -> Type | None:
        return type_of(node.value)

    def _name(self, node: Node) -> Type | None:
        found = self.types.get(node.name)
        if found is None:
            hint, known = nearest(node.name, self.types), sorted(self.types)
            expected = () if hint or len(known) > MOST_LISTED else known
            if node.name in ("value", "message"):
                hint = (
                    "it is what this very step took from a text: keep it under another name with 'set' there"
                )
            elif node.name.casefold() in _EMPTY:
                hint, expected = "for what has no value ask 'name is set' or 'name is not set'", ()
            elif id(node) in self.beside_text and not hint.endswith(f"'{node.name}'?"):
                hint, expected = f"a text stands in quotes: '{node.name}'", ()
            elif not hint and node.name == self.source:
                hint = f"if it is meant as a text, put it in quotes: '{node.name}'"
            self._report("T010", f"nothing sets '{node.name}'", node, hint, expected)
        return found

    def _binary(self, node: Node, sign: str) -> Type | None:
        left, right = self._infer(node.left), self._infer(node.right)
        if left is None or right is None:
            return None
        result = BINARY.get((sign, left, right))
        if result is None:
            self._report("T011", refusal(sign, left, right), node, advice(sign, left, right))
        elif sign in ("/", "//", "%") and type(node.right).__name__ == "Const" and not node.right.value:
            self._report("T011", "nothing can be divided by zero", node.right)
        return result

    def _signed(self, node: Node) -> Type | None:
        kind = self._infer(node.node)
        if kind is None or kind in SIGNED:
            return kind
        self._report("T011", f"a sign goes before {listed(SIGNED)}, not before {listed([kind])}", node)
        return None

    def _condition(self, node: Node) -> None:
        kind = self._infer(node)
        if kind is not None and kind is not Type.YES_NO:
            hint = "compare it with something, for example: score > 3"
            self._report("T012", f"{listed([kind])} is neither yes nor no", node, hint)

    def _negated(self, node: Node) -> Type | None:
        self._condition(node.node)
        return Type.YES_NO

    def _both(self, node: Node) -> Type | None:
        self._condition(node.left)
        self._condition(node.right)
        return Type.YES_NO

    def _compare(self, node: Node) -> Type | None:
        left = node.expr
        for operand in node.ops:
            right = operand.expr
            if operand.op in ("in", "notin"):
                self._contained(left, right)
            else:
                self._compared(left, right, ordered=operand.op not in ("eq", "ne"))
            left = right
        return Type.YES_NO

    def _compared(self, left: Node, right: Node, *, ordered: bool) -> None:
        for one, other in ((left, right), (right, left)):
            if type(one).__name__ == "Name" and self.types.get(one.name) in (Type.TEXT, Type.CHOICE):
                self.beside_text.add(id(other))
        first, second = self._infer(left), self._infer(right)
        if first is Type.TIME:
            second = self._clock(right, second)
        elif second is Type.TIME:
            first = self._clock(left, first)
        if first is None or second is None or comparable(first, second, ordered=ordered):
            return
        if first is second:
            message = f"{listed([first])} is neither less nor greater than another"
        else:
            message = f"{listed([first])} cannot be compared with {listed([second])}"
        hint = advice("", first, second)
        if {first, second} == {Type.NUMBER, Type.TEXT} and "Const" in (
            type(left).__name__,
            type(right).__name__,
        ):
            hint = "a number stands without quotes, a text in quotes"
        self._report("T011", message, left, hint)

    def _clock(self, node: Node, kind: Type | None) -> Type | None:
        """Return TIME for a text like '11:30' that stands beside a time."""
        if kind is not Type.TEXT or type(node).__name__ != "Const":
            return kind
        if clock_time(node.value) is None:
            self._report("T013", f"'{node.value}' is no time of day", node, "write it like '08:30'")
            return None
        return Type.TIME

    def _contained(self, left: Node, right: Node) -> None:
        if type(right).__name__ in ("List", "Tuple"):
            for item in right.items:
                self._compared(left, item, ordered=False)
            return
        first, second = self._infer(left), self._infer(right)
        if second is not None and second is not Type.CHOICES:
            hint = "after 'in' stands a list like ('a', 'b') or the answer to a question with several choices"
            self._report("T011", f"nothing can be 'in' {listed([second])}", right, hint)
        elif first is not None and first not in (Type.TEXT, Type.CHOICE):
            self._report("T011", f"{listed([first])} is never one of several choices", left)

    def _either(self, node: Node) -> Type | None:
        self._condition(node.test)
        return self._joined(node, self._infer(node.expr1), self._infer(node.expr2))

    def _joined(self, node: Node, left: Type | None, right: Type | None) -> Type | None:
        if left is None or right is None:
            return left or right
        result = joined(left, right)
        if result is None:
            message = f"this is now {listed([left])}, now {listed([right])}"
            self._report("T015", message, node, "a value has one type")
        return result

    def _text(self, node: Node) -> Type | None:
        for child in node.nodes:
            self._infer(child)
        return Type.TEXT

    def _filtered(self, node: Node) -> Type | None:
        takes = filter_of(node.name)
        kind = self._infer(node.node)
        if takes is None:
            return None
        if node.name == "default":
            return self._joined(node, kind, self._infer(node.args[0]))
        arguments = [self._infer(argument) for argument in node.args]
        if kind is not None and kind not in takes.takes:
            wanted = listed(takes.takes)
            self._report("T008", f"'{node.name}' is for {wanted}, not for {listed([kind])}", node)
        for argument, found, wanted_type in zip(node.args, arguments, takes.arguments, strict=False):
            if found is not None and found is not wanted_type:
                message = f"'{node.name}' wants {listed([wanted_type])} in its parentheses"
                self._report("T008", message, argument)
                return takes.result or kind
        if takes.complaint and all(type(argument).__name__ == "Const" for argument in node.args):
            complaint = takes.complaint(*(argument.value for argument in node.args))
            if complaint:
                self._report("T008", complaint, node.args[0])
        return takes.result or kind

    def _tested(self, node: Node) -> Type | None:
        kind = self._infer(node.node)
        if node.name == "open" and kind not in (None, Type.HOURS):
            self._report("T009", "'is open' goes after the name of opening hours", node)
        return Type.YES_NO

    def _branches(self, node: Node) -> Type | None:
        self._condition(node.test)
        for child in (*node.body, *node.elif_, *node.else_):
            self._infer(child)
        return None


def names_in(tree: Node) -> frozenset[str]:
    """Return the names that a tree reads."""
    return frozenset(node.name for node in _all_nodes(tree) if type(node).__name__ == "Name")


def asked_in(tree: Node) -> frozenset[str]:
    """Return the names of which a tree asks whether they are set."""
    tests = (node for node in _all_nodes(tree) if type(node).__name__ == "Test" and node.name == "set")
    return frozenset(test.node.name for test in tests if type(test.node).__name__ == "Name")


def compared_in(tree: Node) -> tuple[tuple[str, str, int], ...]:
    """Return each name that a tree compares with a text in quotes, that text, and its offset."""
    found = []
    for compare in (node for node in _all_nodes(tree) if type(node).__name__ == "Compare"):
        left = compare.expr
        for operand in compare.ops:
            right = operand.expr
            for one, other in ((left, right), (right, left)):
                if type(one).__name__ != "Name":
                    continue
                for each in other.items if type(other).__name__ in ("List", "Tuple") else (other,):
                    if type(each).__name__ == "Const" and isinstance(each.value, str):
                        found.append((str(one.name), each.value, each.lineno - 1))
            left = right
    return tuple(found)


def spared_in(tree: Node) -> frozenset[str]:
    """Return the names that a tree can do without: asked about, or with a default."""
    filters = (node for node in _all_nodes(tree) if type(node).__name__ == "Filter")
    defaults = (each.node for each in filters if each.name == "default")
    return asked_in(tree) | {node.name for node in defaults if type(node).__name__ == "Name"}


def _all_nodes(tree: Node) -> Iterator[Node]:
    yield tree
    for child in tree.iter_child_nodes():
        yield from _all_nodes(child)


def _is_in_list(tree: Node, node: Node) -> bool:
    return any(
        operand.expr is node and operand.op in ("in", "notin")
        for compare in _all_nodes(tree)
        if type(compare).__name__ == "Compare"
        for operand in compare.ops
    )


_RULES: dict[str, Callable[[Walk, Node], Type | None]] = {
    "Const": Walk._const,
    "Name": Walk._name,
    "Neg": Walk._signed,
    "Pos": Walk._signed,
    "Not": Walk._negated,
    "And": Walk._both,
    "Or": Walk._both,
    "Compare": Walk._compare,
    "CondExpr": Walk._either,
    "Concat": Walk._text,
    "Filter": Walk._filtered,
    "Test": Walk._tested,
    "If": Walk._branches,
}
_ALLOWED = {*_RULES, *BINARY_NODES, "Template", "Output", "TemplateData", "Operand", "List", "Tuple"}
_EMPTY = ("none", "null", "nil", "undefined", "empty", "unset", "missing")
MOST_LISTED = 20
"""So many known names are listed where none is like the one that was written."""
_INSTEAD = {
    "Call": "what a value is changed with stands behind a bar: ${name | upper}",
    "Getattr": "a value is a name of its own, such as ${started}",
    "Getitem": "a value is a name of its own, such as ${started}",
    "Keyword": "to compare write '=='",
}
_REFUSED = {
    "Call": "a call with parentheses",
    "Getattr": "a dot after a name",
    "Getitem": "a name with square brackets",
    "Slice": "a name with square brackets",
    "Pow": "the power sign (**)",
    "Dict": "braces",
    "Pair": "braces",
    "Keyword": "a value with '='",
    "For": "a loop",
}
