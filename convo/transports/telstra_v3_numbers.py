"""The virtual numbers of an account at Telstra v3, and where their replies go.

A change overwrites a number as a whole: what is not repeated (the replyCallbackUrl, the tags) is wiped.
So every change here starts from the number as it is, and repeats what was not to be changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from convo.errors import TransportError
from convo.messages import Address
from convo.transports.http import Answer, NoAnswer
from convo.transports.telstra_v2_answers import members, normal
from convo.transports.telstra_v3_answers import (
    Verdict,
    VirtualNumber,
    code_of,
    national,
    read_number,
    verdict,
)
from convo.transports.url import check_push_url

LIMIT = 50
MOST_PAGES = 20
_PATH = "/virtual-numbers"


class Ask(Protocol):
    """Asks Telstra once."""

    def __call__(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Answer | NoAnswer:
        """Return what came."""
        ...


class Expect(Protocol):
    """Insists on a status."""

    def __call__(self, answer: Answer | NoAnswer, status: int, failed: str) -> Answer:
        """Return the answer, or raise what it means."""
        ...


class Numbers:
    """The virtual numbers of the account. Every call raises CredentialsError or TransportError."""

    def __init__(self, ask: Ask, expect: Expect) -> None:
        self._ask = ask
        self._expect = expect

    def all(self) -> tuple[VirtualNumber, ...]:
        """Return every number that the account rents."""
        failed = "the virtual numbers cannot be listed"
        found: dict[Address, VirtualNumber] = {}
        for place in range(MOST_PAGES):
            # Whether an offset counts pages or numbers is not clear: those that come twice count once.
            answer = self._ask("GET", f"{_PATH}?limit={LIMIT}&offset={place * LIMIT}")
            said = members(self._expect(answer, 200, failed))
            listed = said.get("virtualNumbers")
            if not isinstance(listed, list | None) or not {"virtualNumbers", "paging"} & said.keys():
                raise TransportError(f"{failed}: the answer lists none")
            before = len(found)
            for each in map(read_number, listed or ()):
                if each is not None:
                    found.setdefault(each.number, each)
            if len(found) == before or len(listed or ()) < LIMIT:
                break
        return tuple(found.values())

    def get(self, number: Address) -> VirtualNumber | None:
        """Return a number of the account, None where it is none of them."""
        answer = self._ask("GET", f"{_PATH}/{national(number)}")
        if isinstance(answer, Answer) and answer.status in (400, 404):
            lost = verdict(answer) is Verdict.NO_NUMBER or code_of(answer) in (
                "FIELD_INVALID",
                "ID_NOT_ASSIGNED",
            )
            if lost:
                return None
        return self._read(self._expect(answer, 200, "the virtual number cannot be read"))

    def create(self, reply_url: str | None = None) -> VirtualNumber:
        """Rent another number."""
        body = {} if reply_url is None else {"replyCallbackUrl": check_push_url(reply_url)}
        return self._read(self._expect(self._ask("POST", _PATH, body), 201, "no virtual number was given"))

    def change(self, held: VirtualNumber, reply_url: str | None) -> VirtualNumber:
        """Have the replies of ``held`` pushed to ``reply_url``, or listed only (None); the tags stay.

        Raises:
            ConfigError: ``reply_url`` is no address.
        """
        body: dict[str, object] = {}
        if reply_url is not None:
            body["replyCallbackUrl"] = check_push_url(reply_url)
        if held.tags:
            body["tags"] = list(held.tags)
        answer = self._ask("PUT", f"{_PATH}/{national(held.number)}", body)
        return self._read(self._expect(answer, 200, "the virtual number was not changed"))

    def delete(self, number: Address) -> None:
        """Give a number back."""
        answer = self._ask("DELETE", f"{_PATH}/{national(number)}")
        self._expect(answer, 204, "the virtual number was not given back")

    def opted_out(self, number: Address) -> tuple[Address, ...]:
        """Return who has opted out of ``number`` with Telstra."""
        failed = "the opt-outs cannot be listed"
        found: dict[Address, None] = {}
        for place in range(MOST_PAGES):
            path = f"{_PATH}/{national(number)}/optouts?limit={LIMIT}&offset={place * LIMIT}"
            listed = members(self._expect(self._ask("GET", path), 200, failed)).get("recipientOptouts")
            if not isinstance(listed, list | None):
                raise TransportError(f"{failed}: the answer lists none")
            before = len(found)
            for each in listed or ():
                who = each.get("optoutNumber") if isinstance(each, dict) else None
                if isinstance(who, str):
                    found[normal(who)] = None
            if len(found) == before or len(listed or ()) < LIMIT:
                break
        return tuple(found)

    def _read(self, answer: Answer) -> VirtualNumber:
        held = read_number(members(answer))
        if held is None:
            raise TransportError("Telstra's answer names no virtual number")
        return held
