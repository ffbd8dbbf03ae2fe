"""Access tokens by OAuth client credentials: fetched, kept, and renewed before they expire."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from convo.clock import Clock
from convo.errors import CredentialsError, StoreError, TransportError
from convo.transports.http import Answer, Door, NoAnswer, NotJSON

RENEW_AT = 0.9
"""The part of a token's life after which a new one is fetched."""

_USUAL_LIFE = timedelta(hours=1)
_SHORTEST_LIFE = timedelta(seconds=10)
_LONGEST_LIFE = timedelta(days=1)
_REFUSALS = frozenset({"invalid_client", "unauthorized_client", "access_denied", "invalid_scope"})
_OTHERS = frozenset({"invalid_request", "invalid_grant", "unsupported_grant_type", "temporarily_unavailable"})
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """Who we say we are. ``settings`` is how an operator knows them, for error messages."""

    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)
    settings: str


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    renew_at: datetime


Fetch = Callable[[], tuple[str, datetime]]
"""Asks the provider: the token, and when to ask for the next one."""


class Shelf(Protocol):
    """Where processes that share an account keep its token, so that one of them fetches it."""

    def token(self, name: str, refused: str | None, now: datetime, fetch: Fetch) -> tuple[str, datetime]:
        """Return a token that is good at ``now``, and until when; ``fetch`` if there is none but ``refused``.

        Raises:
            StoreError: the shelf is out of reach.
        """
        ...


class TokenSource:
    """The token of one channel; any number of threads may ask, and one of them fetches."""

    def __init__(self, door: Door, clock: Clock, url: str, who: ClientCredentials, scope: str) -> None:
        self._door = door
        self._clock = clock
        self._url = url
        self._who = who
        self._scope = scope
        self._lock = threading.Lock()
        self._token: _Token | None = None
        self._shelf: Shelf | None = None

    def share(self, shelf: Shelf) -> None:
        """Keep the token on a shelf that other processes look at, too."""
        self._shelf = shelf

    def get(self, *, refused: str | None = None) -> str:
        """Return a token that is good by the clock; ``refused`` is one the provider would not take.

        However many threads come with the same refused token, one new one is fetched.

        Raises:
            CredentialsError: the provider does not know us by these credentials.
            TransportError: no token this time.
        """
        with self._lock:
            held = self._token
            if held is None or held.value == refused or self._clock.now() >= held.renew_at:
                self._token = held = self._fetch() if self._shelf is None else self._shared(refused)
            return held.value

    def _shared(self, refused: str | None) -> _Token:
        def fetch() -> tuple[str, datetime]:
            fetched = self._fetch()
            return fetched.value, fetched.renew_at

        assert self._shelf is not None
        account = "\n".join((self._url, self._who.client_id, self._who.client_secret, self._scope))
        name = hashlib.sha256(account.encode()).hexdigest()[:32]
        try:
            return _Token(*self._shelf.token(name, refused, self._clock.now(), fetch))
        except StoreError as problem:
            raise TransportError(f"no access token: {problem}") from problem

    def _fetch(self) -> _Token:
        asked_at = self._clock.now()
        form = {
            "client_id": self._who.client_id,
            "client_secret": self._who.client_secret,
            "grant_type": "client_credentials",
            "scope": self._scope,
        }
        answer = self._door.exchange("POST", self._url, form=form)
        if isinstance(answer, NoAnswer):
            raise TransportError(f"no access token: {answer.reason}")
        try:
            said = answer.json()
        except NotJSON:
            said = None
        fields: dict[str, object] = said if isinstance(said, dict) else {}
        if answer.status != 200:
            raise self._refusal(answer, fields)
        value = fields.get("access_token")
        if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
            raise TransportError("no access token: the answer of the token address holds none")
        if " " in value:
            raise TransportError("no access token: the answer of the token address holds none")
        _log.debug("access token fetched")
        return _Token(value, asked_at + _life(fields.get("expires_in")) * RENEW_AT)

    def _refusal(self, answer: Answer, fields: dict[str, object]) -> CredentialsError | TransportError:
        limited = "spikearrest" in answer.text.lower().replace(" ", "")
        refused = answer.status == 401 or (answer.status == 403 and bool(fields))
        # RFC 6749, 5.2; its words only, never what else an answer holds.
        known = fields.get("error") in _REFUSALS | _OTHERS
        told = f"{answer.status} {fields['error']}" if known else str(answer.status)
        if not limited and (refused or (answer.status == 400 and fields.get("error") in _REFUSALS)):
            return CredentialsError(
                f"the provider refuses our credentials ({told}); check {self._who.settings}"
            )
        wait = answer.retry_after(self._clock.now())
        return TransportError(f"no access token: the provider answered {told}", retry_after=wait)


def _life(written: object) -> timedelta:
    """Read ``expires_in``, which Telstra writes as text; an hour, its documented life, where it is odd."""
    try:
        life = timedelta(seconds=float(str(written)))
    except (ValueError, OverflowError):
        return _USUAL_LIFE
    return min(max(life, _SHORTEST_LIFE), _LONGEST_LIFE)
