"""A stand-in of a provider that is made from its description: it answers just as the description says.

So the list of checks can be run on a description before there is an account. Whether the provider really
answers so is for the provider's own pages to say.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode

from convo.emulators.base import Request, Response, json_response
from convo.messages import Status
from convo.runtime.provider import read_description
from convo.testing.fakes import OUR_NUMBER
from convo.testing.stand_in import PATIENCE, SENDER, WEBHOOK, HttpStandIn, Said
from convo.transports.base import PushRequest, Transport
from convo.transports.generic import Generic, GenericPushed
from convo.transports.generic_answers import (
    PLACEHOLDER,
    meaning_of,
    read_moment,
    signed_part,
    written_moment,
    written_number,
)
from convo.transports.generic_description import (
    Body,
    Call,
    Description,
    Fields,
    Means,
    NumberFormat,
    Order,
    Poll,
    Tree,
    Webhook,
)
from convo.transports.generic_description import Path as Way
from convo.transports.http import Door
from convo.transports.numbers import read_number

PAGE_SIZE = 2
_CREDENTIAL = "canary-"
_PAGE = "page_of_stand_in"


class DescribedStandIn(HttpStandIn):
    """The provider that a file describes, with made-up secrets."""

    token_path = "/stand-in-token"  # noqa: S105 - a path

    def __init__(self, path: Path) -> None:
        """Listen.

        Raises:
            ConfigProblems: the description has problems.
        """
        super().__init__()
        self._path = path
        self._environ = {
            each.variable: f"{_CREDENTIAL}{each.variable.lower()}"
            for each in read_description(path, None).secrets
        }
        self.secrets = [*self._environ.values(), f"{_CREDENTIAL}wrong"]
        self._it = self._read()
        self.takes_credentials = bool(self._it.auth.secrets)
        self.read_once = self._it.poll is not None and self._it.poll.takes
        self.writes = [self._number(SENDER)]
        self._waiting: list[Mapping[str, object]] = []
        self._stamps: list[datetime] = []
        self._texts = 0

    def _read(self, *, wrong: bool = False) -> Description:
        said = dict.fromkeys(self._environ, f"{_CREDENTIAL}wrong") if wrong else self._environ
        more = {
            "GENERIC_BASE_URL": self.url,
            "GENERIC_TOKEN_URL": self.url + self.token_path,
            "GENERIC_NUMBER": OUR_NUMBER,
        }
        return read_description(self._path, {**said, **more})

    def connect(self, *, wrong: bool = False) -> Transport:
        """Return the transport ``generic`` by this description."""
        made = self._read(wrong=wrong)
        kind = Generic if made.webhook is None else GenericPushed
        return kind(made, channel="sms", clock=self.clock, door=Door(self.clock, timeout=PATIENCE))

    # -- texts to us ------------------------------------------------------------------------------

    def text(self, said: Said) -> None:
        """Have a text wait to be polled."""
        assert self._it.poll is not None
        self._waiting.append(self._entry(said, self._it.poll.fields))
        self._stamps.append(said.sent_at or self.clock.now())

    def pushed_text(self, said: Said) -> PushRequest:
        """Return the call that brings a text."""
        how = self._it.webhook
        assert how is not None
        assert how.texts is not None, "the webhook carries no texts"
        return self._call(how, self._entry(said, how.texts))

    def pushed_receipt(self, provider_id: str, status: Status) -> PushRequest | None:
        """Return the call that says what became of a send."""
        how = self._it.webhook
        word = None if how is None or how.receipts is None else _word_of(how.receipts.values, status)
        if how is None or how.receipts is None or word is None:
            return None
        entry = _chosen(how.receipts.when)
        _put(entry, how.receipts.id, provider_id)
        _put(entry, how.receipts.status, word)
        return self._call(how, entry)

    def _entry(self, said: Said, fields: Fields) -> dict[str, object]:
        self._texts += 1
        entry = _chosen(fields.when)
        _put(entry, fields.sender, self._number(said.sender))
        _put(entry, fields.text, said.text)
        if fields.id is not None and said.id != "":
            _put(entry, fields.id, said.id or f"in-{self._texts}")
        if fields.recipient is not None:
            _put(entry, fields.recipient, self._number(OUR_NUMBER))
        if fields.sent is not None:
            _put(entry, fields.sent, written_moment(said.sent_at or self.clock.now(), fields.time))
        return entry

    def _number(self, number: str) -> str:
        return written_number(number, self._it.format, self._it.region)

    def _call(self, how: Webhook, entry: Mapping[str, object]) -> PushRequest:
        """Return the call of our webhook, signed as it is described."""
        query, body = "", b""
        if how.body is Body.JSON:
            body = json.dumps(entry).encode()
        else:
            written = urlencode({key: str(value) for key, value in entry.items()})
            query, body = (written, b"") if how.body is Body.QUERY else ("", written.encode())
        url = f"{WEBHOOK}?{query}" if query else WEBHOOK
        signed = how.signature
        headers: dict[str, str] = {}
        if signed is None:
            return PushRequest(how.method, url, headers, query, body)
        if signed.time_header:
            headers[signed.time_header.lower()] = f"{self.clock.now().timestamp():.0f}"
        value = signed.secret.value
        if signed.algorithm:
            content = signed_part(signed.signs, PushRequest(how.method, url, headers, query, body))
            digest = hmac.new(value.encode(), content, getattr(hashlib, signed.algorithm)).digest()
            value = digest.hex() if signed.encoding == "hex" else base64.b64encode(digest).decode()
        headers[signed.header.lower()] = signed.prefix + value
        return PushRequest(how.method, url, headers, query, body)

    # -- calls of the transport -------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        """Give a token, take a text or list those that wait, as it is described."""
        it = self._it
        if request.path == self.token_path:
            return self._token(request)
        if not self._knows(request):
            return json_response(401, {})
        given = _given(it.send.call, request)
        if given is not None:
            return self._take(given)
        if it.poll is not None and (asked := _given(it.poll.call, request)) is not None:
            return self._list(it.poll, asked, request)
        return json_response(404, {})

    def _token(self, request: Request) -> Response:
        assert self._it.auth.oauth is not None
        _, client, secret, _ = self._it.auth.oauth
        form = dict(parse_qsl(request.body.decode()))
        if (form.get("client_id"), form.get("client_secret")) != (client.value, secret.value):
            return json_response(401, {"error": "invalid_client"})
        return json_response(200, {"access_token": f"{_CREDENTIAL}token", "expires_in": 3600})

    def _knows(self, request: Request) -> bool:
        auth, headers = self._it.auth, request.headers
        said = headers.get("authorization", "")
        if auth.basic is not None:
            pair = f"{auth.basic[0].value}:{auth.basic[1].value}"
            return said == f"Basic {base64.b64encode(pair.encode()).decode()}"
        if auth.bearer is not None:
            return said == f"Bearer {auth.bearer.value}"
        if auth.header is not None:
            return headers.get(auth.header[0].lower()) == auth.header[1].value
        return auth.oauth is None or said == f"Bearer {_CREDENTIAL}token"

    def _take(self, given: Mapping[str, str]) -> Response:
        it = self._it
        bare = it.format is NumberFormat.DIGITS
        self.taken.append((read_number(given.get("to", ""), it.region, bare=bare), given.get("text", "")))
        said: dict[str, object] = {}
        _put(said, it.send.id, f"sent-{len(self.taken)}")
        for outcome in it.send.outcomes:
            if outcome.means is Means.SENT:
                if outcome.field is not None:
                    _put(said, outcome.field, min(outcome.values))
                return json_response(outcome.statuses[0].start if outcome.statuses else 200, said)
        fits = (status for status in (200, 201, 202) if meaning_of(it.send.outcomes, status, said) is None)
        return json_response(next(fits, 200), said)

    def _list(self, how: Poll, asked: Mapping[str, str], request: Request) -> Response:
        if how.takes:
            held, self._waiting = self._waiting[:1], self._waiting[1:]
            return json_response(200, _under(how.list, held))
        since = read_moment(asked.get("since"), how.since)
        found = [
            entry
            for entry, stamp in zip(self._waiting, self._stamps, strict=True)
            if since is None or stamp.replace(microsecond=0) >= since.replace(microsecond=0)
        ]
        if how.order is Order.NEWEST_FIRST:
            found.reverse()
        if how.first_page is None and how.next_page is None:
            return json_response(200, _under(how.list, found))
        number = int(request.query.get(_PAGE, "0"))
        if how.first_page is not None:
            number = int(asked["page"]) - how.first_page
        first = number * PAGE_SIZE
        said = _under(how.list, found[first : first + PAGE_SIZE])
        if how.next_page is not None and isinstance(said, dict) and len(found) > first + PAGE_SIZE:
            query = urlencode({**request.query, _PAGE: str(number + 1)})
            _put(said, how.next_page, f"{request.path}?{query}")
        return json_response(200, said)


def _chosen(when: Mapping[Way, Iterable[str]]) -> dict[str, object]:
    """Return an entry that is of the described kind."""
    entry: dict[str, object] = {}
    for way, values in when.items():
        _put(entry, way, min(values))
    return entry


def _word_of(values: Mapping[str, Status], status: Status) -> str | None:
    return next((word for word, each in values.items() if each is status), None)


def _under(way: Way, items: list[Mapping[str, object]]) -> object:
    if not way:
        return items
    said: dict[str, object] = {}
    _put(said, way, items)
    return said


def _put(said: dict[str, object], way: Way, value: object) -> None:
    """Put ``value`` at the end of ``way``; what stands on it are names, and numbers of items."""
    here: dict[str, object] | list[object] = said
    for part, following in zip(way, [*way[1:], None], strict=True):
        inner: object = value if following is None else ([] if following.isdigit() else {})
        if isinstance(here, list):
            while len(here) <= int(part):
                here.append(None)
            if following is None or not isinstance(here[int(part)], dict | list):
                here[int(part)] = inner
            inner = here[int(part)]
        else:
            if following is None or not isinstance(here.get(part), dict | list):
                here[part] = inner
            inner = here[part]
        if isinstance(inner, dict | list):
            here = inner


def _given(call: Call, request: Request) -> dict[str, str] | None:
    """Return what is filled in for the placeholders of ``call``; None where the request is another call."""
    if request.method != call.method:
        return None
    path, _, query = call.url.partition("?")
    found = _matched(path, request.path, unquote)
    if found is None:
        return None
    for name, template in (*parse_qsl(query), *call.query.items()):
        found |= _matched(template, request.query.get(name, "")) or {}
    for name, template in call.headers.items():
        found |= _matched(template, request.headers.get(name.lower(), "")) or {}
    if call.json is not None:
        _gather(call.json, json.loads(request.body), found)
    for name, template in (call.form or {}).items():
        found |= _matched(template, dict(parse_qsl(request.body.decode())).get(name, "")) or {}
    return found


def _gather(template: Tree, said: object, found: dict[str, str]) -> None:
    if isinstance(template, str):
        found |= _matched(template, said if isinstance(said, str) else json.dumps(said)) or {}
    elif isinstance(template, tuple) and isinstance(said, list):
        for inner, each in zip(template, said, strict=False):
            _gather(inner, each, found)
    elif isinstance(template, Mapping) and isinstance(said, dict):
        for name, inner in template.items():
            _gather(inner, said.get(name), found)


def _matched(template: str, text: str, read: Callable[[str], str] = str) -> dict[str, str] | None:
    """Return what stands at the placeholders of ``template`` in ``text``; None: it is another text."""
    names, pattern, end = [], "", 0
    for place in PLACEHOLDER.finditer(template):
        names.append(place[1])
        pattern += re.escape(template[end : place.start()]) + "(.*)"
        end = place.end()
    match = re.fullmatch(pattern + re.escape(template[end:]), text, re.DOTALL)
    return None if match is None else dict(zip(names, map(read, match.groups()), strict=True))
