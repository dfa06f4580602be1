"""Runs blocks of code, each in a process of its own, forked from this one, which has loaded the frameworks already.

Loading them is nearly all that a block costs otherwise. A line of JSON comes in for each block, and one goes out. What
is loaded here is only others' code: this package, and everything a block names, is imported by the block itself.
"""

import importlib
import json
import os
import sys
import tempfile
import threading
import time
import traceback
import types

LOADED = (
    "anyio._backends._asyncio",
    "django.core.asgi",
    "fastapi",
    "httpx",
    "jwt",
    "litestar",
    "starlette.applications",
)
SECONDS = 50


def serve() -> None:
    """Answer until standard input ends."""
    for name in LOADED:
        importlib.import_module(name)
    for line in sys.stdin:
        block = json.loads(line)
        with tempfile.TemporaryFile() as errors:
            pid = os.fork()
            if pid == 0:
                run(block["code"], block["arguments"], errors.fileno())
            status = wait(pid)
            errors.seek(0)
            text = errors.read().decode(errors="replace")
        sys.stdout.write(f"{json.dumps({'status': status, 'errors': text})}\n")
        sys.stdout.flush()


def wait(pid: int) -> int:
    """Give the exit status of a block's process; end it when it takes too long."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return -9


def run(code: str, arguments: list[str], errors: int) -> None:
    """Run a block as Python runs ``-c``, and end this process."""
    status = 1
    try:
        with open(os.devnull, "r+b") as nothing:  # noqa: PTH123 -- its descriptor is what is needed
            for descriptor in (0, 1):
                os.dup2(nothing.fileno(), descriptor)
        os.dup2(errors, 2)
        sys.argv = ["-c", *arguments]
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module
        exec(compile(code, "<block>", "exec"), module.__dict__)  # noqa: S102 -- that is what a block is for
        threading._shutdown()  # type: ignore[attr-defined]
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 -- whatever a block raises is shown
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve()
