"""Write docs/logging-fields.md from the code: ``python tests/docs/field_reference.py``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from asgi_middleware.logging import FIELDS
from asgi_middleware.logging.schemas import ENVELOPES, SCHEMAS, Schema

PAGE = Path(__file__).parents[2] / "docs" / "logging-fields.md"

INTRODUCTION = """\
# Fields of the access line

Every field that `LoggingMiddleware` writes, made from the code. What is not known is left out, save `status`. Beside
them stand the fields that handlers add, by the names they gave them, and `child_span_ids`: the ids that outgoing calls
got as their parent, the first 32 of them (see [Outgoing calls](logging.md#outgoing-calls)).
"""

# What the fields hold in the tables; each is of its field's type.
EXAMPLES: dict[str, Any] = {
    "request_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "client_request_id": "abc-123",
    "trace_id": "0af7651916cd43dd8448eb211c80319c",
    "span_id": "b7ad6b7169203331",
    "parent_span_id": "00f067aa0ba902b7",
    "outcome": "ok",
    "refusal": "body_too_large",
    "cors": "allowed",
    "compression": "zstd",
    "original_bytes": 20480,
    "compression_ms": 0.25,
    "method": "GET",
    "method_original": "BREW",
    "path": "/users/42",
    "query": "page=2&token=REDACTED",
    "route": "/users/{id}",
    "scheme": "https",
    "http_version": "1.1",
    "status": 200,
    "client": "192.0.2.7",
    "subject": "ada",
    "duration_ms": 12.5,
    "ttfb_ms": 9.25,
    "after_response_ms": 40.0,
    "request_bytes": 120,
    "request_chunks": 1,
    "response_bytes": 4096,
    "response_chunks": 2,
    "accepted": True,
    "handshake_ms": 3.5,
    "subprotocol": "chat",
    "close_code": 1000,
    "closed_by": "client",
    "received_messages": 3,
    "received_bytes": 42,
    "sent_messages": 5,
    "sent_bytes": 640,
    "timings_ms": {"db": 3.0},
    "request_headers": {"user-agent": "curl/8.5"},
    "response_headers": {"content-type": "text/html"},
    "error_type": "KeyError",
    "exception": "Traceback ...",
    "sampling_rate": 0.1,
}


def render() -> str:
    """Give the page."""
    stores = [name for name in SCHEMAS if name != "flat"]
    schemas = {name: Schema(name, FIELDS) for name in stores}
    lines = [
        INTRODUCTION,
        "| field | meaning | example |",
        "|---|---|---|",
        *(f"| `{name}` | {meaning} | {_shown(EXAMPLES[name])} |" for name, meaning in FIELDS.items()),
        "",
        "## In the schemas",
        "",
        "What `schema=` makes of the examples above. Where the value changes (another unit, another form), it follows.",
        "",
        f"| field | {' | '.join(stores)} |",
        f"|---|{'---|' * len(stores)}",
        *(f"| `{name}` | {' | '.join(_placed(schemas[store], name) for store in stores)} |" for name in FIELDS),
        "",
        "What every line has, those of `configure_structlog(schema=...)` too:",
        "",
        f"| | {' | '.join(SCHEMAS)} |",
        f"|---|{'---|' * len(SCHEMAS)}",
        *_envelopes(),
    ]
    return "\n".join([*lines, ""])


def _placed(schema: Schema, field: str) -> str:
    """Say where a field goes, and what it becomes there."""
    of_a_request = {} if field == "method" else {"method": EXAMPLES["method"]}
    always = dict(_flattened(schema.apply(of_a_request)))
    example = EXAMPLES[field]
    cells = []
    for name, value in _flattened(schema.apply({**of_a_request, field: example})):
        if always.get(name) != value:
            same = value == example or isinstance(example, dict)
            cells.append(f"`{name}`" if same else f"`{name}` {_shown(value)}")
    return ", ".join(cells) or "-"


def _envelopes() -> Iterator[str]:
    event = {"timestamp": "2026-11-21T09:30:00Z", "level": "info", "event": "http.request", "logger": "shop"}
    for name, value in event.items():
        cells = []
        for schema in SCHEMAS:
            placed = dict(_flattened(ENVELOPES[schema]({**event})))
            found = [place for place, held in placed.items() if str(held).lower() == value.lower()]
            cells.append(", ".join(f"`{place}`" for place in found))
        yield f"| {name} | {' | '.join(cells)} |"


def _flattened(event: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in event.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _shown(value: Any) -> str:
    return f"`{json.dumps(value)}`".replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
