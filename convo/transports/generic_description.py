"""What a provider's description says, read and checked: the data that the transport ``generic`` works by.

The file is read by ``convo/runtime/provider.py``; docs/generic.md says what each key means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from convo.messages import Status

Path = tuple[str, ...]
"""A way into JSON: names of members and numbers of items."""

Tree = str | Mapping[str, "Tree"] | tuple["Tree", ...]
"""A template of JSON, or of a form: texts in which ``{to}`` and others are filled in."""


class Means(StrEnum):
    """What an answer to a send means for the outbound."""

    SENT = "sent"
    LATER = "later"
    GIVE_UP = "give_up"
    OPTED_OUT = "opted_out"
    CREDENTIALS = "credentials"
    UNKNOWN = "unknown"


class NumberFormat(StrEnum):
    """How the provider writes numbers: ``+61400000001``, ``61400000001`` or ``0400000001``."""

    E164 = "e164"
    DIGITS = "digits"
    NATIONAL = "national"


class TimeFormat(StrEnum):
    """How a provider writes a moment; ISO 8601 without a zone is UTC."""

    ISO = "iso"
    UNIX = "unix"
    UNIX_MS = "unix_ms"


class Order(StrEnum):
    """Which message of a listing comes first."""

    OLDEST_FIRST = "oldest_first"
    NEWEST_FIRST = "newest_first"


class Body(StrEnum):
    """Where the fields of a webhook stand."""

    JSON = "json"
    FORM = "form"
    QUERY = "query"


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret, and the environment variable that it came from."""

    variable: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Auth:
    """How we say who we are; at most one of the four, none of them: not at all."""

    basic: tuple[Secret, Secret] | None = None
    bearer: Secret | None = None
    header: tuple[str, Secret] | None = None
    oauth: tuple[str, Secret, Secret, str] | None = None
    """The address of tokens, id and secret of the client, scope."""

    @property
    def variables(self) -> str:
        """The environment variables to look at when the provider refuses us."""
        return " and ".join(each.variable for each in self.secrets) or "the description"

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The secrets that it takes."""
        held = (*(self.basic or ()), self.bearer, (self.header or ("", None))[1], *(self.oauth or ())[1:3])
        return tuple(each for each in held if isinstance(each, Secret))


@dataclass(frozen=True, slots=True)
class Call:
    """A request to make. At most one of ``json`` and ``form``."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    json: Mapping[str, Tree] | None = None
    form: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer that means something: of one of these statuses, with one of these values at ``field``."""

    means: Means
    statuses: tuple[range, ...] = ()
    field: Path | None = None
    values: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Send:
    """How a text is handed over, where its id is, and what the answers mean; the first outcome goes."""

    call: Call
    id: Path
    segments: Path | None = None
    reason: Path | None = None
    outcomes: tuple[Outcome, ...] = ()


@dataclass(frozen=True, slots=True)
class Fields:
    """Where a message's parts are. Without ``id`` it is known by a fingerprint."""

    sender: Path
    text: Path
    id: Path | None = None
    recipient: Path | None = None
    sent: Path | None = None
    time: TimeFormat = TimeFormat.ISO
    when: Mapping[Path, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Poll:
    """How texts are listed or, where ``takes``, taken: what was handed out does not come again.

    ``next_page`` is where the address of the next page is; ``first_page`` the number of the first where
    pages are counted, and one that holds no entry is the last.
    """

    call: Call
    list: Path
    fields: Fields
    takes: bool = False
    order: Order = Order.OLDEST_FIRST
    next_page: Path | None = None
    first_page: int | None = None
    since: TimeFormat = TimeFormat.ISO
    overlap: timedelta = timedelta(minutes=10)
    look_back: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Signature:
    """How the provider signs: an HMAC over ``signs``, or (no ``algorithm``) a header that holds the secret.

    ``time_header`` holds the moment of the call in Unix seconds, not more than ``within`` from ours.
    """

    header: str
    secret: Secret
    algorithm: str = ""
    encoding: str = "hex"
    signs: str = "{body}"
    prefix: str = ""
    time_header: str = ""
    within: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Receipts:
    """Where a delivery receipt says what became of which outbound."""

    id: Path
    status: Path
    values: Mapping[str, Status]
    when: Mapping[Path, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Webhook:
    """What the provider calls us with."""

    body: Body = Body.JSON
    method: str = "POST"
    texts: Fields | None = None
    receipts: Receipts | None = None
    signature: Signature | None = None
    answer: int = 200


@dataclass(frozen=True, slots=True)
class Description:
    """One provider. ``path`` is the file, for messages; ``number`` is ours, blank where none is set."""

    provider: str
    path: str
    base_url: str
    send: Send
    auth: Auth = field(default_factory=Auth)
    number: str = field(default="", repr=False)
    format: NumberFormat = NumberFormat.E164
    region: str = "AU"
    poll: Poll | None = None
    webhook: Webhook | None = None
    reserved_words: frozenset[str] = frozenset()

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Every secret that it names."""
        signed = None if self.webhook is None else self.webhook.signature
        return (*self.auth.secrets, *(() if signed is None else (signed.secret,)))
