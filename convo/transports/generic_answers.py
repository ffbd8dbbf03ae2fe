"""Pure functions between a description and a provider: fill in, look up, read messages and signatures."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from convo.messages import Address, Inbound, Receipt
from convo.transports.base import PushRequest
from convo.transports.generic_description import (
    Body,
    Fields,
    Means,
    NumberFormat,
    Outcome,
    Path,
    Receipts,
    Signature,
    TimeFormat,
    Tree,
)
from convo.transports.numbers import read_number

PLACEHOLDER = re.compile(r"\{([a-z_]+(?::[A-Za-z0-9-]+)?)\}")
MOST_FIELDS = 200
_SCALARS = (str, int, float)


def filled(template: Tree, values: Mapping[str, str]) -> object:
    """Return ``template`` with its placeholders filled in; what is filled in is not looked at again."""
    if isinstance(template, str):
        return PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), template)
    if isinstance(template, tuple):
        return [filled(each, values) for each in template]
    return {key: filled(each, values) for key, each in template.items()}


def texts(template: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """Return a flat template filled in; what is blank then is left out."""
    made = {key: str(filled(each, values)) for key, each in template.items()}
    return {key: each for key, each in made.items() if each}


def at(path: Path, said: object) -> object:
    """Return what stands at ``path``, None where there is nothing."""
    for part in path:
        if isinstance(said, dict):
            said = said.get(part)
        elif isinstance(said, list) and part.isdigit() and int(part) < len(said):
            said = said[int(part)]
        else:
            return None
    return said


def word(path: Path | None, said: object) -> str | None:
    """Return the text or number at ``path`` as text, None where there is none."""
    found = None if path is None else at(path, said)
    if isinstance(found, bool):
        return "true" if found else "false"
    return whole(str(found)) if isinstance(found, _SCALARS) else None


def whole(text: str) -> str:
    """Replace half surrogates, which JSON can carry and no store can."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def fits(when: Mapping[Path, frozenset[str]], said: object) -> bool:
    """Return whether each path holds one of its values."""
    return all(word(path, said) in values for path, values in when.items())


def meaning_of(outcomes: tuple[Outcome, ...], status: int, said: object) -> Means | None:
    """Return what the first outcome that fits says, None where none does."""
    for each in outcomes:
        if each.statuses and not any(status in one for one in each.statuses):
            continue
        if each.field is not None and word(each.field, said) not in each.values:
            continue
        return each.means
    return None


def written_number(address: str, format: NumberFormat, region: str) -> str:
    """Return a number as the provider wants it; what is no phone number (a sender's name) as it is."""
    if format is NumberFormat.E164 or not address.startswith("+"):
        return address
    if format is NumberFormat.DIGITS:
        return address.removeprefix("+")
    import phonenumbers

    number = phonenumbers.parse(address, region)
    if phonenumbers.region_code_for_country_code(number.country_code or 0) != region:
        return address
    national = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
    return re.sub(r"[^0-9]", "", national)


def read_moment(text: str | None, format: TimeFormat) -> datetime | None:
    """Return the moment, None where it cannot be read."""
    if not text:
        return None
    try:
        if format is TimeFormat.ISO:
            moment = datetime.fromisoformat(text.strip())
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        seconds = float(text) / (1000 if format is TimeFormat.UNIX_MS else 1)
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def written_moment(moment: datetime, format: TimeFormat) -> str:
    """Return a moment as the provider wants it."""
    if format is TimeFormat.ISO:
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(int(moment.timestamp() * (1000 if format is TimeFormat.UNIX_MS else 1)))


def message_of(
    said: object,
    fields: Fields,
    *,
    channel: str,
    number: str,
    format: NumberFormat,
    region: str,
    now: datetime,
) -> Inbound | None:
    """Return the text that ``said`` holds, None where it cannot be read."""
    sender, text = word(fields.sender, said), word(fields.text, said)
    if not sender or not sender.strip() or text is None:
        return None
    recipient, bare = word(fields.recipient, said), format is NumberFormat.DIGITS
    return Inbound(
        channel=channel,
        sender=read_number(sender, region, bare=bare),
        recipient=read_number(recipient, region, bare=bare) if recipient else Address(number),
        text=text,
        received_at=now,
        sent_at=read_moment(word(fields.sent, said), fields.time),
        provider_id=(word(fields.id, said) or "").strip(),
        raw=json.dumps(said),
    )


def receipt_of(said: object, receipts: Receipts, channel: str, now: datetime) -> Receipt | None:
    """Return the receipt that ``said`` is; None where it has no id, or a status that is not described."""
    name, status = word(receipts.id, said), receipts.values.get(word(receipts.status, said) or "")
    if not name or status is None:
        return None
    return Receipt(channel, name, status, now, json.dumps(said))


def read_push(request: PushRequest, body: Body) -> object:
    """Return the fields of a call to our webhook, None where it has none."""
    try:
        if body is Body.JSON:
            said: object = json.loads(request.body)
            return said if isinstance(said, dict) else None
        written = request.query if body is Body.QUERY else request.body.decode("utf-8")
        return dict(parse_qsl(written, keep_blank_values=True, max_num_fields=MOST_FIELDS)) or None
    except (ValueError, RecursionError):
        return None


def signed_part(signs: str, request: PushRequest) -> bytes:
    """Return what of a call the signature covers."""
    signed = b""
    for part in re.split(r"(\{[^{}]*\})", signs):
        if part == "{body}":
            signed += request.body
        elif part == "{url}":
            signed += request.url.encode("utf-8", "replace")
        elif part.startswith("{header:"):
            signed += request.headers.get(part[8:-1].lower(), "").encode("utf-8", "replace")
        else:
            signed += part.encode()
    return signed


def is_signed(request: PushRequest, how: Signature, now: datetime) -> bool:
    """Return whether the call is from whoever knows the secret, and (where it says when) of now."""
    given = request.headers.get(how.header.lower(), "").strip().encode("utf-8", "replace")
    if not how.algorithm:
        return hmac.compare_digest((how.prefix + how.secret.value).encode(), given)
    if how.time_header:
        stamp = request.headers.get(how.time_header.lower(), "").strip()
        moment = read_moment(stamp, TimeFormat.UNIX) if re.fullmatch(r"[0-9]{1,12}", stamp) else None
        if moment is None or abs(now - moment) > how.within:
            return False
    signed = signed_part(how.signs, request)
    digest = hmac.new(how.secret.value.encode(), signed, getattr(hashlib, how.algorithm)).digest()
    if how.encoding == "hex":
        scheme = how.prefix.encode()
        if not given.startswith(scheme):
            return False
        return hmac.compare_digest(digest.hex().encode(), given[len(scheme) :].lower())
    return hmac.compare_digest(how.prefix.encode() + b64encode(digest), given)
