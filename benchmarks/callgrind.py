"""``python -m benchmarks.callgrind [options of python -m benchmarks]``: count instructions where the kernel cannot.

Runs the benchmarks under valgrind's callgrind, which is exact and about fifty times slower: name one concern by
``--only``. The times in its table mean nothing. Needs ``valgrind`` (Debian's package).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.instructions import CALLGRIND_FILES


def main() -> int:
    """Run the benchmarks as valgrind's guest."""
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "callgrind"
        valgrind = [
            "valgrind",
            "--quiet",
            "--tool=callgrind",
            "--dump-after=sched_yield",
            f"--callgrind-out-file={files}",
        ]
        command = [*valgrind, sys.executable, "-m", "benchmarks", "--quick", "--no-sockets", *sys.argv[1:]]
        environment = {**os.environ, CALLGRIND_FILES: str(files), "PYTHONHASHSEED": "0"}
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
