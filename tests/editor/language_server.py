"""A YAML language server without an editor: documents go in, its diagnostics come out."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

PATIENCE = 60.0


class LanguageServer:
    """yaml-language-server on a pipe, with one schema for every document; nothing is looked for online."""

    def __init__(self, command: list[str], schema: Path) -> None:
        self._settings = {
            "yaml": {
                "validate": True,
                "hover": True,
                "completion": True,
                "schemas": {schema.as_uri(): ["**/*.yaml"]},
                "schemaStore": {"enable": False},
            },
            "http": {},
            "[yaml]": {},
            "editor": {},
            "files": {},
        }
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._said: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self._asked = 0

    def __enter__(self) -> Self:
        workspace = {"configuration": True, "didChangeConfiguration": {"dynamicRegistration": True}}
        capabilities = {"workspace": workspace, "textDocument": {"publishDiagnostics": {}}}
        self.ask("initialize", {"processId": os.getpid(), "rootUri": None, "capabilities": capabilities})
        self._tell("initialized", {})
        self._tell("workspace/didChangeConfiguration", {"settings": self._settings})
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(10)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def diagnostics(self, documents: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
        """Open documents, by their addresses, and return what the server finds wrong with each.

        It looks at a document some time after it was opened, so they are opened all at once.
        """
        for uri, text in documents.items():
            document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
            self._tell("textDocument/didOpen", {"textDocument": document})
        found: dict[str, list[dict[str, Any]]] = {}
        while len(found) < len(documents):
            said = self._until(lambda each: each.get("method") == "textDocument/publishDiagnostics")
            if said["params"]["uri"] in documents:
                found[said["params"]["uri"]] = said["params"]["diagnostics"]
        return found

    def at(self, method: str, uri: str, text: str, line: int, character: int) -> Any:
        """Return what the server answers about one spot of a document (``completion``, ``hover``)."""
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._tell("textDocument/didOpen", {"textDocument": document})
        spot = {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}}
        return self.ask(f"textDocument/{method}", spot)["result"]

    def ask(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Ask, and return the answer."""
        self._asked += 1
        number = self._asked
        self._send({"id": number, "method": method, "params": params})
        return self._until(lambda each: each.get("id") == number and "method" not in each)

    def _tell(self, method: str, params: Mapping[str, Any]) -> None:
        self._send({"method": method, "params": params})

    def _until(self, fits: Any) -> dict[str, Any]:
        """Return the first message that fits, answering what the server asks meanwhile."""
        while True:
            said = self._said.get(timeout=PATIENCE)
            if fits(said):
                return said
            if "id" in said and "method" in said:
                self._send({"id": said["id"], "result": self._answer(said)})

    def _answer(self, said: Mapping[str, Any]) -> Any:
        if said["method"] == "workspace/configuration":
            return [self._settings.get(item.get("section", "")) for item in said["params"]["items"]]
        return None

    def _send(self, message: Mapping[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._process.stdin.flush()

    def _listen(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None
        while True:
            length = 0
            while (line := pipe.readline()) not in (b"\r\n", b""):
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if not length:
                return
            self._said.put(json.loads(pipe.read(length)))
