"""What all tests share: the two event loops, no silent skips in CI, and which folders need more than Python."""

import os
from collections.abc import Generator

import hypothesis
import pytest

IN_CI = bool(os.environ.get("CI"))

# Each folder is collected only where tox sets its variable, in the environment of the same name, after
# .ci/install-tools brought what it needs. What is missing then is an error, never a skip.
NEEDS_MORE = {
    "browser": "ASGI_MIDDLEWARE_BROWSER",
    "clients": "ASGI_MIDDLEWARE_CLIENTS",
    "examples": "ASGI_MIDDLEWARE_EXAMPLES",
    "fuzz": "ASGI_MIDDLEWARE_FUZZ",
    "identity": "ASGI_MIDDLEWARE_IDENTITY",
    "prometheus": "ASGI_MIDDLEWARE_PROMETHEUS",
    "redis": "ASGI_MIDDLEWARE_REDIS",
    "system": "ASGI_MIDDLEWARE_SYSTEM_TOOLS",
}
collect_ignore = [folder for folder, variable in NEEDS_MORE.items() if not os.environ.get(variable)]

# No deadline: on a shared machine a slow example is not a finding. In CI the same examples every time.
hypothesis.settings.register_profile("house", deadline=None, derandomize=IN_CI)
hypothesis.settings.load_profile("house")


@pytest.fixture(
    params=[
        pytest.param("asyncio", id="asyncio"),
        pytest.param("trio", id="trio"),
    ]
)
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run every ``anyio`` test on asyncio and on trio; tests with a real server override this with asyncio alone."""
    backend: str = request.param
    return backend


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a skipped test in CI unless it carries ``may_skip``: a skip there is a test that nobody knows is missing."""
    report = yield
    if IN_CI and report.skipped and item.get_closest_marker("may_skip") is None:
        report.outcome = "failed"
        report.longrepr = f"skipped in CI without @pytest.mark.may_skip: {_reason(report)}"
    # Tests of hostile text print lone surrogates, which cannot travel from an xdist worker and would end it.
    report.sections = [(name, _travelling(text)) for name, text in report.sections]
    if report.failed and (text := str(report.longrepr)) != (safe := _travelling(text)):
        report.longrepr = safe
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail a module that skips itself while it is collected in CI (``pytest.importorskip`` at module level)."""
    report = yield
    if IN_CI and report.outcome == "skipped":
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} skipped itself in CI: {_reason(report)}"
    return report


def _travelling(text: str) -> str:
    """Return ``text`` with lone surrogates escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return the text that was given to ``pytest.skip``."""
    match report.longrepr:
        case (_, _, reason):
            return str(reason)
        case other:
            return str(other)
