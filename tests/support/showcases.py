"""The showcase as a real process on a port chosen by the system."""

import html
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

import asgi_middleware

ROOT = Path(__file__).parents[2]
STEP = re.compile(
    r'<li id="(?P<name>[\w-]+)">.*?<code>(?P<command>.*?)</code>.*?'
    r'<b class="status">(?P<status>\d+)</b> <span class="expect">(?P<expect>.*?)</span>',
    re.DOTALL,
)


class Showcase:
    """One running showcase."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.output, self.errors = folder / "stdout", folder / "stderr"
        # The package under test comes first; -P keeps the working tree's own copy of it out.
        path = os.pathsep.join([str(Path(asgi_middleware.__file__).parents[1]), str(ROOT)])
        with self.output.open("wb") as output, self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "examples.showcase", *arguments],
                env={**os.environ, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
            )
        try:
            self.base, self.second = self.wait_for(self._listening)
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def _listening(self) -> list[str] | None:
        found = re.findall(r"^ .* on (http://\S+)/", self.words(), re.MULTILINE)
        if len(found) < 2 and self.process.poll() is not None:
            pytest.fail(f"the showcase ended with {self.process.returncode}:\n{self.words()}")
        return found if len(found) == 2 else None

    def wait_for(self, condition: Callable[[], Any], seconds: float = 30) -> Any:
        """Wait until `condition` gives something, and give that."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := condition():
                return found
            time.sleep(0.02)
        pytest.fail(f"in vain waited for {condition}:\n{self.words()}")

    def words(self) -> str:
        """Give what it told its user."""
        return self.errors.read_text(encoding="utf-8")

    def lines(self, request_id: str, at_least: int = 1) -> list[dict[str, Any]]:
        """Give the log lines with an id, once there are enough."""

        def enough() -> list[dict[str, Any]] | None:
            complete = self.output.read_text(encoding="utf-8").rpartition("\n")[0]
            found = [line for line in map(json.loads, complete.splitlines()) if line.get("request_id") == request_id]
            return found if len(found) >= at_least else None

        found: list[dict[str, Any]] = self.wait_for(enough)
        return found

    def steps(self) -> dict[str, dict[str, str]]:
        """Give what the page of lines says, by step."""
        page = httpx.get(f"{self.base}/curl").text
        found = (match.groupdict() for match in STEP.finditer(page))
        return {step["name"]: {key: html.unescape(value) for key, value in step.items()} for step in found}

    def token(self, **query: str) -> str:
        """Ask for a token."""
        token: str = httpx.post(f"{self.base}/token", params=query).raise_for_status().json()["access_token"]
        return token

    def stop(self) -> int:
        """Press Ctrl-C and give the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=20)
