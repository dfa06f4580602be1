"""Composition: several classes around one app, written outermost first, as a request meets them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from typing import Any, Concatenate, ParamSpec, TypeAlias

from asgi_middleware._composition.check import warn
from asgi_middleware._core.config import ConfigurationError, Problem, Problems
from asgi_middleware._core.types import ASGIApp

_Options = ParamSpec("_Options")


@dataclass(frozen=True, slots=True)
class Layer:
    """A middleware class with its options, waiting for the app; made by :func:`layer`.

    Options may be secrets, so that the repr names them without their values.
    """

    factory: Callable[..., ASGIApp]
    arguments: tuple[Any, ...] = field(repr=False)
    options: dict[str, Any] = field(repr=False)

    def __call__(self, app: ASGIApp) -> ASGIApp:
        """Make the middleware around `app`."""
        return self.factory(app, *self.arguments, **self.options)

    def __repr__(self) -> str:
        """Show the class and the names of its options."""
        return f"layer({', '.join([_name(self.factory), *(f'{name}=...' for name in self.options)])})"


Wrapper: TypeAlias = Callable[[ASGIApp], ASGIApp]


def layer(
    middleware: Callable[Concatenate[ASGIApp, _Options], ASGIApp],
    /,
    *arguments: _Options.args,
    **options: _Options.kwargs,
) -> Layer:
    """Hold a middleware class together with its options, checked by the type checker like a call of the class.

    Any middleware class will do, ours or another's: what it takes first is the app.

    Args:
        middleware: The class.
        *arguments: Positional arguments after the app; ours have none.
        **options: Its options.
    """
    return Layer(middleware, arguments, options)


def stack(app: ASGIApp, *layers: Wrapper) -> ASGIApp:
    """Put `layers` around `app`: the first is the outermost and meets a request first.

    The order matters: a refusal by a class outside the CORS class has no CORS headers, and a browser then reports a
    network error. What is in the wrong place is told by one ``OrderWarning``, here and now, so that it is seen under
    every server; add what goes inside a framework before. The order, with its reasons, stands in ``docs/order.md``::

        from asgi_middleware import CORSMiddleware, CompressionMiddleware, LoggingMiddleware, layer, stack


        async def app(scope, receive, send): ...


        app = stack(
            app,
            layer(LoggingMiddleware, exclude_paths=["/health"]),
            layer(CORSMiddleware, allow_origins=["https://app.example"]),
            CompressionMiddleware,
        )

    Args:
        app: The app, framework or function.
        *layers: Outermost first: :func:`layer` with options, or a bare class that needs none.

    Returns:
        The outermost middleware; `app` itself without layers.

    Raises:
        ConfigurationError: Options of any layer are wrong. The problems of all layers are listed together.

    Warns:
        OrderWarning: Classes are in the wrong order, here or within `app`; see :func:`asgi_middleware.check_order`.
    """
    problems: list[Problem] = list(_misuse(app, layers))
    wrapped = app
    if not problems:
        for wrapper in reversed(layers):
            try:
                wrapped = wrapper(wrapped)
            except ConfigurationError as error:
                owned = [problem._replace(option=f"{error.owner}({problem.option})") for problem in error.problems]
                problems[:0] = owned
    if problems:
        raise ConfigurationError("stack", problems)
    warn(wrapped, stacklevel=2)
    return wrapped


def _misuse(app: object, layers: tuple[object, ...]) -> tuple[Problem, ...]:
    problems = Problems("stack")
    if isinstance(app, Layer | type) or not callable(app):
        problems.add("app", app, "is not an ASGI app", fix="pass the app first, then the layers", code="not_an_app")
    for position, wrapper in enumerate(layers, start=1):
        if callable(wrapper) and not _is_app(wrapper):
            continue
        message = "is an ASGI app already" if callable(wrapper) else "is not a layer"
        fix = "write layer(Class, option=...) or the bare class"
        problems.add(f"layers[{position}]", wrapper, message, fix=fix, code="not_a_layer")
    return problems.found()


def _is_app(wrapper: object) -> bool:
    if isinstance(wrapper, Layer | type):
        return False
    return iscoroutinefunction(wrapper) or iscoroutinefunction(type(wrapper).__call__)


def _name(factory: object) -> str:
    name: str = getattr(factory, "__name__", type(factory).__name__)
    return name
