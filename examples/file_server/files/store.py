"""Files on disk: which one a path names, what its tag is, and how a new one takes its place."""

import os
import tempfile
import threading
from pathlib import Path

from .problems import CHANGED_MEANWHILE, NOT_A_FILE, NOT_FOUND, RefusedError
from .settings import ROOT

_replacing = threading.Lock()  # one process; several would need a lock that they share


def locate(path: str) -> Path:
    """Give the file that a request's path names; it need not be there. Hidden names and ways out are not found."""
    names = path.removeprefix("/").split("/")
    if not all(map(_is_plain, names)):
        raise RefusedError(NOT_FOUND)
    file = ROOT.joinpath(*names)
    if not file.resolve().is_relative_to(ROOT):  # a link that leads out
        raise RefusedError(NOT_FOUND)
    return file


def _is_plain(name: str) -> bool:
    return 0 < len(name.encode()) <= 255 and not name.startswith(".") and "\0" not in name and os.sep not in name


def tag_of(found: os.stat_result) -> str:
    """Give the entity tag: it changes whenever the file does (RFC 9110 8.8.3)."""
    return f'"{found.st_mtime_ns:x}-{found.st_size:x}"'


class Upload:
    """A file that is on its way. It takes its place all at once, or not at all."""

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise RefusedError(NOT_A_FILE) from None
        descriptor, name = tempfile.mkstemp(prefix=".upload-", dir=file.parent)
        self._stream = os.fdopen(descriptor, "wb")
        self._temporary = Path(name)

    def write(self, data: bytes) -> None:
        """Take a piece."""
        self._stream.write(data)

    def discard(self) -> None:
        """Leave nothing behind; after ``take_place`` there is nothing."""
        self._stream.close()
        self._temporary.unlink(missing_ok=True)

    def take_place(self, if_match: str | None, if_none_match: str | None) -> tuple[bool, str]:
        """Take the file's place if the client knows what it replaces; tell whether it is new, and its tag."""
        self._stream.flush()
        self._temporary.chmod(0o644)
        with _replacing:
            try:
                before = tag_of(self._file.stat())
            except FileNotFoundError:
                before = None
            if not _as_known(before, if_match, if_none_match):
                raise RefusedError(CHANGED_MEANWHILE)
            try:
                self._temporary.replace(self._file)
            except IsADirectoryError:
                raise RefusedError(NOT_A_FILE) from None
            return before is None, tag_of(self._file.stat())


def _as_known(tag: str | None, if_match: str | None, if_none_match: str | None) -> bool:
    """Judge the preconditions of RFC 9110 13.1.1 and 13.1.2."""
    if if_match is not None:
        return tag is not None and (if_match == "*" or tag in _tags(if_match))
    if if_none_match is not None:
        return tag is None or not (if_none_match == "*" or tag in _tags(if_none_match))
    return True


def _tags(value: str) -> list[str]:
    return [tag.strip() for tag in value.split(",")]
