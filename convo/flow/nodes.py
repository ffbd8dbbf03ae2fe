"""What a file is once it has been read: texts, mappings and lists that know where they stood."""

from __future__ import annotations

from dataclasses import dataclass

from convo.flow.problems import Position, Problem

_TOP = Position(1, 1)


class Scalar(str):
    """A text as it was typed, and where; ``length`` is how many characters it takes on its first line."""

    position: Position
    quoted: bool
    block: bool
    length: int
    __slots__ = ("block", "length", "position", "quoted")

    def __new__(
        cls,
        text: str,
        position: Position = _TOP,
        *,
        quoted: bool = False,
        block: bool = False,
        length: int | None = None,
    ) -> Scalar:
        """Make one; ``quoted`` is any style but plain, ``block`` is ``|`` or ``>``."""
        new = super().__new__(cls, text)
        new.position, new.quoted, new.block = position, quoted, block
        new.length = max(1, len(text) if length is None else length)
        return new


class MapNode(dict[Scalar, "Node"]):
    """A mapping, in file order."""

    position: Position = _TOP


class ListNode(list["Node"]):
    """A list."""

    position: Position = _TOP


Node = Scalar | MapNode | ListNode


@dataclass(frozen=True, slots=True)
class Document:
    """A file that could be read; ``root`` is a MapNode, ``version`` a hash of the file's bytes.

    ``problems`` are those of a reading that was not strict: ``cut`` are then the places of the mappings that
    something is wrong in, and ``dropped`` what stood a second time under a key.
    """

    root: Node
    path: str
    lines: list[str]
    version: str
    problems: tuple[Problem, ...] = ()
    cut: frozenset[Position] = frozenset()
    dropped: tuple[Node, ...] = ()

    def is_told(self, problem: Problem) -> bool:
        """Whether ``problem`` of the same file only says again what ``problems`` said of its line."""
        codes = {each.code for each in self.problems if each.position.line == problem.position.line}
        # An expression may be incomplete because of the comment in it; keys and names in front of it are not.
        return not codes <= _LEAVE_THE_TEXT or ("Y013" in codes and problem.code.startswith("T"))


_LEAVE_THE_TEXT = frozenset({"Y006", "Y008", "Y012", "Y013"})
"""What leaves the texts of its line as they were meant: whatever else is wrong there is worth telling."""
