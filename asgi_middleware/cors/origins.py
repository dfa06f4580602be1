"""OriginSet: a set of web origins that answers one question quickly and exactly: is this origin in it?

Facts this module rests on:

- Two origins are the same when their ASCII serializations are the same bytes (RFC 6454 6.2). There is nothing to fold,
  trim or decode; whatever is not byte for byte in the set is not in the set.
- What is compared came from a client. It may be of any length and hold any byte, so the length is looked at first and
  nothing but a complete serialization is ever held against a wildcard.
- A wildcard ends at a label. Suffixes are therefore kept with their leading dot and looked up at the dots only: no
  ``evilexample.com`` for ``*.example.com`` and no ``barfoo.com`` for ``foo.com`` (GHSA-vhxv-fg4m-p2w8).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from asgi_middleware._core.config import Problems
from asgi_middleware.cors.patterns import DEFAULT_PORTS, HIGHEST_PORT, Pattern, read_pattern
from asgi_middleware.cors.suffixes import is_public_suffix

LONGEST_ORIGIN: Final = 64 + len("://") + 253 + len(":65535")
"""Bytes of the longest origin that is looked at: scheme, host and port at their longest."""

# Possessive, one class a part: every byte is looked at once, whatever a client sends.
_SERIALIZED: Final = re.compile(
    rb"([a-z][a-z0-9+.-]*+://)(\[[0-9a-f:]++\]|[a-z0-9_-][a-z0-9_.-]*+)(?::([1-9][0-9]{0,4}))?"
)
_DEFAULT_PORTS: Final = {f"{scheme}://".encode(): port.encode() for scheme, port in DEFAULT_PORTS.items()}
_ANY_PORT: Final = b"*"
_DOT: Final = ord(".")


class OriginSet:
    """A set of origins, given as exact origins and as patterns.

    An entry must be written as a browser sends it: lower case, no path, no default port. One that could never match
    is an error, which names the right spelling. ``null``, which any sandboxed frame can send, is in the set only when
    named; no wildcard covers it but ``*``.

    - ``https://example.com``: that one origin.
    - ``https://*.example.com``: those with one or more labels in front; not ``https://example.com`` itself.
    - ``http://localhost:*``: that host at any port, the default one included.
    - ``https://*.example.com:*``: both wildcards together.
    - ``null``: opaque origins.
    - ``*``: every origin; it must stand alone.

    A look-up costs one dict access for exact origins, and one for each label of the longest pattern otherwise; it does
    not depend on how many entries there are. Instances are immutable::

        from asgi_middleware.cors import OriginSet

        origins = OriginSet(["https://app.example.com", "https://*.example.org", "http://localhost:*"])
        assert origins.allows(b"https://shop.eu.example.org")
        assert not origins.allows(b"https://example.org.evil.test")

    Source: RFC 6454 6.2 and 7.1; HTML standard, "serialization of an origin"; Fetch standard 3.1.
    """

    __slots__ = ("_any_port", "_exact", "_labels", "_suffixes", "_wildcards", "allows_any", "entries")

    allows_any: bool
    """Whether the set is ``*``."""
    entries: tuple[str, ...]
    """The entries as they were given, without repetition."""

    def __init__(
        self,
        origins: Iterable[str],
        *,
        option: str = "origins",
        problems: Problems | None = None,
        dangerously_allow_public_suffixes: bool = False,
    ) -> None:
        """Read and index every entry.

        Args:
            origins: The entries; or ``"*"``. Any other bare string is refused, because iterated it means its
                characters.
            option: The option's name in error messages.
            problems: Where to note what is wrong, when the set is part of a larger configuration; None to raise.
            dangerously_allow_public_suffixes: Whether a wildcard may stand in front of a public suffix, such as
                ``github.io``: then whoever gets a name there is in the set. Such entries are seen only where the
                package ``publicsuffixlist`` is installed (the extra ``psl``).

        Raises:
            ConfigurationError: Some entries are wrong; every one is listed with its fix. Not raised when `problems`
                is given.
        """
        noted = Problems("OriginSet") if problems is None else problems
        listed = ("*",) if origins == "*" else noted.strings(option, origins)
        self.entries = tuple(dict.fromkeys(listed))
        self.allows_any = "*" in self.entries
        if self.allows_any and len(self.entries) > 1:
            noted.add(
                option,
                list(self.entries),
                "has '*' beside other entries, which then mean nothing",
                fix="keep '*' alone, or remove it",
                code="wildcard_with_others",
            )
        exact: set[bytes] = set()
        any_port: set[bytes] = set()
        suffixes: dict[bytes, set[bytes]] = {}
        depths: set[int] = set()
        for entry in self.entries:
            if entry == "null":
                exact.add(b"null")
            elif entry != "*":
                pattern = _read(entry, option, noted)
                if pattern is None:
                    continue
                if pattern.subdomains:
                    if not dangerously_allow_public_suffixes and is_public_suffix(pattern.host):
                        noted.add(
                            option,
                            entry,
                            f"would allow every site under {pattern.host}, where anybody can have a name",
                            fix=f"name the sites: {str(pattern).replace('*.', 'your-name.')!r}, or set "
                            "dangerously_allow_public_suffixes=True",
                            code="wildcard_public_suffix",
                        )
                    key = f"{pattern.scheme}://.{pattern.host}".encode()
                    suffixes.setdefault(key, set()).add(pattern.port.encode())
                    depths.add(pattern.host.count(".") + 1)
                elif pattern.port == "*":
                    any_port.add(f"{pattern.scheme}://{pattern.host}".encode())
                else:
                    exact.add(str(pattern).encode())
        self._exact = frozenset(exact)
        self._any_port = frozenset(any_port)
        self._suffixes = {key: frozenset(ports) for key, ports in suffixes.items()}
        # For each label from the right, whether a pattern begins in front of it.
        self._labels = tuple(depth in depths for depth in range(1, max(depths, default=0) + 1))
        self._wildcards = bool(any_port or suffixes)
        if problems is None:
            noted.raise_if_any()

    def __len__(self) -> int:
        """Count the entries."""
        return len(self.entries)

    def __repr__(self) -> str:
        """Show the entries."""
        return f"OriginSet({list(self.entries)!r})"

    @property
    def exact(self) -> frozenset[bytes]:
        """The entries without a wildcard, ``null`` among them, as a browser sends them."""
        return self._exact

    def allows(self, origin: bytes) -> bool:
        """Tell whether an ``Origin`` value is in the set. Any bytes may be asked about; nothing is raised."""
        if self.allows_any:
            return True
        return len(origin) <= LONGEST_ORIGIN and (origin in self._exact or self.covers(origin))

    def covers(self, origin: bytes) -> bool:
        """Tell whether a pattern of the set, as against an exact entry, allows an origin of bounded length."""
        if not self._wildcards:
            return False
        match = _SERIALIZED.fullmatch(origin)
        if match is None:
            return False
        scheme, host, port = match.groups(b"")
        base = scheme + host
        if base not in self._any_port:
            # From the right, because the patterns bound the number of steps there; the client decides how many labels
            # come.
            dot = len(base)
            first = len(scheme)
            for labels in self._labels:
                dot = base.rfind(b".", first, dot)
                if dot < 0:
                    return False
                if labels:
                    ports = self._suffixes.get(scheme + base[dot:])
                    if ports is not None and (port in ports or _ANY_PORT in ports):
                        break
            else:
                return False
        return _is_serialized(scheme, host, port)


def split_origin(origin: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Take a serialized origin apart: scheme with ``://``, host, and port or nothing.

    None for everything that is not such a serialization: ``null``, a port that is the default or out of range, user
    names, paths, any byte that does not belong.
    """
    if len(origin) > LONGEST_ORIGIN:
        return None
    match = _SERIALIZED.fullmatch(origin)
    if match is None:
        return None
    scheme, host, port = match.groups(b"")
    return (scheme, host, port) if _is_serialized(scheme, host, port) else None


def _is_serialized(scheme: bytes, host: bytes, port: bytes) -> bool:
    """Check what the expression leaves open: labels that are empty, and the port."""
    if b".." in host or host[-1] == _DOT:
        return False
    return not port or (int(port) <= HIGHEST_PORT and port != _DEFAULT_PORTS.get(scheme))


def _read(entry: str, option: str, problems: Problems) -> Pattern | None:
    if "," in entry or len(entry.split()) > 1:
        parts = [part for part in re.split(r"[,\s]+", entry) if part]
        problems.add(
            option,
            entry,
            "holds several origins in one string",
            fix=f"list them one by one: {parts!r}",
            code="origin_list",
        )
        return None
    if not entry.strip():
        problems.add(option, entry, "is empty", fix="remove the entry", code="origin_empty")
        return None
    if entry.strip().lower() in {"*", "null"}:
        problems.add(
            option,
            entry,
            "is not written as it must be",
            fix=f"write {entry.strip().lower()!r}",
            code="origin_spelling",
        )
        return None
    reading = read_pattern(entry)
    for defect in reading.defects:
        problems.add(option, entry, defect.message, fix=reading.fix, code=defect.code)
    return reading.pattern
