"""A real browser for tests: Debian's chromium, told what to do over its own debugging pipe."""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PATIENCE = 30.0
"""Seconds that an answer of the browser may take."""


class Chromium:
    """A headless browser with one page. ``run`` evaluates JavaScript and waits for its promise."""

    def __init__(self, program: str, profile: Path) -> None:
        into, self._write = os.pipe()
        self._read, out = os.pipe()
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio"]
        options += [f"--user-data-dir={profile}", "--no-first-run", "--disable-background-networking"]
        command = [program, *options, "--remote-debugging-pipe", "about:blank"]
        # Chromium reads commands from descriptor 3 and answers on 4.
        shell = ["bash", "-c", f'exec "$@" 3<&{into} 4>&{out}', "chromium", *command]
        self._process = subprocess.Popen(shell, pass_fds=(into, out), stderr=subprocess.DEVNULL)
        os.close(into)
        os.close(out)
        self._rest = b""
        self._asked = 0
        self._session = ""
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(each["targetId"] for each in targets if each["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page, flatten=True)
        self._session = attached["sessionId"]

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask for one thing and return its result."""
        self._asked += 1
        message = {"id": self._asked, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            found = self._answer()
            if found.get("id") == self._asked:
                if "error" in found:
                    raise AssertionError(f"{method}: {found['error']['message']}")
                result: dict[str, Any] = found["result"]
                return result

    def run(self, script: str) -> Any:
        """Evaluate JavaScript in the page; what it raises fails the test."""
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            details = found["exceptionDetails"]
            raise AssertionError(details.get("exception", {}).get("description", details["text"]))
        return found["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Wait until a JavaScript expression is true; the page looks again at each of its frames."""
        self.run(
            "new Promise((done, failed) => { const end = Date.now() + 15000; const look = () => {"
            f" let found = false; try {{ found = !!({condition}); }} catch {{}}"
            " if (found) done(true); else if (Date.now() > end)"
            " failed(new Error('never came true; the page says: ' + document.body.innerText));"
            " else requestAnimationFrame(look); }; look(); })"
        )

    def open(self, url: str, *, width: int, height: int, dark: bool = False) -> None:
        """Show a page in a window of that size."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=url)

    def type(self, text: str) -> None:
        """Type into whatever has the focus."""
        self.call("Input.insertText", text=text)

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press and let go of a key."""
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, text=text
            )

    def screenshot(self, path: Path) -> bytes:
        """Keep a picture of the window, and return it."""
        found = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        path.write_bytes(found)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._write)
        os.close(self._read)

    def _answer(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], PATIENCE)
            more = os.read(self._read, 1 << 16) if ready else b""
            if not more:
                raise AssertionError("chromium does not answer")
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found
