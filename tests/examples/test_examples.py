"""The example services pass their own tests with the installed wheel, away from the checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = [requirements.parent for requirements in sorted(ROOT.glob("examples/*/requirements-test.txt"))]
NOT_THEIRS = shutil.ignore_patterns("__pycache__", ".*", "data")


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.name)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Copy an example to an empty place, as somebody has it who took it from here."""
    return Path(shutil.copytree(request.param, tmp_path / request.param.name, ignore=NOT_THEIRS))


def run(folder: Path, *arguments: str) -> str:
    """Run Python in a folder, with nothing of this run's surroundings; give what it prints."""
    ours = {"PYTHONPATH", "PYTEST_ADDOPTS", "PYTEST_CURRENT_TEST", "COVERAGE_PROCESS_START"}
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # the requirements name no plugin
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.timeout(120)
def test_an_example_passes_its_tests_with_the_wheel_alone(folder: Path) -> None:
    """In a folder of its own the package comes from site-packages, and all tests pass; none is skipped."""
    imported = Path(run(folder, "-c", "import asgi_middleware; print(asgi_middleware.__file__)").strip())
    assert "site-packages" in imported.parts
    summary = run(folder, "-m", "pytest", "-q").strip().splitlines()[-1]
    assert " passed in " in summary
    assert "skipped" not in summary


@pytest.mark.timeout(30)
def test_an_example_stands_in_the_right_order(folder: Path) -> None:
    """``python -m asgi_middleware check`` finds nothing in the wrong place, with the settings for development."""
    (folder / "data").mkdir()
    settings = dict(
        line.replace('"', "").split("=", 1)
        for line in (folder / "development.env").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    )
    if (folder / "issuer.py").exists():
        run(folder, "issuer.py", "data", "ada")
    module = next(
        f"{found.parent.name}.{found.stem}:{name}"
        for pattern, name in (("*/asgi.py", "application"), ("*/main.py", "app"))
        for found in folder.glob(pattern)
    )
    command = f"import os, runpy, sys; os.environ.update({settings!r}); sys.argv = ['', 'check', {module!r}]; "
    printed = run(folder, "-c", command + "runpy.run_module('asgi_middleware', run_name='__main__')")
    assert "Nothing is in the wrong place." in printed
