"""The cluster as a client sees it: one node after the other, when one does not answer."""

import email.utils
import http.client
import json
import re
import ssl
import time
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

from ._feed import FOLLOWED
from ._keys import SET_MAX, Answer
from ._posture import Reply
from ._rights import PERMISSIONS_PATH, Told, read_told
from ._token import User

_FETCH_TIMEOUT = 5.0  # seconds, as all times here
_REPLY_TIMEOUT = 1.0  # of each node
_SILENCE_MAX = 15.0  # three heartbeats
_REPLY_MAX = 4 * 1024 * 1024  # bytes; all that a user holds, by name
_LINE_MAX = 64 * 1024  # bytes of one message of the feed
_MAX_AGE = re.compile(r"(?:^|[ ,])max-age=([0-9]{1,9})")

# What a connection may fail with: the network, TLS, and answers that are none.
Failures = (OSError, http.client.HTTPException, ValueError)


def _seconds(date: str | None) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(date).timestamp() if date else None
    except ValueError:
        return None


def _issuer_path(issuer: str) -> str:
    """The same at every node."""
    return issuer[issuer.index("/o/") :]


def reply_of(user: User, status: int, body: bytes) -> tuple[Reply, Told | None]:
    """Reads a node's answer to who asked with the user's token."""
    if status == 401:
        return "revoked", None
    told = read_told(body) if status == 200 else None
    if told is None:
        return "failed", None
    return "live" if user.rights.referred or user.permissions == told.permissions else "stale", told


class Nodes:
    def __init__(self, bases: tuple[str, ...], ca_file: str | None) -> None:
        self.bases = bases
        self._turn = 0
        self._tls = ssl.create_default_context(cafile=ca_file)

    @property
    def base(self) -> str:
        return self.bases[self._turn % len(self.bases)]

    def next(self) -> None:
        self._turn += 1

    def _connect(self, timeout: float) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(urllib.parse.urlsplit(self.base).netloc, timeout=timeout, context=self._tls)

    def _ask(
        self, method: str, path: str, token: str, headers: Mapping[str, str], timeout: float, limit: int
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = self._connect(timeout)
        try:
            authorization = {"Authorization": f"Bearer {token}"} if token else {}
            connection.request(method, path, headers={**authorization, **headers})
            response = connection.getresponse()
            body = response.read(limit + 1)
            if response.status >= 500:
                self.next()
            return response.status, response.headers, body
        except Failures:
            self.next()
            raise
        finally:
            connection.close()

    def key_set(self, issuer: str, etag: str) -> Answer:
        """Asks each node once at most."""
        path = _issuer_path(issuer) + "/.well-known/jwks.json"
        answer = Answer(0)
        for _ in self.bases:
            try:
                headers = {"If-None-Match": etag} if etag else {}
                status, got, body = self._ask("GET", path, "", headers, _FETCH_TIMEOUT, SET_MAX)
            except Failures as error:
                answer = Answer(0, error=str(error))
                continue
            age = _MAX_AGE.search(got.get("Cache-Control", ""))
            answer = Answer(status, body, got.get("ETag", ""), int(age[1]) if age else 0, date=_seconds(got.get("Date")))
            if status < 500:
                break
        return answer

    def vouch(self, issuer: str, user: User) -> tuple[Reply, Told | None]:
        """Asks about a token, with that token: whoever holds it may ask what it permits.

        A node answers from a state that misses nothing, or with 503.
        """
        for _ in self.bases:
            try:
                reply, told = self._vouch_once(issuer, user)
            except Failures:
                continue
            if reply != "failed":
                return reply, told
        return "failed", None

    def _vouch_once(self, issuer: str, user: User) -> tuple[Reply, Told | None]:
        status, _, body = self._ask("GET", _issuer_path(issuer) + PERMISSIONS_PATH, user.token, {}, _REPLY_TIMEOUT, _REPLY_MAX)
        return reply_of(user, status, body) if len(body) <= _REPLY_MAX else ("failed", None)

    def _path(self, org: str, at: int = 0, ordinal: int | None = None) -> str:
        query = [("org_id", org), *(("type", kind) for kind in FOLLOWED)]
        if at > 0:
            query.append(("after", str(at)))
            if ordinal is not None:
                query.append(("after_ordinal", str(ordinal)))
        return "/api/v1/events?" + urllib.parse.urlencode(query)

    def now(self, org: str, key: str) -> int:
        """The index that a node has applied."""
        status, got, _ = self._ask("HEAD", self._path(org), key, {}, _FETCH_TIMEOUT, 0)
        if status != 200:
            raise ValueError(f"the feed is refused with {status}")
        return int(got.get("X-Authfi-Index", ""))

    def follow(self, org: str, at: int, ordinal: int | None, key: str, hear: Callable[[Mapping[str, Any]], bool]) -> None:
        """Reads a stream until it ends, which it always does with an error.

        hear says whether a message tells that the stream is alive.
        """
        connection = self._connect(_SILENCE_MAX)
        try:
            headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream"}
            connection.request("GET", self._path(org, at, ordinal), headers=headers)
            response = connection.getresponse()
            if response.status != 200:
                raise ValueError(f"the feed is refused with {response.status}")
            data, alive = b"", time.monotonic()
            while True:
                line = response.readline(_LINE_MAX + 1)
                if not line or len(line) > _LINE_MAX:
                    raise ValueError("the feed has ended" if not line else "a message of the feed is too long")
                if line.startswith(b"data:"):
                    data += line[len(b"data:") :]
                elif not line.strip() and data:
                    if hear(json.loads(data)):  # what is not understood is not skipped
                        alive = time.monotonic()
                    elif time.monotonic() - alive > _SILENCE_MAX:
                        raise ValueError("the feed is silent")
                    data = b""
        except (KeyError, TypeError) as error:
            raise ValueError(f"a message of the feed lacks {error}") from error
        finally:
            connection.close()
