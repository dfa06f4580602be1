"""The public interface, name by name: a change of it is a decision, not an accident.

After such a decision: ``python tests/packaging/test_public_api.py`` writes ``public_api.txt`` anew; the diff shows what
users will notice, and the changelog says it (see docs/deprecation.md).
"""

import ast
import inspect
import pkgutil
from collections.abc import Iterator
from enum import Enum
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any

import asgi_middleware

LIST = Path(__file__).with_name("public_api.txt")
PACKAGE = Path(asgi_middleware.__file__).parent
ROOMS = sorted(
    room.name
    for room in pkgutil.iter_modules(asgi_middleware.__path__)
    if room.ispkg and not room.name.startswith("_") and room.name != "integrations"
)


def interface() -> Iterator[str]:
    """Give one line for each public name, with its parameters; below a class its public methods and properties."""
    yield "asgi_middleware"
    for name in sorted(asgi_middleware.__all__):
        home = asgi_middleware._HOME.get(name, "")
        yield f"    {name} of {home}" if home and "._" not in home else f"    {described(name, asgi_middleware)}"
        if "._" in home:
            yield from members(getattr(asgi_middleware, name))
    for module_name in (*(f"asgi_middleware.{room}" for room in ROOMS), "asgi_middleware.testing.tokens"):
        module = import_module(module_name)
        names = getattr(module, "__all__", None) or [name for name in vars(module) if is_own(name, module)]
        yield module_name
        for name in sorted(names):
            yield f"    {described(name, module)}"
            yield from members(getattr(module, name))
    for path in sorted((PACKAGE / "integrations").glob("[a-z]*.py")):
        yield f"asgi_middleware.integrations.{path.stem}"  # by its text: its framework may not be installed
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name[0] != "_":
                yield f"    {node.name}"


def is_own(name: str, module: Any) -> bool:
    """Tell whether a module without a list of names defines this one for others."""
    return not name.startswith("_") and getattr(getattr(module, name), "__module__", None) == module.__name__


def described(name: str, module: Any) -> str:
    """Give a name with its parameters, or with the type of its value."""
    value = getattr(module, name)
    if isinstance(value, type | FunctionType):
        return f"{'class' if isinstance(value, type) else 'def'} {name}{parameters(value)}"
    return f"{name}: {type(value).__name__}"


def parameters(value: Any) -> str:
    """Give the names of the parameters, with "=" where there is a default; "" for what nobody makes by calling it."""
    if isinstance(value, type) and (
        issubclass(value, Enum)
        or is_protocol(value)
        or (issubclass(value, Exception) and "__init__" not in vars(value))
    ):
        return ""  # Python's own signature, which differs from version to version
    plain = [
        each.replace(annotation=each.empty, default=each.empty if each.default is each.empty else Default())
        for each in inspect.signature(value).parameters.values()
    ]
    return str(inspect.Signature(plain))


def is_protocol(value: type) -> bool:
    """Tell whether a class only describes others."""
    return bool(getattr(value, "_is_protocol", False))


class Default:
    """Stands for any default: its value may differ with the machine."""

    def __repr__(self) -> str:
        return ""


def members(value: Any) -> Iterator[str]:
    """Give the public methods and properties of a class of ours, inherited ones too."""
    if not isinstance(value, type):
        return
    found = {name: f"{name} = {member.value!r}" for name, member in getattr(value, "__members__", {}).items()}
    for cls in reversed(value.__mro__):
        if cls.__module__.startswith("asgi_middleware"):
            for name, member in vars(cls).items():
                if name.startswith("_"):
                    continue
                if isinstance(member, property | cached_property):
                    found[name] = name
                elif isinstance(member, FunctionType | classmethod | staticmethod):
                    found[name] = f"{name}{parameters(getattr(value, name))}"
    yield from (f"        {found[name]}" for name in sorted(found))


def test_the_public_interface_is_what_the_list_says() -> None:
    """A name, parameter, method or property that joins, leaves or moves shows here, as a line."""
    assert list(interface()) == LIST.read_text(encoding="utf-8").splitlines()


def test_every_public_name_is_documented() -> None:
    """Each public class, function, method and property has a docstring; the built site is asked for values."""
    silent = []
    for room in ROOMS:
        module = import_module(f"asgi_middleware.{room}")
        for name in module.__all__:
            value = getattr(module, name)
            if not isinstance(value, type | FunctionType):
                continue
            if not value.__doc__:
                silent.append(f"{room}.{name}")
            for member, thing in vars(value).items() if isinstance(value, type) else ():
                is_described = isinstance(thing, FunctionType | property | classmethod | staticmethod)
                if member[0] != "_" and is_described and not inspect.getdoc(getattr(value, member)):
                    silent.append(f"{room}.{name}.{member}")
    assert silent == []


if __name__ == "__main__":
    LIST.write_text("".join(f"{line}\n" for line in interface()), encoding="utf-8")
