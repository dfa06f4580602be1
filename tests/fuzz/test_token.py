"""The fuzzer finds nothing in a bounded run."""

import subprocess
import sys
from pathlib import Path

import pytest

from asgi_middleware.testing.tokens import TokenIssuer

TARGET = Path(__file__).parent / "token_target.py"
RUNS = 300_000


@pytest.mark.timeout(200)
def test_any_bytes_give_claims_or_a_token_error(tmp_path):
    """Bytes grown by coverage raise nothing but TokenError, and give no claims that PyJWT would not give."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    issuer = TokenIssuer("ES256")
    claims = b'{"iss":"https://issuer.example","aud":"https://api.example","exp":4102444800,"sub":"alice"}'
    seeds = [
        b"\x00" + issuer.token().encode(),
        b"\x40" + TokenIssuer().token().encode(),
        b'\xff{"alg":"HS256","typ":"JWT","kid":"1"}\n' + claims,
        b"\xff\n" + claims.replace(b"}", b',"nbf":1.5e3,"scope":"a b","x":[{"\\u00e9":null}]}'),
    ]
    for number, seed in enumerate(seeds):
        (corpus / str(number)).write_bytes(seed)
    arguments = [f"-atheris_runs={RUNS}", "-max_len=2048", "-rss_limit_mb=2048", "-timeout=10", str(corpus)]
    ended = subprocess.run(
        [sys.executable, str(TARGET), *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    assert f"Done {RUNS}" in ended.stderr, ended.stderr[-1000:]
