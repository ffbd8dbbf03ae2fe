"""Reading the description of a provider: a YAML file, for the transport ``generic``.

Every problem is located and says what would be right, as those of a flow. docs/generic.md has every key.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from convo.clock import Clock
from convo.errors import ConfigError
from convo.flow.problems import FlowError, Problem
from convo.flow.reader import MapNode, Node, Scalar, read_file
from convo.messages import Address, Status, to_address
from convo.runtime.config import ConfigProblems
from convo.runtime.config_shape import without_secrets
from convo.runtime.config_values import at
from convo.runtime.provider_values import METHODS, Parts
from convo.transports.generic import Generic, GenericPushed
from convo.transports.generic_description import (
    Auth,
    Body,
    Call,
    Description,
    Fields,
    Means,
    NumberFormat,
    Order,
    Outcome,
    Poll,
    Receipts,
    Send,
    Signature,
    TimeFormat,
    Webhook,
)
from convo.transports.url import check_url

TOP = ("provider", "about", "base_url", "auth", "numbers", "send", "poll", "webhook", "reserved_words")
CALL = ("method", "url", "headers", "query", "json", "form")
SEND = (*CALL, "id", "segments", "reason", "outcomes")
OUTCOME = ("status", "field", "is", "means")
FIELDS = ("id", "from", "to", "text", "sent")
POLL = (
    *CALL,
    "list",
    "fields",
    "sent_format",
    "only",
    "takes",
    "order",
    "next_page",
    "first_page",
    "since_format",
    "overlap",
    "look_back",
)
WEBHOOK = ("method", "body", "signature", "texts", "receipts", "answer")
TEXTS = ("when", "fields", "sent_format")
RECEIPTS = ("when", "id", "status", "values")
HMAC = ("header", "secret", "algorithm", "encoding", "signs", "prefix", "time", "within")
SENDING = ("to", "text", "number", "id", "webhook")
LISTING = ("number", "since", "page")
RECEIPT_STATUSES = (Status.SENT, Status.DELIVERED, Status.FAILED, Status.EXPIRED)


def create(*, channel: str, clock: Clock, environ: Mapping[str, str]) -> Generic:
    """Return the transport that GENERIC_DESCRIPTION describes; GENERIC_NUMBER is our number there.

    GENERIC_BASE_URL replaces the address of the description, for an emulator.

    Raises:
        ConfigError: settings are missing or wrong, or the description has problems.
    """
    written = environ.get("GENERIC_DESCRIPTION", "").strip()
    if not written:
        raise ConfigError("generic needs GENERIC_DESCRIPTION: the file that describes the provider")
    description = read_description(Path(written), environ)
    kind = Generic if description.webhook is None else GenericPushed
    return kind(description, channel=channel, clock=clock)


def read_description(path: Path, environ: Mapping[str, str] | None) -> Description:
    """Return what the file says, with its secrets from ``environ`` (None: they are not looked up).

    Raises:
        ConfigProblems: with every problem, located.
        ConfigError: GENERIC_NUMBER or GENERIC_BASE_URL makes no sense.
    """
    try:
        document = read_file(path)
    except FlowError as problem:
        raise ConfigProblems(problem.problems) from None
    problems: list[Problem] = []
    found = _Reading(problems, environ).description(document.root, str(path))
    if problems:
        lines = [without_secrets(line) for line in document.lines]
        raise ConfigProblems(each.located(str(path), lines) for each in problems)
    return found


class _Reading(Parts):
    """One file; a problem is noted and the reading goes on."""

    def description(self, root: Node, path: str) -> Description:
        keys = self.mapping(root, TOP, "at the top of the file")
        self.needed(root, keys, ("provider", "base_url", "send"), "at the top of the file")
        if isinstance(root, MapNode) and not {"poll", "webhook"} & set(keys):
            hint = "say how to poll, or what the webhook carries; both is best"
            self.add(
                "P005", "there is neither 'poll' nor 'webhook', so no text could come", at(root), hint=hint
            )
        environ = self.environ or {}
        base = self.address(keys.get(Scalar("base_url")))
        if instead := environ.get("GENERIC_BASE_URL", "").strip():
            base = check_url("GENERIC_BASE_URL", instead)
        format, region = NumberFormat.E164, "AU"
        if Scalar("numbers") in keys:
            numbers = self.mapping(keys[Scalar("numbers")], ("format", "region"), "under 'numbers'")
            format = self.kind(numbers.get(Scalar("format")), NumberFormat, format)
            region = self.region(numbers.get(Scalar("region")))
        number = environ.get("GENERIC_NUMBER", "").strip()
        if number.startswith(("+", "0")):
            try:
                number = to_address(number, region)
            except ValueError as problem:
                raise ConfigError(f"GENERIC_NUMBER: {problem}") from None
        send = keys.get(Scalar("send"))
        poll, webhook = keys.get(Scalar("poll")), keys.get(Scalar("webhook"))
        return Description(
            provider=self.text(keys.get(Scalar("provider"))) or "generic",
            path=path,
            base_url=base,
            auth=self.auth(keys.get(Scalar("auth"))),
            send=self.send(send) if send is not None else Send(Call("POST", ""), ()),
            number=Address(number),
            format=format,
            region=region,
            poll=None if poll is None else self.polled(poll),
            webhook=None if webhook is None else self.webhook(webhook),
            reserved_words=frozenset(
                each.upper() for each in self.words(keys.get(Scalar("reserved_words"))) or ()
            ),
        )

    def region(self, node: Node | None) -> str:
        text = self.text(node)
        if text is None:
            return "AU"
        if len(text) != 2 or not text.isascii() or not text.isupper():
            self.add("G004", f"'{text[:60]}' is no region", text, hint="write two letters, like AU or US")
        return str(text)

    def auth(self, node: Node | None) -> Auth:
        if node is None or node == "none":
            return Auth()
        kinds = ("basic", "bearer", "header", "oauth")
        if isinstance(node, Scalar):
            self.add("G004", f"'{node[:60]}' is no way to say who we are", node, expected=("none", *kinds))
            return Auth()
        keys = self.mapping(node, kinds, "under 'auth'")
        if isinstance(node, MapNode) and len(node) != 1:
            self.add("P005", "there is one way to say who we are", at(node), expected=kinds)
        for kind, value in keys.items():
            if kind == "bearer":
                return Auth(bearer=self.secret(value))
            wanted = {
                "basic": ("user", "password"),
                "header": ("name", "value"),
                "oauth": ("token_url", "client_id", "client_secret"),
            }[kind]
            held = self.mapping(value, (*wanted, *(("scope",) if kind == "oauth" else ())), f"under '{kind}'")
            self.needed(value, held, wanted, f"under '{kind}'")
            one, two = (held.get(Scalar(each)) for each in wanted[:2])
            if kind == "basic":
                user, password = self.secret(one), self.secret(two)
                return Auth(basic=(user, password) if user and password else None)
            if kind == "header":
                name, secret = self.header(one), self.secret(two)
                return Auth(header=(name, secret) if secret else None)
            url = self.address(one)
            if self.environ and (instead := self.environ.get("GENERIC_TOKEN_URL", "").strip()):
                url = check_url("GENERIC_TOKEN_URL", instead)
            client, secret = self.secret(two), self.secret(held.get(Scalar("client_secret")))
            scope = self.text(held.get(Scalar("scope"))) or ""
            return Auth(oauth=(url, client, secret, scope) if client and secret else None)
        return Auth()

    def call(self, node: Node, keys: Mapping[Scalar, Node], known: tuple[str, ...], method: str) -> Call:
        self.needed(node, keys, ("url",), "in a request")
        written = self.one_of(keys.get(Scalar("method")), METHODS)
        url = self.filled(keys.get(Scalar("url")), known)
        at_url = keys.get(Scalar("url"))
        if isinstance(at_url, Scalar) and url and not url.startswith("/"):
            hint = "the part behind base_url, beginning with /"
            self.add("P004", f"'{url[:60]}' does not begin with /", at_url, hint=hint)
        json, form = keys.get(Scalar("json")), keys.get(Scalar("form"))
        if json is not None and form is not None:
            self.add("P005", "a request has either 'json' or 'form', not both", at(form))
        body = None
        if json is not None:
            body = {str(key): self.tree(each, known) for key, each in self.mapping(json, None, "").items()}
        return Call(
            written or method,
            url,
            self.flat(keys.get(Scalar("headers")), known, headers=True),
            self.flat(keys.get(Scalar("query")), known),
            body,
            None if form is None else self.flat(form, known),
        )

    def send(self, node: Node) -> Send:
        keys = self.mapping(node, SEND, "under 'send'")
        self.needed(node, keys, ("id",), "under 'send'")
        call = self.call(node, keys, SENDING, "POST")
        whole = f"{call.url}{call.query}{call.json}{call.form}"
        if isinstance(node, MapNode):
            for each in ("to", "text"):
                if f"{{{each}}}" not in whole:
                    hint = "put it into url, query, json or form"
                    self.add("P005", f"'send' says nowhere {{{each}}}", at(node), hint=hint)
        listed = keys.get(Scalar("outcomes"))
        outcomes = [] if listed is None else self.outcomes(listed)
        return Send(
            call,
            self.path(keys.get(Scalar("id"))) or (),
            self.path(keys.get(Scalar("segments"))),
            self.path(keys.get(Scalar("reason"))),
            tuple(outcomes),
        )

    def outcomes(self, node: Node) -> list[Outcome]:
        if isinstance(node, MapNode | Scalar):
            self.add("G003", "a list belongs here", at(node), hint="- {status: 429, means: later}")
            return []
        found = []
        for each in node:
            keys = self.mapping(each, OUTCOME, "in an outcome")
            self.needed(each, keys, ("means",), "in an outcome")
            named = {str(key) for key in keys}
            if isinstance(each, MapNode) and (
                not named & {"status", "field"} or ("field" in named) != ("is" in named)
            ):
                hint = "for example {field: error.code, is: [E12], means: opted_out}"
                self.add("P005", "an outcome has a 'status', or a 'field' and 'is'", at(each), hint=hint)
            values = self.texts(keys[Scalar("is")]) if Scalar("is") in keys else ()
            found.append(
                Outcome(
                    self.kind(keys.get(Scalar("means")), Means, Means.UNKNOWN),
                    self.statuses(keys.get(Scalar("status"))),
                    self.path(keys.get(Scalar("field"))),
                    frozenset(str(value) for value in values),
                )
            )
        return found

    def fields(self, keys: Mapping[Scalar, Node], node: Node, when: Node | None) -> Fields:
        self.needed(node, keys, ("fields",), "where texts are described")
        written = keys.get(Scalar("fields"), MapNode())
        held = self.mapping(written, FIELDS, "under 'fields'")
        if Scalar("fields") in keys:
            self.needed(written, held, ("from", "text"), "under 'fields'")
        paths = {name: self.path(held.get(Scalar(name))) for name in FIELDS}
        time = self.kind(keys.get(Scalar("sent_format")), TimeFormat, TimeFormat.ISO)
        return Fields(
            paths["from"] or (),
            paths["text"] or (),
            paths["id"],
            paths["to"],
            paths["sent"],
            time,
            self.when(when),
        )

    def polled(self, node: Node) -> Poll:
        keys = self.mapping(node, POLL, "under 'poll'")
        self.needed(node, keys, ("list",), "under 'poll'")
        fields = self.fields(keys, node, keys.get(Scalar("only")))
        takes = Scalar("takes") in keys and bool(self.yes_or_no(keys[Scalar("takes")]))
        if isinstance(node, MapNode) and not takes and fields.id is None and fields.sent is None:
            hint = "name 'id' or 'sent' under 'fields', or say 'takes: yes' if a text is handed out only once"
            self.add("P005", "nothing tells a listed text from another", at(node), hint=hint)
        if Scalar("next_page") in keys and Scalar("first_page") in keys:
            self.add("P005", "pages are either counted or named, not both", at(keys[Scalar("next_page")]))
        first = self.text(keys.get(Scalar("first_page")))
        if first is not None and first not in ("0", "1"):
            self.add("G004", "the first page is 0 or 1", first)
        usual = Poll(Call("GET", ""), (), fields)
        return Poll(
            self.call(node, keys, LISTING, "GET"),
            self.path(keys.get(Scalar("list"))) or (),
            fields,
            takes,
            self.kind(keys.get(Scalar("order")), Order, Order.OLDEST_FIRST),
            self.path(keys.get(Scalar("next_page"))),
            int(first) if first in ("0", "1") else None,
            self.kind(keys.get(Scalar("since_format")), TimeFormat, TimeFormat.ISO),
            self.wait(keys.get(Scalar("overlap"))) or usual.overlap,
            self.wait(keys.get(Scalar("look_back"))) or usual.look_back,
        )

    def webhook(self, node: Node) -> Webhook:
        keys = self.mapping(node, WEBHOOK, "under 'webhook'")
        if isinstance(node, MapNode) and not {"texts", "receipts"} & set(keys):
            self.add("P005", "a webhook carries 'texts', 'receipts' or both", at(node))
        texts, receipts = keys.get(Scalar("texts")), keys.get(Scalar("receipts"))
        fields = None
        if texts is not None:
            held = self.mapping(texts, TEXTS, "under 'texts'")
            fields = self.fields(held, texts, held.get(Scalar("when")))
        answer = self.text(keys.get(Scalar("answer")))
        if answer is not None and answer not in ("200", "201", "202", "204"):
            self.add("P006", "what is taken is answered 200, 201, 202 or 204", answer)
        body = self.kind(keys.get(Scalar("body")), Body, Body.JSON)
        return Webhook(
            body,
            self.one_of(keys.get(Scalar("method")), METHODS) or ("GET" if body is Body.QUERY else "POST"),
            fields,
            None if receipts is None else self.receipts(receipts),
            self.signature(keys.get(Scalar("signature"))),
            int(answer) if answer in ("200", "201", "202", "204") else 200,
        )

    def receipts(self, node: Node) -> Receipts:
        keys = self.mapping(node, RECEIPTS, "under 'receipts'")
        self.needed(node, keys, ("id", "status", "values"), "under 'receipts'")
        values = {}
        for key, value in self.mapping(keys.get(Scalar("values"), MapNode()), None, "").items():
            found = self.one_of(value, RECEIPT_STATUSES)
            if found is not None:
                values[str(key)] = Status(found)
        return Receipts(
            self.path(keys.get(Scalar("id"))) or (),
            self.path(keys.get(Scalar("status"))) or (),
            values,
            self.when(keys.get(Scalar("when"))),
        )

    def signature(self, node: Node | None) -> Signature | None:
        if node is None or node == "none":
            return None
        keys = self.mapping(node, ("hmac", "header"), "under 'signature'")
        if isinstance(node, MapNode) and len(node) != 1:
            self.add("P005", "a webhook is signed in one way", at(node), expected=("hmac", "header", "none"))
        for kind, value in keys.items():
            held = self.mapping(
                value, HMAC if kind == "hmac" else ("header", "secret", "prefix"), f"of '{kind}'"
            )
            self.needed(value, held, ("header", "secret"), f"of '{kind}'")
            header, secret = self.header(held.get(Scalar("header"))), self.secret(held.get(Scalar("secret")))
            prefix = self.text(held.get(Scalar("prefix"))) or ""
            if secret is None:
                return None  # noted as a problem, so that it does not pass for an unsigned one
            if kind == "header":
                return Signature(header, secret, prefix=prefix)
            return Signature(
                header,
                secret,
                self.one_of(held.get(Scalar("algorithm")), ("sha1", "sha256", "sha512")) or "sha256",
                self.one_of(held.get(Scalar("encoding")), ("hex", "base64")) or "hex",
                self.filled(held.get(Scalar("signs")), ("body", "url", "header")) or "{body}",
                prefix,
                self.header(held.get(Scalar("time"))),
                self.wait(held.get(Scalar("within"))) or Signature("", secret).within,
            )
        return None
