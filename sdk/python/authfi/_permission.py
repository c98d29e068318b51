"""What a permission is, and which of them a set allows."""

import re
from collections.abc import Sequence, Set
from typing import TYPE_CHECKING

# The permissions that a program knows: AuthFI[Permission]() wants them spelled right,
# AuthFI() takes any. Only type checkers have to know of the default.
if TYPE_CHECKING:
    from typing_extensions import TypeVar

    P = TypeVar("P", bound=str, default=str)
else:
    from typing import TypeVar

    P = TypeVar("P", bound=str)

# The longest permission that a directory holds, in bytes; all of them are ASCII.
_PERMISSION_MAX = 128
_FORM = re.compile(r"[a-z0-9._-]+:(?:\*|[a-z0-9._-]+)")


def is_permission(p: object) -> bool:
    return isinstance(p, str) and len(p) <= _PERMISSION_MAX and _FORM.fullmatch(p) is not None


def allows(held: Set[str], p: str) -> bool:
    """Whether a set of permissions allows p: by name, or by the wildcard of its verb.

    A wildcard is granted by itself alone, and what is no permission by nothing.
    """
    if not is_permission(p):
        return False
    if p in held:
        return True
    verb, noun = p.split(":")
    return noun != "*" and f"{verb}:*" in held


def must_be_permissions(wanted: Sequence[str]) -> None:
    """Stops a program that asks for what nobody can hold, or for nothing at all."""
    if not wanted:
        raise ValueError("authfi: require needs a permission; authenticated needs none")
    for p in wanted:
        if not is_permission(p):
            raise ValueError(f"authfi: {p!r} is not of the form verb:noun in lower case")
