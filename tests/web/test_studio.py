"""The studio over real HTTP and in a real browser: what it shows and does, and what it refuses."""

from __future__ import annotations

import json
import os
import shutil
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from convo.analysis.transcripts import read_transcripts
from convo.cli import main
from convo.errors import ConfigError
from convo.testing.play import play_case
from convo.web.studio import Studio
from tests.web.chromium import Chromium

ROOT = Path(__file__).resolve().parents[2]
ME = "+61400000000"
STOPWATCH = (ROOT / "flows" / "stopwatch.yaml").read_text(encoding="utf-8")

MANY = """\
flow: many
country: AU
data:
  due: {type: moment, given: yes}
people:
  nurse: "+61400000099"
states:
  waiting:
    triggers:
      HELLO:
        reply: Zoé’s here 😀
      <b>BOLD</b>:
        reply: <img src=x onerror="document.title='owned'">
      NURSE:
        reply: She knows.
        tell: {nurse: Please call.}
      NEXT: asked
    after:
      2h:
        reply: Still there?
  asked:
    ask: How old are you?
    answer: number 18 to 110
  done:
    reply: Bye.
    end: complete
"""

OpenStudio = Callable[..., Studio]


@pytest.fixture
def open_studio(tmp_path: Path) -> Iterator[OpenStudio]:
    """Return a function that opens the studio on a flow's text."""
    with ExitStack() as ends:

        def start(text: str = STOPWATCH, **settings: Any) -> Studio:
            name = text.partition("\n")[0].removeprefix("flow: ")
            path = tmp_path / f"{name}.yaml"
            path.write_text(text, encoding="utf-8")
            return ends.enter_context(Studio(path, **settings))

        yield start


def do(studio: Studio, act: str, *, headers: dict[str, str] | None = None, **what: Any) -> requests.Response:
    mine = {"origin": studio.url.rstrip("/"), "x-convo-token": studio.token}
    body = json.dumps({"act": act, "phone": ME, **what})
    return requests.post(studio.url + "do", data=body, headers={**mine, **(headers or {})}, timeout=10)


def did(studio: Studio, act: str, **what: Any) -> dict[str, Any]:
    answer = do(studio, act, **what)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def phone(studio: Studio, number: str = ME) -> dict[str, Any]:
    (found,) = [each for each in studio.session.picture()["phones"] if each["number"] == number]
    return dict(found)


def said(studio: Studio, number: str = ME) -> list[tuple[str, str]]:
    return [(each["who"], each["text"]) for each in phone(studio, number)["chat"] if each["who"] != "note"]


# What it does


def test_a_chat_with_state_data_and_costs(open_studio: OpenStudio) -> None:
    studio = open_studio()
    did(studio, "send", text="START")
    did(studio, "wait", **{"for": "90s"})
    did(studio, "send", text="STOP")
    now = phone(studio)
    assert said(studio)[-1] == ("us", "Stopped after 1 min 30 s.")
    assert now["state"] == "stopped"
    assert [each["name"] for each in now["data"]] == ["started", "stopped"]
    bubble = now["chat"][-1]
    assert (bubble["segments"], bubble["units"], bubble["encoding"]) == (1, 25, "GSM-7")
    graph = studio.session.graph
    (here,) = [node for node in graph.nodes if node.state == "stopped"]
    (arrow,) = [edge for edge in graph.edges if edge.label == ("STOP",)]
    assert (now["node"], now["taken"]) == (here.id, [arrow.id])


def test_timers_wait_and_fire_and_the_ucs2_culprit_is_named(open_studio: OpenStudio) -> None:
    studio = open_studio(MANY)
    answer = do(studio, "open", given={})
    assert (answer.status_code, "'due'" in answer.json()["problem"]) == (422, True)
    did(studio, "open", given={"due": "2026-03-09 14:00"})
    (timer,) = phone(studio)["timers"]
    assert (timer["name"], timer["in"]) == ("after 2h", "2 h")
    did(studio, "wait", **{"for": "next"})
    assert said(studio)[-1] == ("us", "Still there?")
    assert phone(studio)["timers"] == []
    assert do(studio, "wait", **{"for": "next"}).status_code == 422
    did(studio, "send", text="HELLO")
    bubble = phone(studio)["chat"][-1]
    assert (bubble["encoding"], bubble["culprits"]) == ("UCS-2", ["’", "😀"])


def test_a_duplicate_changes_nothing_and_a_swap_changes_the_order(open_studio: OpenStudio) -> None:
    studio = open_studio()
    did(studio, "send", text="START")
    before = said(studio)
    did(studio, "again")
    assert said(studio) == before
    did(studio, "swap")
    did(studio, "send", text="TIME")
    assert phone(studio)["held"]
    assert said(studio) == [*before, ("them", "TIME")]
    did(studio, "send", text="STOP")
    assert said(studio)[len(before) :] == [
        ("them", "TIME"),
        ("them", "STOP"),
        ("us", "Stopped after 1 s."),
        ("us", "Your time was 1 s."),
    ]


def test_several_phones_and_people_who_are_told(open_studio: OpenStudio) -> None:
    studio = open_studio(MANY)
    did(studio, "phone", number="0400 000 007")
    for number in (ME, "+61400000007"):
        did(studio, "open", phone=number, given={"due": "2026-03-09 14:00"})
    did(studio, "send", phone="+61400000007", text="NURSE")
    assert said(studio, "+61400000007")[-1] == ("us", "She knows.")
    assert said(studio, "+61400000099") == [("us", "Please call.")]
    assert said(studio) == []
    assert do(studio, "phone", number="12").status_code == 422


def test_a_restart_keeps_everything_and_a_new_chat_nothing(open_studio: OpenStudio) -> None:
    studio = open_studio()
    did(studio, "send", text="START")
    did(studio, "restart")
    did(studio, "send", text="TIME")
    assert said(studio)[-1] == ("us", "0 s so far.")
    did(studio, "new")
    assert (phone(studio)["state"], phone(studio)["chat"]) == ("", [])


def test_saving_the_file_goes_on_in_the_same_state(open_studio: OpenStudio) -> None:
    studio = open_studio()
    did(studio, "send", text="START")
    path = studio.session.path
    path.write_text(STOPWATCH.replace("so far.", "up to now."), encoding="utf-8")
    _wait_for(studio, lambda: studio.session.drawn_at > 1)
    did(studio, "send", text="TIME")
    assert said(studio)[-1] == ("us", "0 s up to now.")

    path.write_text(STOPWATCH.replace("goto: running", "goto: runing"), encoding="utf-8")
    _wait_for(studio, lambda: bool(studio.session.problems))
    assert "runing" in studio.session.problems[0]["text"]
    did(studio, "send", text="TIME")
    assert said(studio)[-1] == ("us", "0 s up to now.")

    path.write_text(STOPWATCH.replace("running", "on"), encoding="utf-8")
    _wait_for(studio, lambda: not studio.session.problems)
    assert phone(studio)["gone"]


def _wait_for(studio: Studio, condition: Callable[[], bool]) -> None:
    changed = threading.Event()
    end = studio.session.listen(changed.set)
    while not condition():
        assert changed.wait(10), "the studio did not notice"
        changed.clear()
    end()


def test_a_chat_becomes_a_transcript_that_passes(open_studio: OpenStudio) -> None:
    studio = open_studio()
    did(studio, "phone", number="")
    did(studio, "send", text='what: "is" this?')
    did(studio, "send", text="START")
    did(studio, "again")
    did(studio, "wait", **{"for": "1h"})
    did(studio, "send", phone="+61400000001", text="TIME")
    did(studio, "swap")
    did(studio, "send", text="TIME")
    did(studio, "send", text="STOP")
    did(studio, "restart")
    did(studio, "send", text="TIME")
    shown = did(studio, "save", name="a long: chat")
    assert shown["wrote"] == ""
    assert shown["case"].startswith('  "a long: chat":\n    - them:')
    path = studio.session.path.with_name("stopwatch.test.yaml")
    assert not path.exists()
    assert did(studio, "save", name="a long: chat", write=True)["wrote"] == path.name
    first = path.read_text(encoding="utf-8")
    again = do(studio, "save", name="a long: chat", write=True)
    assert (again.status_code, path.read_text(encoding="utf-8")) == (422, first)
    did(studio, "new")
    did(studio, "send", text="TIME")
    did(studio, "save", name="another", write=True)
    assert path.read_text(encoding="utf-8").startswith(first)
    transcripts = read_transcripts(path)
    assert [case.name for case in transcripts.cases] == ["a long: chat", "another"]
    for case in transcripts.cases:
        play_case(case, transcripts)
    assert sorted(each.name for each in path.parent.iterdir()) == ["stopwatch.test.yaml", "stopwatch.yaml"]


def test_a_chat_that_we_open_becomes_a_transcript_too(open_studio: OpenStudio) -> None:
    studio = open_studio(MANY)
    did(studio, "open", given={"due": "2026-03-09 14:00"})
    did(studio, "wait", **{"for": "24h"})
    did(studio, "send", text="NURSE")
    did(studio, "save", name="opened", write=True)
    transcripts = read_transcripts(studio.session.path.with_name("many.test.yaml"))
    play_case(transcripts.cases[0], transcripts)


def test_a_service_answers_as_the_page_says(open_studio: OpenStudio) -> None:
    studio = open_studio(CALLING)
    did(studio, "send", text="BUS")
    assert phone(studio)["state"] == "asking"
    did(studio, "calls", service="buses", result="ok", values={"first_bus": "10:42"})
    assert said(studio)[-1] == ("us", "The first bus leaves at 10:42.")
    did(studio, "calls", service="buses", result="error", values={})
    did(studio, "send", text="BUS")
    assert said(studio)[-1] == ("us", "We do not know.")
    assert do(studio, "calls", service="trains", result="ok", values={}).status_code == 422
    assert do(studio, "calls", service="buses", result="perhaps", values={}).status_code == 422
    did(studio, "save", name="buses", write=True)
    transcripts = read_transcripts(studio.session.path.with_name("calling.test.yaml"))
    play_case(transcripts.cases[0], transcripts)


CALLING = """\
flow: calling
data:
  first_bus: {type: text}
states:
  waiting:
    triggers:
      BUS: asking
  asking:
    call: buses
    save: [first_bus]
    goto:
      ok: known
      error: unknown
      timeout: unknown
  known:
    reply: The first bus leaves at ${first_bus}.
    goto: waiting
  unknown:
    reply: We do not know.
    goto: waiting
"""


# What it refuses


def test_forged_hosts_and_other_sites_are_refused(open_studio: OpenStudio) -> None:
    studio = open_studio()
    port = studio.url.rstrip("/").rpartition(":")[2]
    for host in (
        "evil.example",
        f"evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        f"127.0.0.1:{port}.evil",
    ):
        for page in ("", "events", "diagram", "static/studio.js"):
            answer = requests.get(studio.url + page, headers={"host": host}, timeout=10)
            assert (answer.status_code, studio.token in answer.text) == (403, False)
        assert do(studio, "send", text="START", headers={"host": host}).status_code == 403
    for good in (f"127.0.0.1:{port}", f"localhost:{port}"):
        assert requests.get(studio.url, headers={"host": good}, timeout=10).status_code == 200
    for origin in ("http://evil.example", "null", f"https://127.0.0.1:{port}", "http://127.0.0.1:1", ""):
        assert do(studio, "send", text="START", headers={"origin": origin}).status_code == 403
    body = json.dumps({"act": "send", "phone": ME, "text": "START"})
    without = requests.post(studio.url + "do", data=body, headers={"x-convo-token": studio.token}, timeout=10)
    assert without.status_code == 403
    for token in ("", "wrong", studio.token[:-1]):
        assert do(studio, "send", text="START", headers={"x-convo-token": token}).status_code == 403
    elsewhere = requests.get(studio.url + "diagram", headers={"sec-fetch-site": "cross-site"}, timeout=10)
    assert elsewhere.status_code == 403
    assert phone(studio)["chat"] == []
    assert did(studio, "send", text="START") == {}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 400),
        ("[]", 400),
        ("[" * 60_000, 400),
        ('{"act": "fly"}', 422),
        ('{"act": ["send"]}', 422),
        ('{"act": "send", "phone": 7, "text": "x"}', 422),
        ('{"act": "send", "phone": "+61400000000", "text": ""}', 422),
        ('{"act": "send", "phone": "+61400000000", "text": {}}', 422),
        (json.dumps({"act": "send", "phone": ME, "text": "x" * 3000}), 422),
        ('{"act": "wait", "for": "soon"}', 422),
        ('{"act": "wait", "for": "9000w"}', 422),
        ('{"act": "open", "phone": "+61400000000", "given": {"a": "\\u0000"}}', 422),
        ('{"act": "again", "phone": "+61400000000"}', 422),
        ('"' + "x" * 70_000 + '"', 413),
    ],
)
def test_nonsense_is_refused_with_the_reason(open_studio: OpenStudio, body: str, status: int) -> None:
    studio = open_studio()
    headers = {"origin": studio.url.rstrip("/"), "x-convo-token": studio.token}
    answer = requests.post(studio.url + "do", data=body, headers=headers, timeout=10)
    assert answer.status_code == status
    assert answer.json()["problem"]
    did(studio, "send", text="START")


def test_a_text_of_any_letters_does_no_harm(open_studio: OpenStudio) -> None:
    studio = open_studio()
    for text in ("\x00", "\ud800", "a\u202eb", "\r\n\t x"):
        assert do(studio, "send", text=text).status_code in (200, 422)
    assert requests.get(studio.url + "diagram", timeout=10).status_code == 200
    json.dumps(studio.session.picture())
    events = requests.get(studio.url + "events", stream=True, timeout=10)
    assert next(events.iter_lines()) == b"event: picture"
    events.close()


def test_the_page_allows_no_script_but_its_own(open_studio: OpenStudio) -> None:
    studio = open_studio()
    answer = requests.get(studio.url, timeout=10)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'" in policy
    assert "access-control-allow-origin" not in answer.headers
    assert requests.get(studio.url + "static/..%2fstudio.py", timeout=10).status_code == 404
    assert requests.get(studio.url + "static/studio.html", timeout=10).status_code == 404


def test_without_graphviz_the_diagram_is_our_own(open_studio: OpenStudio) -> None:
    studio = open_studio(MANY, graphviz=False)
    text = requests.get(studio.url + "diagram", timeout=10).text
    for each in (*studio.session.graph.nodes, *studio.session.graph.edges):
        assert f'id="{each.id}"' in text
    assert "&lt;b&gt;BOLD" in text


def test_a_flow_with_problems_and_a_taken_port(
    open_studio: OpenStudio, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("flow: broken\nstates: {}\n", encoding="utf-8")
    assert main(["studio", str(broken), "--no-open"]) == 1
    assert "broken.yaml:" in capsys.readouterr().err
    studio = open_studio()
    port = studio.url.rstrip("/").rpartition(":")[2]
    assert main(["studio", str(studio.session.path), "--no-open", "--port", port]) == 2
    assert "--port" in capsys.readouterr().err


def test_the_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    monkeypatch.delitem(sys.modules, "convo.web.studio")
    monkeypatch.setitem(sys.modules, "sse_starlette", None)
    assert main(["studio", str(ROOT / "flows" / "stopwatch.yaml"), "--no-open"]) == ConfigError.exit_code
    assert "pip install 'convo[web]'" in capsys.readouterr().err


# In a browser


@pytest.fixture
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """Return a headless Chromium, as Debian packages it."""
    program = shutil.which("chromium")
    if program is None:
        reason = "chromium is not installed (apt-get install chromium)"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with Chromium(program, tmp_path_factory.mktemp("chromium")) as found:
        yield found


READY = "document.querySelector('.phone') && document.querySelector('#diagram svg')"


def test_by_keyboard_alone(open_studio: OpenStudio, browser: Chromium) -> None:
    studio = open_studio()
    browser.open(studio.url, width=1200, height=800)
    browser.wait_for(READY)
    browser.wait_for("document.activeElement.name === 'text'")
    browser.type("START")
    browser.press("Enter", 13, "\r")
    browser.wait_for("document.querySelector('.us .bubble')?.textContent === 'The stopwatch is running.'")
    browser.wait_for("document.querySelector('[data-fact=state]').textContent === 'running'")
    browser.wait_for("document.querySelector('#diagram .here')?.textContent.includes('running')")
    browser.wait_for("document.querySelector('.us .cost').textContent.includes('1 segment · 25 GSM-7')")
    names = browser.run(
        "[...document.querySelectorAll('button, input')].filter(e => e.offsetParent)"
        ".map(e => (e.labels?.[0]?.textContent || e.getAttribute('aria-label') || e.textContent).trim())"
    )
    assert all(names)
    for wanted in ("+1 h", "+24 h", "Next timer", "Restart convo", "Save as transcript", "Duplicate", "Swap"):
        assert wanted in names
    browser.run("document.querySelector('[data-wait=\"24h\"]').focus()")
    browser.press("Enter", 13, "\r")
    browser.wait_for("document.querySelector('.note')?.textContent === '1 day later'")
    browser.run("document.getElementById('save').focus()")
    browser.press("Enter", 13, "\r")
    browser.wait_for("document.getElementById('case').textContent.includes('- them: START')")
    browser.press("Escape", 27)
    browser.wait_for("!document.getElementById('saving').open")


def test_what_people_write_stays_text(open_studio: OpenStudio, browser: Chromium) -> None:
    studio = open_studio(MANY, graphviz=False)
    browser.open(studio.url, width=1200, height=800)
    browser.wait_for(READY)
    did(studio, "open", given={"due": "2026-03-09 14:00"})
    did(studio, "send", text="<b>BOLD</b>")
    did(studio, "send", text="<script>document.title='owned'</script>")
    browser.wait_for("document.querySelectorAll('.them').length === 2")
    assert (
        browser.run("document.querySelectorAll('.chat img, .chat b:not(.cost b), .chat script').length") == 0
    )
    assert browser.run("document.querySelector('.us .bubble').textContent.startsWith('<img src=x')")
    assert browser.run("document.title") == "many · convo studio"


def test_a_wide_picture_is_scrolled_or_made_to_fit(open_studio: OpenStudio, browser: Chromium) -> None:
    steps = "".join(f"  step{index}:\n    ask: And {index}?\n    answer: text\n" for index in range(12))
    studio = open_studio(f"flow: wide\nstates:\n{steps}  done:\n    reply: Bye.\n    end: done\n")
    did(studio, "send", text="hello")
    browser.open(studio.url, width=1200, height=800)
    browser.wait_for("document.querySelector('#diagram svg')")
    scrolls = "(box => box.scrollWidth > box.clientWidth)(document.getElementById('diagram'))"
    browser.wait_for(scrolls)
    browser.run("document.getElementById('whole').focus()")
    browser.press("Enter", 13, "\r")
    browser.wait_for(f"!{scrolls}")
    did(studio, "send", text="one")
    browser.wait_for("document.querySelector('#diagram .here')?.textContent.includes('step1')")
    assert browser.run(f"!{scrolls}")
    browser.press("Enter", 13, "\r")
    browser.wait_for(scrolls)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [400, 1200])
def test_it_is_readable_in_any_window(
    open_studio: OpenStudio, browser: Chromium, tmp_path: Path, width: int, dark: bool
) -> None:
    studio = open_studio(MANY, graphviz=False)
    did(studio, "open", given={"due": "2026-03-09 14:00"})
    did(studio, "send", text="HELLO " + "x" * 300)
    did(studio, "send", text="HELLO")
    browser.open(studio.url, width=width, height=900, dark=dark)
    browser.wait_for(READY)
    browser.wait_for("document.querySelectorAll('.us').length === 2")
    assert browser.run("document.documentElement.scrollWidth <= window.innerWidth")
    inside = "(e => e.left >= 0 && e.right <= window.innerWidth)(e.getBoundingClientRect())"
    assert browser.run(f"[...document.querySelectorAll('button, input')].every(e => {inside})")
    last = "[...document.querySelectorAll('.us .cost')].at(-1).textContent"
    assert "because of ’ (U+2019) 😀 (U+1F600)" in browser.run(last)
    assert browser.run(CONTRAST) >= 4.5
    picture = browser.screenshot(tmp_path / "studio.png")
    assert struct.unpack(">II", picture[16:24]) == (width, 900)


CONTRAST = """
(() => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((each) => {
      const part = each / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = getComputedStyle(each).backgroundColor;
      if (!colour.startsWith("rgba(0, 0, 0, 0")) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const told = ".bubble, .cost, .cost b, .note, #clock, dt, dd, small, button, .legend span, #problems p";
  const all = [...document.querySelectorAll(told)];
  return Math.min(...all.filter((each) => each.offsetParent).map((each) => {
    const [a, b] = [light(getComputedStyle(each).color), light(behind(each))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  }));
})()
"""
"""The least contrast of any text on the page (WCAG 2.1 asks for 4.5)."""
