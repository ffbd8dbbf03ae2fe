"""Any HTTP provider, by a description: what is asked, where in the answers things are, what they mean.

Nothing of the provider is here; it stands in a YAML file (docs/generic.md), which
``convo/runtime/provider.py`` reads and checks. GENERIC_DESCRIPTION names the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode, urljoin, urlsplit

from convo.clock import Clock
from convo.errors import ConfigError, CredentialsError, TransportError
from convo.messages import Address, Inbound, Outbound, Unreadable
from convo.transports.base import (
    BadCredentials,
    Batch,
    GiveUp,
    OptedOut,
    PushRequest,
    PushResult,
    RetryLater,
    SendResult,
    Sent,
    Unknown,
)
from convo.transports.generic_answers import (
    at,
    filled,
    fits,
    is_signed,
    meaning_of,
    message_of,
    read_push,
    receipt_of,
    texts,
    word,
    written_moment,
    written_number,
)
from convo.transports.generic_description import Call, Description, Fields, Means, Order, Poll, Webhook
from convo.transports.http import Answer, Door, NoAnswer, NotJSON
from convo.transports.oauth import ClientCredentials, Shelf, TokenSource

MOST_PAGES = 200


class Generic:
    """One number at a described provider; threads may poll, send and take pushes at the same time."""

    signs_pushes = False
    push_methods: frozenset[str] = frozenset()

    def __init__(
        self, description: Description, *, channel: str, clock: Clock, door: Door | None = None
    ) -> None:
        self.name = description.provider
        self.reserved_words = description.reserved_words
        self.only_pushed = description.poll is None
        self._it = description
        self._channel = channel
        self._clock = clock
        self._door = door or Door(clock, limit=8_000_000)
        self._push_url: str | None = None
        self._seen: dict[str, datetime] = {}
        self._tokens: TokenSource | None = None
        if description.auth.oauth is not None:
            url, name, secret, scope = description.auth.oauth
            who = ClientCredentials(name.value, secret.value, description.auth.variables)
            self._tokens = TokenSource(self._door, clock, url, who, scope)

    def __repr__(self) -> str:
        return f"<Generic {self.name!r} channel={self._channel!r}>"

    def share_tokens(self, shelf: Shelf) -> None:
        """Keep the access token, if there is one, where other processes with this account look for it."""
        if self._tokens is not None:
            self._tokens.share(shelf)

    def start(self) -> None:
        """See that texts can come at all, and get a token where there are tokens.

        Raises:
            ConfigError: the provider cannot be polled, and the channel is not set to push.
            CredentialsError, TransportError: see Transport.
        """
        if self.only_pushed and self._push_url is None:
            raise ConfigError(
                f"{self._it.path} describes no 'poll': set the channel {self._channel!r} to push"
            )
        if self._tokens is not None:
            self._tokens.get()

    def poll(self, cursor: str | None) -> Batch:
        """List what came since the cursor and a little before, or take what waits.

        Raises:
            CredentialsError, TransportError: see Transport.
        """
        how = self._it.poll
        if how is None:
            return Batch(cursor=cursor)
        return self._take(how, cursor) if how.takes else self._list(how, cursor)

    def _take(self, how: Poll, cursor: str | None) -> Batch:
        now = self._clock.now()
        answer = self._expect(self._ask(how.call, {}))
        try:
            items = at(how.list, answer.json())
        except NotJSON as problem:
            return Batch((), cursor, False, (Unreadable(answer.text, str(problem), now, whole=True),))
        if items is None or items == []:
            return Batch(cursor=cursor)
        items = items if isinstance(items, list) else [items]
        batch = self._read(items, how, now)
        return Batch(batch.messages, cursor, True, batch.unreadable)

    def _list(self, how: Poll, cursor: str | None) -> Batch:
        now = self._clock.now()
        first, mark = _read_cursor(cursor) or (now.replace(microsecond=0) - how.look_back, now)
        since = max(first, mark - how.overlap)
        items = [item for page in self._pages(how, since) for item in page]
        found = self._read(items, how, now)
        # A message without an id and a sent time cannot be told from another, so a listing needs one.
        messages = [one for one in found.messages if one.key and (one.sent_at or now) >= since]
        messages.sort(key=lambda one: one.sent_at or now)
        new = [one for one in messages if one.key not in self._seen]
        odd = [one for one in found.unreadable if one.raw not in self._seen]
        oldest = now - how.overlap - timedelta(days=1)
        self._seen = {key: moment for key, moment in self._seen.items() if moment >= oldest}
        self._seen.update({one.key or "": now for one in new} | {one.raw: now for one in odd})
        newest = max([mark, *(min(one.sent_at, now) for one in messages if one.sent_at)])
        cursor = json.dumps([first.isoformat(), newest.isoformat()])
        return Batch(tuple(new), cursor, False, tuple(odd))

    def _read(self, items: list[object], how: Poll, now: datetime) -> Batch:
        messages, odd = [], []
        for item in reversed(items) if how.order is Order.NEWEST_FIRST else items:
            if not fits(how.fields.when, item):
                continue
            message = self._message(item, how.fields, now)
            listed = how.takes or (message is not None and message.key is not None)
            if message is not None and listed:
                messages.append(message)
            else:
                odd.append(Unreadable(json.dumps(item), "an entry of a listing makes no sense", now))
        return Batch(tuple(messages), unreadable=tuple(odd))

    def _message(self, said: object, fields: Fields, now: datetime) -> Inbound | None:
        it = self._it
        return message_of(
            said,
            fields,
            channel=self._channel,
            number=it.number,
            format=it.format,
            region=it.region,
            now=now,
        )

    def _pages(self, how: Poll, since: datetime) -> Iterator[list[object]]:
        page, url = how.first_page, None
        for _ in range(MOST_PAGES):
            values = {"since": written_moment(since, how.since), "page": "" if page is None else str(page)}
            answer = self._expect(self._ask(how.call, values, url))
            try:
                said = answer.json()
            except NotJSON as problem:
                raise TransportError(f"the poll failed: {problem}") from None
            items = at(how.list, said)
            if not isinstance(items, list):
                raise TransportError("the poll failed: the answer has no list where the description says")
            yield items
            url = word(how.next_page, said)
            if how.next_page is not None and url:
                url = urljoin(f"{self._it.base_url}/", url)
                if urlsplit(url)[:2] != urlsplit(self._it.base_url)[:2]:
                    raise TransportError("the poll failed: the next page is none of this provider")
            elif page is not None and items:
                page += 1
            else:
                return
        raise TransportError("the poll failed: the list has no end")

    def send(self, outbound: Outbound) -> SendResult:
        """Hand one outbound over."""
        it, how = self._it, self._it.send
        values = {
            "to": written_number(outbound.recipient, it.format, it.region),
            "text": outbound.text,
            "id": str(outbound.id),
            "webhook": self._push_url or "",
        }
        try:
            answer = self._ask(how.call, values)
        except CredentialsError as problem:
            return BadCredentials(str(problem))
        except TransportError as problem:
            return RetryLater(str(problem), problem.retry_after)
        if isinstance(answer, NoAnswer):
            return Unknown(answer.reason) if answer.may_have_arrived else RetryLater(answer.reason)
        return self._sent(answer)

    def _sent(self, answer: Answer) -> SendResult:
        how, status = self._it.send, answer.status
        try:
            said: object = answer.json()
        except NotJSON:
            said = None
        code = word(how.reason, said)
        reason = f"{self.name} answered {status}"
        if code and re.fullmatch(r"[0-9]{1,6}|[A-Za-z][A-Za-z_]{0,39}", code):
            reason += f" ({code})"
        name = word(how.id, said)
        match meaning_of(how.outcomes, status, said) or _usual(status):
            case Means.SENT if name:
                count = word(how.segments, said) or ""
                return Sent(name, int(count) if count.isascii() and count.isdigit() else None)
            case Means.LATER:
                return RetryLater(reason, answer.retry_after(self._clock.now()))
            case Means.OPTED_OUT:
                return OptedOut(reason)
            case Means.CREDENTIALS:
                return BadCredentials(f"{reason}; check {self._it.auth.variables}")
            case Means.GIVE_UP:
                return GiveUp(reason)
            case Means.SENT:
                return Unknown(f"{reason}, without an id where the description says")
            case _:
                return Unknown(reason)

    def close(self) -> None:
        """Let go of the connections."""
        self._door.close()

    def push_to(self, url: str | None) -> None:
        """Fill ``url`` in for ``{webhook}``; where texts go is otherwise the provider's own setting."""
        self._push_url = url

    def _ask(self, call: Call, values: Mapping[str, str], url: str | None = None) -> Answer | NoAnswer:
        it = self._it
        values = {"number": written_number(Address(it.number), it.format, it.region), **values}
        if url is None:
            path = str(filled(call.url, {key: quote(each, safe="") for key, each in values.items()}))
            url = path if "://" in path else it.base_url + path
            query = urlencode(texts(call.query, values))
            url = f"{url}{'&' if '?' in url else '?'}{query}" if query else url
        body = None if call.json is None else filled(call.json, values)
        form = None if call.form is None else texts(call.form, values)
        headers = texts(call.headers, values)
        basic, bearer = it.auth.basic, it.auth.bearer
        if it.auth.header is not None:
            headers[it.auth.header[0]] = it.auth.header[1].value

        def ask(token: str | None) -> Answer | NoAnswer:
            return self._door.exchange(
                call.method,
                url or "",
                bearer=token,
                basic=None if basic is None else (basic[0].value, basic[1].value),
                form=form,
                json_body=body if isinstance(body, dict) else None,
                headers=headers,
            )

        if self._tokens is None:
            return ask(None if bearer is None else bearer.value)
        token = self._tokens.get()
        answer = ask(token)
        if isinstance(answer, Answer) and answer.status == 401:
            return ask(self._tokens.get(refused=token))
        return answer

    def _expect(self, answer: Answer | NoAnswer) -> Answer:
        if isinstance(answer, NoAnswer):
            raise TransportError(f"the poll failed: {answer.reason}")
        if 200 <= answer.status < 300:
            return answer
        message = f"the poll failed: {self.name} answered {answer.status}"
        if answer.status in (401, 403):
            raise CredentialsError(f"{message}; check {self._it.auth.variables}")
        raise TransportError(message, retry_after=answer.retry_after(self._clock.now()))


class GenericPushed(Generic):
    """One number at a described provider that can call a webhook of ours."""

    def __init__(
        self, description: Description, *, channel: str, clock: Clock, door: Door | None = None
    ) -> None:
        super().__init__(description, channel=channel, clock=clock, door=door)
        self._webhook = description.webhook or Webhook()
        self.signs_pushes = self._webhook.signature is not None
        self.push_methods = frozenset({self._webhook.method})

    def received(self, request: PushRequest) -> PushResult:
        """Read a call to our webhook; without the signature that is described it is refused."""
        how, now = self._webhook, self._clock.now()
        if how.signature is not None and not is_signed(request, how.signature, now):
            return PushResult(status=403)
        said = read_push(request, how.body)
        if said is None:
            return PushResult(status=400)
        if how.receipts is not None and fits(how.receipts.when, said):
            receipt = receipt_of(said, how.receipts, self._channel, now)
            if receipt is not None:
                return PushResult(Batch(receipts=(receipt,)), how.answer)
        if how.texts is not None and fits(how.texts.when, said):
            message = self._message(said, how.texts, now)
            if message is not None:
                return PushResult(Batch(messages=(message,)), how.answer)
        elif how.texts is None or how.texts.when:
            # It says itself that it is no text: an event that nobody described is nothing to keep.
            return PushResult(status=how.answer)
        aside = Unreadable(json.dumps(said), "the push is neither a text nor a receipt", now)
        return PushResult(Batch(unreadable=(aside,)), how.answer)


def _usual(status: int) -> Means:
    """Return what a status means that is not described; where it may have left, that is unknown."""
    if 200 <= status < 300:
        return Means.SENT
    if status in (401, 403):
        return Means.CREDENTIALS
    if status in (429, 503):
        return Means.LATER
    return Means.UNKNOWN if status >= 500 or status == 408 else Means.GIVE_UP


def _read_cursor(cursor: str | None) -> tuple[datetime, datetime] | None:
    """Return when this channel began, and the newest message it has seen."""
    try:
        first, mark = json.loads(cursor or "")
        return datetime.fromisoformat(first), datetime.fromisoformat(mark)
    except (ValueError, TypeError):
        return None
