"""Walking v3's listing of messages, whatever order, page size and meaning of ``offset`` it has.

The descriptions disagree: an offset counts pages in one sentence and messages in another, the newest
versions take a ``startTime`` that the older ones do not know, and nothing says what no message looks
like. So what comes twice or is too old is dropped here, and what ``offset`` means is found out by asking.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from convo.errors import TransportError
from convo.transports.http import Answer, NotJSON
from convo.transports.telstra_v3_answers import Entry, Page, code_of, read_page, stamp_of

LIMIT = 50
"""The most that a page may hold; a page without a limit holds ten."""
MOST_PAGES = 1000
KEPT = timedelta(days=30) - timedelta(minutes=5)
"""Telstra lists thirty days, and refuses a startTime before that (our clock may be a little behind)."""
_USUAL_PAGE = 10
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """What a walk brought: entries from oldest to newest, and the text of those that make no sense."""

    entries: tuple[Entry, ...]
    odd: tuple[str, ...] = ()


class Listing:
    """The messages of the account. ``ask`` gets a path and returns whatever answer came, or raises."""

    def __init__(self, ask: Callable[[str], Answer], expect: Callable[[Answer], Answer]) -> None:
        self._ask = ask
        self._expect = expect
        self._knows_start = True
        self._counts_pages: bool | None = None

    def walk(
        self, asked: Mapping[str, str], since: datetime, now: datetime, *, beginning: bool = False
    ) -> Found:
        """Return all messages that ``asked`` matches from ``since`` on, at most those that are kept.

        ``beginning``: of a listing from old to new that is too long, its first pages will do.

        Raises:
            ConvoError: what ``ask`` and ``expect`` raise.
            TransportError: an answer is no listing, or the listing has no end.
        """
        since = max(since, now - KEPT)
        entries: dict[str, Entry] = {}
        odd: dict[str, None] = {}
        offset, page = 0, self._page(asked, since, 0)
        for _ in range(MOST_PAGES):
            new = self._take(page, entries, odd)
            if not new or not _goes_on(page):
                return _found(entries, odd, since)
            offset, page = self._next(asked, since, offset, page, entries)
        listed = list(entries.values())
        if beginning and listed and listed[0].at >= since and listed[0].at < listed[-1].at:
            return _found(entries, odd, since)
        raise TransportError("the listing has no end")

    def _take(self, page: Page, entries: dict[str, Entry], odd: dict[str, None]) -> int:
        before = len(entries) + len(odd)
        for each in page.entries:
            entries.setdefault(_name(each), each)
        odd.update(dict.fromkeys(page.odd))
        return len(entries) + len(odd) - before

    def _next(
        self,
        asked: Mapping[str, str],
        since: datetime,
        offset: int,
        page: Page,
        entries: Mapping[str, Entry],
    ) -> tuple[int, Page]:
        if page.next_offset is not None and page.next_offset > offset:
            return page.next_offset, self._page(asked, since, page.next_offset)
        if self._counts_pages is None and page.size > 1:
            # One further on: nearly the same messages again, or quite others?
            probe = self._page(asked, since, offset + 1)
            known = sum(_name(each) in entries for each in probe.entries)
            self._counts_pages = known * 2 < max(probe.size, 1)
            if self._counts_pages:
                return offset + 1, probe
        step = 1 if self._counts_pages else page.size
        return offset + step, self._page(asked, since, offset + step)

    def _page(self, asked: Mapping[str, str], since: datetime, offset: int) -> Page:
        query = {**asked, "limit": str(LIMIT), "offset": str(offset)}
        started = {**query, "startTime": stamp_of(since)} if self._knows_start else query
        answer = self._ask(f"/messages?{urlencode(started)}")
        if (
            answer.status == 400
            and self._knows_start
            and code_of(answer) in ("FIELD_INVALID", "TIMEFRAME_ERR")
        ):
            _log.info("Telstra's listing takes no startTime; all that it keeps is listed instead")
            self._knows_start = False
            answer = self._ask(f"/messages?{urlencode(query)}")
        try:
            return read_page(self._expect(answer))
        except NotJSON as problem:
            raise TransportError(f"the messages cannot be listed: {problem}") from None


def _found(entries: Mapping[str, Entry], odd: Iterable[str], since: datetime) -> Found:
    kept = [each for each in entries.values() if each.at >= since]
    # Of one moment: in the order of the listing, if that is from old to new.
    if len(kept) > 1 and kept[0].at > kept[-1].at:
        kept.reverse()
    kept.sort(key=lambda each: each.at)
    return Found(tuple(kept), tuple(odd))


def _name(entry: Entry) -> str:
    return entry.message_id or entry.raw


def _goes_on(page: Page) -> bool:
    """Whether there may be another page: short ones do not end a listing that says, or may mean, more."""
    if not page.size:
        return False
    if page.more is None:
        return page.size >= _USUAL_PAGE
    return page.more or page.size >= LIMIT
