"""One test for every cell of the table, for the frameworks that this environment is to have."""

from importlib import import_module

import pytest
from expectations import CASES, WAYS, expected
from harness import THIRD_PARTIES, frameworks, installed

# Modules that need one of them.
collect_ignore = [f"test_{name}.py" for name in THIRD_PARTIES if name not in installed()]
collect_ignore += [f"test_{name}_routes.py" for name in ("blacksheep", "channels", "falcon") if name not in installed()]
if "django" not in installed():
    collect_ignore.append("test_django_admin.py")
if not {"starlette", "fastapi", "litestar", "quart", "django"} & set(installed()):
    collect_ignore.append("test_auth_paths.py")

_HTTP = [name for name, case in CASES.items() if case.method != "WS"]
_WEBSOCKET = [name for name, case in CASES.items() if case.method == "WS"]


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize by framework, way of adding the stack, event loop and case, as far as the test asks for them."""
    if not {"framework", "anyio_backend"} <= set(metafunc.fixturenames):
        return
    cases = {"http_case": _HTTP, "websocket_case": _WEBSOCKET}
    named = next((name for name in cases if name in metafunc.fixturenames), None)
    ways = "way" in metafunc.fixturenames
    rows = [
        (framework, loop, *([way] if ways else []), *([case] if case else []))
        for framework in frameworks()
        for way in (WAYS[framework] if ways else WAYS[framework][-1:])
        for loop in ("asyncio", "trio")
        if loop == "asyncio" or import_module(f"services.{framework}_service").TRIO
        for case in (cases[named] if named else [""])
        if not case or not isinstance(expected(case, framework, way), str)
    ]
    names = ["framework", "anyio_backend", *(["way"] if ways else []), *([named] if named else [])]
    metafunc.parametrize(names, rows, ids=[" ".join(row) for row in rows])
