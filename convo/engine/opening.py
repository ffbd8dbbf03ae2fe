"""Which conversation an event belongs to: opt-out, keywords, opening, what comes after an end. Pure.

A channel has a default flow and flows that are opened by their keywords; a sender has at most one
open conversation on it. ``answer`` is what the runtime asks for every message, timer and opening.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache

from convo.engine.conversation import (
    CallAnswered,
    Consent,
    ConsentKind,
    Conversation,
    Event,
    Received,
    Started,
    Step,
    TimerFired,
)
from convo.engine.machine import CompiledFlow
from convo.engine.said import built_in_text, listed
from convo.engine.step import moment_of, opened, repeated, said_instead, step
from convo.errors import ConvoError
from convo.flow.answer_words import OR
from convo.flow.model import Flow
from convo.flow.triggers import fold, matches, value_of
from convo.flow.values import Value
from convo.messages import Address, Outbound, OutboundKind

OPT_OUT_WORDS = ("STOP", "STOPALL", "UNSUBSCRIBE", "QUIT", "END", "CANCEL")
"""What leaves a channel unless a flow says otherwise: the words that carriers take, so people know them."""

OPT_IN_WORDS = ("START", "UNSTOP")
"""What comes back to a channel; they mean this only while the sender is opted out."""


class StateGone(ConvoError):
    """A conversation waits in a state that its flow no longer has, and ``moved`` does not say where to go."""


class NoFlow(ConvoError):
    """Nothing on this channel answers: no default flow, and the text is no keyword."""


class NotGiven(ConvoError):
    """A conversation that we start lacks data that its flow has to be given."""


@dataclass(frozen=True, slots=True)
class Keyword:
    """A keyword as it was sent: the flow it opens, the language it is a word of, the value it brings."""

    flow: str
    language: str
    value: Value | None = None


@dataclass(frozen=True)
class ChannelFlows:
    """The flows that one channel serves, by name; ``default`` opens for any text that is no keyword."""

    channel: str
    flows: Mapping[str, CompiledFlow]
    default: str | None = None
    opt_out: tuple[str, ...] = OPT_OUT_WORDS
    opt_in: tuple[str, ...] = OPT_IN_WORDS
    keywords: Mapping[str, Keyword] = field(init=False)

    def __post_init__(self) -> None:
        """Work out which folded keyword opens which flow, in which language."""
        found: dict[str, Keyword] = {}
        for name, compiled in self.flows.items():
            flow = compiled.flow
            for language, words in {**flow.twin_keywords, flow.language: flow.keywords}.items():
                found |= {fold(word): Keyword(name, language) for word in words}
        object.__setattr__(self, "keywords", found)

    def keyword_of(self, text: str) -> Keyword | None:
        """Return the keyword that a text is, with its value where it takes one."""
        folded = fold(text)
        plain = self.keywords.get(folded)
        for name, compiled in self.flows.items():
            for word, matcher in compiled.flow.keyword_values.items():
                start = fold(word) + " "
                rest = folded[len(start) :]
                if folded.startswith(start) and rest and matches(matcher, rest):
                    # The value is taken as it was typed, after the word.
                    typed = text.strip().split(None, word.count(" ") + 1)[-1]
                    return Keyword(name, compiled.flow.language, value_of(matcher, typed))
        if plain is None:
            return None
        needs = plain.flow in self.flows and _word_in(folded, self.flows[plain.flow].flow)
        return None if needs else plain

    def opt_out_words(self, conversation: Conversation | None) -> frozenset[str]:
        """Return the folded words that mean "leave me alone" to this sender now."""
        name = conversation.flow if conversation is not None and conversation.is_open else self.default
        compiled = self.flows.get(name) if name is not None else None
        own = compiled.flow.opt_out if compiled is not None else None
        return _folded(self.opt_out if own is None else own)

    def opt_in_words(self, conversation: Conversation | None) -> frozenset[str]:
        """Return the folded words that take an opt-out back: those that its confirmation named."""
        return _folded(self.named_opt_in(self.consented(conversation)))

    def named_opt_in(self, compiled: CompiledFlow) -> tuple[str, ...]:
        """Return the words that take an opt-out back, as a flow says them."""
        return self.opt_in if compiled.flow.opt_in is None else compiled.flow.opt_in

    def consented(self, conversation: Conversation | None) -> CompiledFlow:
        """Return the flow in whose words an opt-out or opt-in is confirmed."""
        name = conversation.flow if conversation is not None else self.default
        return self.flows.get(name or "") or next(iter(self.flows.values()))


@cache
def _folded(words: tuple[str, ...]) -> frozenset[str]:
    """Return the words of an author as texts are compared with them."""
    return frozenset(fold(word) for word in words)


def answer(
    flows: ChannelFlows,
    sender: Address,
    conversation: Conversation | None,
    event: Event,
    now: datetime,
    *,
    opted_out: bool,
) -> tuple[Step, ...]:
    """Return the steps that ``event`` makes, in order; none where it changes nothing and needs no reply.

    ``conversation`` is the sender's open one, else the last that ended, else None.

    Raises:
        StateGone: the conversation waits in a state that is gone; the message says what to write.
        NoFlow: no flow of the channel answers.
    """
    if isinstance(event, Received):
        return _received(flows, sender, conversation, event, now, opted_out)
    if isinstance(event, Started):
        return _started(flows, sender, conversation, event, now, opted_out)
    return _due(flows, conversation, event, now)


def _due(
    flows: ChannelFlows, conversation: Conversation | None, event: TimerFired | CallAnswered, now: datetime
) -> tuple[Step, ...]:
    """Step a timer, or the answer of a service; nothing where the conversation has gone on."""
    if conversation is None or not conversation.is_open or event.entry != conversation.entry:
        return ()
    compiled = flows.flows.get(conversation.flow)
    if compiled is None:
        return ()
    taken = step(compiled, _in_a_known_state(compiled, conversation), event, now)
    return () if taken is None else (taken,)


def _received(
    flows: ChannelFlows,
    sender: Address,
    conversation: Conversation | None,
    event: Received,
    now: datetime,
    opted_out: bool,
) -> tuple[Step, ...]:
    word = fold(event.text)
    if word in flows.opt_out_words(conversation):
        return () if opted_out else _opt_out(flows, sender, conversation, event, now)
    if opted_out:
        return (
            _opt_in(flows, sender, conversation, event, now)
            if word in flows.opt_in_words(conversation)
            else ()
        )
    if conversation is None or not conversation.is_open:
        return _open_by_text(flows, sender, conversation, event, now)
    compiled = flows.flows.get(conversation.flow)
    if compiled is None:
        left = _ended(conversation, event, now, "left", f"this channel does not serve {conversation.flow}")
        return (left, *_open_by_text(flows, sender, left.conversation, event, now))
    current = _in_a_known_state(compiled, conversation)
    keyword = flows.keyword_of(event.text)
    taken = step(compiled, current, event, now, keywords=() if keyword is None else (word,))
    if taken is not None or keyword is None:
        return () if taken is None else (taken,)
    if keyword.flow == conversation.flow:
        return (repeated(compiled, current, event, now),)
    if _takes_any_text(compiled, current) and conversation.leaving != word:
        text = built_in_text(compiled, "leave", {"word": event.text.strip()}, conversation.language)
        return (said_instead(compiled, current, event, now, text, word),)
    left = _ended(conversation, event, now, "left", f"sent the keyword of {keyword.flow}")
    return (left, *_open_by_text(flows, sender, left.conversation, event, now))


def _takes_any_text(compiled: CompiledFlow, conversation: Conversation) -> bool:
    """Return whether the state would take any words at all for an answer."""
    state = compiled.flow.states.get(conversation.state)
    question = state.question if state is not None else None
    if question is not None and question.answer is not None:
        return question.answer.kind in ("text", "anything")
    rules = state.rules if state is not None else ()
    return any(matcher.kind == "text" for rule in rules for matcher in rule.matchers)


def _open_by_text(
    flows: ChannelFlows, sender: Address, last: Conversation | None, event: Received, now: datetime
) -> tuple[Step, ...]:
    by_keyword = flows.keyword_of(event.text)
    name = by_keyword.flow if by_keyword is not None else flows.default
    compiled = flows.flows.get(name) if name is not None else None
    if compiled is None or compiled.flow.needs_data:
        ended = flows.flows.get(last.flow) if last is not None else None
        if last is not None and ended is not None and last.ended != "left":
            # What nobody but we can open again is over, and that is said once.
            return () if last.closed_told else (_over(ended, last, event, now),)
        if compiled is not None:
            raise NoFlow(f"only we begin '{compiled.flow.name}': it has to be given data, with convo start")
        raise NoFlow("no flow of this channel is opened by this text: name a default flow or a keyword")
    if by_keyword is not None:
        return (_open(compiled, flows.channel, sender, last, event, now, keyword=by_keyword),)
    over = last is not None and last.flow == compiled.flow.name and last.ended not in ("left", "opted out")
    if over and last is not None and compiled.flow.keywords and not compiled.flow.restart:
        return () if last.closed_told else (_over(compiled, last, event, now),)
    return (_open(compiled, flows.channel, sender, last, event, now, greet=False),)


def _started(
    flows: ChannelFlows,
    sender: Address,
    conversation: Conversation | None,
    event: Started,
    now: datetime,
    opted_out: bool,
) -> tuple[Step, ...]:
    """We open a conversation; refused, without a step, where one is open or the person has opted out."""
    compiled = flows.flows.get(event.flow)
    if compiled is None:
        raise NoFlow(f"this channel does not serve the flow '{event.flow}'")
    served = conversation is not None and conversation.flow in flows.flows
    if opted_out or (conversation is not None and conversation.is_open and served):
        return ()
    missing = [
        datum.name
        for datum in compiled.flow.data.values()
        if datum.given and datum.first is None and datum.name not in event.given
    ]
    if missing:
        names = listed(missing)
        raise NotGiven(f"'{event.flow}' has to be given {names}: start it with --set {missing[0]}=…")
    if conversation is not None and conversation.is_open:
        left = _ended(conversation, event, now, "left", f"this channel does not serve {conversation.flow}")
        return (left, _open(compiled, flows.channel, sender, left.conversation, event, now, greet=True))
    return (_open(compiled, flows.channel, sender, conversation, event, now, greet=True),)


def _open(
    compiled: CompiledFlow,
    channel: str,
    sender: Address,
    last: Conversation | None,
    event: Event,
    now: datetime,
    *,
    greet: bool = False,
    keyword: Keyword | None = None,
) -> Step:
    number = last.number + 1 if last is not None else 1
    moment, _ = moment_of(event, now, None)
    new = opened(compiled, channel, sender, number, event, moment, last)
    if keyword is not None and keyword.language in compiled.flow.languages:
        spoken = new.language if keyword.language == compiled.flow.language else keyword.language
        new = replace(new, language=spoken)
    # A keyword is used up by the opening: what is entered then sees no text to match.
    cause: Event = event
    if keyword is not None:
        cause = Started(compiled.flow.name)
    taken = step(
        compiled,
        new,
        cause,
        moment,
        greet=greet or keyword is not None,
        by_keyword=keyword is not None,
        value=keyword_value(keyword),
    )
    if taken is None:
        raise AssertionError("a step without keywords always answers")
    outbound = taken.outbound
    if keyword is not None:
        outbound = tuple(_asked_for(each) for each in outbound)
    return replace(taken, event=event, outbound=outbound)


def keyword_value(keyword: Keyword | None) -> Value | None:
    """Return the value that a keyword brought."""
    return keyword.value if keyword is not None else None


def _asked_for(outbound: Outbound) -> Outbound:
    """Return what a keyword brought about as the reply that it is: it waits for no time of quiet."""
    if outbound.kind is not OutboundKind.OPENING:
        return outbound
    return replace(outbound, kind=OutboundKind.REPLY, not_before=None)


def _word_in(folded: str, flow: Flow) -> bool:
    """Return whether a keyword only means something together with its value."""
    return folded in map(fold, flow.keyword_values) and folded not in map(fold, flow.keywords_alone)


def _in_a_known_state(compiled: CompiledFlow, conversation: Conversation) -> Conversation:
    """Return the conversation in a state that the Machine has, following ``moved``."""
    state = conversation.state
    if compiled.has_state(state):
        return conversation
    moved = compiled.flow.moved_to(state)
    if moved is not None and compiled.has_state(moved):
        return replace(conversation, state=moved)
    file = compiled.flow.path or compiled.flow.name
    raise StateGone(
        f"the conversation waits in state '{state}', which {file} no longer has;"
        f" write 'moved: {{{state}: NEW_STATE}}' in the flow to say where such conversations go on,"
        " then: convo inbox retry"
    )


def _ended(conversation: Conversation, event: Event, now: datetime, disposition: str, note: str) -> Step:
    moment, notes = moment_of(event, now, conversation)
    return Step(
        conversation=replace(
            conversation,
            ended=disposition,
            ended_at=moment,
            now_at=moment,
            steps=conversation.steps + 1,
        ),
        event=event,
        now=moment,
        state_before=conversation.state,
        notes=(*notes, note),
    )


def _over(compiled: CompiledFlow, last: Conversation, event: Received, now: datetime) -> Step:
    """Say once that the conversation is over; after that only a keyword, or we, open a new one."""
    moment, notes = moment_of(event, now, last)
    flow = compiled.flow
    spoken = flow.twin_keywords.get(last.language, flow.keywords)
    words = listed([] if flow.needs_data else list(dict.fromkeys(spoken)), last.language, OR)
    text = built_in_text(compiled, "over", {"words": words}, last.language)
    return Step(
        conversation=replace(last, closed_told=True, steps=last.steps + 1),
        event=event,
        now=moment,
        state_before=last.state,
        outbound=(Outbound(last.channel, last.sender, text),),
        notes=(*notes, "the conversation is over"),
    )


def _opt_out(
    flows: ChannelFlows, sender: Address, conversation: Conversation | None, event: Received, now: datetime
) -> tuple[Step, ...]:
    return _consent(flows, sender, conversation, event, now, ConsentKind.OPT_OUT, "opted_out")


def _opt_in(
    flows: ChannelFlows, sender: Address, conversation: Conversation | None, event: Received, now: datetime
) -> tuple[Step, ...]:
    return _consent(flows, sender, conversation, event, now, ConsentKind.OPT_IN, "opted_in")


def _consent(
    flows: ChannelFlows,
    sender: Address,
    conversation: Conversation | None,
    event: Received,
    now: datetime,
    kind: ConsentKind,
    text: str,
) -> tuple[Step, ...]:
    """Enter the change in the ledger, end the open conversation, and confirm it with one message."""
    compiled = flows.consented(conversation)
    moment, _ = moment_of(event, now, conversation)
    if conversation is None:
        conversation = replace(
            opened(compiled, flows.channel, sender, 1, event, moment), ended="opted out", ended_at=moment
        )
    base = _ended(conversation, event, now, conversation.ended or "opted out", kind.value)
    words = listed(list(flows.named_opt_in(compiled)), conversation.language, OR)
    confirmation = built_in_text(compiled, text, {"words": words}, conversation.language)
    return (
        replace(
            base,
            outbound=(Outbound(flows.channel, sender, confirmation, OutboundKind.CONSENT),),
            consent=(Consent(flows.channel, sender, kind, moment, wording=event.text),),
        ),
    )
