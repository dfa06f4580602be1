"""Request ids: which is taken, which is made."""

import multiprocessing
import os
import re
import sys
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_middleware.logging import Correlation, generate_request_id, is_safe_request_id
from asgi_middleware.logging.entropy import random_half, random_ids, random_word
from asgi_middleware.logging.failures import Failures
from asgi_middleware.logging.request_ids import RequestIds, carriers_of

NAMES = (b"x-request-id", b"x-correlation-id")


def ids(**options: Any) -> tuple[RequestIds, Failures]:
    """Make a chooser over two header names."""
    failures = Failures("test")
    return RequestIds(Correlation(**options), NAMES, failures), failures


@pytest.mark.parametrize(
    "value",
    [
        str(uuid.UUID(int=7)),
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "Root=1-67891233-abcdef012345678912345678;Sampled=1",
        "105445aa7843bc8bf206b12000100000/1;o=1",
        "a,b",
        "x" * 128,
        "~._-+/=:@;,",
    ],
)
def test_safe_ids(value: str) -> None:
    """The ids of common proxies and generators are safe."""
    assert is_safe_request_id(value)
    assert is_safe_request_id(value.encode())


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x" * 129,
        "-" * 10_000,
        "a b",
        " a",
        "a\r\nset-cookie: x=1",
        "{" + str(uuid.UUID(int=7)) + "}",
        "a\x00",
        "\x85" + str(uuid.UUID(int=7)),
        "\u00a0abc",
        "ä",
        "١٢٣",
        '"abc"',
        "<script>",
        "a%0a",
        "a\\n",
    ],
)
def test_unsafe_ids(value: str) -> None:
    """An id that is long, empty or of other characters is not safe [3.1]."""
    assert not is_safe_request_id(value)


def test_generated_ids() -> None:
    """A generated id is 32 lower-case hexadecimal digits, and no two are the same."""
    made = [generate_request_id() for _ in range(200)]
    assert len(set(made)) == 200
    assert all(len(one) == 32 and set(one) <= set("0123456789abcdef") for one in made)


def _report(queue: Any) -> None:
    queue.put([made for _ in range(20) for made in (generate_request_id(), random_half())])


def test_random_digits() -> None:
    """Words and halves are hexadecimal, of one length, and never the same twice, however many stocks they empty."""
    words, halves = [random_word() for _ in range(400)], [random_half() for _ in range(400)]
    for _ in range(400):
        one, two, half = random_ids()
        words += [one, two]
        halves.append(half)
    assert len({*words, *halves}) == 2000
    assert all(re.fullmatch("[0-9a-f]{32}", word) for word in words)
    assert all(re.fullmatch("[0-9a-f]{16}", half) for half in halves)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.may_skip("Windows has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_generated_ids_differ_after_fork() -> None:
    """Parent and forked children never make the same id [3.1]."""
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    random_half()
    generate_request_id()
    children = [context.Process(target=_report, args=(queue,)) for _ in range(2)]
    for child in children:
        child.start()
    found = [one for _ in children for one in queue.get()]
    for child in children:
        child.join()
    found += [made for _ in range(20) for made in (generate_request_id(), random_half())]
    assert len(set(found)) == 120
    assert sys.platform != "win32"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param([(b"x-request-id", b"one")], "one", id="taken"),
        pytest.param([(b"x-correlation-id", b"two")], "two", id="second name"),
        pytest.param([(b"x-correlation-id", b"two"), (b"x-request-id", b"one")], "one", id="priority"),
        pytest.param([(b"X-Request-ID", b"one")], "one", id="any case"),
        pytest.param([(b"x-request-id", b" one\t")], "one", id="optional white space"),
        pytest.param([(b"x-request-id", b"one"), (b"x-request-id", b"one")], "one", id="the same twice"),
        pytest.param([], None, id="absent"),
        pytest.param([(b"x-request-id", b"one"), (b"x-request-id", b"two")], None, id="two different lines"),
        pytest.param([(b"x-request-id", b"bad one"), (b"x-correlation-id", b"two")], None, id="unsafe by priority"),
        pytest.param([(b"x-request-id", b"\xff")], None, id="not ASCII"),
        pytest.param([(b"x-request-id", b"")], None, id="empty"),
    ],
)
def test_choice(headers: list[tuple[bytes, bytes]], expected: str | None) -> None:
    """The first id by priority is taken if safe and unambiguous, else one is made; values are never joined [3.1]."""
    chooser, failures = ids(generator=lambda: "made")
    assert chooser.choose(chooser.finder.find(headers), {}) == (expected or "made")
    assert failures.count == 0


def raises(*_: object) -> Any:
    """Fail, as a hook may."""
    message = "hook"
    raise RuntimeError(message)


@pytest.mark.parametrize(
    "rubbish",
    [raises, lambda: "a\r\nb", lambda: "é", lambda: "", lambda: None, lambda: 7],
    ids=["raises", "line break", "not ASCII", "empty", "None", "integer"],
)
def test_generator_rubbish(rubbish: Callable[[], Any], capsys: pytest.CaptureFixture[str]) -> None:
    """A generator that raises or gives an unusable id is passed over, counted and told once [3.1]."""
    chooser, failures = ids(generator=rubbish)
    for count in (1, 2):
        assert is_safe_request_id(chooser.choose([], {}))
        assert failures.count == count
    assert capsys.readouterr().err.count("asgi_middleware:") == 1


@pytest.mark.parametrize("rubbish", [raises, lambda _: "a\r\nb", lambda _: None], ids=["raises", "line break", "None"])
@pytest.mark.usefixtures("capsys")
def test_transformer_rubbish(rubbish: Callable[[str], Any]) -> None:
    """A transformer that raises or gives an unusable id leaves the id as it was."""
    chooser, failures = ids(transformer=rubbish)
    assert chooser.choose(chooser.finder.find([(b"x-request-id", b"one")]), {}) == "one"
    assert failures.count == 1


@pytest.mark.usefixtures("capsys")
def test_hooks() -> None:
    """The validator can turn safe ids down, the transformer changes every id; a validator that raises turns down."""
    strict, _ = ids(validator=lambda one: one.startswith("ok"), generator=lambda: "made", transformer=str.upper)
    assert strict.choose(strict.finder.find([(b"x-request-id", b"ok-1")]), {}) == "OK-1"
    assert strict.choose(strict.finder.find([(b"x-request-id", b"no-1")]), {}) == "MADE"
    broken, failures = ids(validator=raises, generator=lambda: "made")
    assert broken.choose(broken.finder.find([(b"x-request-id", b"ok-1")]), {}) == "made"
    assert failures.count == 1


@given(st.binary(max_size=200))
def test_whatever_a_client_sends_the_id_is_safe(raw: bytes) -> None:
    """No bytes of a client become an unsafe id."""
    chooser = ids()[0]
    chosen = chooser.choose(chooser.finder.find([(b"x-request-id", raw)]), {})
    assert is_safe_request_id(chosen)
    assert chosen.isascii()
    assert len(chosen) <= 128


@pytest.mark.parametrize(
    ("version", "accepts"),
    [
        ("2.0", False),
        ("2.1", True),
        ("2.3", True),
        ("2.10", True),
        ("3.0", True),
        (None, False),
        ("x", False),
        (2.4, False),
    ],
)
def test_accept_carries_headers_since_2_1(version: Any, accepts: bool) -> None:
    """A WebSocket's accept gets a header only where the server's version of the specification has them [3.3]."""
    scope = {"type": "websocket", "asgi": {"version": "3.0", "spec_version": version}}
    assert ("websocket.accept" in carriers_of(scope)) is accepts
    assert "websocket.accept" not in carriers_of({"type": "websocket"})
    assert "websocket.accept" not in carriers_of({"type": "websocket", "asgi": None})
