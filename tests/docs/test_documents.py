"""What the documents show is so: code runs, commands exist, links lead somewhere."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, get_args, get_type_hints

import pytest

import asgi_middleware
from asgi_middleware.auth import challenge, errors, extraction, policy

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*/README.md")])
FENCE = re.compile(
    r"^```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^```\n(?P<tries>(?:<!-- try: [^\n]* -->\n)*)", re.DOTALL | re.MULTILINE
)
TRY = re.compile(r"<!-- try: (?P<method>[A-Z]+) (?P<path>\S+) (?P<status>\d{3}) -->")
LINK = re.compile(r"\[[^\]]+\]\((?P<target>[^)\s]+)\)")
# Runs after a block: makes the requests of its `try` comments to the app that the block defined.
DRIVER = """
import sys, anyio
from asgi_middleware.testing import http
app = globals().get("application") or globals()["app"]
for attempt in sys.argv[1:]:
    method, path, status = attempt.split()
    result = anyio.run(lambda: http(app, method, path, headers=[(b"host", b"localhost")]))
    assert result.status == int(status), (attempt, result.status, result.body)
"""


@pytest.fixture(scope="session")
def run_block() -> Iterator[Callable[..., tuple[int, str]]]:
    """Run code with arguments in a process of its own; give its exit status and what it wrote to standard error."""
    # The package under test comes first, then a Django project for the blocks that are about one.
    path = os.pathsep.join([str(Path(asgi_middleware.__file__).parents[1]), str(Path(__file__).with_name("site"))])
    flags = [sys.executable, "-P", "-W", "error::DeprecationWarning:__main__"]
    environment = {**os.environ, "PYTHONPATH": path}
    if not hasattr(os, "fork"):

        def run(code: str, *arguments: str) -> tuple[int, str]:
            result = subprocess.run(
                [*flags, "-c", code, *arguments],
                env=environment,
                capture_output=True,
                text=True,
                timeout=50,
                check=False,
            )
            return result.returncode, result.stderr

        yield run
        return
    runner = Path(__file__).with_name("run_blocks.py")
    with subprocess.Popen(
        [*flags, str(runner)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def ask(code: str, *arguments: str) -> tuple[int, str]:
            process.stdin.write(f"{json.dumps({'code': code, 'arguments': arguments})}\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            return answer["status"], answer["errors"]

        yield ask
        process.stdin.close()


class Block(NamedTuple):
    """One fenced block of a document."""

    document: Path
    line: int
    language: str
    code: str
    tries: tuple[str, ...]


def blocks(*languages: str) -> list[object]:
    """Give the blocks in some languages, as parameters."""
    found = []
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            if match["language"] in languages:
                tries = tuple(" ".join(attempt.groups()) for attempt in TRY.finditer(match["tries"]))
                line = text.count("\n", 0, match.start()) + 1
                block = Block(document, line, match["language"], match["code"], tries)
                found.append(pytest.param(block, id=f"{document.relative_to(ROOT)}:{line}"))
    return found


def anchors(document: Path) -> set[str]:
    """Give the anchors of a document's headings, as GitHub makes them."""
    text = FENCE.sub("", document.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("block", blocks("python", "py"))
def test_a_python_block_runs(block: Block, run_block: Callable[..., tuple[int, str]]) -> None:
    """A Python block of a document runs by itself, and its app answers as the comments below it say."""
    code = f"{block.code}\n{DRIVER if block.tries else ''}"
    status, errors = run_block(code, *block.tries)
    assert status == 0, errors


def test_a_block_that_fails_is_seen(run_block: Callable[..., tuple[int, str]]) -> None:
    """What a block raises is a failure with its traceback, and the next block knows nothing of it."""
    status, errors = run_block(
        "import asgi_middleware, sys\nleft = 1\nassert sys.argv[1:] == ['GET / 200']", "GET / 200"
    )
    assert (status, errors) == (0, "")
    status, errors = run_block("print(left)")
    assert status == 1
    assert "NameError: name 'left' is not defined" in errors
    assert run_block("raise SystemExit(3)")[0] == 3
    assert "DeprecationWarning" in run_block("import warnings; warnings.warn('old', DeprecationWarning)")[1]


def test_every_comment_that_looks_like_a_try_is_one() -> None:
    """A `try` comment that is misspelled, or stands elsewhere than right below its block, would never be tried."""
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        used = sum(len(TRY.findall(match["tries"])) for match in FENCE.finditer(text) if match["language"] == "python")
        assert used == text.count("<!-- try"), document.name


@pytest.mark.parametrize("block", blocks("console", "bash", "sh", "shell"))
def test_a_shell_block_is_sound(block: Block) -> None:
    """A shell block parses, and the modules, extras, environments and files it names exist."""
    # bash reads the script and runs nothing of it.
    parsed = subprocess.run(["bash", "-n"], input=block.code, capture_output=True, text=True, timeout=10, check=False)  # noqa: S607
    assert parsed.returncode == 0, parsed.stderr
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    tox_ini = (ROOT / "tox.ini").read_text(encoding="utf-8")
    words = shlex.split(block.code, comments=True)
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if extras := re.fullmatch(r"\.\[([\w,]+)\]", word):
            assert set(extras[1].split(",")) <= set(pyproject["project"]["optional-dependencies"]), word
        if word == "-m" and after.startswith("examples."):
            assert ROOT.joinpath(*after.split("."), "__main__.py").is_file(), after
        if word == "--group":
            assert after in pyproject["dependency-groups"], after
        if word == "-e" and re.fullmatch(r"\w+", after):
            assert re.search(rf"^\[testenv:.*\b{after}\b.*\]$", tox_ini, re.MULTILINE), after
        if re.match(r"(\.ci|tests|docs|examples|benchmarks)/", word):
            assert (ROOT / word).exists(), word


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_inside_the_repository_lead_somewhere(document: Path) -> None:
    """A relative link names a file that exists, and a heading that is there."""
    for match in LINK.finditer(FENCE.sub("", document.read_text(encoding="utf-8"))):
        target, _, anchor = match["target"].partition("#")
        if "://" in target:
            assert target.startswith("https://"), target
            continue
        file = (document.parent / target).resolve() if target else document
        assert file.exists(), f"{target} in {document.name}"
        if anchor:
            assert anchor in anchors(file), f"{match['target']} in {document.name}"


def test_the_readme_shows_every_class_with_a_page() -> None:
    """The README's table has one row for each public class, in which a link leads to its page."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| .+ \| \[docs\]\((docs/\S+)\) \|$", readme, re.MULTILINE)
    classes = {name for name in asgi_middleware.__all__ if name.endswith(("Middleware", "Endpoint"))}
    assert {name for name, _ in rows} == classes
    assert len(rows) == len(classes)


def test_the_page_names_every_reason_of_an_answer_about_tokens() -> None:
    """What is no member of ``Reason``, which the reference lists, stands in the table of answers."""
    words = {*map(str, extraction.NoToken), policy.ROLE, policy.SCOPE}
    answers = challenge.Answers(realm="api", close_code=4401, forbidden_code=4403)
    words |= {refusal.reason for refusal in (answers.crowded, answers.unavailable, answers.timeout, answers.origin)}
    words |= set(get_args(get_type_hints(errors.Unavailable.__init__)["reason"]))
    section = (ROOT / "docs" / "auth.md").read_text(encoding="utf-8").partition("## Answers")[2].partition("\n## ")[0]
    assert {word for word in words if f"`{word}`" not in section} == set()


def test_the_blocks_are_found() -> None:
    """The README shows FastAPI, Starlette, Django, Litestar and a bare app, each in a block that is tried."""
    readme = [parameter.values[0] for parameter in blocks("python") if str(parameter.id).startswith("README.md")]  # type: ignore[attr-defined]
    assert all(block.tries for block in readme)
    for name in ("fastapi", "starlette", "django", "litestar"):
        assert any(f"from {name}" in block.code for block in readme), name
    assert len(readme) >= 5
