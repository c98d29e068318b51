"""What a user may do, in every form that a token or a node says it. No input or output."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._json import is_number, is_text, is_texts, parse_object
from ._permission import is_permission

# Below the issuer, where a token's user's rights are told that the token does not hold
# itself. No token names another address that is asked.
PERMISSIONS_PATH = "/oauth2/permissions"
_LISTS = ("permissions", "roles", "groups")


@dataclass(frozen=True)
class Rights:
    """What a user holds, and the index of the state that it is taken from."""

    user: str
    session: str
    roles: tuple[str, ...]
    groups: tuple[str, ...]
    permissions: frozenset[str]
    index: int
    referred: bool = False  # the token does not hold them: a node tells them
    told: bool = False  # and has


@dataclass(frozen=True)
class Told:
    """What a node says of a user's rights."""

    roles: tuple[str, ...]
    groups: tuple[str, ...]
    permissions: frozenset[str]
    index: int


def is_index(value: Any) -> bool:
    return is_number(value) and value == int(value)


def read_rights(claims: Mapping[str, Any], issuer: str) -> Rights | None:
    """Reads the claims in whichever form: listed, grouped by noun, or by reference.

    A claim that is not there is none of them.
    """
    listed, roles, groups = (claims.get(name) for name in _LISTS)
    permissions = frozenset(listed or ()) if is_texts(listed) else _ungroup(listed)
    if permissions is None or not (is_texts(roles) and is_texts(groups) and is_index(claims.get("ri"))):
        return None
    held = Rights(claims["sub"], claims["sid"], _texts(roles), _texts(groups), permissions, int(claims["ri"]))
    return _refer(claims, held, issuer + PERMISSIONS_PATH)


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(values)


def _ungroup(nouns: Any) -> frozenset[str] | None:
    # The verbs of each noun, with one space between.
    if not isinstance(nouns, dict) or not all(is_text(verbs) for verbs in nouns.values()):
        return None
    held = frozenset(f"{verb}:{noun}" for noun, verbs in nouns.items() for verb in verbs.split(" "))
    return held if all(is_permission(p) for p in held) else None


def _refer(claims: Mapping[str, Any], held: Rights, address: str) -> Rights | None:
    # What is referred to is not held, roles and groups are so only together and beside
    # the permissions, and all are at one address.
    there = [name for name in _LISTS if f"{name}_ref" in claims]
    if any(claims[f"{name}_ref"] != address for name in there):
        return None
    if not there:
        return held
    if held.permissions or "permissions" not in there or len(there) == 2:
        return None
    if len(there) == 3 and (held.roles or held.groups):
        return None
    return Rights(held.user, held.session, held.roles, held.groups, held.permissions, held.index, referred=True)


def read_told(body: bytes) -> Told | None:
    o = parse_object(body)
    if o is None or not all(is_texts(o.get(name)) for name in _LISTS) or not is_index(o.get("index")):
        return None
    return Told(_texts(o["roles"]), _texts(o["groups"]), frozenset(o["permissions"]), int(o["index"]))


def told_rights(rights: Rights, told: Told) -> Rights:
    """The index of what was told takes the place of the token's."""
    return Rights(rights.user, rights.session, told.roles, told.groups, told.permissions, told.index, rights.referred, told=True)
