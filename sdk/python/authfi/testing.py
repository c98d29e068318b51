"""An issuer for the tests of services.

It signs for real with a fresh key, gives keys and feed in process without a network,
and does what a test tells it:

    issuer = TestIssuer()
    auth = AuthFI(**issuer.options())
    auth.ready()
    token = issuer.sign_in(permissions=["read:patients"])
    ...                       # a request with the token is served
    issuer.revoke(token)
    ...                       # the same request is refused

Nothing of the verification is left out or pretended. Its issuer is https://authfi.test,
which a service refuses to be configured with.
"""

import base64
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from ._keys import Answer
from ._nodes import reply_of
from ._posture import Reply
from ._rehearsal import HOST, Rehearsed
from ._rights import Told
from ._token import User

__all__ = ["TestIssuer"]

_URL = f"https://{HOST}/o/test"
_ORG = "org-00000000000000000000000000000001"
_LIFE = 300  # seconds of a token, as a node's
_PROOF_LIFE = 15  # of a heartbeat, likewise
_HEARTBEAT_EVERY = 5.0  # seconds, as a node's
# How long a change may take to reach every service in this process. One that has to
# follow anew waits for 5 seconds at most before it tries.
_SETTLE_MAX = 15.0


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _role_of(user: str) -> str:
    """A role of one person alone, which changes with the permissions."""
    return f"everything of {user}"


class _Key:
    def __init__(self) -> None:
        self.id = f"key-{secrets.token_hex(16)}"
        self._private = ec.generate_private_key(ec.SECP256R1())

    def jwk(self) -> dict[str, str]:
        point = self._private.public_key().public_numbers()
        x, y = (_encode(n.to_bytes(32)) for n in (point.x, point.y))
        return {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.id, "x": x, "y": y}

    def sign(self, kind: str, claims: Mapping[str, Any]) -> str:
        header = {"typ": kind, "alg": "ES256", "kid": self.id}
        signed = ".".join(_encode(json.dumps(part).encode()) for part in (header, claims))
        r, s = decode_dss_signature(self._private.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_encode(r.to_bytes(32) + s.to_bytes(32))}"


class TestIssuer:
    """When a method returns, every service has heard of what it did."""

    __test__ = False  # pytest: no class of tests

    def __init__(self) -> None:
        self._changed = threading.Condition()  # guards all below
        self._key = _Key()
        self._offline = False
        self._moved = 0.0  # seconds, of the clock
        self._index = 1
        self._events: list[dict[str, Any]] = []
        self._sessions: dict[str, str] = {}  # user by session; ended ones are not there
        self._held: dict[str, dict[str, list[str]]] = {}  # by user, what is true now
        self._services: list[_Nodes] = []

    def options(self) -> dict[str, Any]:
        """Arguments of any AuthFI; posture and skew may be added."""
        issuer = Rehearsed(_URL)
        nodes = _Nodes(self)
        issuer.nodes, issuer.wall, issuer.steady = nodes, self.now, lambda: time.monotonic() + self._moved
        with self._changed:
            self._services.append(nodes)
        return {"issuer": issuer, "audience": _URL, "org": _ORG, "nodes": [f"https://{HOST}"], "api_key": "the key of the tests"}

    def sign_in(
        self, id: str | None = None, *, permissions: Sequence[str] = (), roles: Sequence[str] = (), groups: Sequence[str] = (),
        methods: Sequence[str] = ("pwd", "otp"), claims: Mapping[str, Any] | None = None,
    ) -> str:  # fmt: skip
        """Begins a session and gives its token; claims are others, or other values."""
        user, session, issued = id or f"usr-{secrets.token_hex(16)}", f"ses-{secrets.token_hex(16)}", int(self.now())
        with self._changed:
            held = {"permissions": list(permissions), "roles": [*roles, _role_of(user)], "groups": list(groups)}
            self._sessions[session], self._held[user] = user, held
            return self._key.sign(
                "at+jwt",
                {
                    "iss": _URL, "aud": [_URL], "sub": user, "iat": issued, "exp": issued + _LIFE, "jti": secrets.token_hex(16),
                    "sid": session, "org_id": _ORG, **held, "amr": list(methods), "ri": self._index, **(claims or {}),
                },
            )  # fmt: skip

    def revoke(self, token: str) -> None:
        """Ends the session of a token."""
        payload = token.split(".")[1]
        session = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sid"]
        with self._changed:
            self._sessions.pop(session, None)
        self._change("session.ended", session)

    def deactivate(self, user: str) -> None:
        """Ends all sessions of a user, as an identity provider does."""
        with self._changed:
            self._sessions = {session: of for session, of in self._sessions.items() if of != user}
        self._change("user.deactivated", user)

    def permit(self, user: str, *permissions: str) -> None:
        """Changes what a user holds: the user's tokens are stale."""
        with self._changed:
            held = self._held.get(user, {"roles": [], "groups": []})
            self._held[user] = held | {"permissions": list(permissions)}
        self._change("role.unassigned", "rol-1", f"{_role_of(user)} from {user}", [user])

    def rotate_keys(self) -> None:
        """Signs with a new key, and takes the old one away with all its tokens."""
        with self._changed:
            self._key = _Key()
        self._change("key.changed", _ORG)
        with self._changed:
            following = [nodes for nodes in self._services if nodes.following]
        self._settle(lambda: all(nodes.kid == self._key.id for nodes in following))
        # A service takes in what it was given before it asks or hears again.
        self._change("something.else")

    def advance(self, seconds: float) -> None:
        """Moves the clock. A heartbeat follows, unless the issuer is offline."""
        with self._changed:
            self._moved += seconds
        if not self._offline:
            self._change("something.else")

    def now(self) -> float:
        """The clock, which its services go by."""
        return time.time() + self._moved

    def go_offline(self) -> None:
        """Breaks every connection, and none is made."""
        with self._changed:
            self._offline = True
            self._changed.notify_all()
        self._settle(lambda: not any(nodes.following for nodes in self._services))

    def go_online(self) -> None:
        """Ends that, and waits until the feed is followed again."""
        with self._changed:
            was_following = [nodes for nodes in self._services if nodes.heard]
            self._offline = False
        self._settle(lambda: all(nodes.following for nodes in was_following))
        self._change("something.else")

    def _change(self, kind: str, object: str = "", detail: str = "", users: Sequence[str] = ()) -> None:
        with self._changed:
            self._index += 1
            index = self._index
            event = {"type": kind, "index": index, "ordinal": 0, "object": object, "detail": detail, "user_ids": list(users)}
            self._events.append(event)
            self._changed.notify_all()
            if self._offline:
                return  # it is heard when they are back
        self._settle(lambda: all(nodes.heard >= index for nodes in self._services if nodes.following))
        for nodes in self._services:
            nodes.settle(_SETTLE_MAX)

    def _heartbeat(self) -> dict[str, Any]:
        """Called with the lock held."""
        issued = int(self.now())
        claims = {"iss": _URL, "org_id": _ORG, "index": self._index, "iat": issued, "exp": issued + _PROOF_LIFE}
        return {"type": "heartbeat", "index": self._index, "proof": self._key.sign("heartbeat+jwt", claims)}

    def _settle(self, done: Callable[[], bool]) -> None:
        """One that never does shows in what the test asks next."""
        with self._changed:
            self._changed.wait_for(done, _SETTLE_MAX)


class _Nodes:
    """The cluster as one service sees it."""

    base = f"https://{HOST}"

    def __init__(self, issuer: TestIssuer) -> None:
        self._issuer = issuer
        self.following = False
        self.heard = 0
        self.kid = ""  # of the key that was given last
        # Waits until what stays open was looked at; the service sets it.
        self.settle: Callable[[float], None] = lambda timeout: None

    def next(self) -> None:
        """There is one alone."""

    def _online(self) -> None:
        if self._issuer._offline:
            raise OSError("the test issuer is offline")

    def key_set(self, issuer: str, etag: str) -> Answer:
        test = self._issuer
        with test._changed:
            if test._offline:
                return Answer(0, error="the test issuer is offline")
            self.kid = test._key.id
            test._changed.notify_all()
            return Answer(200, json.dumps({"keys": [test._key.jwk()]}).encode(), date=test.now())

    def vouch(self, issuer: str, user: User) -> tuple[Reply, Told | None]:
        test = self._issuer
        with test._changed:
            if test._offline:
                return "failed", None
            if test._sessions.get(user.session_id) != user.id:
                return "revoked", None
            return reply_of(user, 200, json.dumps({**test._held[user.id], "index": test._index}).encode())

    def now(self, org: str, key: str) -> int:
        self._online()
        return self._issuer._index

    def follow(self, org: str, at: int, ordinal: int | None, key: str, hear: Callable[[Mapping[str, Any]], bool]) -> None:
        """Gives the events after a place, and then those that come."""
        test = self._issuer
        try:
            while True:
                with test._changed:
                    self._online()
                    self.following = True
                    events = [event for event in test._events if event["index"] > at]
                    at = test._index
                    events.append(test._heartbeat())
                for event in events:
                    hear(event)
                with test._changed:
                    self.heard = at
                    test._changed.notify_all()
                    test._changed.wait_for(lambda: test._index > at or test._offline, _HEARTBEAT_EVERY)
        finally:
            with test._changed:
                self.following = False
                test._changed.notify_all()
