"""Composition, outermost first."""

from __future__ import annotations

import pytest

from asgi_middleware import ConfigurationError, layer, stack
from asgi_middleware._core.config import Problems
from asgi_middleware.testing import http

pytestmark = pytest.mark.anyio


class Tag:
    """Puts its name in front of the path."""

    def __init__(self, app, *, name: str = "bare", size: int = 1) -> None:
        problems = Problems("Tag")
        problems.integer("size", size, minimum=0)
        problems.raise_if_any()
        self.app = app
        self.name = name

    async def __call__(self, scope, receive, send) -> None:
        await self.app({**scope, "path": f"{scope['path']}/{self.name}"}, receive, send)


async def echo(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode(), "more_body": False})


async def test_the_first_layer_is_the_outermost():
    """A request meets the layers in the order in which they are written."""
    app = stack(echo, layer(Tag, name="first"), Tag, layer(Tag, name="last"))
    assert (await http(app, path="")).body == b"/first/bare/last"


async def test_without_layers_the_app_stays_itself():
    """Nothing is wrapped where nothing is asked for."""
    assert stack(echo) is echo


async def test_a_layer_can_be_used_twice():
    """A layer holds options, no app: two apps may share it."""
    tag = layer(Tag, name="a")
    assert (await http(stack(echo, tag), path="")).body == b"/a"
    assert (await http(stack(echo, tag, tag), path="")).body == b"/a/a"


def test_the_problems_of_all_layers_come_at_once():
    """Each problem names its class and option, in the order of the layers."""
    with pytest.raises(ConfigurationError) as caught:
        stack(echo, layer(Tag, size=-1), Tag, layer(Tag, size="x"))
    assert [(problem.option, problem.value) for problem in caught.value.problems] == [
        ("Tag(size)", -1),
        ("Tag(size)", "x"),
    ]


@pytest.mark.parametrize(
    ("app", "layers", "code"),
    [
        (Tag, (), "not_an_app"),
        (layer(Tag), (Tag,), "not_an_app"),
        (None, (Tag,), "not_an_app"),
        (echo, ("Tag",), "not_a_layer"),
        (echo, ((Tag, {}),), "not_a_layer"),
        (echo, (echo,), "not_a_layer"),
        (echo, (Tag(echo),), "not_a_layer"),
    ],
    ids=["class", "layer", "none", "text", "tuple", "app-function", "app-object"],
)
def test_mistakes_are_named(app, layers, code):
    """An app where a layer is needed, or a layer where the app is needed, is told at once."""
    with pytest.raises(ConfigurationError) as caught:
        stack(app, *layers)
    assert caught.value.problems[0].code == code


def test_a_plain_function_may_wrap():
    """Whatever takes an app and gives an app is a layer."""
    made = stack(echo, lambda app: Tag(app, name="x"))
    assert isinstance(made, Tag)


def test_a_layer_hides_the_values_of_its_options():
    """A key among the options never shows."""
    assert repr(layer(Tag, name="secret")) == "layer(Tag, name=...)"
