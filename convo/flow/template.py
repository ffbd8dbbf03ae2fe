"""The only door to Jinja2: texts with ``${ }`` and expressions, fenced at load and exact at run time.

``fence`` judges the tokens and ``typing_walk`` the tree, so that a flow file can do nothing but talk; then
Jinja2 compiles the tree, once and on first use, with every operation replaced by one of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from jinja2 import StrictUndefined, TemplateSyntaxError, Undefined, nodes, pass_context
from jinja2 import Template as JinjaTemplate
from jinja2.lexer import Token, TokenStream, operators
from jinja2.nativetypes import NativeCodeGenerator
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment
from jinja2.utils import missing
from jinja2.visitor import NodeTransformer

from convo.errors import Fault
from convo.flow import literals
from convo.flow.arithmetic import compute, signed
from convo.flow.fence import CODES, Piece, checked_pieces, forgotten, problem_at, unreadable
from convo.flow.filters import FILTERS, Filter, loaded
from convo.flow.problems import FlowError, Problem
from convo.flow.typing_walk import Walk, asked_in, compared_in, names_in, spared_in
from convo.flow.values import Type, Value, show, type_of

if TYPE_CHECKING:
    from convo.flow.reader import Scalar

__all__ = ["BUILT_IN", "CODES", "LONGEST", "Expression", "Template", "parse_expression", "parse_template"]

BUILT_IN: Mapping[str, Type] = MappingProxyType(
    {
        "now": Type.MOMENT,
        "today": Type.DATE,
        "sender": Type.TEXT,
        "language": Type.TEXT,
        "flow": Type.TEXT,
        "message": Type.TEXT,
        "tries": Type.NUMBER,
    }
)
"""The names that are there without being set."""

LONGEST = 10_000
"""No text may become longer, in characters, so that no flow can make one grow without end."""


class _Written:
    """Something an author wrote: two are equal where the words are, wherever they stand.

    ``names`` are the names it reads, ``needs`` those of them that must be set for it to work, and
    ``asked`` those of which it asks whether they are set, ``compared`` those that it compares with a text:
    name, text, and where the text stands.
    """

    __slots__ = ("_parsed", "asked", "compared", "names", "needs", "source")

    def __init__(self, source: Scalar, parsed: _Parsed) -> None:
        self.source = source
        self.names = parsed.names
        self.needs = parsed.needs
        self.asked = parsed.asked
        self.compared = parsed.compared
        self._parsed = parsed

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and str(self.source) == str(other.source)

    def __hash__(self) -> int:
        return hash(str(self.source))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.source)!r})"


class Template(_Written):
    """A text of a flow. ``constant`` is the text itself where nothing in it is to be filled in.

    What it fills in is never read as a template again. ``twins`` are the same text in other languages.
    """

    __slots__ = ("_root", "constant", "twins")

    def __init__(self, source: Scalar, parsed: _Parsed) -> None:
        super().__init__(source, parsed)
        self.constant: str | None = None if parsed.pieces_in_tags else str(source)
        self._root: _Root | None = None
        self.twins: dict[str, Template] = {}

    def in_language(self, language: str) -> Template:
        """Return the text in a language, or as it is where it has none in that language."""
        return self.twins.get(language, self)

    def check(self, types: Mapping[str, Type]) -> list[Problem]:
        """Return what is wrong with the text, given the type of each name that the flow sets."""
        known = {**BUILT_IN, **types}
        return [*self._parsed.checked(known)[1], *forgotten(self.source, self._parsed.pieces, known)]

    def render(self, scope: Mapping[str, Value]) -> str:
        """Return the text for these values; a Fault where a name is unset or has no fitting value."""
        if self.constant is not None:
            return self.constant
        root = self._root
        try:
            if root is None:
                root = self._root = _Root(_TEXTS, self.source, expression=False)
            text = "".join(root.run(scope))
        except Exception as error:
            raise _fault(error, self.source) from None
        return _bounded(text)


class Expression(_Written):
    """An expression of a flow: a condition, or what a line of ``set`` works out."""

    __slots__ = ("_constant", "_root")

    def __init__(self, source: Scalar, parsed: _Parsed) -> None:
        super().__init__(source, parsed)
        self._constant: Value | None = parsed.tree.value if isinstance(parsed.tree, nodes.Const) else None
        self._root: _Root | None = None

    def check(self, types: Mapping[str, Type]) -> list[Problem]:
        """Return what is wrong with the expression, given the type of each name that the flow sets."""
        return self._parsed.checked({**BUILT_IN, **types})[1]

    def infer(self, types: Mapping[str, Type]) -> Type:
        """Return the type of the result; a FlowError where something is wrong."""
        kind, problems = self._parsed.checked({**BUILT_IN, **types})
        if kind is None or problems:
            raise FlowError(problems)
        return kind

    def evaluate(self, scope: Mapping[str, Value]) -> Value:
        """Return the result for these values; a Fault where there is none."""
        if self._constant is not None:
            return self._constant
        root = self._root
        try:
            if root is None:
                root = self._root = _Root(_VALUES, self.source, expression=True)
            return cast(Value, next(root.run(scope)))
        except Exception as error:
            raise _fault(error, self.source) from None


def parse_template(source: Scalar) -> Template:
    """Read a text; a FlowError, with problems that do not name the file yet, where it cannot be read."""
    return Template(source, _Parsed(source, expression=False))


def parse_expression(source: Scalar) -> Expression:
    """Read an expression; a FlowError, as from ``parse_template``, where it cannot be read."""
    return Expression(source, _Parsed(source, expression=True))


class _Parsed:
    """A text or an expression that is of this language; its types are checked separately."""

    __slots__ = ("asked", "compared", "names", "needs", "pieces", "pieces_in_tags", "source", "spans", "tree")

    def __init__(self, source: Scalar, *, expression: bool) -> None:
        self.source = source
        self.pieces = _pieces(source, expression=expression)
        self.pieces_in_tags = expression or any(piece.kind != "data" for piece in self.pieces)
        self.spans = {piece.offset: len(piece.text) for piece in self.pieces}
        self.tree: nodes.Node = nodes.Template([])
        self.names: frozenset[str] = frozenset()
        self.needs: frozenset[str] = frozenset()
        self.asked: frozenset[str] = frozenset()
        self.compared: tuple[tuple[str, str, int], ...] = ()
        if not self.pieces_in_tags:
            return
        try:
            self.tree = _tree(_TEXTS, source, expression=expression)
        except TemplateSyntaxError as error:
            offset = (error.lineno or 1) - 1
            length = self.spans.get(offset, 1)
            raise FlowError([unreadable(source, offset, length, error.message or "")]) from None
        except RecursionError:
            raise FlowError([problem_at("T003", "this is nested too deep", source)]) from None
        problems = Walk(source, self.spans).fence(self.tree)
        if problems:
            raise FlowError(problems)
        self.names = names_in(self.tree)
        self.needs = self.names - spared_in(self.tree)
        self.asked = asked_in(self.tree)
        self.compared = compared_in(self.tree)

    def checked(self, types: Mapping[str, Type]) -> tuple[Type | None, list[Problem]]:
        walk = Walk(self.source, self.spans)
        return walk.type_walk(self.tree, types), walk.problems


class _Root:
    """A compiled text or expression."""

    __slots__ = ("_template",)

    def __init__(self, environment: _Environment, source: Scalar, *, expression: bool) -> None:
        for name, each in loaded().items():
            environment.filters[name] = _called(each)
        tree = _Ours().visit(_tree(environment, source, expression=expression))
        if expression:
            tree = nodes.Template([nodes.Output([tree])], lineno=1)
        tree.set_environment(environment)
        self._template = JinjaTemplate.from_code(environment, environment.compile(tree), {})

    def run(self, scope: Mapping[str, Value]) -> Iterator[Any]:
        """Yield the parts of the text, or the one result of the expression."""
        context = self._template.new_context(cast(dict[str, Any], scope), shared=True)
        return self._template.root_render_func(context)


class _Unset(StrictUndefined):
    """A name without a value: whoever looks at it gets a Fault that names it."""

    __slots__ = ()

    def __init__(
        self, hint: str | None = None, obj: Any = missing, name: str | None = None, exc: Any = Fault
    ) -> None:
        # Jinja2 only calls what it is given here, to make the exception that it raises.
        super().__init__(f"'{name}' is not set" if name else hint, obj, name, cast(Any, exc))


class _Environment(SandboxedEnvironment):
    """Jinja2 with our delimiters, tokens and arithmetic."""

    code_generator_class = NativeCodeGenerator
    intercepted_binops = frozenset(("+", "-", "*", "/", "//", "%", "**"))
    intercepted_unops = frozenset(("-", "+"))

    def __init__(self, finalize: Callable[..., Any]) -> None:
        super().__init__(
            variable_start_string="${",
            variable_end_string="}",
            # There are no comments; Jinja2 wants some, so they begin with what no file can contain.
            comment_start_string="\ufdd0\ufdd1\ufdd2",
            comment_end_string="\ufdd2\ufdd1\ufdd0",
            keep_trailing_newline=True,
            optimized=False,
            undefined=cast(type[Undefined], _Unset),
            finalize=finalize,
        )
        self.globals.clear()
        self.filters.clear()
        self.filters.update(_OURS)
        self.tests.clear()
        self.tests["set"] = _is_set
        self.tests["open"] = lambda value: _present(value) is True

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ARG002 - Jinja2 calls it so
        """Work out what an operator makes of two values."""
        return compute(operator, _present(left), _present(right))

    def call_unop(self, context: Context, operator: str, arg: Any) -> Any:  # noqa: ARG002 - Jinja2 calls it so
        """Work out what a sign makes of a value."""
        return signed(operator, _present(arg))

    def _tokenize(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> TokenStream:
        # The parser calls this. Offsets travel in place of line numbers: a node then knows its column.
        pieces = _pieces(cast("Scalar", source), expression=state == "variable")
        return TokenStream((_token(piece) for piece in pieces), name, filename)


class _Ours(NodeTransformer):
    """Puts our own work in place of what Jinja2 would do its way."""

    def visit_Const(self, node: nodes.Const) -> nodes.Expr:
        """Decimals and durations are made from what Jinja2 can write down."""
        if isinstance(node.value, Decimal):
            return _filtered(nodes.Const(str(node.value), lineno=node.lineno), "decimal literal")
        if isinstance(node.value, timedelta):
            seconds = int(node.value.total_seconds())
            return _filtered(nodes.Const(seconds, lineno=node.lineno), "duration literal")
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Expr:
        """Values are joined the way they are shown."""
        first, *others = [cast(nodes.Expr, self.visit(each)) for each in node.nodes]
        return _filtered(first, "joined texts", others)

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        """A text like '11:30' can be compared with a time."""
        node.expr = _clocked(node.expr)
        for operand in node.ops:
            if isinstance(operand.expr, nodes.List | nodes.Tuple):
                operand.expr.items = [_clocked(item) for item in operand.expr.items]
            operand.expr = _clocked(operand.expr)
        return self.generic_visit(node)


def _pieces(source: Scalar, *, expression: bool) -> list[Piece]:
    raw, complaint, text = list[tuple[str, str]](), "", str(source)
    if not expression and "${" not in text and "{%" not in text:
        return checked_pieces(source, [("data", text)], "", expression=False)
    if "\ufdd0" in text:
        message = "U+FDD0 stands for no character"
        raise FlowError([problem_at("T001", message, source, text.index("\ufdd0"))])
    try:
        for _, kind, piece in _TEXTS.lexer.tokeniter(text, None, None, "variable" if expression else None):
            raw.append((kind, piece))
    except TemplateSyntaxError as error:
        complaint = error.message or "this cannot be read"
    return checked_pieces(source, raw, complaint, expression=expression)


def _token(piece: Piece) -> Token:
    line = piece.offset + 1
    if piece.kind == "operator":
        return Token(line, operators[piece.text], piece.text)
    value = piece.text if piece.value is None else piece.value
    return Token(line, piece.kind, cast(str, value))


def _tree(environment: _Environment, source: Scalar, *, expression: bool) -> nodes.Node:
    if not expression:
        return Parser(environment, source).parse()
    parser = Parser(environment, source, state="variable")
    tree = parser.parse_expression()
    if not parser.stream.eos:
        current = parser.stream.current
        parser.fail(f"'{current.value}' is not expected here", current.lineno)
    return tree


def _filtered(node: nodes.Expr, name: str, arguments: list[nodes.Expr] | None = None) -> nodes.Filter:
    return nodes.Filter(node, name, arguments or [], [], None, None, lineno=node.lineno)


def _clocked(node: nodes.Expr) -> nodes.Expr:
    if (
        isinstance(node, nodes.Const)
        and isinstance(node.value, str)
        and literals.clock_time(node.value) is not None
    ):
        return _filtered(node, "clock text")
    return node


def _fault(error: Exception, source: Scalar) -> Fault:
    """Return any trouble as a Fault that shows the author's words, never a value."""
    text = " ".join(str(source).split())
    shown = text if len(text) <= 60 else text[:57] + "..."
    if isinstance(error, Fault):
        return Fault(f"{error}, in: {shown}")
    return Fault(f"this cannot be worked out ({type(error).__name__}): {shown}")


def _present(value: Any) -> Any:
    """Return the value; a Fault where it is a name that is not set."""
    if isinstance(value, Undefined):
        str(value)
    return value


def _is_set(value: object) -> bool:
    return not isinstance(value, Undefined)


@pass_context
def _shown(context: Context, value: Any) -> str:
    """Finish what stands in ``${ }``, in the language of the conversation."""
    if type(value) is str:
        return value
    language = context.parent.get("language", "en")
    return show(_present(value), language if isinstance(language, str) else "en")


@pass_context
def _kept(_context: Context, value: Any) -> Any:
    """Finish an expression. Taking the context keeps Jinja2 from turning constants into text."""
    type_of(_present(value))
    return value


@pass_context
def _joined(context: Context, *values: Any) -> str:
    return _bounded("".join([_shown(context, value) for value in values]))


def _bounded(text: str) -> str:
    if len(text) > LONGEST:
        raise Fault(f"a text has become longer than {LONGEST} characters")
    return text


def _called(each: Filter) -> Callable[..., Any]:
    if each is FILTERS["default"]:
        return lambda value, otherwise: otherwise if isinstance(value, Undefined) else value

    def call(value: Any, *arguments: Any) -> Any:
        result = each.function(_present(value), *map(_present, arguments))
        type_of(result)
        return _bounded(result) if isinstance(result, str) else result

    return call


# Names with a space, which no author can write.
_OURS: dict[str, Callable[..., Any]] = {
    "joined texts": _joined,
    "clock text": literals.clock_text,
    "decimal literal": literals.decimal,
    "duration literal": literals.duration,
}
_TEXTS = _Environment(_shown)
_VALUES = _Environment(_kept)
