"""Plays the identity provider, to try the service and to test it. It gives anybody any token: never deploy it.

``python provider.py --port 9000`` serves discovery and keys, as OpenID Connect has them, and ``/token?sub=ada``.
"""

import argparse
import socket
import time
from typing import Any
from urllib.parse import parse_qsl

import uvicorn

from asgi_middleware import CORSMiddleware
from asgi_middleware.testing.tokens import TokenIssuer


class Provider:
    """An ASGI app: the issuer's documents, and its tokens for the asking."""

    def __init__(self, issuer: TokenIssuer) -> None:
        self.issuer = issuer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Give a token with the claims of the query; ``roles`` is a list, ``expires_in`` counts from now."""
        if scope["path"] != "/token":
            await self.issuer.endpoint(scope, receive, send)
            return
        claims: dict[str, Any] = dict(parse_qsl(scope["query_string"].decode()))
        if "roles" in claims:
            claims["roles"] = claims["roles"].split()
        if "expires_in" in claims:
            claims["exp"] = int(time.time()) + int(claims.pop("expires_in"))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": self.issuer.token(**claims).encode()})


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--audience", default="chat")
    options = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", options.port))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    print(address, flush=True)
    provider = Provider(TokenIssuer("RS256", issuer=address, audience=options.audience, kid="1"))
    app = CORSMiddleware(provider, allow_origins=["http://localhost:*", "http://127.0.0.1:*"])
    config = uvicorn.Config(app, lifespan="off", log_level="warning")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
