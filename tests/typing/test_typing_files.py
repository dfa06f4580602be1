import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import asgi_middleware

FILES = sorted(path for path in Path(__file__).parent.glob("*.py") if not path.name.startswith("test_"))


def test_every_public_name_is_used() -> None:
    """Each name of the front door is in a file that the type checkers read."""
    text = "".join(path.read_text(encoding="utf-8") for path in FILES)
    assert [name for name in asgi_middleware.__all__ if not re.search(rf"\b{name}\b", text)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_type_checkers_accept_also_runs(path: Path) -> None:
    """The files that the type checkers accept also run: each framework takes our classes in every way it offers."""
    result = subprocess.run(
        [sys.executable, "-P", str(path)],
        env={**os.environ, "PYTHONPATH": str(Path(asgi_middleware.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert result.returncode == 0, result.stderr
