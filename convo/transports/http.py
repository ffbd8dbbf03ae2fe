"""The only door to ``requests``: one bounded HTTP exchange a call, whose failures are values.

Every call has a timeout, reads at most ``limit`` bytes of the answer, follows no redirect (a provider
that moved is a setting to mend, and a redirect could carry our token to a stranger), keeps no cookie
and ignores ``~/.netrc``. Nothing that the caller hands in (tokens, forms, texts) is ever logged or
repeated in a reason.
"""

from __future__ import annotations

import json
import logging
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from ssl import SSLCertVerificationError
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProxyError

from convo.clock import Clock
from convo.transports.http_deadline import HeadWithin
from convo.transports.url import LOOPBACK
from convo.transports.url import check_url as check_url

LONGEST_WAIT = timedelta(days=1)
"""The longest ``Retry-After`` that is believed."""

_UNSENT = (ConnectTimeoutError, NewConnectionError, SSLCertVerificationError)
_DEEPEST_CHAIN = 10
_asking: ContextVar[bool] = ContextVar("asking", default=False)


class NotJSON(ValueError):
    """The body of an answer is not one whole JSON text."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side said. ``complete`` is False where the body broke off or was too long."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    complete: bool = True

    @property
    def text(self) -> str:
        """The body as text: UTF-8, else every byte kept as the character of its number."""
        try:
            return self.body.decode("utf-8")
        except UnicodeDecodeError:
            return self.body.decode("latin-1")

    def json(self) -> object:
        """Return the body as JSON.

        Raises:
            NotJSON: it is none, or not all of it came.
        """
        if not self.complete:
            raise NotJSON("the answer broke off or was too long")
        try:
            parsed: object = json.loads(self.body)
        except (ValueError, RecursionError):
            raise NotJSON("the answer is not JSON") from None
        return parsed

    def retry_after(self, now: datetime) -> timedelta | None:
        """Return how long the other side asks to wait (RFC 9110: seconds or a date), at most a day."""
        written = self.headers.get("retry-after", "").strip()
        if not written:
            return None
        try:
            if written.isascii() and written.isdigit():
                wait = timedelta(seconds=min(int(written[:9]), LONGEST_WAIT.total_seconds()))
            else:
                moment = parsedate_to_datetime(written)
                wait = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
        except (ValueError, OverflowError, TypeError):
            return None
        return max(timedelta(0), min(wait, LONGEST_WAIT))


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Nothing came back. ``may_have_arrived`` is False only where the request certainly never left."""

    reason: str
    may_have_arrived: bool


class Door:
    """The connections of one channel; calls may come from several threads.

    ``timeout`` is (to connect, between two bytes) and ``total`` bounds the reading of the head of an answer,
    and that of its body, all in seconds; ``limit`` is in bytes.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        timeout: tuple[float, float] = (5.0, 20.0),
        total: float = 60.0,
        limit: int = 1_000_000,
    ) -> None:
        self._clock = clock
        self._timeout = timeout
        self._total = timedelta(seconds=total)
        self._limit = limit
        self._closed = False
        self._session = requests.Session()
        self._session.auth = _leave_headers_alone
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HeadWithin(clock, self._total))
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        # No compression: the limit then bounds what is read and what it grows to alike.
        self._session.headers.update({"User-Agent": "convo", "Accept-Encoding": "identity"})

    def exchange(
        self,
        method: str,
        url: str,
        *,
        bearer: str | None = None,
        basic: tuple[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        json_body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer | NoAnswer:
        """Ask once and return what came; never raises for what the network or the other side does."""
        if self._closed:
            return NoAnswer("the connection has been closed by us", may_have_arrived=False)
        sent = {"Accept": "application/json", **(headers or {})}
        if bearer is not None:
            sent["Authorization"] = f"Bearer {bearer}"
        elif basic is not None:
            sent["Authorization"] = f"Basic {b64encode(':'.join(basic).encode()).decode('ascii')}"
        data: bytes | Mapping[str, str] | None = form
        if json_body is not None:
            sent["Content-Type"] = "application/json"
            data = json.dumps(json_body).encode("ascii")
        host = urlsplit(url).hostname or ""
        ours = _asking.set(True)
        try:
            response = self._session.request(
                method,
                url,
                headers=sent,
                data=data,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
                # A proxy for the world must not stand between us and an emulator on this machine.
                proxies={"no_proxy": host} if host in LOOPBACK else None,
            )
        except requests.Timeout as problem:
            return _no_answer("no answer in time", problem)
        except requests.ConnectionError as problem:
            return _no_answer("the line broke", problem)
        except (requests.RequestException, OSError, ValueError) as problem:
            never = isinstance(problem, ValueError) and not isinstance(problem, OSError)
            kind = type(problem).__name__
            return NoAnswer(f"the request could not be made ({kind})", may_have_arrived=not never)
        finally:
            _asking.reset(ours)
        with closing(response):
            return self._answer(response)

    def _answer(self, response: requests.Response) -> Answer:
        parts: list[bytes] = []
        size = 0
        complete = False
        deadline = self._clock.now() + self._total
        # read1 returns what has come, so that a body that drips is noticed; read would wait to fill up.
        read: Callable[..., bytes] = getattr(response.raw, "read1", response.raw.read)
        try:
            while size <= self._limit and self._clock.now() <= deadline:
                part = read(65536, decode_content=False)
                if not part:
                    complete = _whole(response, size)
                    break
                parts.append(part)
                size += len(part)
        except Exception as problem:
            # urllib3 raises its own tree here, http.client and ssl theirs; all say that the body broke
            # off. What is not of theirs is a mistake of ours and must be seen.
            if not isinstance(problem, OSError) and not _of_the_network(problem):
                raise
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, b"".join(parts)[: self._limit], complete)

    def close(self) -> None:
        """Let go of the connections; safe to call twice and while another thread asks."""
        self._closed = True
        self._session.close()


def _tells_no_address(record: logging.LogRecord) -> bool:
    """Drop what urllib3 notes at DEBUG of a call of ours: its address may hold a phone number."""
    return record.levelno > logging.DEBUG or not _asking.get()


logging.getLogger("urllib3.connectionpool").addFilter(_tells_no_address)


def _leave_headers_alone(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Stand where requests would otherwise put the credentials of ``~/.netrc``."""
    return request


def _whole(response: requests.Response, size: int) -> bool:
    announced = response.headers.get("content-length", "")
    return not (announced.isascii() and announced.isdigit()) or size >= int(announced[:18])


def _of_the_network(problem: Exception) -> bool:
    return type(problem).__module__.partition(".")[0] in ("urllib3", "http", "ssl", "requests")


def _no_answer(what: str, problem: Exception) -> NoAnswer:
    """Say what went wrong, ``what`` in general, in words that an operator can look for."""
    links = list(_chain(problem))
    cause = next((link for link in links if isinstance(link, _UNSENT)), None)
    if isinstance(cause, SSLCertVerificationError):
        what = f"its certificate is not trusted: {cause.verify_message.rstrip('.')}"
    elif cause is not None:
        what = "no connection"
    said = next((link.strerror for link in links if isinstance(link, OSError) and link.strerror), "")
    if said and not isinstance(cause, SSLCertVerificationError):
        what = f"{what}: {said.lower()}"
    elif isinstance(cause, ConnectTimeoutError):
        what = f"{what} in time"
    by_proxy = any(isinstance(link, ProxyError) for link in links)
    return NoAnswer(f"the proxy: {what}" if by_proxy else what, may_have_arrived=cause is None)


def _chain(problem: BaseException) -> Iterator[BaseException]:
    """Yield ``problem`` and what requests and urllib3 wrapped in it, outermost first."""
    link: Any = problem
    for _ in range(_DEEPEST_CHAIN):
        if not isinstance(link, BaseException):
            return
        yield link
        inner = getattr(link, "reason", None) or getattr(link, "original_error", None)
        first = link.args[0] if link.args else None
        link = (
            inner
            if isinstance(inner, BaseException)
            else first
            if isinstance(first, BaseException)
            else (link.__cause__)
        )
