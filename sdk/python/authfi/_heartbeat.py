"""What proves a heartbeat of the feed. No input or output."""

from ._json import is_number, parse_object
from ._rights import is_index
from ._token import Envelope, Key, Rules, decode, verifies

TYPE = "heartbeat+jwt"
_PROOF_LIFE = 15  # seconds: three heartbeats


def proves(envelope: Envelope, key: Key | None, rules: Rules, index: int, now: float, skew: float) -> bool:
    """Whether a key has signed, a moment ago, that all up to an index was told.

    Without that, whoever stands between could keep a follower in the past by telling it
    old heartbeats.
    """
    text = decode(envelope.payload)
    o = parse_object(text) if text is not None and verifies(envelope, key) else None
    if o is None or o.get("iss") != rules.issuer or o.get("org_id") != rules.org:
        return False
    told, issued, expires = o.get("index"), o.get("iat"), o.get("exp")
    if not (is_index(told) and told == index and is_number(issued) and is_number(expires)):
        return False
    return bool(o["exp"] - o["iat"] <= _PROOF_LIFE and now < o["exp"] + skew)
