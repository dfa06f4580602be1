"""What other people's tools make of us: every line of the showcase in a real shell, every coding decoded."""

from __future__ import annotations

import html
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STEP = re.compile(
    r'<li id="(?P<name>[\w-]+)">.*?<code>(?P<command>.*?)</code>.*?<b class="status">(?P<status>\d+)</b>', re.DOTALL
)
STATUS = re.compile(rb"^HTTP/[\d.]+ (\d{3})", re.MULTILINE)
NAMES = re.findall(r'Step\(\s*"([\w-]+)"', (ROOT / "examples/showcase/steps.py").read_text())
BASH, CURL = shutil.which("bash") or "bash", ["curl", "-s", "--noproxy", "*"]
TIMED_OUT = 28  # curl's own exit status for --max-time


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the showcase on a port that the system picks, and give its address."""
    words = tmp_path_factory.mktemp("showcase") / "stderr"
    with words.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "examples.showcase", "--port", "0"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
    try:
        deadline = time.monotonic() + 30
        while (found := re.search(r"Listening on (http://[^\s/]+)", words.read_text())) is None:
            assert process.poll() is None, words.read_text()
            assert time.monotonic() < deadline, words.read_text()
            time.sleep(0.05)
        yield found[1]
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def steps(base: str) -> dict[str, tuple[str, int]]:
    """Give each line of the page with the status that it promises."""
    page = subprocess.run([*CURL, f"{base}/curl"], capture_output=True, timeout=30, check=True, text=True).stdout
    return {match["name"]: (html.unescape(match["command"]), int(match["status"])) for match in STEP.finditer(page)}


def test_the_page_has_all_lines(steps: dict[str, tuple[str, int]]) -> None:
    """The names that the tests below are made from are those of the page."""
    assert list(steps) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_line_in_a_shell(name: str, steps: dict[str, tuple[str, int]]) -> None:
    """Copied into a shell, the line gives the status that the page promises, and curl sees nothing wrong."""
    command, status = steps[name]
    environment = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    done = subprocess.run(
        [BASH, "-c", command], capture_output=True, timeout=30, stdin=subprocess.DEVNULL, env=environment, check=False
    )
    assert [int(found) for found in STATUS.findall(done.stdout)][-1:] == [status], done
    assert done.returncode in ({0, TIMED_OUT} if "--max-time" in command else {0}), done


@pytest.mark.parametrize(
    ("coding", "decoder"),
    [("gzip", ["gzip", "-dc"]), ("br", ["brotli", "-dc"]), ("zstd", ["zstd", "-dcq"])],
    ids=["gzip", "br", "zstd"],
)
def test_codings_in_other_hands(base: str, coding: str, decoder: list[str]) -> None:
    """The command-line tool of each coding gives back the bytes that an uncoded answer has."""
    command = [*CURL, f"{base}/starlette/catalog"]
    plain = subprocess.run(command, capture_output=True, timeout=30, check=True).stdout
    coded = subprocess.run([*command, "-H", f"Accept-Encoding: {coding}"], capture_output=True, timeout=30, check=True)
    assert len(coded.stdout) < len(plain) / 2
    assert subprocess.run(decoder, input=coded.stdout, capture_output=True, timeout=30, check=True).stdout == plain
