"""The strict YAML reader: what it reads, what it refuses, and in which words."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from convo.flow.problems import FlowError, Position, Problem
from convo.flow.reader import CODES, Document, ListNode, MapNode, Node, Scalar, read_file, read_text

PARSERS = pytest.mark.parametrize("pure", [False, True], ids=["fastest", "pure"])


def refused(text: str | bytes, pure: bool = False) -> tuple[Problem, ...]:
    """Return the problems of a text that has to have some."""
    with pytest.raises(FlowError) as caught:
        read_text(text, "flow.yaml", pure=pure)
    return caught.value.problems


def only(text: str | bytes, pure: bool = False) -> Problem:
    """Return the one problem of a text."""
    problems = refused(text, pure)
    assert len(problems) == 1, "\n".join(map(str, problems))
    return problems[0]


def read(text: str | bytes, pure: bool = False) -> MapNode:
    """Return the root of a text that is right."""
    root = read_text(text, "flow.yaml", pure=pure).root
    assert isinstance(root, MapNode)
    return root


def scalars(node: Node) -> Iterator[Scalar]:
    """Return every text of a tree, keys too."""
    if isinstance(node, Scalar):
        yield node
    elif isinstance(node, MapNode):
        for key, value in node.items():
            yield key
            yield from scalars(value)
    else:
        for item in node:
            yield from scalars(item)


@PARSERS
@pytest.mark.parametrize(
    "typed",
    ["NO", "yes", "+61400000000", "0400000000", "12:30", "1.10", "null", "~", "0x1F", "2026-03-04", "on",
     "1e3", "=", "http://x.org/#top", "a#b", "${stopped - started}", "It's fine", "Reply 1, 2 or 3", "50%",
     "é 😀 עברית"],
)  # fmt: skip
def test_a_text_stays_what_was_typed(typed: str, pure: bool) -> None:
    """A value and a list item keep every letter, and are known to be unquoted."""
    root = read(f"say: {typed}\nlist:\n  - {typed}\n", pure)
    assert root[Scalar("say")] == typed
    assert root[Scalar("list")] == [typed]
    assert not any(each.quoted or each.block for each in scalars(root))


@PARSERS
@pytest.mark.parametrize("typed", ["NO", "12:30", "+61400000000", "STOP, TIME", "rating <= 2", "null", "24h"])
def test_a_key_stays_what_was_typed(typed: str, pure: bool) -> None:
    """Keys are texts as well."""
    assert list(read(f"{typed}: x\n", pure)) == [typed]


@PARSERS
def test_where_texts_stand_and_how_they_were_quoted(pure: bool) -> None:
    """Lines and columns count from 1, in characters; the length includes the quotes."""
    text = "é😀: 'it''s'\nb:\n  - \"x\"\n  - |\n    one\n    two\n"
    text += "  - >-\n    folded\n    text\n  - two\n    lines\n"
    root = read("\ufeff" + text, pure)
    listed = [
        (str(each), each.position.line, each.position.column, each.length, each.quoted, each.block)
        for each in scalars(root)
    ]
    assert listed == [
        ("é😀", 1, 1, 2, False, False),
        ("it's", 1, 5, 7, True, False),
        ("b", 2, 1, 1, False, False),
        ("x", 3, 5, 3, True, False),
        ("one\ntwo\n", 4, 5, 1, True, True),
        ("folded text", 7, 5, 2, True, True),
        ("two lines", 10, 5, 3, False, False),
    ]
    items = root[Scalar("b")]
    assert isinstance(items, ListNode)
    assert (root.position, items.position) == (Position(1, 1), Position(3, 3))


@PARSERS
def test_what_is_fine(pure: bool) -> None:
    """Comments beside keys, quotes and brackets; blank lines; one '---'; any line ending."""
    text = (
        "---\n# first\nflow: x\n\nstates:  # below\n  a: 'said' # aside\n  # between\n"
        '  b: [c, d]  # list\n  e: {f: 1,\n      g: "#"}\n  h: |  # block\n    x # said\n  i: Press #1or#2'
    )
    expected = {
        "flow": "x",
        "states": {
            "a": "said", "b": ["c", "d"], "e": {"f": "1", "g": "#"}, "h": "x # said\n", "i": "Press",
        },
    }  # fmt: skip
    assert refused(text, pure)[0].code == "Y013"
    text, expected["states"]["i"] = text.replace("Press #1", "Press#1"), "Press#1or#2"  # type: ignore[index]
    for ending in ("\n", "\r\n", "\r"):
        assert read(text.replace("\n", ending), pure) == expected
        assert read(text.replace("\n", ending).encode(), pure) == expected


def test_a_document_knows_its_lines_path_and_version() -> None:
    """The version follows the content and nothing else."""
    one, same, other = read_text("a: b\n", "x"), read_text(b"a: b\n", "y"), read_text("a: c\n", "x")
    assert isinstance(one, Document)
    assert (one.path, one.lines) == ("x", ["a: b", ""])
    assert one.version == same.version != other.version
    assert len(one.version) == 16


# What is refused: the text, then 'line:column code words of the message or hint' for each problem.
REFUSED: dict[str, tuple[str, ...]] = {
    # keys
    "a: 1\nb: 2\na: 3\n": ("3:1 Y006 line 3, and already in line 1",),
    "a: {b: 1, 'b': 2}\n": ("1:11 Y006 line 1, and already in line 1",),
    "a: 1\na: 2\na: 3\n": (
        "2:1 Y006 line 2, and already in line 1",
        "3:1 Y006 line 3, and already in line 1",
    ),
    "a:\n  ? [b]\n  : c\n": ("2:5 Y014 a key has to be a text",),
    "? a\n: b\n": ("1:3 Y014 a key has to be a text",),
    "a: {?b: c}\n": ("1:6 Y014 quote a text that begins with '?'",),
    # anchors, aliases, tags, merge keys
    "a: &x b\n": ("1:4 Y007 '&x' is a YAML anchor",),
    "a: *x\n": ("1:4 Y007 '*x' is a YAML alias",),
    "*x : b\n": ("1:1 Y007 '*x' is a YAML alias",),
    "a: *b*\n": ("1:4 Y007 quote a text that begins with '*'",),
    "a: & b\n": ("1:4 Y007 quote a text that begins with '&'",),
    "<<: {a: b}\n": ("1:1 Y007 '<<' merges",),
    "a: !!str b\n": ("1:4 Y008 quote a text that begins with '!'",),
    "a: !Hello\n": ("1:4 Y008 quote a text that begins with '!'",),
    "a: ! b\n": ("1:4 Y008 quote a text that begins with '!'",),
    "a: ! 'b'\n": ("1:4 Y008 '!' makes a YAML tag",),
    "a: ! {b: c}\n": ("1:4 Y008 '!' makes a YAML tag",),
    "a: ! [b]\n": ("1:4 Y008 '!' makes a YAML tag",),
    "!\na: b\n": ("1:1 Y008 '!' makes a YAML tag",),
    "data: {a: !}\n": ("1:11 Y008 quote a text",),
    # documents and directives
    "a: b\n---\nc: d\n": ("2:1 Y009 a second document",),
    "a: b\n...\nc: d\n": ("3:1 Y009 a second document",),
    "%YAML 1.1\n---\na: b\n": ("1:1 Y009 directive",),
    "# x\n\n%TAG ! x\n---\na: b\n": ("3:1 Y009 directive",),
    "%WHAT\na: b\n": ("1:1 Y009 directive",),
    # characters
    "a:\n\tb: c\n": ("2:1 Y004 two for each level",),
    "a: b\tc\n": ("1:5 Y004 a tab",),
    "# a\tb\na: b\n": ("1:4 Y004 a tab",),
    "a: |\n  b\tc\n": ("2:4 Y004 a tab",),
    'a: "b\\tc"\n': ("1:4 Y004 an escape",),
    "a: b\u0085c\n": ("1:5 Y003 U+0085",),
    "a: b\u2028c\n": ("1:5 Y003 U+2028",),
    "a: 'b\u2029c'\n": ("1:6 Y003 U+2029",),
    "a: b\0\n": ("1:5 Y003 U+0000",),
    "a: \x1b[0m\n": ("1:4 Y003 U+001B", "1:5 Y005"),
    "a: b\x7f\n": ("1:5 Y003 U+007F",),
    "a: b\ufeff\n": ("1:5 Y003 U+FEFF",),
    "\ufeff\ufeffa: b\n": ("1:1 Y003 U+FEFF",),
    "a: b\uffff\n": ("1:5 Y003 U+FFFF",),
    'a: "b\\0"\n': ("1:4 Y003 U+0000",),
    'a: "b\\Lc"\n': ("1:4 Y003 U+2028",),
    "a:\n\u00a0\u00a0b: c\n": ("2:1 Y003 the indentation holds the space U+00A0",),
    # empty values
    "a:\n": ("1:1 Y010 'a' has no value",),
    "a:\nb: c\n": ("1:1 Y010 'a' has no value",),
    "a:\n  - \n  - b\n": ("2:4 Y010 an empty item",),
    "data:\n": ("1:1 Y010 'data' has no value",),
    "states: {data: {b: }}\n": ("1:17 Y010 'b' has no value",),
    "a: # 1\n": ("1:1 Y010 quote a text that begins with '#'",),
    "a: |\n\nb: c\n": ("1:4 Y010 no text below '|'",),
    "a: {b: Hi, you}\n": ("1:12 Y010 if a comma is part of a text",),
    "a: {name}\n": ("1:5 Y010 quote a text that begins with '{'",),
    # comments
    "a: Press # to go on\n": ("1:10 Y013 quote the text if the '#' belongs to it",),
    "a: ready  # first\n": ("1:11 Y013 comment",),
    "a:\n  - b # c\n": ("2:7 Y013 comment",),
    "a: [b # c\n  ]\n": ("1:7 Y013 comment",),
    "a: Press # to\n  go on\n": ("1:10 Y013 comment",),
    # the whole
    "": ("1:1 Y015 the file is empty",),
    "# nothing\n\n": ("1:1 Y015 the file is empty",),
    "\ufeff": ("1:1 Y015 the file is empty",),
    "hello\n": ("1:1 Y015 does not begin with a key",),
    "- a\n": ("1:1 Y015 does not begin with a key",),
    "'x'\n": ("1:1 Y015 does not begin with a key",),
}

SYNTAX: dict[str, str] = {
    # colons
    "a: {% if b %}c\n": "1:4 Y005 a text cannot begin with '{%'",
    "flow stopwatch\nabout: A\n": "1:1 Y005 a key without its colon",
    "flow: x\nabout\nstates: y\n": "2:1 Y005 a key without its colon",
    "a:\n  START\n    reply: x\n  b: c\n": "2:3 Y005 a key without its colon",
    "a: b\nreply:Hello\n": "2:1 Y005 put a space after the colon",
    "reply:Hello\ngoto: x\n": "1:1 Y005 put a space after the colon",
    "a: b\nreply:\u00a0Hello\n": "2:1 Y005 type an ordinary space",
    "reply: Note: hello\n": "1:12 Y005 quote a text that holds ': '",
    ": b\n": "1:1 Y005 a colon without a key",
    "a: {: c}\n": "1:5 Y005 cannot be read between brackets",
    "a: {b: [c:]}\n": "1:10 Y005",
    # indentation
    "reply: Hi\n  goto: x\n": "2:3 Y005 begin a key in the column of the key above",
    "a:\n  b: 1\n c: 2\n": "3:2 Y005 keys that belong together begin in the same column",
    "a:\n  b: 1\n   c: 2\n": "3:4 Y005 begin a key in the column of the key above",
    "a:\n  - b\n - c\n": "3:2 Y005 same column",
    "- a\nb: c\n": "2:1 Y005 each line of a list begins with '- '",
    "a: Hello\n  # note\n  there\nb: c\n": "3:3 Y005 put the comment above the key",
    # quotes and brackets
    'a: "Hi\nb: c\n': "1:4 Y005 never closed",
    "a: 'Hi\nb: c\n": "1:4 Y005 never closed",
    'a: "Hi" there\n': "1:9 Y005 goes on after its closing quote",
    "a: 'It's here'\n": "1:8 Y005 inside '…' a ' is written twice",
    'a: "\\q"\n': "1:4 Y005 double the backslash",
    "a: {b: c\nd: e\n": "1:4 Y005 the '{' that opens here is not closed",
    "a: [b, c\nd: e\n": "1:4 Y005 the '[' that opens here is not closed",
    "a: {b: Hi ${x}.}\n": "1:11 Y005 give the key a line of its own, or quote the text",
    "a: [Hi ${x}]\n": "1:8 Y005 give the key a line of its own, or quote the text",
    "a: [1] or [2]\n": "1:8 Y005 quote a text that begins with '{' or '['",
    # first letters
    "a: @b\n": "1:4 Y005 quote a text that begins with '@'",
    "a: `b`\n": "1:4 Y005 quote a text that begins with '`'",
    "a: %b\n": "1:4 Y005 quote a text that begins with '%'",
    "a: , b\n": "1:4 Y005 quote a text that begins with ','",
    "a: ] b\n": "1:4 Y005 quote a text that begins with ']'",
    "a: > 5 minutes\n": "1:4 Y005 quote a text that begins with '>'",
    "a: |text\n": "1:4 Y005 quote a text that begins with '|'",
    "a: |#text\n  b\n": "1:4 Y005 quote a text that begins with '|'",
    "a: - b\n": "1:4 Y005 quote a text that begins with '- '",
    "a: ? b\n": "1:4 Y005 quote a text that begins with '? '",
}
SCANNER_WORDS = ("token", "scalar", "expected", "block", "mapping", "simple key", "context", "flow node")


def matches(problem: Problem, expected: str) -> bool:
    """Compare a problem with 'line:column code words'."""
    where, code, *words = expected.split(" ", 2)
    found = f"{problem.position.line}:{problem.position.column}"
    return (found, problem.code) == (where, code) and "".join(words) in f"{problem.message} | {problem.hint}"


@PARSERS
@pytest.mark.parametrize(("text", "expected"), REFUSED.items())
def test_what_is_refused(text: str, expected: tuple[str, ...], pure: bool) -> None:
    """Each surprise of YAML is refused where it stands, in words that say what to do."""
    problems = refused(text, pure)
    told = "\n".join(map(str, problems))
    assert len(problems) == len(expected), told
    assert all(map(matches, problems, expected)), told
    assert all(problem.path == "flow.yaml" for problem in problems)


@PARSERS
@pytest.mark.parametrize(("text", "expected"), SYNTAX.items())
def test_a_syntax_error_gets_advice(text: str, expected: str, pure: bool) -> None:
    """The parser's own words are never shown."""
    problem = refused(text, pure)[-1]
    assert matches(problem, expected), str(problem)
    assert problem.hint
    assert not any(word in problem.message for word in SCANNER_WORDS)


@PARSERS
def test_all_problems_are_told_at_once_and_up_to_a_syntax_error(pure: bool) -> None:
    """In file order; a syntax error ends the list."""
    text = "a: x # y\nb: &c d\nb: !e f\ng:\nh: a\u2028b\n"
    codes = ["Y013", "Y007", "Y006", "Y008", "Y010", "Y003"]
    assert [problem.code for problem in refused(text, pure)] == codes
    assert [problem.code for problem in refused(text + "i: @\nj:\n", pure)] == [*codes, "Y005"]


@PARSERS
def test_empty_values_are_fine_under_data_alone(pure: bool) -> None:
    """There they only declare a name, in any of the short forms."""
    root = read("data:\n  lives:\n  best: {type: }\n  more: {one, two: 2}\n", pure)
    empty = [each for each in scalars(root) if not each]
    assert len(empty) == 3
    assert not any(each.quoted for each in empty)
    assert read("a: ''\n", pure) == {"a": ""}, "an empty text in quotes is a text"


@PARSERS
def test_quotes_make_a_text_of_anything(pure: bool) -> None:
    """Every hint that says 'quote it' is right."""
    for text in (
        "<<",
        "*b*",
        "&b",
        "!b",
        "? b",
        "- b",
        "@b",
        "# b",
        "{b}, c",
        "b: c",
        "${b}",
        "b # c",
        "",
        "%",
    ):
        assert read(f"'{text}': ['{text}', \"{text}\"]\n", pure) == {text: [text, text]}


@PARSERS
def test_limits(pure: bool) -> None:
    """Levels, characters of a text and of a line, bytes: the most that fits, and one more."""
    nested = "".join("  " * level + "a:\n" for level in range(12))[:-1] + " x\n"
    read(nested, pure)
    deeper = nested.replace(" x\n", "\n" + "  " * 12 + "a: x\n")
    assert matches(only(deeper, pure), "13:25 Y011 12 levels")
    read(f"a: {'x' * 2000}\n", pure)
    assert matches(only(f"a: {'x' * 2001}\n", pure), "1:4 Y012 2001 characters")
    assert matches(only("a: |\n" + "  xxxxxxxx\n" * 223, pure), "1:4 Y012 2007 characters")
    assert matches(only("#" * 10_001 + "\na: b\n", pure), "1:1 Y012 10001 characters")
    padding = ("#" * 999 + "\n") * 127
    read(padding + "a: b\n" + "#" * 995, pure)
    assert matches(only(padding + "a: b\n" + "#" * 996, pure), "1:1 Y012 128 KB")


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"a: b\nb: caf\xe9\n", "2:7"),
        (b"\xef\xbb\xbfa\xff", "1:2"),
        ("a: b".encode("utf-16"), "1:1"),
        ("é: \ud800", "1:4"),
        (b"a: \xc0\x80", "1:4"),
    ],
)
def test_what_is_not_utf8(content: str | bytes, where: str) -> None:
    """The spot is told in characters."""
    assert matches(only(content), f"{where} Y002 save the file as UTF-8")


def test_files(tmp_path: Path) -> None:
    """A file is read like a text; what is no file is a problem of that path."""
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: b\r\n")
    document = read_file(path)
    assert (document.root, document.path) == ({"a": "b"}, str(path))
    for wrong, words in (
        (tmp_path / "y.yaml", "no such file"),
        (tmp_path, "a folder"),
        (tmp_path / "\0", "opened"),
    ):
        with pytest.raises(FlowError, match=words) as caught:
            read_file(wrong)
        assert [(each.code, each.path) for each in caught.value.problems] == [("Y001", str(wrong))]


def test_a_problem_quotes_the_line() -> None:
    """The terminal shows the line with a caret below."""
    assert str(only("flow: x\nreply: Press # to go on\n")).splitlines()[:3] == [
        "flow.yaml:2:14  Y013  what follows '#' is a comment and no part of the text",
        "    2 | reply: Press # to go on",
        "                     ^^^^^^^^^^",
    ]


def test_every_code_is_known_and_used() -> None:
    """The table of codes says what can happen, no more and no less."""
    elsewhere = {"Y001", "Y002", "Y011", "Y012", "Y016"}
    used = {each.split()[1] for expected in REFUSED.values() for each in expected}
    used |= {expected.split()[1] for expected in SYNTAX.values()}
    assert used | elsewhere == set(CODES)
    assert list(CODES) == [f"Y{number:03}" for number in range(1, len(CODES) + 1)]


def test_the_fast_parser_is_the_one_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without libyaml the Python parser reads the same."""
    assert yaml.__with_libyaml__, "install PyYAML with libyaml, or half of these tests say nothing"
    monkeypatch.delattr(yaml, "CSafeLoader")
    assert read("a: b\n") == {"a": "b"}


# Hostile files. They are bounded by counting (levels, problems, nodes), so a slow machine cannot fail them.

HOSTILE = {
    "brackets": "[\n" * 60_000,
    "braces": "{a:\n" * 30_000,
    "brackets in one line": "[" * 100_000,
    "dashes": "a:\n  " + "- " * 60_000,
    "question marks": "?\n" * 60_000,
    "indentation": "\n".join(" " * level + "a:" for level in range(480)),
    "alias bomb": "a0: &a0 [x, x]\n"
    + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 4_000)),
    "no values": "a:\n" * 40_000,
    "same key": "".join(f"k{n}: v\n" for n in range(4_000)) + "k3999: v\n" * 8_000,
    "tabs": "\t\n" * 60_000,
    "open quote": 'a: "' + "x\n" * 60_000,
    "long text": "a:\n" + " x\n" * 40_000,
    "long line": "a: " + "x" * 120_000,
    "many values": "".join(f"k{n}: [" + "b," * 1_200 + "]\n" for n in range(50)),
    "long anchor": "a: &" + "x" * 9_000 + " b\n",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_refused(text: str) -> None:
    """Whatever the size, at most a screenful of problems of bounded length."""
    problems = refused(text)
    assert "KB" not in str(problems[0]), "it is to be refused for what is in it"
    assert len(problems) <= 101
    assert all(len(str(problem)) < 500 for problem in problems)


@PARSERS
def test_depth_is_refused_as_such(pure: bool) -> None:
    """60,000 levels stop at the thirteenth."""
    assert matches(only("[\n" * 60_000, pure), "13:1 Y011 12 levels")
    assert matches(only("a: " + "[" * 9_000, pure), "1:15 Y011 12 levels")


@PARSERS
def test_the_list_of_problems_ends(pure: bool) -> None:
    """A hundred are told, then that there may be more."""
    problems = refused("".join(f"k{n}:\n" for n in range(1_000)), pure)
    assert len(problems) == 101
    assert [each.code for each in problems[-2:]] == ["Y010", "Y016"]
    assert len(refused("".join(f"k{n}:\n" for n in range(100)), pure)) == 100


SNIPPETS = [
    *":,[]{}#&*!|>?%@`'\"\\-=~<$() \n\t\r", "a", "b", "data", "a: ", "b: ", "- ", "? ", "\n  ", "\n    ",
    " #", "&x", "*x", "!b", "!!str ", "!<x>", "|\n  ", "---", "...", "\n---\n", "\n...\n", "<<", "<<: ",
    "data:\n  ", "${x}", "%YAML 1.1\n", "%TAG ! x\n", "\\x41", "\\\n", "\\ud800", '"\\U00110000"', "\u00a0",
    "\u2028", "\x85", "\ufeff", "é", "😀", "\0", "1" * 50,
]  # fmt: skip


def verdict(text: str | bytes, pure: bool) -> object:
    """Return all that can be told from outside about a text that is right; None where it is refused."""
    problems: tuple[Problem, ...] = ()
    try:
        root = read_text(text, pure=pure).root
    except FlowError as error:
        problems = error.problems
    else:
        return [(str(each), each.position, each.length, each.quoted, each.block) for each in scalars(root)]
    assert problems
    assert {each.code for each in problems} <= set(CODES)
    assert all(each.position.line >= 1 and each.position.column >= 1 for each in problems)
    return None


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(st.lists(st.sampled_from(SNIPPETS), max_size=25).map("".join), st.sampled_from(["", "k: ", "data: "]))
def test_scraps_of_yaml_only_ever_raise_flow_errors(text: str, start: str) -> None:
    """Both parsers come to the same verdict, down to positions and lengths."""
    assert verdict(start + text, pure=False) == verdict(start + text, pure=True)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.one_of(st.text(st.characters(), max_size=200), st.binary(max_size=200)))
def test_any_text_and_any_bytes_only_ever_raise_flow_errors(content: str | bytes) -> None:
    """Lone surrogates and noncharacters included."""
    assert verdict(content, pure=False) == verdict(content, pure=True)


def test_mutated_good_flows_only_ever_raise_flow_errors(root: Path) -> None:
    """Letters deleted, doubled, swapped and replaced in the shipped stopwatch."""
    good = (root / "flows" / "stopwatch.yaml").read_text(encoding="utf-8")
    assert verdict(good, pure=False) == verdict(good, pure=True) is not None
    chance = random.Random(5)
    for _ in range(300):
        text = good
        for _ in range(chance.randint(1, 3)):
            at, other = chance.randrange(len(text)), chance.choice(SNIPPETS)
            text = text[:at] + chance.choice(["", text[at] * 2, other, other + text[at]]) + text[at + 1 :]
        assert verdict(text, pure=False) == verdict(text, pure=True), text
