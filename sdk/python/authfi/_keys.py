"""The state of the key set. No input or output; times are seconds."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from ._json import is_text, is_texts, parse_object
from ._token import KID_MAX, Key, decode

SET_MAX = 256 * 1024  # bytes of a key set
_REFRESH_DEFAULT = 300
_REFRESH_MIN = 60
_REFRESH_MAX = 3600
_RETRY_AFTER = 10  # a fetch that has failed
_STALE_MAX = 24 * 3600  # keys serve so long while their source fails
_TOKENS_MAX = 3  # refetches for unknown kids at once; a forged kid cannot take all
_TOKEN_EVERY = 10  # and one more
_MISSES_MAX = 128
_MISS_LIFE = 60

Finding = Literal["known", "fetch", "unknown", "unavailable"]


@dataclass(frozen=True)
class Answer:
    """What the source of the keys has said; status 0: nothing."""

    status: int
    body: bytes = b""
    etag: str = ""
    max_age: int = 0  # not said
    error: str = ""
    date: float | None = None  # of the source's clock


def parse_set(body: bytes) -> dict[str, Key] | None:
    """Reads the keys that are of use here and leaves out those of other types.

    A set that names two keys alike, or none, is not taken.
    """
    found = parse_object(body) if len(body) <= SET_MAX else None
    listed = found.get("keys") if found is not None else None
    keys: dict[str, Key] = {}
    for jwk in listed if isinstance(listed, list) else []:
        if not isinstance(jwk, dict) or not is_text(jwk.get("kid")):
            continue
        kid = jwk["kid"]
        key = _parse_key(jwk) if len(kid.encode("utf-8", "surrogatepass")) <= KID_MAX else None
        if key is None:
            continue
        if kid in keys:
            return None
        keys[kid] = key
    return keys or None


def _parse_key(jwk: Mapping[str, Any]) -> Key | None:
    if "d" in jwk:
        return None  # whoever publishes it has lost it
    if "use" in jwk and jwk["use"] != "sig":
        return None
    if "key_ops" in jwk and not (is_texts(jwk["key_ops"]) and "verify" in jwk["key_ops"]):
        return None
    x, y = decode(jwk.get("x")), decode(jwk.get("y"))
    key = None
    if x is None or len(x) != 32:
        return None
    if jwk.get("kty") == "EC" and jwk.get("crv") == "P-256" and y is not None and len(y) == 32:
        try:
            key = Key("ES256", ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\4" + x + y), x + y)
        except ValueError:
            return None  # no point of the curve
    elif jwk.get("kty") == "OKP" and jwk.get("crv") == "Ed25519":
        key = Key("EdDSA", ed25519.Ed25519PublicKey.from_public_bytes(x), x)
    if key is None or "alg" in jwk and jwk["alg"] != key.alg:
        return None
    return key


class Keys:
    """The owner calls it under a lock, fetches when it says so, and tells the answer."""

    def __init__(self, now: float) -> None:
        self.known: dict[str, Key] = {}
        self.etag = ""
        self.fetched: float | None = None  # when the set was last vouched for
        self.due = 0.0  # when to fetch next
        self.failing = False  # the last fetch has told nothing
        self._budget = float(_TOKENS_MAX)  # refetches that unknown kids may cause
        self._counted = now
        self._misses: OrderedDict[str, float] = OrderedDict()

    def trusted(self, now: float) -> bool:
        return self.fetched is not None and now - self.fetched <= _STALE_MAX

    def find(self, kid: str, now: float) -> Finding:
        """Looks a kid up. "fetch" spends one refetch of the budget; settle follows."""
        if not self.trusted(now):
            return "fetch" if self._spend(now) else "unavailable"
        if kid in self.known:
            return "known"
        missed = self._misses.get(kid)
        if missed is not None and now - missed < _MISS_LIFE:
            return "unknown"
        if self._spend(now):
            return "fetch"
        return "unavailable" if self.failing else "unknown"

    def settle(self, kid: str, now: float) -> Finding:
        """Looks again after a fetch and remembers a kid that is not there.

        Unless the fetch has failed: that is nobody's forgery.
        """
        if not self.trusted(now):
            return "unavailable"
        if kid in self.known:
            return "known"
        if self.failing:
            return "unavailable"
        self._misses.pop(kid, None)
        if len(self._misses) >= _MISSES_MAX:
            self._misses.popitem(last=False)
        self._misses[kid] = now
        return "unknown"

    def _spend(self, now: float) -> bool:
        if now > self._counted:
            self._budget = min(_TOKENS_MAX, self._budget + (now - self._counted) / _TOKEN_EVERY)
            self._counted = now
        if self._budget < 1:
            return False
        self._budget -= 1
        return True

    def take(self, answer: Answer, now: float, jitter: float) -> bool:
        """Accepts a set or keeps what there is. Whether the keys have changed."""
        changed, fresh = False, answer.status == 304 and self.fetched is not None
        found = parse_set(answer.body) if answer.status == 200 else None
        if found is not None:
            changed, fresh = _texts(found) != _texts(self.known), True
            self.known, self.etag = found, answer.etag
        self.failing = not fresh
        wait = float(_RETRY_AFTER)
        if fresh:
            self.fetched, wait = now, _REFRESH_DEFAULT
            if answer.max_age > 0:
                wait = min(max(answer.max_age, _REFRESH_MIN), _REFRESH_MAX)
        self.due = now + wait * (1 + jitter)
        return changed


def _texts(keys: Mapping[str, Key]) -> dict[str, tuple[str, bytes]]:
    return {kid: (key.alg, key.text) for kid, key in keys.items()}
