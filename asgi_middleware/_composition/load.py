"""Importing an app by its name, as servers do, with an answer in words for everything that can go wrong."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import traceback
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from asgi_middleware._core.config import ConfigurationError

_NAME: Final = re.compile(r"(?P<module>[^:()/\\]+):(?P<attribute>[^:()]+)(?P<call>\(\))?")


class CannotLoadError(Exception):
    """The app cannot be had; the text says why, for a person."""


def load(name: str, *, is_factory: bool = False, directory: str = ".") -> Any:
    """Import an app.

    Args:
        name: "module:app", "package.module:holder.app" or "module:make_app()".
        is_factory: Whether the name is a function to call, as if it ended with "()".
        directory: The folder to import from, besides what is installed.

    Raises:
        CannotLoadError: There is no such app, or what it runs while it is imported fails.
        ConfigurationError: One of our classes in it was given wrong options.
    """
    match = _NAME.fullmatch(name.strip())
    if match is None:
        raise CannotLoadError(f"{name!r} is not the name of an app. {_advice(name)}")
    folder = str(Path(directory).resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module_name, attribute = match["module"], match["attribute"]
    module = _attempt(lambda: importlib.import_module(module_name), f"cannot import {module_name!r}")
    app = _find(module, module_name, attribute)
    if is_factory or match["call"]:
        if not callable(app):
            raise CannotLoadError(f"{module_name}:{attribute} is {_kind(app)}, which cannot be called.")
        app = _attempt(app, f"{attribute}() failed")
        if inspect.iscoroutine(app):
            app.close()
            raise CannotLoadError(f"{attribute}() is a coroutine function, not a function that makes an app.")
    elif _looks_like_a_factory(app):
        raise CannotLoadError(f"{attribute} is a function without parameters: if it makes the app, add --factory.")
    if isinstance(app, type):
        raise CannotLoadError(f"{attribute} is a class, not an app: give the name of an instance of it.")
    if not callable(app):
        raise CannotLoadError(f"{module_name}:{attribute} is {_kind(app)}, not an ASGI app.")
    return app


def _find(module: object, module_name: str, attribute: str) -> Any:
    found: Any = module
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            near = get_close_matches(part, [name for name in dir(found) if not name.startswith("_")], n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            owner = f"module {module_name!r}" if found is module else _kind(found)
            raise CannotLoadError(f"{owner} has no attribute {part!r}.{hint}") from None
    return found


def _attempt(call: Callable[[], Any], failure: str) -> Any:
    """Run foreign code; what it raises becomes one line that names the place."""
    try:
        return call()
    except ConfigurationError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- foreign code may raise anything
        place = ""
        for frame in traceback.extract_tb(error.__traceback__):
            if frame.filename != __file__ and "importlib" not in frame.filename:
                place = f" ({frame.filename}, line {frame.lineno})"
        text = " ".join(str(error).split()) or "no message"
        raise CannotLoadError(f"{failure}: {type(error).__name__}: {text}{place}") from None


def _looks_like_a_factory(app: object) -> bool:
    return inspect.isfunction(app) and not inspect.iscoroutinefunction(app) and not inspect.signature(app).parameters


def _kind(thing: object) -> str:
    name = type(thing).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _advice(name: str) -> str:
    module, _, attribute = name.partition(":")
    if module.endswith(".py") or "/" in module or "\\" in module:
        parts = re.split(r"[/\\]", module.removesuffix(".py"))
        guess = ".".join(part for part in parts if part not in {"", "."})
        return f"Write a module, not a file: {guess}:{attribute or 'app'}"
    return f"Write module:app, for example {module if module.isidentifier() else 'shop'}:app"
