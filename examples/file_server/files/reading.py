"""GET and HEAD: validators, ranges, and the file itself."""

import mimetypes
import os
import re
from email.utils import formatdate, parsedate_to_datetime
from typing import Any, NamedTuple

import anyio
from anyio import to_thread

from .problems import NOT_FOUND, RefusedError, unsatisfiable
from .store import locate, tag_of

CHUNK = 256 * 1024
Headers = list[tuple[bytes, bytes]]


class Answer(NamedTuple):
    """What to send: the status, the headers, and which bytes of the file."""

    status: int
    headers: Headers
    first: int
    length: int


async def give(scope: Any, send: Any, asked: dict[str, str]) -> None:
    """Answer a GET or HEAD request with a file."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    file = await to_thread.run_sync(locate, path + "index.html" if path.endswith("/") else path)
    try:
        stream = await anyio.open_file(file, "rb")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError):
        raise RefusedError(NOT_FOUND) from None
    async with stream:
        answer = _answer(asked, os.fstat(stream.wrapped.fileno()), file.name)
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        if scope["method"] == "HEAD" or not answer.length:
            await send({"type": "http.response.body", "body": b""})
        elif answer.status == 200 and "http.response.pathsend" in (scope.get("extensions") or {}):
            await send({"type": "http.response.pathsend", "path": str(file)})  # the server sends it by itself
        else:
            await stream.seek(answer.first)
            left = answer.length
            while left and (data := await stream.read(min(CHUNK, left))):
                left -= len(data)
                await send({"type": "http.response.body", "body": data, "more_body": left > 0})


def _answer(asked: dict[str, str], found: os.stat_result, name: str) -> Answer:
    size, tag, changed = found.st_size, tag_of(found), formatdate(found.st_mtime, usegmt=True)
    headers = {"etag": tag, "last-modified": changed, "cache-control": "no-cache", "accept-ranges": "bytes"}
    if _known(asked, tag, changed):
        return Answer(304, _raw(headers), 0, 0)
    headers["content-type"] = _type_of(name)
    wanted = _range(asked, tag, changed)
    if wanted is None:
        return Answer(200, _raw({**headers, "content-length": str(size)}), 0, size)
    first, last = (max(0, size - wanted[1]), size - 1) if wanted[0] is None else (wanted[0], min(wanted[1], size - 1))
    if first >= size or last < first:
        raise unsatisfiable(size)
    length = last - first + 1
    headers |= {"content-range": f"bytes {first}-{last}/{size}", "content-length": str(length)}
    return Answer(206, _raw(headers), first, length)


def _known(asked: dict[str, str], tag: str, changed: str) -> bool:
    """Tell whether the client has the file already (RFC 9110 13.1.2, 13.1.3)."""
    if (tags := asked.get("if-none-match")) is not None:
        return tags.strip() == "*" or tag in re.findall(r'"[^"]*"', tags)  # weak comparison
    try:
        return parsedate_to_datetime(changed) <= parsedate_to_datetime(asked.get("if-modified-since", ""))
    except (TypeError, ValueError):
        return False


def _range(asked: dict[str, str], tag: str, changed: str) -> tuple[int | None, int] | None:
    """Give first and last byte, or None and how many from the end; None for the whole file (RFC 9110 14.2, 13.1.5)."""
    if asked.get("if-range", tag) not in (tag, changed):
        return None  # the part that the client has is of another file
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", asked.get("range", ""), re.ASCII)
    if match is None or match[0] == "bytes=-":
        return None  # no range, several, or a unit that nobody knows
    first, last = match.groups()
    if not first:
        return None, int(last)
    return (int(first), int(last) if last else 10**18) if not last or int(first) <= int(last) else None


def _type_of(name: str) -> str:
    kind, coding = mimetypes.guess_type(name)
    if coding:  # `a.tar.gz` is a gzip file, and is meant to stay one
        return "application/gzip" if coding == "gzip" else "application/octet-stream"
    if kind is None:
        return "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def _raw(headers: dict[str, str]) -> Headers:
    return [(name.encode(), value.encode()) for name, value in headers.items()]
