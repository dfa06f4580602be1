"""Unhandled exceptions become problem documents (RFC 9457)."""

from __future__ import annotations

from asgi_middleware._core.refusals import Refusal, problem_document
from asgi_middleware.problems.answers import Handler, Page
from asgi_middleware.problems.middleware import ProblemDetailsMiddleware

__all__ = ["Handler", "Page", "ProblemDetailsMiddleware", "Refusal", "problem_document"]
