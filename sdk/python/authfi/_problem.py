"""Why a request is not served, and the answer that says so (RFC 6750, RFC 9457)."""

import json
import re
from collections.abc import Sequence
from typing import Literal

Code = Literal[
    "unauthenticated", "invalid_request", "invalid_token", "token_revoked", "token_stale",
    "insufficient_permission", "auth_unavailable", "permissions_unavailable",
]  # fmt: skip

_RETRY_SECONDS = "5"
_REALM = 'Bearer realm="authfi"'
_BEARER = re.compile(r"[A-Za-z0-9._~+/=-]+")

# By code: status, title, detail, and what follows the realm in WWW-Authenticate. The
# detail says no more than the code: what exactly was wrong helps forgers.
_TABLE: dict[Code, tuple[int, str, str, str | None]] = {
    "unauthenticated": (401, "Unauthorized", "an access token is needed", ""),
    "invalid_request": (400, "Bad Request", "the Authorization header is malformed", ', error="invalid_request"'),
    "invalid_token": (401, "Unauthorized", "the access token is not valid", ', error="invalid_token"'),
    "token_revoked": (401, "Unauthorized", "the session has ended", ', error="invalid_token", error_description="revoked"'),
    "token_stale": (
        401, "Unauthorized", "permissions have changed; refresh the access token", ', error="invalid_token", error_description="stale"',
    ),
    "insufficient_permission": (403, "Forbidden", "a permission is missing", ', error="insufficient_scope"'),
    "auth_unavailable": (503, "Service Unavailable", "who is asking cannot be told now; try again", None),
    "permissions_unavailable": (503, "Service Unavailable", "what the access token permits cannot be told now; try again", None),
}  # fmt: skip


class Refusal(Exception):
    """Why a request is not served."""

    def __init__(self, code: Code, required: Sequence[str] = (), missing: Sequence[str] = ()) -> None:
        super().__init__(f"authfi: {code}")
        self.code: Code = code
        self.required = list(required)
        self.missing = list(missing)
        self.status, self.title, self.detail, self._challenge = _TABLE[code]

    @property
    def headers(self) -> dict[str, str]:
        headers = {"content-type": "application/problem+json", "cache-control": "no-store"}
        if self._challenge is None:
            headers["retry-after"] = _RETRY_SECONDS
        else:
            scope = f', scope="{" ".join(self.required)}"' if self.required else ""
            headers["www-authenticate"] = _REALM + self._challenge + scope
        return headers

    @property
    def body(self) -> bytes:
        members: dict[str, object] = {"title": self.title, "status": self.status, "code": self.code, "detail": self.detail}
        if self.code == "insufficient_permission":
            members |= {"required": self.required, "missing": self.missing}
        return json.dumps(members).encode()


def bearer(headers: Sequence[str]) -> str:
    """The one token of a request's Authorization headers, or a Refusal raised."""
    if len(headers) > 1:
        raise Refusal("invalid_request")
    scheme, _, token = (headers[0] if headers else "").partition(" ")
    if scheme.lower() != "bearer":
        raise Refusal("unauthenticated")
    if _BEARER.fullmatch(token) is None:
        raise Refusal("invalid_request")
    return token
