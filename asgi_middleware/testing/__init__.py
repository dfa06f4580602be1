"""Tools for testing ASGI apps and middleware, ours or yours.

- :func:`http`, :func:`websocket`, :func:`lifespan` and :func:`drive` play a server at message level; :class:`Client` is
  a small client over them.
- :data:`PROFILES` are the manners of real servers and test clients.
- :func:`assert_cors` and :func:`cross_origin_fetch` play a browser whose page is of another origin.
- :func:`check_middleware` and :func:`sandwich` hold a middleware class to the ASGI specification and to the laws of
  transparency; :data:`RULES` lists them.
- ``asgi_middleware.testing.plugin`` has fixtures for pytest, ``asgi_middleware.testing.tokens`` issues JSON Web Tokens.
"""

from __future__ import annotations

from asgi_middleware.testing.client import Client
from asgi_middleware.testing.conformance import (
    ConformanceError,
    Report,
    Sandwich,
    Scenario,
    Violation,
    check_middleware,
    sandwich,
)
from asgi_middleware.testing.cross_origin import CrossOriginResult, assert_cors, cross_origin_fetch
from asgi_middleware.testing.driver import Result, drive, http, http_scope, lifespan, websocket, websocket_scope
from asgi_middleware.testing.profiles import PROFILES, Profile, profile
from asgi_middleware.testing.rules import RULES, Rule

__all__ = [
    "PROFILES",
    "RULES",
    "Client",
    "ConformanceError",
    "CrossOriginResult",
    "Profile",
    "Report",
    "Result",
    "Rule",
    "Sandwich",
    "Scenario",
    "Violation",
    "assert_cors",
    "check_middleware",
    "cross_origin_fetch",
    "drive",
    "http",
    "http_scope",
    "lifespan",
    "profile",
    "sandwich",
    "websocket",
    "websocket_scope",
]
