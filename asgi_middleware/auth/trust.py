"""Trust: whose tokens are taken, with which keys and by which rules; one issuer, or several told by ``iss``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from asgi_middleware.auth.claim_rules import ClaimRules
from asgi_middleware.auth.errors import Reason, TokenError
from asgi_middleware.auth.issuers import Issuer, RemoteKeys, StaticKeys
from asgi_middleware.auth.key_set import KeySet


class Trusted(NamedTuple):
    """One issuer's keys, and what its claims must say."""

    source: StaticKeys | RemoteKeys
    rules: ClaimRules


class Trust:
    """Who is trusted; immutable.

    Attributes:
        only: The one whose keys verify every token; None where the token's ``iss`` decides.
    """

    __slots__ = ("_by_issuer", "_by_test", "only")

    def __init__(self, only: Trusted | None, several: Iterable[tuple[Issuer, Trusted]] = ()) -> None:
        """Take the only one, or several."""
        self.only: Final = only
        self._by_issuer: dict[str, Trusted] = {}
        self._by_test: list[tuple[Callable[[str], bool], Trusted]] = []
        for issuer, trusted in several:
            if issuer.issuer is not None:
                self._by_issuer[issuer.issuer] = trusted
            elif issuer.matches is not None:
                self._by_test.append((issuer.matches, trusted))

    def all(self) -> list[Trusted]:
        """Give everyone."""
        if self.only is not None:
            return [self.only]
        return [*self._by_issuer.values(), *(trusted for _, trusted in self._by_test)]

    def key_sets(self) -> list[KeySet]:
        """Give the key sets that are remote, each once."""
        sources = (trusted.source for trusted in self.all())
        return list({id(each.key_set): each.key_set for each in sources if isinstance(each, RemoteKeys)}.values())

    def named_by(self, claims: dict[str, Any]) -> Trusted:
        """Give the issuer that a token names; nothing of it is believed yet.

        Raises:
            TokenError: It names none, or none of ours.
        """
        issuer = claims.get("iss")
        if type(issuer) is not str:
            raise TokenError(Reason.MISSING if issuer is None else Reason.INVALID)
        trusted = self._by_issuer.get(issuer)
        if trusted is not None:
            return trusted
        for matches, trusted in self._by_test:
            try:
                if matches(issuer) is True:
                    return trusted
            # A function that fails has not said yes.
            except Exception:  # noqa: BLE001, S112
                continue
        raise TokenError(Reason.ISSUER)
