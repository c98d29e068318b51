"""Whose tokens are accepted and where to ask about them."""

import json
import os
import re
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from ._posture import Posture
from ._rehearsal import HOST, Rehearsed, is_tests

_SKEW_DEFAULT = 5.0  # seconds
_SKEW_MAX = 60.0  # beyond it a clock is to be repaired, not tolerated
_ISSUER = re.compile(r"https://[^/]+/o/[^/]+")


@dataclass(frozen=True)
class Config:
    issuer: str
    audience: str
    org: str
    nodes: tuple[str, ...]
    api_key: str
    posture: Posture
    skew: float
    ca_file: str | None
    key_set: bytes | None


def configure(
    issuer: str | None, audience: str | None, org: str | None, nodes: Sequence[str] | None, api_key: str | None,
    posture: str | None, skew: float | None, ca_file: str | None, key_set: Any,
) -> Config:  # fmt: skip
    """Fills in what was left out from the environment, or says what cannot be."""
    env = os.environ.get
    issuer = env("AUTHFI_ISSUER", "") if issuer is None else issuer
    if _ISSUER.fullmatch(issuer) is None:
        raise ValueError(f"authfi: the issuer {issuer!r} is not of the form https://HOST/o/SLUG")
    if is_tests(issuer) and not isinstance(issuer, Rehearsed):
        raise ValueError(f"authfi: {HOST} is the issuer of tests; only authfi.testing gives options that trust it")
    if nodes is None:
        urls = env("AUTHFI_URL", "")
        nodes = urls.split(",") if urls else [f"https://{urllib.parse.urlsplit(issuer).netloc}"]
    config = Config(
        issuer,
        audience or env("AUTHFI_AUDIENCE") or issuer,
        env("AUTHFI_ORG", "") if org is None else org,
        tuple(node.strip().rstrip("/") for node in nodes),
        env("AUTHFI_TOKEN", "") if api_key is None else api_key,
        cast(Posture, posture or env("AUTHFI_POSTURE") or "fresh"),
        _SKEW_DEFAULT if skew is None else skew,
        ca_file or env("AUTHFI_CACERT"),
        key_set if key_set is None or isinstance(key_set, bytes) else json.dumps(key_set).encode(),
    )
    _check(config)
    return config


def _check(config: Config) -> None:
    if not config.nodes or not all(node.startswith("https://") for node in config.nodes):
        raise ValueError(f"authfi: {list(config.nodes)} are not https URLs of nodes")
    if config.posture not in ("fresh", "strict", "offline"):
        raise ValueError(f"authfi: the posture {config.posture!r} is not fresh, strict or offline")
    if config.posture != "offline" and not (config.api_key and config.org):
        raise ValueError(
            "authfi: to follow the feed, the organization and an API key are needed; the posture offline needs neither"
        )
    if not 0 <= config.skew <= _SKEW_MAX:
        raise ValueError(f"authfi: a skew of {config.skew} s is not within 0 and {_SKEW_MAX}")
