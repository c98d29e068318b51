"""How the SDK knows its own test issuer."""

import urllib.parse
from collections.abc import Callable
from typing import Any

# The host of the test issuer. It can be nobody's: .test is reserved, RFC 6761.
HOST = "authfi.test"


class Rehearsed(str):
    """The issuer's URL, with the nodes and the clock that a test has instead.

    Only authfi.testing makes one: as a plain text the same URL is refused, so that no
    service trusts what a test has signed.
    """

    nodes: Any
    wall: Callable[[], float]
    steady: Callable[[], float]


def is_tests(issuer: str) -> bool:
    """DNS knows no capitals, and a dot may end a name."""
    return (urllib.parse.urlsplit(issuer).hostname or "").removesuffix(".") == HOST
