"""An access token, taken apart, verified and read. No input or output."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from ._json import is_number, is_text, is_texts, parse_object
from ._permission import P, allows
from ._rights import Rights, Told, read_rights, told_rights

_TOKEN_MAX = 16 * 1024  # bytes; servers refuse headers that are longer
KID_MAX = 128  # bytes
LIFE_MAX = 3600  # seconds
_SIGNATURE_SIZE = 64  # of ES256 and of Ed25519

# Header names that would say which key to trust, or change what is signed. Nothing
# that a token says about its own verification is followed.
_FORBIDDEN = ("jku", "jwk", "x5u", "x5c", "crit", "b64", "zip")
_ALPHABET = re.compile(r"[A-Za-z0-9_-]*")
_ECDSA = ec.ECDSA(hashes.SHA256())


@dataclass(frozen=True)
class Key:
    alg: str
    public: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
    text: bytes  # equal for equal keys


@dataclass(frozen=True)
class Rules:
    """What a token is held against."""

    issuer: str
    audience: str
    org: str  # empty: any


@dataclass(frozen=True)
class User(Generic[P]):
    """Who a verified token speaks of."""

    id: str
    org_id: str
    session_id: str
    roles: tuple[str, ...]
    groups: tuple[str, ...]
    permissions: frozenset[str]
    methods: tuple[str, ...]  # how the user signed in, RFC 8176
    claims: Mapping[str, Any] = field(repr=False)
    token: str = field(repr=False)
    rights: Rights = field(repr=False)  # as the feed judges them

    @property
    def is_authenticated(self) -> bool:
        """For frameworks that ask; there is no other user."""
        return True

    def can(self, permission: P) -> bool:
        return allows(self.permissions, permission)

    def can_any(self, *permissions: P) -> bool:
        return any(self.can(p) for p in permissions)

    def can_all(self, *permissions: P) -> bool:
        return bool(permissions) and all(self.can(p) for p in permissions)

    def told(self, told: Told) -> "User[P]":
        """The user of a token by reference, who holds what was told."""
        rights = told_rights(self.rights, told)
        return replace(self, roles=rights.roles, groups=rights.groups, permissions=rights.permissions, rights=rights)


@dataclass(frozen=True)
class Envelope:
    """A token taken apart, with nothing of it believed."""

    alg: Any
    kid: str
    signed: bytes
    payload: str
    signature: bytes


def decode(text: Any) -> bytes | None:
    """Reads base64url as RFC 7515 writes it: one spelling for the same bytes."""
    if not isinstance(text, str) or _ALPHABET.fullmatch(text) is None:
        return None
    try:
        value = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        return None
    return value if base64.urlsafe_b64encode(value).rstrip(b"=").decode() == text else None


def open_token(token: Any, kind: str = "at+jwt") -> Envelope | None:
    if not isinstance(token, str) or len(token) > _TOKEN_MAX:
        return None
    parts = token.split(".", 3)
    if len(parts) != 3:
        return None
    text, signature = decode(parts[0]), decode(parts[2])
    header = parse_object(text) if text is not None else None
    if header is None or signature is None or any(name in header for name in _FORBIDDEN):
        return None
    kid = header.get("kid")
    if header.get("typ") != kind or not isinstance(kid, str) or not 0 < len(kid.encode("utf-8", "surrogatepass")) <= KID_MAX:
        return None
    try:
        signed = f"{parts[0]}.{parts[1]}".encode("ascii")
    except UnicodeEncodeError:
        return None
    return Envelope(header.get("alg"), kid, signed, parts[1], signature)


def verifies(envelope: Envelope, key: Key | None) -> bool:
    """The algorithm is the key's; the header may only agree with it."""
    if key is None or envelope.alg != key.alg or len(envelope.signature) != _SIGNATURE_SIZE:
        return False
    try:
        if isinstance(key.public, ed25519.Ed25519PublicKey):
            key.public.verify(envelope.signature, envelope.signed)
        else:
            r, s = int.from_bytes(envelope.signature[:32]), int.from_bytes(envelope.signature[32:])
            key.public.verify(encode_dss_signature(r, s), envelope.signed, _ECDSA)
    except InvalidSignature:
        return False
    return True


def read(envelope: Envelope, rules: Rules, token: str) -> User | None:
    """The user of a token whose signature was verified."""
    text = decode(envelope.payload)
    claims = parse_object(text) if text is not None else None
    if claims is None or not (_addressed(claims, rules) and _timed(claims) and _named(claims)):
        return None
    if rules.org and claims["org_id"] != rules.org:
        return None
    if "cnf" in claims:
        return None  # whoever bears it may have stolen it; no proof is looked at here
    rights = read_rights(claims, rules.issuer)
    if rights is None:
        return None
    return User(
        claims["sub"], claims["org_id"], claims["sid"], rights.roles, rights.groups, rights.permissions, tuple(claims["amr"]),
        claims, token, rights,
    )  # fmt: skip


def _addressed(claims: Mapping[str, Any], rules: Rules) -> bool:
    if not rules.issuer or not rules.audience or claims.get("iss") != rules.issuer:
        return False
    audience: Any = claims.get("aud")
    return bool(audience == rules.audience or is_texts(audience) and rules.audience in audience)


def _timed(claims: Mapping[str, Any]) -> bool:
    # iat is not judged by the clock: it says when the token was made, not from when
    # it counts.
    issued: Any = claims.get("iat")
    expires: Any = claims.get("exp")
    if not (is_number(issued) and is_number(expires)):
        return False
    if "nbf" in claims and not is_number(claims["nbf"]):
        return False
    return bool(expires - issued <= LIFE_MAX)


def _named(claims: Mapping[str, Any]) -> bool:
    # Every claim is demanded: one that is empty is not absent.
    return all(is_text(claims.get(name)) for name in ("sub", "org_id", "sid", "jti")) and is_texts(claims.get("amr"))


def current(user: User, now: float, skew: float) -> bool:
    """Holds a token against the clock."""
    return bool(now < user.claims["exp"] + skew and now >= user.claims.get("nbf", 0) - skew)
