"""What may stand in a list of allowed origins, and what is wrong with an entry that may not.

Facts this module rests on:

- A browser sends the ASCII serialization of an origin (RFC 6454 6.2; HTML standard, "serialization of an origin"):
  ``scheme://host`` and, unless it is the scheme's default, ``:port``. All lower case, no path, not even a slash.
- An entry that is not such a serialization can never match. It would be dead without anybody noticing, so it is an
  error.
- Hosts of other scripts arrive in punycode, IPv6 addresses in brackets and compressed (URL standard 3.5).
- A page on ``ws:`` does not exist: a WebSocket handshake carries the origin of the page, http or https.
- Pages of ``file:`` and ``data:`` URLs and of sandboxed frames send ``null``.
- A wildcard may stand for whole labels in front of a domain, or for the port. Anywhere else it would match too much.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from typing import Final, NamedTuple

DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
HIGHEST_PORT: Final = 65_535

_LONGEST_HOST: Final = 253  # RFC 1035 2.3.4, as text
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]{0,63}")  # RFC 3986 3.1
_LABEL: Final = re.compile(r"[a-z0-9_-]{1,63}")
_PORT: Final = re.compile(r"[0-9]+")
_DOTS: Final = re.compile("[.\u3002\uff0e\uff61]")  # what the URL standard takes for a dot in a host
_SPELLED_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")  # a last label that makes a host an IPv4 address
# Top-level names that no registry sells, so that everything below one belongs to whoever runs the network.
_PRIVATE_NAMES: Final = frozenset(
    {"corp", "example", "home", "internal", "intranet", "invalid", "lan", "local", "localhost", "private", "test"}
)


class Pattern(NamedTuple):
    """One entry of a list of origins, taken apart.

    Attributes:
        scheme: The scheme, without ``://``.
        host: The host; without the ``*.`` where `subdomains` is true.
        port: The port as digits, empty for the scheme's default, ``*`` for any.
        subdomains: Whether one or more labels must stand in front of `host`.
    """

    scheme: str
    host: str
    port: str
    subdomains: bool

    def __str__(self) -> str:
        """Write the entry."""
        wildcard = "*." if self.subdomains else ""
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}://{wildcard}{self.host}{port}"


class Defect(NamedTuple):
    """One thing that is wrong with an entry: a stable code, and a clause for a person."""

    code: str
    message: str


class Reading(NamedTuple):
    """What came of reading one entry.

    Attributes:
        pattern: The entry taken apart, where it is right.
        defects: Everything that is wrong with it.
        fix: What to write instead, where that can be said.
    """

    pattern: Pattern | None
    defects: tuple[Defect, ...]
    fix: str


def read_pattern(text: str) -> Reading:
    """Read one entry that is neither ``*`` nor ``null``.

    Each defect is noted and mended, so that the fix names an entry that is right as a whole.
    """
    defects: list[Defect] = []
    scheme, rest = _read_scheme(text, defects)
    if scheme == "file":
        defects.append(Defect("origin_opaque", "pages of file: URLs have no origin of their own and send 'null'"))
        return _failed(defects, "list 'null', if you accept that every sandboxed frame can claim it, or serve the page")
    authority = _cut_to_authority(rest, defects)
    host, port = _split_port(authority, defects)
    port = _read_port(scheme, port, defects)
    subdomains = host.startswith("*.")
    base = host[2:] if subdomains else host
    if "*" in base or "*" in scheme:
        defects.append(
            Defect("wildcard_place", "has a wildcard where none may be; one may stand for whole labels or for the port")
        )
        return _failed(defects, "write it as in 'https://*.example.com' or 'http://localhost:*', or list the origins")
    base = _read_host(base, subdomains=subdomains, defects=defects)
    if not defects:
        return Reading(Pattern(scheme, base, port, subdomains), (), "")
    fixed = Pattern(scheme, base, port, subdomains)
    if not base or str(fixed) == text or read_pattern(str(fixed)).defects:
        return _failed(defects, "write it as the browser does: scheme://host, and :port where it is not the default")
    return _failed(defects, f"write {str(fixed)!r}")


def _failed(defects: list[Defect], fix: str) -> Reading:
    return Reading(None, tuple(dict.fromkeys(defects)), fix)


def _read_scheme(text: str, defects: list[Defect]) -> tuple[str, str]:
    stripped = text.strip()
    if stripped != text:
        defects.append(Defect("origin_white_space", "has white space around it"))
    scheme, separator, rest = stripped.partition("://")
    if not separator:
        defects.append(Defect("origin_without_scheme", "has no scheme; an origin is scheme://host[:port]"))
        local = stripped.lower().startswith(("localhost", "127.", "[::1]"))
        return ("http" if local else "https"), stripped.removeprefix("//")
    if scheme != scheme.lower():
        defects.append(Defect("origin_upper_case", "has upper-case letters; browsers send lower case"))
        scheme = scheme.lower()
    if scheme in {"ws", "wss"}:
        defects.append(
            Defect("origin_websocket_scheme", "has a WebSocket scheme; browsers send the page's, http or https")
        )
        scheme = {"ws": "http", "wss": "https"}[scheme]
    if "*" not in scheme and _SCHEME.fullmatch(scheme) is None:
        defects.append(Defect("origin_scheme", "has a scheme that no URL can have (RFC 3986 3.1)"))
    return scheme, rest


def _cut_to_authority(rest: str, defects: list[Defect]) -> str:
    end = min((at for at in map(rest.find, "/\\?#") if at >= 0), default=len(rest))
    tail = rest[end:]
    if tail == "/":
        defects.append(Defect("origin_trailing_slash", "ends with a slash; browsers send the origin without it"))
    elif tail.startswith(("/", "\\")):
        defects.append(Defect("origin_path", "has a path; browsers send scheme, host and port only"))
    elif tail.startswith("?"):
        defects.append(Defect("origin_query", "has a query; browsers send scheme, host and port only"))
    elif tail:
        defects.append(Defect("origin_fragment", "has a fragment; browsers send scheme, host and port only"))
    authority = rest[:end]
    if "@" in authority:
        defects.append(Defect("origin_userinfo", "has a user name; browsers send scheme, host and port only"))
        authority = authority.rpartition("@")[2]
    return authority


def _split_port(authority: str, defects: list[Defect]) -> tuple[str, str | None]:
    if authority.removeprefix("*.").startswith("["):
        host, bracket, tail = authority.partition("]")
        if tail and not tail.startswith(":"):
            defects.append(Defect("origin_host", "has text between the address and the port"))
        return host + bracket, tail[1:] if tail else None
    if authority.count(":") > 1:
        defects.append(Defect("origin_ipv6_brackets", "has an IPv6 address without brackets, or two ports"))
        return f"[{authority}]", None
    host, colon, port = authority.partition(":")
    return host, port if colon else None


def _read_port(scheme: str, port: str | None, defects: list[Defect]) -> str:
    if port is None or port == "*":
        return port or ""
    number = port.lstrip("0")
    if not port.isascii() or _PORT.fullmatch(port) is None or len(number) > len(str(HIGHEST_PORT)):
        defects.append(Defect("origin_port", f"has a port that is not a number from 1 to {HIGHEST_PORT}"))
        return ""
    if not number or int(number) > HIGHEST_PORT:
        defects.append(Defect("origin_port", f"has a port that is not a number from 1 to {HIGHEST_PORT}"))
        return ""
    if number != port:
        defects.append(Defect("origin_port", "has a port with leading zeros"))
    if number == DEFAULT_PORTS.get(scheme):
        defects.append(Defect("origin_default_port", f"names the default port of {scheme}, which browsers leave out"))
        return ""
    return number


def _read_host(host: str, *, subdomains: bool, defects: list[Defect]) -> str:
    if not host:
        defects.append(Defect("origin_without_host", "has no host"))
        return ""
    if not host.isascii():
        host = _punycode(host)
        defects.append(
            Defect("origin_not_ascii", f"has letters outside ASCII; browsers send the punycode form {host!r}")
        )
    if host != host.lower():
        host = host.lower()
        defects.append(Defect("origin_upper_case", "has upper-case letters; browsers send lower case"))
    if host.endswith(".") and len(host) > 1:
        host = host.rstrip(".")
        defects.append(Defect("origin_trailing_dot", "ends with a dot, which would be an origin of its own"))
    if host.startswith("["):
        return _read_ipv6(host, subdomains=subdomains, defects=defects)
    labels = host.split(".")
    if _SPELLED_NUMBER.fullmatch(labels[-1]):
        return _read_ipv4(host, subdomains=subdomains, defects=defects)
    if len(host) > _LONGEST_HOST or any(_LABEL.fullmatch(label) is None for label in labels):
        defects.append(
            Defect("origin_host", "has a host that no URL can have (labels of 1 to 63 characters, 253 in all)")
        )
    elif subdomains and len(labels) == 1 and host not in _PRIVATE_NAMES:
        defects.append(Defect("wildcard_top_level", f"would allow every site under .{host}, whoever owns it"))
        return ""
    return host


def _read_ipv4(host: str, *, subdomains: bool, defects: list[Defect]) -> str:
    if subdomains:
        defects.append(Defect("wildcard_address", "has a wildcard in front of an IP address, which has no subdomains"))
        return ""
    try:
        return str(ipaddress.IPv4Address(host))
    except ValueError:
        defects.append(Defect("origin_host", "ends in a number and is no IPv4 address of four decimal parts"))
        return ""


def _read_ipv6(host: str, *, subdomains: bool, defects: list[Defect]) -> str:
    if subdomains:
        defects.append(Defect("wildcard_address", "has a wildcard in front of an IP address, which has no subdomains"))
        return ""
    try:
        address = ipaddress.IPv6Address(host[1:-1]) if host.endswith("]") else None
    except ValueError:
        address = None
    if address is None or address.scope_id is not None:
        defects.append(Defect("origin_host", "has brackets around something that is no IPv6 address"))
        return ""
    written = f"[{_serialize_ipv6(int(address))}]"
    if written != host:
        defects.append(Defect("origin_ipv6_form", f"has an IPv6 address that browsers write as {written}"))
    return written


def _serialize_ipv6(address: int) -> str:
    """Write an address as the URL standard does (3.5): hexadecimal, the first longest run of zeros as ``::``.

    ``str(IPv6Address)`` ends mapped addresses in dotted decimal on newer Pythons; browsers do not.
    """
    pieces = [f"{address >> shift & 0xFFFF:x}" for shift in range(112, -16, -16)]
    runs = [(len(match.group()) // 2, match.start() // 2) for match in _zero_runs(pieces)]
    length, start = max(runs, key=lambda run: (run[0], -run[1]), default=(0, 0))
    if length < 2:
        return ":".join(pieces)
    return f"{':'.join(pieces[:start])}::{':'.join(pieces[start + length :])}"


def _zero_runs(pieces: list[str]) -> list[re.Match[str]]:
    marks = "".join("0," if piece == "0" else "x," for piece in pieces)
    return list(re.finditer(r"(?:0,)+", marks))


def _punycode(host: str) -> str:
    """Write a host of another script as browsers do, as far as that goes without tables: for a message, not for use."""
    labels: list[str] = []
    for label in _DOTS.split(host):
        folded = unicodedata.normalize("NFKC", label.lower())
        labels.append(folded if folded.isascii() else f"xn--{folded.encode('punycode').decode('ascii')}")
    return ".".join(labels)
