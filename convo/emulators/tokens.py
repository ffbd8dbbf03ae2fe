"""The side of an emulated provider that gives OAuth tokens to a client with a secret."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import parse_qs

from convo.clock import Clock
from convo.emulators.base import Request, Response, json_response


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was given: until when it is good, and for what."""

    ends_at: datetime
    scopes: frozenset[str]


class Tokens:
    """The tokens of one client. ``life`` is in seconds; ``scopes`` empty: any may be asked for, or none."""

    def __init__(
        self, clock: Clock, client: tuple[str, str], life: int, scopes: Collection[str] = ()
    ) -> None:
        self._clock = clock
        self._client = client
        self._life = life
        self._scopes = frozenset(scopes)
        self._given: dict[str, Token] = {}
        self._count = 0

    def give(self, request: Request) -> Response:
        """Answer a request for a token."""
        form = {name: values[0] for name, values in parse_qs(request.body.decode("utf-8", "replace")).items()}
        if form.get("grant_type") != "client_credentials":
            return refusal(400, "unsupported_grant_type")
        if (form.get("client_id"), form.get("client_secret")) != self._client:
            return refusal(401, "invalid_client")
        asked = frozenset(form.get("scope", "").split())
        if self._scopes and not asked <= self._scopes:
            return refusal(400, "invalid_scope")
        self._count += 1
        seed = f"{self._client} {self._count} {self._clock.now()}"
        token = hashlib.sha256(seed.encode()).hexdigest()[:28]
        self._given[token] = Token(self._clock.now() + timedelta(seconds=self._life), asked)
        said = {"access_token": token, "token_type": "Bearer", "expires_in": str(self._life)}
        return json_response(200, said)

    def of(self, request: Request) -> Token | None:
        """Return the token that a request bears, good or expired; None where it bears none of ours."""
        return self._given.get(request.headers.get("authorization", "").partition(" ")[2])

    def is_good(self, token: Token | None) -> bool:
        """Whether calls may be made with it by now."""
        return token is not None and self._clock.now() < token.ends_at

    def forget(self) -> None:
        """Make every token so far void."""
        self._given.clear()


def refusal(status: int, error: str) -> Response:
    """Return an error of the token address."""
    # CHOICE for v2: the shape; it is what OAuth prescribes and what v3's clients read.
    return json_response(status, {"error": error, "error_description": "see dev.telstra.com"})
