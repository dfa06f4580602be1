"""The attack table: each known attack on JWT verification, and that it gets 401 and no further. See docs/auth.md."""

import hashlib
import hmac
import json
import time

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from jwt.utils import base64url_encode, raw_to_der_signature
from uvicorn_thread import UvicornThread

from asgi_middleware.auth import JWTAuthMiddleware
from asgi_middleware.testing import http, websocket
from asgi_middleware.testing.tokens import TokenIssuer

pytestmark = pytest.mark.anyio
RSA = TokenIssuer("RS256")
HMAC = TokenIssuer("HS256")
EC = TokenIssuer("ES256")
EVIL = TokenIssuer("RS256")
ISSUERS = {"RS256": RSA, "HS256": HMAC, "ES256": EC}


def encode(header, claims, signature=b""):
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return b".".join(base64url_encode(part) for part in parts)


def hs256(header, secret, claims=None):
    text = encode(header, RSA.claims() if claims is None else claims).rstrip(b".")
    return text + b"." + base64url_encode(hmac.digest(secret, text, hashlib.sha256))


def public_encodings():
    """Give the RSA public key in every encoding that an attacker might sign with."""
    key = load_pem_public_key(RSA.key.encode())
    pem = RSA.key.encode()
    jwk = jwt.get_algorithm_by_name("RS256").to_jwk(key)
    yield "pem", pem
    yield "pem without its last line break", pem.rstrip()
    yield "pem with CRLF", pem.replace(b"\n", b"\r\n")
    yield "pem in one line", b"".join(pem.splitlines())
    yield "pem body", b"".join(pem.splitlines()[1:-1])
    yield "pkcs1 pem", key.public_bytes(Encoding.PEM, PublicFormat.PKCS1)
    yield "der", key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    yield "pkcs1 der", key.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    yield "openssh", key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    yield "jwk", jwk.encode()
    yield "modulus", json.loads(jwk)["n"].encode()
    yield "empty", b""


def attacks():
    """Give (name, issuer under attack, token, reason)."""
    for alg in ("none", "None", "NONE", "nOnE", "", None, "null"):
        for name, issuer in ISSUERS.items():
            yield (
                f"alg {alg!r} against {name}",
                issuer,
                encode({"alg": alg, "typ": "JWT"}, issuer.claims()),
                "algorithm_not_allowed",
            )
    good = RSA.token().encode()
    stolen = base64url_encode(b"x" * 256)
    yield "none with a signature", RSA, encode({"alg": "none"}, RSA.claims()) + stolen, "algorithm_not_allowed"
    yield "no alg", RSA, encode({"typ": "JWT"}, RSA.claims()), "algorithm_not_allowed"
    for name, secret in public_encodings():
        yield f"key confusion: {name}", RSA, hs256({"alg": "HS256"}, secret), "algorithm_not_allowed"
    yield (
        "another algorithm of the family",
        RSA,
        encode({"alg": "RS512"}, RSA.claims(), b"x" * 256),
        "algorithm_not_allowed",
    )
    yield "signature taken off", RSA, good.rpartition(b".")[0] + b".", "signature_invalid"
    yield "signature of zeros", RSA, good.rpartition(b".")[0] + b"." + base64url_encode(bytes(256)), "signature_invalid"
    whole = jwt.utils.base64url_decode(good.rpartition(b".")[2])
    cut = good.rpartition(b".")[0] + b"." + base64url_encode(whole[:-3])
    yield "signature cut", RSA, cut, "signature_invalid"
    yield "psychic signature", EC, encode({"alg": "ES256"}, EC.claims(), bytes(64)), "signature_invalid"
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    for r, s in [(order, order), (1, 0), (0, 1), (order, 1)]:
        raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        yield f"degenerate r {r % 7}, s {s % 7}", EC, encode({"alg": "ES256"}, EC.claims(), raw), "signature_invalid"
    text, _, signature = EC.token().encode().rpartition(b".")
    der = raw_to_der_signature(jwt.utils.base64url_decode(signature), ec.SECP256R1())
    yield "DER signature", EC, text + b"." + base64url_encode(der), "signature_invalid"
    yield (
        "claims changed",
        RSA,
        b".".join([good.split(b".")[0], encode({}, RSA.claims(sub="root")).split(b".")[1], good.split(b".")[2]]),
        "signature_invalid",
    )
    public = json.loads(jwt.get_algorithm_by_name("RS256").to_jwk(load_pem_public_key(EVIL.key.encode())))
    for member, value in {
        "jwk": public,
        "jku": "https://evil.example/jwks.json",
        "x5u": "https://evil.example/cert.pem",
        "x5c": ["MIIB"],
        "kid": "../../../../dev/null",
    }.items():
        yield f"{member} in the header", RSA, EVIL.token(headers={member: value}), "signature_invalid"
    for kid in ("../../../dev/null", "x' UNION SELECT 'key", "|id", "\x00", ""):
        yield (
            f"kid {kid!r}, empty secret",
            HMAC,
            hs256({"alg": "HS256", "kid": kid}, b"", HMAC.claims()),
            "signature_invalid",
        )
    yield "kid of 200 kB", HMAC, hs256({"alg": "HS256", "kid": "k" * 200_000}, b""), "token_too_large"
    yield "kid as a list", HMAC, HMAC.signed(b'{"alg":"HS256","kid":["a"]}', b"{}"), "header_not_allowed"
    yield "unknown crit", RSA, RSA.token(headers={"crit": ["exp"]}), "header_not_allowed"
    yield (
        "unencoded payload",
        HMAC,
        hs256({"alg": "HS256", "b64": False, "crit": ["b64"]}, HMAC.key),
        "header_not_allowed",
    )
    yield "encrypted", RSA, b"eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.a.b.c.d", "token_encrypted"
    yield "JSON serialization", RSA, base64url_encode(b'{"payload":"","signatures":[]}'), "token_malformed"
    yield "nested token", RSA, RSA.signed(b'{"alg":"RS256","cty":"JWT"}', good), "claims_malformed"
    yield "padding", HMAC, HMAC.token().encode() + b"=", "token_malformed"
    yield (
        "equal members, last wins",
        HMAC,
        HMAC.signed(b'{"alg":"HS256"}', json.dumps(HMAC.claims()).replace("{", '{"sub":"root",', 1).encode()),
        "claims_malformed",
    )
    yield (
        "equal alg members",
        HMAC,
        HMAC.signed(b'{"alg":"none","alg":"HS256"}', json.dumps(HMAC.claims()).encode()),
        "token_malformed",
    )
    yield "big token", HMAC, b"a" * 60_000 + b".b.c", "token_too_large"
    yield "token of dots", HMAC, b"." * 8000, "token_malformed"
    yield (
        "deep header",
        HMAC,
        encode({"alg": "HS256"}, {}).replace(b"eyJ", base64url_encode(b'{"a":' + b"[" * 4000), 1),
        "token_malformed",
    )
    for typ in ("dpop+jwt", "logout+jwt", "secevent+jwt", "JWE"):
        yield f"typ {typ}", RSA, RSA.token(headers={"typ": typ}), "type_not_allowed"
    yield "another service's token", RSA, RSA.token(aud="https://other.example"), "audience_not_allowed"
    yield "another issuer's claim", RSA, RSA.token(iss="https://evil.example"), "issuer_not_allowed"
    yield "no expiry", RSA, RSA.token(exp=None), "claim_missing"
    yield (
        "expiry as text",
        RSA,
        RSA.signed(b'{"alg":"RS256"}', json.dumps(RSA.claims(exp="9999999999")).encode()),
        "claim_invalid",
    )
    yield "expired", RSA, RSA.expired(), "token_expired"
    yield "just expired", RSA, RSA.token(exp=int(time.time()) - 31), "token_expired"
    yield "expiring in this very second", RSA, RSA.token(exp=int(time.time()) - 30), "token_expired"
    yield "expired half a second more", RSA, RSA.token(exp=int(time.time()) - 29.5), "token_expired"
    yield "signature null", RSA, good.rpartition(b".")[0] + b"." + base64url_encode(b"null"), "signature_invalid"
    yield "not yet valid", RSA, RSA.not_yet_valid(), "token_not_yet_valid"
    yield "issued in the future", RSA, RSA.token(iat=int(time.time()) + 86_400), "token_not_yet_valid"
    yield "somebody else's key", RSA, RSA.forged(), "signature_invalid"


@pytest.mark.parametrize(("issuer", "token", "reason"), [pytest.param(*case[1:], id=case[0]) for case in attacks()])
async def test_attack(issuer, token, reason, app):
    """The attack gets 401 on HTTP and before the accept of a WebSocket, for the reason in the table."""
    text = token if isinstance(token, bytes) else token.encode()
    guarded = JWTAuthMiddleware(app, **issuer.options)
    headers = [(b"authorization", b"Bearer " + text)]
    for result in (
        await http(guarded, headers=headers),
        await websocket(guarded, subprotocols=["bearer", text.decode()]),
    ):
        assert (result.status, result.json()["reason"]) == (401, reason)
    assert app.calls == []


async def test_the_issuers_own_tokens_get_in(app):
    """The table attacks verifiers that work: a good token of each passes."""
    for issuer in ISSUERS.values():
        assert (await http(JWTAuthMiddleware(app, **issuer.options), headers=[issuer.authorization()])).status == 200


def test_the_attacks_over_a_live_server():
    """The whole table through uvicorn and real clients: never a 200, never a 500, and the app does not run."""
    ran = []

    async def app(scope, receive, send):
        ran.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    guards = {f"/{name}": JWTAuthMiddleware(app, **issuer.options) for name, issuer in ISSUERS.items()}
    names = {id(issuer): f"/{name}" for name, issuer in ISSUERS.items()}

    async def choose(scope, receive, send):
        await guards[scope["path"]](scope, receive, send)

    with UvicornThread(choose) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        for name, issuer, token, reason in attacks():
            text = token if isinstance(token, bytes) else token.encode()
            answer = client.get(names[id(issuer)], headers={"authorization": b"Bearer " + text})
            assert answer.status_code in {400, 401, 431}, name
            if len(text) < 60_000:  # what is longer the server refuses by itself
                assert (answer.status_code, answer.json()["reason"]) == (401, reason), name
                assert answer.headers["www-authenticate"] == 'Bearer realm="api", error="invalid_token"'
            assert text[:64].decode() not in answer.text
        assert ran == []
        for name, issuer in ISSUERS.items():
            good = {"authorization": f"Bearer {issuer.token()}"}
            assert client.get(f"/{name}", headers=good).status_code == 200
