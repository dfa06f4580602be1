import importlib
import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

import asgi_middleware

# Room -> those of the concerns' third-party modules that it may load.
DEPENDENCIES = {
    "auth": {"jwt", "cryptography"},
    "compression": {"brotli"},
    "cors": set[str](),
    "limits": set[str](),
    "logging": {"structlog"},
    "metrics": {"prometheus_client"},
    "problems": set[str](),
    "testing": set[str](),
}
ALL_DEPENDENCIES = set[str]().union(*DEPENDENCIES.values())
PACKAGE = Path(asgi_middleware.__file__).parent


def run_python(code: str) -> str:
    """Run ``code`` in a fresh interpreter that sees the very package under test, and return what it prints."""
    result = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def loaded_by(statement: str) -> set[str]:
    """Return which of the concerns' dependencies are loaded after ``statement``."""
    return set(run_python(f"import sys\n{statement}\nprint(*sys.modules)").split()) & ALL_DEPENDENCIES


def test_every_public_name_resolves() -> None:
    """Every name in ``__all__`` can be imported from the front door."""
    for name in asgi_middleware.__all__:
        assert getattr(asgi_middleware, name) is not None, name


def test_the_table_the_list_and_dir_agree() -> None:
    """The table of lazy names, ``__all__`` and ``dir()`` name the same things, each once."""
    assert len(set(asgi_middleware.__all__)) == len(asgi_middleware.__all__)
    assert set(asgi_middleware._HOME) | {"__version__"} == set(asgi_middleware.__all__)
    assert set(asgi_middleware.__all__) <= set(dir(asgi_middleware))


def test_a_public_name_is_public_where_it_lives() -> None:
    """A class comes from its room's own front door, and is in that room's ``__all__``."""
    for name, home in asgi_middleware._HOME.items():
        if "._" not in home:
            assert name in importlib.import_module(home).__all__, (name, home)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A name that does not exist raises AttributeError with the name in it, as for any module."""
    with pytest.raises(AttributeError, match="CorsMiddleware"):
        _ = asgi_middleware.CorsMiddleware  # type: ignore[attr-defined]


def test_stack_is_the_function_whatever_was_imported_before() -> None:
    """``from asgi_middleware import stack`` gives the function, also after every submodule was imported."""
    code = (
        "import importlib, pkgutil, asgi_middleware\n"
        "names = [m.name for m in pkgutil.iter_modules(asgi_middleware.__path__, 'asgi_middleware.')]\n"
        "for name in names:\n"
        "    if name != 'asgi_middleware.integrations':\n"
        "        importlib.import_module(name)\n"
        "from asgi_middleware import layer, stack\n"
        "print(type(stack).__name__, callable(layer))"
    )
    assert run_python(code) == "function True"


def test_the_front_door_loads_no_dependency() -> None:
    """``import asgi_middleware`` alone loads no concern's dependency."""
    assert loaded_by("import asgi_middleware") == set()


def test_the_stack_loads_no_dependency() -> None:
    """``stack`` loads no concern: only the classes that are named are loaded."""
    assert loaded_by("from asgi_middleware import stack, layer") == set()


@pytest.mark.parametrize("room", sorted(DEPENDENCIES))
def test_a_room_loads_its_own_dependencies_only(room: str) -> None:
    """Importing one room loads no other concern's dependency."""
    assert loaded_by(f"import asgi_middleware.{room}") <= DEPENDENCIES[room]


@pytest.mark.parametrize("name", sorted(asgi_middleware._HOME))
def test_a_public_name_loads_its_own_dependencies_only(name: str) -> None:
    """Taking one public name from the front door loads no other concern's dependency."""
    room = asgi_middleware._HOME[name].removeprefix("asgi_middleware.")
    assert loaded_by(f"from asgi_middleware import {name}") <= DEPENDENCIES.get(room, set())


def test_the_version_is_the_distributions() -> None:
    """``__version__`` is the version in the distribution's metadata."""
    try:
        metadata_version = importlib.metadata.version("asgi-middleware")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the distribution is not installed: run through tox")
    assert asgi_middleware.__version__ == metadata_version


def test_the_package_is_typed() -> None:
    """The package carries ``py.typed``, so that type checkers read its annotations (PEP 561)."""
    assert (PACKAGE / "py.typed").is_file()
