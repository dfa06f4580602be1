"""What the fuzzer runs, in a process of its own: any bytes give claims or a TokenError, never more than PyJWT takes.

    python tests/fuzz/token_target.py -atheris_runs=100000

The first byte picks what the rest is: a token as it came, or a header and a payload under a good signature.
"""

import sys

import atheris

with atheris.instrument_imports(include=["asgi_middleware.auth"]):
    from asgi_middleware.auth import TokenError, TokenVerifier, base64url, json_strict

import jwt

from asgi_middleware.testing.tokens import TokenIssuer

ISSUERS = {name: TokenIssuer(name) for name in ("HS256", "ES256")}
VERIFIERS = {name: TokenVerifier(**issuer.options) for name, issuer in ISSUERS.items()}


def judge(name, token):
    """Hold the property for one token."""
    try:
        found = VERIFIERS[name].verify(token)
    except TokenError:
        return
    issuer = ISSUERS[name]
    theirs = jwt.decode(token, issuer.key, algorithms=[name], audience=issuer.audience, issuer=issuer.issuer, leeway=30)
    if dict(found.claims) != theirs:
        raise AssertionError("PyJWT reads another token")
    _ = (found.scopes, found.subject, found.session_id, repr(found))


def run(data):
    """Judge one input."""
    kind, rest = data[:1], data[1:]
    if kind < b"\x40":
        judge("ES256", rest)
    elif kind < b"\x80":
        judge("HS256", rest)
        judge("HS256", rest.decode("latin-1"))
    else:
        header, _, payload = rest.partition(b"\n")
        judge("HS256", ISSUERS["HS256"].signed(header, payload))
        judge("HS256", ISSUERS["HS256"].signed(b'{"alg":"HS256"}', payload))
        json_strict.parse_object(payload)
        decoded = base64url.decode(payload)
        if decoded is not None and base64url.encode(decoded) != payload:
            raise AssertionError("a second spelling was read")


if __name__ == "__main__":
    atheris.Setup(sys.argv, run)
    atheris.Fuzz()
