"""Plays the issuer of tokens, to try the service. Each run makes new keys: start the service afterwards.

``python issuer.py data ada`` writes the public key into the folder ``data``, and prints a token for ada.
"""

import sys
from pathlib import Path

from asgi_middleware.testing.tokens import TokenIssuer

folder, subject = Path(sys.argv[1]), sys.argv[2]
issuer = TokenIssuer("RS256", audience="archive")
folder.mkdir(exist_ok=True)
(folder / "issuer.pem").write_text(str(issuer.key), encoding="utf-8")
print(issuer.token(sub=subject, scope="archive:write"))
