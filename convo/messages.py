"""What crosses every layer: messages, receipts and the addresses they go between. Frozen data only.

Representations of these classes leave out texts and mask numbers, so that a traceback or a debug
print never carries what people wrote.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import NewType

Address = NewType("Address", str)
"""A phone number in E.164 form (``+61400000000``), or a provider's own sender name or short code."""


def mask(address: str) -> str:
    """Return ``address`` fit for a log line: the country's beginning and the last two digits."""
    if len(address) <= 5:
        return "…" + address[-1:]
    return f"{address[:3]}…{address[-2:]}"


class NotANumber(ValueError):
    """A text is no valid phone number: the message does not repeat it in full, ``why`` not at all."""

    def __init__(self, text: str, why: str) -> None:
        self.why = f"{why}; write it like +61400000000"
        super().__init__(f"{mask(text)} {self.why}")


@lru_cache(maxsize=4096)  # a tenth of a push, and most numbers come again
def to_address(text: str, region: str = "AU") -> Address:
    """Return ``text`` as an E.164 address.

    ``region`` (ISO 3166, two letters) is where a number without a prefix belongs. ``00`` before a country
    is understood everywhere, also where one dials another prefix.

    Raises:
        NotANumber: it is no valid phone number.
    """
    import phonenumbers

    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException as problem:
        raise NotANumber(text, "is not a phone number") from problem
    if text.lstrip().startswith("00") and not phonenumbers.is_valid_number(number):
        try:
            number = phonenumbers.parse("+" + text.lstrip()[2:], region)
        except phonenumbers.NumberParseException as problem:
            raise NotANumber(text, "is not a phone number") from problem
    if not phonenumbers.is_possible_number(number):
        raise NotANumber(text, "is not a possible phone number")
    return Address(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def is_country(region: str) -> bool:
    """Return whether two letters (ISO 3166) are a country with phone numbers."""
    import phonenumbers

    return region in phonenumbers.SUPPORTED_REGIONS


@dataclass(frozen=True, slots=True)
class Inbound:
    """An SMS that somebody sent to us.

    ``sent_at`` is the provider's timestamp (None where it gave none), ``received_at`` is when we read
    it. ``provider_id`` is blank where the provider gives no id. ``raw`` is the answer as it came.
    """

    channel: str
    sender: Address = field(repr=False)
    recipient: Address = field(repr=False)
    text: str = field(repr=False)
    received_at: datetime
    sent_at: datetime | None = None
    provider_id: str = ""
    raw: str = field(default="", repr=False)

    @property
    def key(self) -> str | None:
        """What makes it the same message when it comes again: the provider's id, else a fingerprint.

        The fingerprint covers who, to whom, what and when sent. Without an id and without a sent time
        nothing can tell two equal texts apart, so there is no key, and each one counts as new: a
        person who sends ``TIME`` today and again tomorrow must be answered twice.
        """
        if self.provider_id:
            return "id:" + self.provider_id
        if self.sent_at is None:
            return None
        parts = json.dumps([self.recipient, self.sender, self.text, self.sent_at.isoformat()])
        return "fp:" + hashlib.sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What may have held a message, but could not be read; kept so that nothing is lost.

    ``whole`` says that it is all that the provider answered, and no single entry of an answer: whoever
    speaks so is not asked again at once.
    """

    raw: str = field(repr=False)
    reason: str
    received_at: datetime
    whole: bool = False


class OutboundKind(StrEnum):
    """Why we say something: policies treat a reply and a confirmation of an opt-out differently."""

    REPLY = "reply"
    OPENING = "opening"
    TIMER = "timer"
    TELL = "tell"
    CONSENT = "consent"
    APOLOGY = "apology"


@dataclass(frozen=True, slots=True)
class Outbound:
    """One SMS that we want to leave. ``id`` is 0 until the store has given it a row in the outbox.

    ``number`` is the conversation that it belongs to (0 for none), ``asks`` the entry whose question it is.
    ``not_before`` holds it until then: nobody asked for it, and it is a time of quiet.
    """

    channel: str
    recipient: Address = field(repr=False)
    text: str = field(repr=False)
    kind: OutboundKind = OutboundKind.REPLY
    id: int = 0
    not_before: datetime | None = None
    number: int = 0
    asks: int = 0


class Status(StrEnum):
    """Where an outbound stands. ``UNKNOWN``: we died, or lost the line, between asking and hearing."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    EXPIRED = "expired"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Receipt:
    """A delivery receipt: what became of the outbound that the provider knows as ``provider_id``."""

    channel: str
    provider_id: str
    status: Status
    at: datetime | None = None
    raw: str = field(default="", repr=False)
