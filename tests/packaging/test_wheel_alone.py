import json
import os
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

DIST = Path(os.environ["ASGI_MIDDLEWARE_DIST"])
ROOT = Path(__file__).parents[2]


def only(pattern: str) -> Path:
    """Return the one file of the built distributions that matches."""
    (path,) = DIST.glob(pattern)
    return path


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command away from the working tree, and return what it prints."""
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    result = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.timeout(300)
def test_wheel_and_sdist_wrap_a_bare_app_with_all_six_classes(tmp_path: Path) -> None:
    """Each of the two, installed alone in an empty environment, wraps a bare ASGI app with all six classes."""
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    run(python, "-m", "pip", "install", "--quiet", only("*.whl"), cwd=tmp_path)
    run(python, "-P", "-W", "error", ROOT / "tests" / "packaging" / "wheel_user.py", cwd=tmp_path)
    installed = {
        package["name"].lower().replace("_", "-")
        for package in json.loads(run(python, "-m", "pip", "list", "--format=json", cwd=tmp_path))
    }
    run(python, "-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps", only("*.tar.gz"), cwd=tmp_path)
    run(python, "-P", "-W", "error", ROOT / "tests" / "packaging" / "wheel_user.py", cwd=tmp_path)
    assert not installed & {"starlette", "fastapi", "django", "litestar", "uvicorn", "httpx", "pytest"}


def test_the_wheel_holds_exactly_the_package() -> None:
    """The wheel holds every file of the package and its metadata, and nothing else."""
    with zipfile.ZipFile(only("*.whl")) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        (licence,) = (name for name in wheel.namelist() if name.endswith("/LICENSE"))
        assert wheel.read(licence) == (ROOT / "LICENSE").read_bytes()
        (metadata_name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = message_from_string(wheel.read(metadata_name).decode())
    tree = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "asgi_middleware").rglob("*")
        if path.is_file()
        and not any(part == "__pycache__" or part.startswith(".") for part in path.relative_to(ROOT).parts)
    }
    assert names == tree
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"


@pytest.mark.timeout(200)
def test_the_sdist_builds_the_same_files_again(tmp_path: Path) -> None:
    """Unpacked elsewhere and built with a clock of its own, the sdist gives both files again, byte for byte."""
    with tarfile.open(only("*.tar.gz")) as sdist:
        sdist.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    for path in unpacked.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    run(sys.executable, "-m", "build", "--outdir", tmp_path / "again", cwd=unpacked)
    built = {path.name: path.read_bytes() for path in DIST.iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()} == built
    assert len(built) == 2


@pytest.mark.parametrize(
    "path",
    [
        "CHANGELOG.md",
        "LICENSE",
        "README.md",
        "asgi_middleware/py.typed",
        "docs/architecture.md",
        "examples/showcase/__main__.py",
        "mkdocs.yml",
        "pyproject.toml",
        "tests/conftest.py",
        "tox.ini",
    ],
)
def test_the_sdist_holds_what_a_packager_needs(path: str) -> None:
    """The sdist holds the tests, the documents and the examples beside the package."""
    with tarfile.open(only("*.tar.gz")) as sdist:
        assert path in {name.partition("/")[2] for name in sdist.getnames()}
