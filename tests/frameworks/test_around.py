"""The whole stack from outside, judged by the conformance checker; and around a Starlette that mounts the framework."""

from importlib import import_module

import pytest
from expectations import CASES, expected
from harness import running, serving
from services.common import Calls, layers
from starlette.applications import Starlette
from starlette.routing import Mount

from asgi_middleware import stack
from asgi_middleware.testing import sandwich

# The whole stack outside of Starlette is what some tests are about; test_table.py says where it is warned about.
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore::asgi_middleware.OrderWarning")]

# What the classes promise to change; all other cases must pass with no finding at all.
PROMISED = {
    "stream": {"start-held:http.response.start", "body-changed:http.response.body"},
    "page": {
        "start-held:http.response.start",
        "body-changed:http.response.body",
        "header-changed:content-length",
    },
    "head": {"header-changed:content-length"},
    "exception": {"exception-swallowed:Broken"},
    "no token": {"app-not-called:http"},
    "preflight": {"app-not-called:http"},
    "body over the limit, declared": {"app-not-called:http", "early-receive:http"},
    "websocket, no token": {"app-not-called:websocket"},
}
# There ProblemDetailsMiddleware answers in place of a framework that raises.
ANSWERED = {
    "exception-swallowed:ValueError",
    "exception-answered:websocket.http.response.start",
    "early-receive:websocket",
}
# There the limit takes the request over, whatever the app sends.
TAKEN_OVER = {"body over the limit, chunked", "body over the limit, swallowed"}


async def test_the_stack_changes_what_it_promises_and_nothing_else(framework: str) -> None:
    """Between two observers, with real frameworks' messages: no finding but those that the classes are for."""
    found = {}
    with serving(framework, "inside") as service:
        bare = import_module(f"services.{framework}_service").build([], Calls())
        async with running(bare):
            for name, case in CASES.items():
                cell = expected(name, framework, "outside")
                if name in TAKEN_OVER or isinstance(cell, str):
                    continue
                checked = sandwich(lambda app: stack(app, *layers(service.registry)), bare)
                service.app = checked
                await service.request(case)
                promised = PROMISED.get(name, set()) | (ANSWERED if cell.error == "ValueError" else set())
                if surprising := checked.report.keys - promised:
                    found[name] = surprising
    assert found == {}


MOUNTED = ["async handler", "anonymous", "page", "exception", "body over the limit, chunked", "websocket"]


@pytest.mark.parametrize("name", MOUNTED)
async def test_mounted_below_starlette(framework: str, name: str) -> None:
    """Below a mount with a parameter everything is as it was, and the mount's template stands before the route."""
    if framework == "falcon":
        assert await falcon_below_a_mount() == 404
        return
    cell = expected(name, framework, "outside")
    assert not isinstance(cell, str)
    with serving(framework, "inside") as service:
        bare = import_module(f"services.{framework}_service").build([], Calls())
        async with running(bare):
            outer = Starlette(routes=[Mount("/mounted/{site}", app=bare)])
            service.app = stack(outer, *layers(service.registry))
            result = await service.request(CASES[name], prefix="/mounted/1")
        assert (result.status or result.close_code) == cell.status
        [access] = service.access
        assert access.get("route") == f"/mounted/{{site}}{cell.route or '/{path}'}"
        assert (access["outcome"], access.get("subject")) == (cell.outcome, cell.subject)
        assert [line["request_id"] for line in service.works] == [access["request_id"]] * len(cell.works)


async def falcon_below_a_mount() -> int | None:
    """Falcon matches the whole path, `root_path` included (ASGI HTTP specification, "root_path")."""
    with serving("falcon", "around") as service:
        app = service.app
        service.app = Starlette(routes=[Mount("/mounted/{site}", app=app)])
        return (await service.request(CASES["async handler"], prefix="/mounted/1")).status
