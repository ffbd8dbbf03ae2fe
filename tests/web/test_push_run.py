"""``convo run`` with channels that are pushed to: real processes, emulated providers, HTTP on loopback."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from configparser import ConfigParser
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.routing import Mount

from convo.cli.run import command
from convo.clock import SystemClock
from convo.emulators.base import FaultKind, LoopbackServer, Request, Response
from convo.emulators.telstra_v2_push import PushingTelstraV2Emulator
from convo.emulators.telstra_v3 import TelstraV3Emulator
from convo.emulators.twilio import TwilioEmulator
from convo.errors import ConvoError
from convo.transports import create
from convo.transports.telstra_v2 import TelstraV2
from convo.transports.telstra_v3 import TelstraV3
from convo.web import app_of, serve
from tests.ending import ended

ROOT = Path(__file__).resolve().parents[2]
STOPWATCH = ROOT / "flows" / "stopwatch.yaml"
ANNA = "+61400000001"
SECRET = "vBq1x9-Lm3Tz_8RwKd5Y"
CONVO = [sys.executable, "-m", "convo"]
ECHO = """flow: echo
states: {a: {triggers: {text: {reply: "You said: ${message}"}}}}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def until(true: Callable[[], object], seconds: float = 20) -> None:
    """Wait for what another process is about to do."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)


def environ(more: Mapping[str, str]) -> dict[str, str]:
    ours = ("TELSTRA", "TWILIO", "KANNEL")
    return {**{name: value for name, value in os.environ.items() if not name.startswith(ours)}, **more}


class Process:
    """A ``convo run`` and what it wrote to stderr, once it has ended."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.log = ""

    def ends(self, number: signal.Signals = signal.SIGTERM) -> float:
        """End it by a signal; return the seconds that it took, exit code 0."""
        took = ended(self._process, number)
        code = self._process.returncode
        assert self._process.stderr is not None
        self.log = self._process.stderr.read()
        assert code == 0, self.log
        assert "Traceback" not in self.log, self.log
        assert SECRET not in self.log
        return took

    def dies(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait(20)


@contextmanager
def running(*words: str | Path, cwd: Path, given: Mapping[str, str]) -> Iterator[Process]:
    with subprocess.Popen(
        [*CONVO, "run", *map(str, words)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=environ(given),
    ) as process:
        try:
            yield Process(process)
        finally:
            process.kill()


def refused(*words: str | Path, **given: str) -> tuple[int, str]:
    """Run in this process what does not come so far as to begin; return exit code and message."""
    gone = {name: None for name in os.environ if name.startswith(("TELSTRA", "TWILIO", "KANNEL"))}
    result = CliRunner(env={**gone, **given}).invoke(
        command, [str(word) for word in words], standalone_mode=False
    )
    assert isinstance(result.exception, ConvoError), result.output
    return result.exception.exit_code, str(result.exception)


def asked(url: str) -> int:
    """Return the status of a GET, 0 where nobody listens."""
    with suppress(requests.ConnectionError):
        return requests.get(url, timeout=5).status_code
    return 0


def inbox(folder: Path) -> list[str]:
    with closing(sqlite3.connect(f"file:{folder / 'convo.db'}?mode=ro", uri=True)) as db:
        return [text for (text,) in db.execute("SELECT text FROM inbox ORDER BY id")]


def outbox(folder: Path) -> list[str]:
    with closing(sqlite3.connect(f"file:{folder / 'convo.db'}?mode=ro", uri=True)) as db:
        return [status for (status,) in db.execute("SELECT status FROM outbox ORDER BY id")]


@pytest.fixture
def telstra() -> Iterator[PushingTelstraV2Emulator]:
    with PushingTelstraV2Emulator(SystemClock(), retry_after=0.2) as emulator:
        yield emulator


Telstra = PushingTelstraV2Emulator | TelstraV3Emulator


@pytest.fixture(params=[PushingTelstraV2Emulator, TelstraV3Emulator], ids=["telstra_v2", "telstra_v3"])
def either(request: pytest.FixtureRequest) -> Iterator[Telstra]:
    """Telstra as it was, and as it is: there texts are listed, too, while they are pushed."""
    with request.param(SystemClock(), retry_after=0.2) as emulator:
        yield emulator


@pytest.fixture
def twilio() -> Iterator[TwilioEmulator]:
    with TwilioEmulator(SystemClock(), retry_after=0.2) as emulator:
        yield emulator


def write(folder: Path, port: int, push: str, more: str = "", transport: str = "telstra_v2") -> Path:
    (folder / "echo.yaml").write_text(ECHO, encoding="utf-8")
    path = folder / "convo.yaml"
    path.write_text(
        f"""
web: {{listen: "127.0.0.1:{port}", public_url: "http://127.0.0.1:{port}"}}
channels:
  sms:
    transport: {transport}
    flows: [echo.yaml]
    {push}
    {more}
    settings: {{base_url: {{env: TELSTRA_BASE_URL}}, token_url: {{env: TELSTRA_TOKEN_URL}}}}
""",
        encoding="utf-8",
    )
    return path


PUSHED = "push: {secret: {env: SMS_SECRET}}"
POLLED = "push: {wanted: no, secret: {env: SMS_SECRET}}"


def pushes(telstra: Telstra) -> bool:
    """Return whether the emulated number pushes."""
    transport = create(telstra.name, channel="looking", clock=SystemClock(), environ=telstra.environ())
    url = None
    if isinstance(transport, TelstraV2) and (subscription := transport.subscription()) is not None:
        url = subscription.notify_url
    elif isinstance(transport, TelstraV3) and (number := transport.held_number()) is not None:
        url = number.reply_url
    transport.close()
    return url is not None


def test_polled_pushed_and_polled_again_with_texts_in_flight(tmp_path: Path, either: Telstra) -> None:
    port = free_port()
    given = {**either.environ(), "SMS_SECRET": SECRET}
    said: list[str] = []

    def text(words: str) -> None:
        said.append(words)
        either.text(ANNA, words)

    def answered() -> bool:
        return len(either.sent()) == len(said)

    for round_, push in enumerate((POLLED, PUSHED, POLLED)):
        # What this test says looks like a machine that counts.
        path = write(tmp_path, port, push, "limits: {loop: 100 texts within 10m}", either.name)
        text(f"before round {round_}")  # waits at Telstra, or, pushed to nobody, comes again
        with running("--config", path, cwd=tmp_path, given=given) as process:
            for number in range(5):  # before, during and after the switch
                text(f"round {round_} text {number}")
                threading.Event().wait(0.1)
            until(lambda wanted=push == PUSHED: pushes(either) == wanted)  # type: ignore[misc]
            text(f"after the switch {round_}")
            until(answered)
            assert process.ends() < 2
    assert sorted(inbox(tmp_path)) == sorted(said)
    assert sorted(each.text for each in either.sent()) == sorted(f"You said: {words}" for words in said)


def test_killed_while_pushed_to_no_text_is_lost(tmp_path: Path, telstra: PushingTelstraV2Emulator) -> None:
    """What was answered 2xx is in the store, and what was not comes again."""
    port = free_port()
    given = {**telstra.environ(), "SMS_SECRET": SECRET}
    path = write(tmp_path, port, PUSHED, "limits: {loop: 100 texts within 10m}")
    said: list[str] = []
    for round_ in range(4):
        with running("--config", path, cwd=tmp_path, given=given) as process:
            until(lambda: asked(f"http://127.0.0.1:{port}/readyz") == 200)
            for number in range(12):
                said.append(f"round {round_} text {number}")
                telstra.text(ANNA, said[-1])
                if round_ < 3 and number == 3 * round_ + 1:
                    process.dies()
            if round_ == 3:
                until(lambda: len(inbox(tmp_path)) >= len(said))
                process.ends()
    assert sorted(inbox(tmp_path)) == sorted(said)
    replies = [each.text for each in telstra.sent()]
    assert len(set(replies)) == len(replies), "nothing was said twice"
    assert outbox(tmp_path).count("unknown") <= 3, "at most one a kill"


def test_nothing_is_switched_by_accident(tmp_path: Path, telstra: PushingTelstraV2Emulator) -> None:
    port = free_port()
    given = {**telstra.environ(), "SMS_SECRET": SECRET}
    with running("--config", write(tmp_path, port, PUSHED), cwd=tmp_path, given=given) as process:
        until(lambda: pushes(telstra))
        process.ends()
    code, told = refused("--config", write(tmp_path, port, ""), **given)
    assert (code, "subscription poll" in told) == (2, True), told
    assert pushes(telstra), "a configuration that says nothing of it changes nothing"
    with running("--config", write(tmp_path, port, "push: no"), cwd=tmp_path, given=given) as process:
        until(lambda: not pushes(telstra))
        assert asked(f"http://127.0.0.1:{port}/sms/{SECRET}") == 404
        process.ends()


def test_an_emulated_channel_is_polled(tmp_path: Path) -> None:
    done = subprocess.run(
        [*CONVO, "run", "--config", write(tmp_path, free_port(), PUSHED), "--emulate", "--store", "memory"],
        input="hello\n",
        capture_output=True,
        text=True,
        timeout=30,
        env=environ({}),
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "+61400000000: You said: hello\n")


def test_twilio_by_push_and_the_end_within_two_seconds(tmp_path: Path, twilio: TwilioEmulator) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    words = (STOPWATCH, "--transport", "twilio", "--push", url, "--listen", f"127.0.0.1:{port}")
    with running(*words, cwd=tmp_path, given=twilio.environ()) as process:
        until(lambda: twilio.sms_url)
        assert twilio.sms_url == f"{url}/twilio"
        polls = twilio.calls("poll")
        twilio.text(ANNA, "TIME")
        assert [each.text for each in twilio.sent(wait=10)] == [
            "The stopwatch is not running yet. Send START first."
        ]
        until(lambda: "delivered" in outbox(tmp_path))
        assert (
            requests.post(f"{url}/twilio", data={"Body": "START", "From": ANNA}, timeout=5).status_code == 403
        )
        assert twilio.calls("poll") <= polls + 1, "polls are a safety net, once a minute"
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(b"POST /twilio HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            twilio.fault(FaultKind.HOLD, on="send")
            twilio.text(ANNA, "START")
            until(lambda: "sending" in outbox(tmp_path))
            assert process.ends() < 2
    assert inbox(tmp_path) == ["TIME", "START"]


def test_kannel_by_push(tmp_path: Path) -> None:
    port, sent = free_port(), []

    def sendsms(request: Request) -> Response:
        sent.append(request.query)
        return Response(202, b"0: Accepted for delivery")

    with LoopbackServer(sendsms) as kannel:
        given = {
            "KANNEL_SENDSMS_URL": f"{kannel.url}/cgi-bin/sendsms",
            "KANNEL_USERNAME": "convo",
            "KANNEL_PASSWORD": "pass",
            "KANNEL_NUMBER": "12345",
            "KANNEL_PUSH_SECRET": SECRET,
        }
        words = (STOPWATCH, "--transport", "kannel", "--push", f"http://127.0.0.1:{port}")
        with running(*words, "--listen", f"127.0.0.1:{port}", cwd=tmp_path, given=given) as process:
            until(lambda: asked(f"http://127.0.0.1:{port}/readyz") == 200)
            called = f"http://127.0.0.1:{port}/kannel/{SECRET}"
            get = {"from": ANNA, "to": "12345", "text": "START", "coding": "0", "id": "a"}
            for _ in range(2):
                assert requests.get(called, params=get, timeout=5).status_code == 200
            until(lambda: sent)
            assert [each["text"] for each in sent] == ["The stopwatch is running."]
            began = time.monotonic()
            for number in range(1, 5):
                requests.get(called, params={**get, "text": "TIME", "id": f"b{number}"}, timeout=5)
                until(lambda wanted=number: len(sent) > wanted)  # type: ignore[misc]
            assert time.monotonic() - began < 5, "what is stored is stepped at once, not within two seconds"
            assert requests.get(sent[0]["dlr-url"].replace("%d", "1"), timeout=5).status_code == 200
            until(lambda: outbox(tmp_path)[0] == "delivered")
            assert process.ends(signal.SIGINT) < 2
    assert inbox(tmp_path) == ["START", *["TIME"] * 4]


def test_what_stands_in_the_way_of_a_webhook_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kannel = {
        "KANNEL_SENDSMS_URL": "http://127.0.0.1:9/x",
        "KANNEL_USERNAME": "u",
        "KANNEL_PASSWORD": "p",
        "KANNEL_NUMBER": "12345",
    }
    to_kannel = (STOPWATCH, "--transport", "kannel")
    push = ("--push", "http://127.0.0.1:9")
    config = write(tmp_path, free_port(), PUSHED)
    telstra = {"TELSTRA_CLIENT_ID": "a", "TELSTRA_CLIENT_SECRET": "b", "SMS_SECRET": SECRET}
    urls = dict.fromkeys(("TELSTRA_BASE_URL", "TELSTRA_TOKEN_URL"), "http://127.0.0.1:9")
    for words, given, said in (
        (to_kannel, kannel, "start it with --push URL"),
        (to_kannel, kannel, "a secret for its path in KANNEL_PUSH_SECRET"),
        ((*to_kannel, *push), kannel, "set KANNEL_PUSH_SECRET to it"),
        ((*to_kannel, *push), {**kannel, "KANNEL_PUSH_SECRET": "guess-me"}, "can be guessed"),
        ((*to_kannel, "--push", "my-host"), kannel, "--push: public_url must be a whole address"),
        ((*to_kannel, *push, "--listen", "here"), kannel, "no address to listen on"),
        ((*to_kannel, "--listen", "127.0.0.1:1"), kannel, "--listen goes with --push URL"),
        ((*to_kannel, *push, "--once"), kannel, "--once is for channels that are polled"),
        ((STOPWATCH, *push), {}, "--push goes with the transport of a provider"),
        (("--config", config, *push), telstra, "--push and --listen go with a flow"),
        (("--config", config, "--once"), {**telstra, **urls}, "--once is for channels that are polled"),
        (("--config", config), {**telstra, **urls, "SMS_SECRET": "guess-me"}, "can be guessed"),
    ):
        code, told = refused(*words, **given)
        assert (code, said in told) == (2, True), told
        assert "guess-me" not in told


def test_a_port_that_is_taken_ends_the_start(tmp_path: Path, twilio: TwilioEmulator) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        words = (STOPWATCH, "--transport", "twilio", "--push", f"http://{listen}", "--listen", listen)
        code, told = refused(*words, "--store", tmp_path / "convo.db", **twilio.environ())
    assert (code, f"cannot listen on {listen}" in told) == (2, True)
    assert twilio.sms_url == "", "nothing is switched before we listen"


# Health and figures


def test_health_and_figures_without_any_webhook(tmp_path: Path, telstra: PushingTelstraV2Emulator) -> None:
    port = free_port()
    path = write(tmp_path, port, "poll: 1s", "limits: {to_one: 2 segments a day, on_channel: none}")
    telstra.fault(FaultKind.ANSWER, on="token", times=1, status=503)
    with running("--config", path, cwd=tmp_path, given=telstra.environ()) as process:
        url = f"http://127.0.0.1:{port}"
        until(lambda: asked(f"{url}/healthz") == 200)
        assert asked(f"{url}/readyz") == 503, "no provider has answered yet"
        until(lambda: asked(f"{url}/readyz") == 200)
        for words in ("one", "two", "three"):
            telstra.text(ANNA, words)
        until(lambda: figures(url).get('convo_outbound_total{channel="sms",status="blocked"}'))
        found = figures(url)
        assert [each.text for each in telstra.sent()] == ["You said: one", "You said: two"]
        assert {name: value for name, value in found.items() if "age" not in name and value} == {
            'convo_received_total{channel="sms",result="new"}': 3,
            'convo_steps_total{channel="sms"}': 3,
            'convo_outbound_total{channel="sms",status="sent"}': 2,
            'convo_outbound_total{channel="sms",status="blocked"}': 1,
            'convo_outbox_rows{channel="sms",status="sent"}': 2,
            'convo_outbox_rows{channel="sms",status="blocked"}': 1,
            'convo_open_conversations{flow="echo",state="a"}': 1,
        }
        assert found['convo_outbox_rows{channel="sms",status="queued"}'] == 0
        assert found['convo_outbox_rows{channel="sms",status="unknown"}'] == 0
        assert 0 <= found['convo_last_good_poll_age_seconds{channel="sms"}'] < 10
        assert requests.post(f"{url}/healthz", timeout=5).status_code == 405
        assert asked(f"{url}/sms/{SECRET}") == asked(f"{url}/") == 404
        assert process.ends() < 2
    assert ANNA not in process.log


def figures(url: str) -> dict[str, float]:
    """Return the figures at /metrics, as Prometheus would read them."""
    answer = requests.get(f"{url}/metrics", timeout=5)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    found = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = ",".join(f'{key}="{value}"' for key, value in sample.labels.items())
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def test_figures_of_pushes_and_who_may_see_them(tmp_path: Path, telstra: PushingTelstraV2Emulator) -> None:
    port = free_port()
    path = write(tmp_path, port, PUSHED)
    more = """largest_body: 500 bytes, burst: 10, rate: 1 per hour, proxies: 127.0.0.1,
      metrics: 10.0.0.0/8, listen:"""
    path.write_text(path.read_text().replace("listen:", more, 1))
    given = {**telstra.environ(), "SMS_SECRET": SECRET}
    with running("--config", path, cwd=tmp_path, given=given) as process:
        url = f"http://127.0.0.1:{port}"
        until(lambda: pushes(telstra))
        telstra.text(ANNA, "hello")
        assert telstra.sent(wait=10)
        assert asked(f"{url}/metrics") == 404
        for caller, status in (("10.1.2.3", 200), ("203.0.113.9", 404), ("nonsense", 404)):
            answer = requests.get(f"{url}/metrics", headers={"X-Forwarded-For": caller}, timeout=5)
            assert answer.status_code == status, caller
            if status == 200:
                assert 'convo_pushes_total{channel="sms",code="204"} ' in answer.text
                assert 'convo_last_push_age_seconds{channel="sms"} ' in answer.text
        hook = f"{url}/sms/{SECRET}"
        assert requests.post(hook, data=b"x" * 501, timeout=5).status_code == 413
        answers = [requests.post(hook, timeout=5).status_code for _ in range(11)]
        assert (answers[0], answers[-1]) == (400, 429)
        process.ends()


def test_a_provider_that_is_away_makes_it_not_ready(tmp_path: Path) -> None:
    port = free_port()
    gone = dict.fromkeys(("TELSTRA_BASE_URL", "TELSTRA_TOKEN_URL"), "http://127.0.0.1:9/v2")
    given = {**gone, "TELSTRA_CLIENT_ID": "a", "TELSTRA_CLIENT_SECRET": "b"}
    with running("--config", write(tmp_path, port, ""), cwd=tmp_path, given=given) as process:
        until(lambda: asked(f"http://127.0.0.1:{port}/healthz") == 200)
        assert asked(f"http://127.0.0.1:{port}/readyz") == 503
        assert process.ends() < 2


# An app of yours


def test_webhooks_mounted_in_an_app_of_yours(tmp_path: Path, telstra: PushingTelstraV2Emulator) -> None:
    given = {**telstra.environ(), "SMS_SECRET": SECRET}
    port = free_port()
    path = write(tmp_path, port, PUSHED)
    written = path.read_text().replace(f'listen: "127.0.0.1:{port}"', "listen: none")
    path.write_text(written.replace(f":{port}", f":{port}/hooks"))
    with running("--config", path, cwd=tmp_path, given=given) as process:
        until(lambda: pushes(telstra))
        app = Starlette(routes=[Mount("/hooks", app=app_of(path, given))])
        with serve(app, port=port):
            telstra.text(ANNA, "hello")
            assert [each.text for each in telstra.sent(wait=10)] == ["You said: hello"]
        process.ends()
    with pytest.raises(ConvoError, match="no channel of"):
        app_of(write(tmp_path, port, ""), given)


# What the documentation shows


def test_the_unit_and_the_container_of_the_page_start_what_there_is() -> None:
    page = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    unit = ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(re.findall(r"^```ini\n(.*?)^```", page, re.DOTALL | re.MULTILINE)[0])
    (recipe,) = re.findall(r"^```dockerfile\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    begun = [shlex.split(unit["Service"]["ExecStart"])]
    begun += [json.loads(line.partition(" ")[2]) for line in recipe.splitlines() if line.startswith("CMD")]
    assert len(begun) == 2
    for words in begun:
        assert words[1:4] == ["-m", "convo", "run"]
        assert command.make_context("run", words[4:]).params["config"] == Path("convo.yaml")
    assert unit["Service"]["RestartPreventExitStatus"] == "1 2"
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    (wanted,) = re.findall(r"'/src\[(.*?)\]'", recipe)
    assert set(wanted.split(",")) <= extras.keys()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    (unit,) = re.findall(r"^```ini\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    # The page's folders and program are not here; all the rest is as it stands there.
    unit = unit.replace("/srv/convo/.venv/bin/python", sys.executable).replace("/srv/convo", str(tmp_path))
    (tmp_path / "convo.service").write_text(unit, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / "convo.service"], capture_output=True, text=True, check=False
    )
    told = [line for line in done.stderr.splitlines() if "convo.service" in line]
    assert (done.returncode, told) == (0, [])


def test_a_described_provider_that_signs_needs_no_secret_in_its_path(tmp_path: Path) -> None:
    gateway = ROOT / "examples" / "providers" / "android_gateway.yaml"
    given = {
        "GENERIC_NUMBER": "+61491570156",
        "ANDROID_GATEWAY_USER": "u",
        "ANDROID_GATEWAY_PASSWORD": "p",
        "ANDROID_GATEWAY_SIGNING_KEY": "k",
    }
    code, told = refused(STOPWATCH, "--transport", gateway, "--store", tmp_path / "convo.db", **given)
    assert (code, "start it with --push URL" in told, "secret" in told) == (2, True, False), told


def test_every_figure_is_in_the_table() -> None:
    from convo.web import metrics

    page = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    source = Path(metrics.__file__).read_text(encoding="utf-8")
    counters = {f"{metric}_total" for _, metric, _, _ in metrics._COUNTERS}
    gauges = set(re.findall(r'_gauge\(\s*"(\w+)"', source))
    assert counters | gauges == set(re.findall(r"`(convo_\w+)\{\w+(?:,\w+)?\}`", page))
