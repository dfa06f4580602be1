"""The benchmarks run and give a table; what they measure is nobody's business here."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_one_concern() -> None:
    """Ours, its peer and the floors stand in one table, with ratios."""
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "body limit"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1:-1] for line in done.stdout.splitlines() if line.startswith("| body limit")]
    subjects = ["asgi-middleware", "starlette", "a pass-through wrapper", "a send wrapper"]
    assert [row[2].strip() for row in rows] == subjects * 2
    assert all(float(row[3]) for row in rows)
    assert done.stderr == ""


def test_the_small_choices() -> None:
    """The rows that comments rest on are measured, and stand in the documentation's table."""
    command = [sys.executable, "-m", "benchmarks.blocks"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=True)
    rows = [line.split("|")[1:-1] for line in done.stdout.splitlines()[2:]]
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert len(rows) == 6
    for what, one, _, other, *_ in rows:
        assert f"|{what}|{one}|" in page
        assert f"|{other}|" in page
