"""What a text costs, against two counters that others wrote, and where their answers differ from ours."""

from __future__ import annotations

import smsutil
from hypothesis import given, settings
from hypothesis import strategies as st
from messaging.sms import SmsSubmit
from messaging.sms.gsm0338 import is_valid_gsm

from convo.sms import (
    GSM7_BASIC,
    GSM7_EXTENSION,
    SUBSTITUTES,
    Encoding,
    cheaper,
    cost,
    culprits,
    encoding_of,
    named,
    substituted,
)

GSM7 = "".join(sorted(GSM7_BASIC | GSM7_EXTENSION))
ESCAPE = "\x1b"
TEXTS = st.one_of(
    st.text(GSM7, max_size=500),
    st.text("a€", min_size=130, max_size=480),
    st.text("aш😀", min_size=30, max_size=220),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters=ESCAPE), max_size=300),
)


def other_count(text: str) -> int:
    """Return how many messages python-messaging makes of a text."""
    return len(SmsSubmit("+44123231231", text).to_pdu())


@settings(max_examples=600, deadline=None)
@given(TEXTS)
def test_segments_are_what_smsutil_counts(text: str) -> None:
    found = smsutil.split(text)
    assert cost(text).segments == len(found.parts)
    if text:
        assert (encoding_of(text) is Encoding.GSM7) == (found.encoding == "gsm0338")
        size = found.total_bytes if found.encoding == "gsm0338" else found.total_bytes // 2
        assert cost(text).units == size


def cuts_a_pair(text: str) -> bool:
    """Return whether parts of 153 septets each would end between an escape and its character."""
    septets = 0
    for letter in text:
        if letter in GSM7_EXTENSION and septets % 153 == 152:
            return True
        septets += 2 if letter in GSM7_EXTENSION else 1
    return False


@settings(max_examples=600, deadline=None)
@given(TEXTS.map(lambda text: "".join(each for each in text if ord(each) < 0x10000)))
def test_segments_are_what_python_messaging_makes(text: str) -> None:
    theirs = max(1, other_count(text))
    if encoding_of(text) is Encoding.GSM7 and cuts_a_pair(text):
        assert theirs <= cost(text).segments <= theirs + 1
    else:
        assert cost(text).segments == theirs


def test_no_pair_is_cut_whatever_python_messaging_does() -> None:
    # It fills both parts to 153 septets, the first with half of a euro sign at its end.
    text = "0" * 102 + "€" * 102
    assert (other_count(text), cost(text).segments, len(smsutil.split(text).parts)) == (2, 3, 3)


@given(st.characters(exclude_categories=["Cs"], exclude_characters=ESCAPE))
def test_the_alphabet_is_that_of_both(letter: str) -> None:
    ours = encoding_of(letter) is Encoding.GSM7
    assert ours == (smsutil.split(letter).encoding == "gsm0338") == bool(is_valid_gsm(letter))


def test_every_character_of_the_basic_plane_has_the_encoding_of_both() -> None:
    for code in (each for each in range(0x10000) if not 0xD800 <= each < 0xE000 and chr(each) != ESCAPE):
        ours = encoding_of(chr(code)) is Encoding.GSM7
        assert ours == (smsutil.split(chr(code)).encoding == "gsm0338") == bool(is_valid_gsm(chr(code))), code


def test_an_emoji_is_two_units_whatever_python_messaging_says() -> None:
    # It counts characters instead of UTF-16 code units, so it puts 36 emojis, 144 bytes, into 140.
    assert other_count("😀" * 36) == 1
    assert (cost("😀" * 35).segments, cost("😀" * 36).segments) == (1, 2)
    assert len(smsutil.split("😀" * 36).parts) == 2


def test_the_escape_itself_is_no_character() -> None:
    # smsutil takes it into the alphabet; sent alone it would change the character behind it.
    assert smsutil.split("a\x1be").encoding == "gsm0338"
    assert not is_valid_gsm("a\x1be")
    assert encoding_of("a\x1be") is Encoding.UCS2
    assert culprits("a\x1be") == [ESCAPE]


def test_the_edges_of_segments() -> None:
    expected = {"a" * 160: 1, "a" * 161: 2, "a" * 306: 2, "a" * 307: 3, "€" * 80: 1, "€" * 81: 2}
    # An escape pair is not parted: 76 pairs and a septet left over in each part.
    expected |= {"€" * 152: 2, "€" * 153: 3, "ш" * 70: 1, "ш" * 71: 2, "ш" * 134: 2, "ш" * 135: 3, "": 1}
    expected |= {"😀" * 66: 2, "😀" * 67: 3}
    assert {text: cost(text).segments for text in expected} == expected


def test_half_a_surrogate_pair_is_counted_and_breaks_nothing() -> None:
    assert cost("\ud83d" * 71).segments == 2
    assert named("\ud83d") == "U+D83D".lower() or "d83d" in named("\ud83d").lower()


def test_a_culprit_is_named_once_with_what_to_write_instead() -> None:
    text = "It’s “fine” — it’s only 5 € и ок"
    assert culprits(text) == ["’", "“", "”", "—", "и", "о", "к"]
    assert named("’") == "'’' (right single quotation mark): write \"'\" instead"
    assert named("…") == "'…' (horizontal ellipsis): write '...' instead"
    assert named("\u00a0") == "no-break space: write a space instead"
    assert named("и") == "'и' (cyrillic small letter i)"


@given(st.text("’“–… abcш", max_size=200))
def test_substitution_never_costs_more_and_changes_nothing_for_nothing(text: str) -> None:
    changed = cheaper(text)
    assert changed in (text, substituted(text))
    assert not set(substituted(text)) & set(SUBSTITUTES)
    assert cost(changed).segments <= cost(text).segments
    assert changed == text or cost(changed).segments < cost(text).segments


def test_a_curly_quote_need_not_turn_one_segment_into_three() -> None:
    text = "Don’t forget: " + "a" * 140
    assert (cost(text).segments, cost(cheaper(text)).segments) == (3, 1)
    assert cheaper("Don’t") == "Don’t", "it is one segment either way"
    assert cheaper("Don’t, говорю" + "a" * 90) == "Don’t, говорю" + "a" * 90


def test_every_substitute_is_gsm7_and_every_key_is_not() -> None:
    for letter, instead in SUBSTITUTES.items():
        assert encoding_of(letter) is Encoding.UCS2, letter
        assert encoding_of(instead) is Encoding.GSM7, letter
