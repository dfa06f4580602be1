"""What is answered in place of a file. ``ProblemDetailsMiddleware`` writes the documents, with the request's id."""

from collections.abc import Callable
from typing import Any

from asgi_middleware.problems import Refusal

NOT_FOUND = Refusal(404, "not_found", detail="There is no such file.")
METHOD_NOT_ALLOWED = Refusal(405, "method_not_allowed", headers=[(b"allow", b"GET, HEAD, PUT")])
NOT_A_FILE = Refusal(409, "not_a_file", detail="A folder is in the way, or a file where a folder would have to be.")
CHANGED_MEANWHILE = Refusal(412, "changed_meanwhile", detail="The file is not the one that you know.")
PARTIAL_PUT = Refusal(400, "partial_put", detail="Send whole files, without Content-Range.")


class RefusedError(Exception):
    """Ends a request with this answer."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


def unsatisfiable(size: int) -> RefusedError:
    """Give the error for a range that begins behind the file's end."""
    return RefusedError(Refusal(416, "range_not_satisfiable", headers=[(b"content-range", b"bytes */%d" % size)]))


PROBLEMS: dict[type[Exception], Callable[[Any], Refusal]] = {RefusedError: lambda error: error.refusal}
