"""Verification with its two threads, and the adapters that need no framework."""

import asyncio
import logging
import math
import os
import random
import threading
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, cast

from ._config import configure
from ._feed import Feed, Verdict
from ._heartbeat import TYPE as HEARTBEAT
from ._heartbeat import proves
from ._keys import Answer, Finding, Keys
from ._nodes import Failures, Nodes
from ._permission import P, must_be_permissions
from ._posture import Decision, Reply, decide
from ._problem import Refusal, bearer
from ._rehearsal import Rehearsed
from ._serve import ASGIApp, Checked, Receive, Scope, Send, WSGIApp, attended, refuse
from ._token import Envelope, Rules, User, current, open_token, read, verifies
from ._watch import Glance, Watch, Watches

_KEY_WAIT = 2.0  # seconds, for a key that is being fetched
_REPLY_LIFE = 1.0  # of a node's word on a token, while the feed is behind
_BACKOFF_MIN = 0.2
_BACKOFF_MAX = 5.0
_JITTER = 0.2
_START_MAX = 0.1  # processes that start together do not fetch together
_SKEW_WARNING = 2.0
_SEEN_MAX = 5_000  # verified tokens of a generation, of which two are kept

_log = logging.getLogger("authfi")


class _Held:
    """A token that was verified, and what a node has said of it."""

    def __init__(self, user: User) -> None:
        self.user = user  # of a token by reference, with what a node has told last
        self.confirmed = 0  # index at which a node vouched for it
        self.asking = threading.Lock()  # one question at a time; guards the two below
        self.asked: float | None = None
        self.reply: Reply = ""


@dataclass(frozen=True)
class Status:
    """Ages in seconds; None: there is none yet."""

    keys_age: float | None  # since the issuer has vouched for the keys
    feed_age: float | None  # of the last heartbeat
    index: int  # up to which the feed has been followed


class AuthFI(Generic[P]):
    """Verifies tokens of one organization.

    Nothing waits for the network when it is made: until there are keys, requests are
    answered with 503. Its threads end with the program and with close; a process
    that was forked has its own.
    """

    def __init__(
        self,
        issuer: str | None = None,
        *,
        audience: str | None = None,
        org: str | None = None,
        nodes: Sequence[str] | None = None,
        api_key: str | None = None,
        posture: str | None = None,
        skew: float | None = None,
        ca_file: str | None = None,
        key_set: Mapping[str, Any] | bytes | None = None,
    ) -> None:
        self._config = configure(issuer, audience, org, nodes, api_key, posture, skew, ca_file, key_set)
        self._rules = Rules(self._config.issuer, self._config.audience, self._config.org)
        test = issuer if isinstance(issuer, Rehearsed) else None
        # Both in seconds.
        self._wall = test.wall if test is not None else lambda: time.time()
        self._steady = test.steady if test is not None else time.monotonic
        self._nodes = test.nodes if test is not None else Nodes(self._config.nodes, self._config.ca_file)
        self._keys = Keys(self._steady())
        self._feed = Feed()
        self._skewed = False  # said that the clocks are apart
        self._young: dict[str, _Held] = {}  # verified tokens by their whole text
        self._old: dict[str, _Held] = {}
        if self._config.key_set is not None:
            self._keys.take(Answer(200, self._config.key_set), self._steady(), 0)
            if self._keys.fetched is None:
                raise ValueError("authfi: the key set given has no usable key")
        self._start()
        if test is not None:
            test.nodes.settle = lambda timeout: self._watches.settle(timeout)
        this = weakref.ref(self)

        def restart() -> None:
            if (auth := this()) is not None and not auth._closed.is_set():
                auth._start()

        os.register_at_fork(after_in_child=restart)

    def _start(self) -> None:
        self._lock = threading.Lock()  # of the keys, the feed and the tokens seen
        self._closed = threading.Event()
        self._ready = threading.Event()
        self._wake = threading.Event()
        self._fetching: threading.Event | None = None  # set when the fetch under way has ended
        self._feed.beat = None
        self._waiting: tuple[Mapping[str, Any], float] | None = None  # a heartbeat whose key is to be fetched, and when it was heard
        self._watches = Watches(self._glance, lambda user, mutating: self.verify(user.token, mutating=mutating))
        threading.Thread(target=self._keep_keys, name="authfi-keys", daemon=True).start()
        if self._config.posture != "offline":
            threading.Thread(target=self._keep_feed, name="authfi-feed", daemon=True).start()

    def close(self) -> None:
        """Ends the threads, at the latest with what they wait for."""
        self._closed.set()
        self._wake.set()
        self._watches.close()

    def ready(self, timeout: float | None = None) -> bool:
        """Waits until the keys are known and the feed is followed."""
        return self._ready.wait(timeout)

    def _mark_ready(self) -> None:
        if self._keys.fetched is not None and (self._config.posture == "offline" or self._feed.beat is not None):
            self._ready.set()

    # Verification.

    def verify(self, token: str, *, mutating: bool = False) -> User[P]:
        """Who a token speaks of, or a Refusal raised.

        mutating tells of what the token is to permit: while nobody can be asked,
        reading goes on longer.
        """
        held = self._seen(token) or self._verified(token)
        self._check_times(held)
        user, decision = self._decide(held, mutating, "")
        if decision == "ask":
            user, decision = self._ask(held, mutating)
        return self._served(user, decision)

    async def verify_async(self, token: str, *, mutating: bool = False) -> User[P]:
        """As verify. What has to wait for the network does so in a thread."""
        held = self._seen(token)
        if held is None:
            envelope = self._opened(token)
            with self._lock:
                known = self._keys.trusted(self._steady()) and envelope.kid in self._keys.known
            held = self._verified(token) if known else None
        if held is not None:
            self._check_times(held)
            user, decision = self._decide(held, mutating, "")
            if decision != "ask":
                return self._served(user, decision)
        return await asyncio.to_thread(self.verify, token, mutating=mutating)

    def _served(self, user: User[Any], decision: Decision) -> User[P]:
        if decision == "ok":
            return cast(User[P], user)
        raise Refusal("auth_unavailable" if decision == "ask" else decision)

    def _check_times(self, held: _Held) -> None:
        if not current(held.user, self._wall(), self._config.skew):
            raise Refusal("invalid_token")

    def _seen(self, token: str) -> _Held | None:
        with self._lock:
            if not self._keys.trusted(self._steady()):
                return None
            held = self._young.get(token)
            if held is None and (held := self._old.get(token)) is not None:
                self._remember(token, held)  # used again: it stays
            return held

    def _remember(self, token: str, held: _Held) -> None:
        if len(self._young) >= _SEEN_MAX:
            self._old, self._young = self._young, {}
        self._young[token] = held

    @staticmethod
    def _opened(token: str) -> Envelope:
        envelope = open_token(token)
        if envelope is None:
            raise Refusal("invalid_token")
        return envelope

    def _verified(self, token: str) -> _Held:
        envelope = self._opened(token)
        if self._find(envelope.kid) == "unavailable":
            raise Refusal("auth_unavailable")
        with self._lock:
            known = self._keys.known
        user = read(envelope, self._rules, token) if verifies(envelope, known.get(envelope.kid)) else None
        if user is None:
            raise Refusal("invalid_token")
        held = _Held(user)
        with self._lock:
            # Unless the keys have changed meanwhile, or the token has run out.
            if known is self._keys.known and current(user, self._wall(), self._config.skew):
                self._remember(token, held)
        return held

    def _find(self, kid: str) -> Finding:
        with self._lock:
            found, fetching = self._keys.find(kid, self._steady()), self._fetching
            if found == "fetch" and fetching is None:
                fetching = self._fetching = threading.Event()
                self._wake.set()
        if found == "known" or fetching is None:
            return found
        if not fetching.wait(_KEY_WAIT):
            return "unavailable"
        with self._lock:
            return self._keys.settle(kid, self._steady())

    def _decide(self, held: _Held, mutating: bool, reply: Reply) -> tuple[User[Any], Decision]:
        """The user is who the token speaks of by what is known now."""
        user, age, verdict = self._judge(held)
        return user, decide(self._config.posture, age, verdict, mutating, reply)

    def _judge(self, held: _Held) -> tuple[User[Any], float, Verdict]:
        with self._lock:
            return held.user, self._beat_age(), self._feed.judge(held.user.rights, held.confirmed)

    def _beat_age(self) -> float:
        return math.inf if self._feed.beat is None else self._steady() - self._feed.beat

    def _ask(self, held: _Held, mutating: bool) -> tuple[User[Any], Decision]:
        """Asks a node. Requests with one token share one question."""
        with held.asking:
            user, decision = self._decide(held, mutating, "")
            if decision != "ask":
                return user, decision  # others have asked
            now, (_, _, verdict) = self._steady(), self._judge(held)
            overtaken = held.reply == "live" and verdict in ("unknown", "referred")
            if held.asked is None or now - held.asked > _REPLY_LIFE or overtaken:
                self._inquire(held)
                held.asked = now
            return self._decide(held, mutating, held.reply)

    def _inquire(self, held: _Held) -> None:
        # What is older than what is known is not taken in.
        at_least = self._feed.at
        held.reply, told = self._nodes.vouch(self._config.issuer, held.user)
        if held.reply != "live" or told is None or told.index < at_least:
            return
        with self._lock:
            held.confirmed = told.index
            if held.user.rights.referred:
                held.user = held.user.told(told)

    # The threads.

    def _keep_keys(self) -> None:
        closed, wait = self._closed, random.uniform(0, _START_MAX)
        while True:
            self._wake.wait(wait)
            self._wake.clear()
            if closed.is_set():
                return
            self._fetch_keys()
            with self._lock:
                wait = max(self._keys.due - self._steady(), _BACKOFF_MIN)

    def _fetch_keys(self) -> None:
        with self._lock:
            etag = self._keys.etag
            fetching = self._fetching = self._fetching or threading.Event()
        answer = self._nodes.key_set(self._config.issuer, etag)
        with self._lock:
            now = self._steady()
            if self._keys.take(answer, now, random.uniform(-_JITTER, _JITTER)):
                self._young, self._old = {}, {}  # what another key has signed is to be verified anew
                self._watches.look()
            if self._keys.fetched != now:
                _log.warning("keys not refreshed; those there are stay: %s", answer.error or answer.status)
            self._fetching = None
            self._mark_ready()
        fetching.set()
        self._heartbeat_again()
        apart = abs(self._wall() - answer.date) if answer.date is not None else 0.0
        if apart > _SKEW_WARNING and not self._skewed:
            self._skewed = True
            _log.warning("this machine's clock and the issuer's are %.1f s apart", apart)

    def status(self) -> Status:
        """For gauges: how old what is known is."""
        with self._lock:
            now = self._steady()
            keys, beat = self._keys.fetched, self._feed.beat
            return Status(None if keys is None else now - keys, None if beat is None else now - beat, self._feed.at)

    def _keep_feed(self) -> None:
        closed, backoff = self._closed, _BACKOFF_MIN
        while not closed.is_set():
            begun = self._steady()
            try:
                self._follow_feed()
            except Failures as error:
                _log.warning("the feed of %s broke off: %s", self._nodes.base, error)
            self._nodes.next()
            backoff = _BACKOFF_MIN if self._steady() - begun > _BACKOFF_MAX else min(2 * backoff, _BACKOFF_MAX)
            closed.wait(backoff * (1 + random.uniform(-_JITTER, _JITTER)))

    def _follow_feed(self) -> None:
        with self._lock:
            self._waiting = None  # it was of another stream
        if self._feed.at == 0:
            index = self._nodes.now(self._config.org, self._config.api_key)
            with self._lock:
                self._feed.start(index)
        self._nodes.follow(self._config.org, self._feed.at, self._feed.ordinal, self._config.api_key, self._hear)

    def _hear(self, message: Mapping[str, Any]) -> bool:
        """Takes in a message; whether it tells that the stream is alive.

        A heartbeat must prove that.
        """
        if self._closed.is_set():
            raise ValueError("closed")
        if message["type"] == "heartbeat":
            return self._heartbeat(message, self._steady())
        with self._lock:
            if message["type"] == "resync":
                self._waiting = None
            keys_changed = self._feed.hear(message, self._steady())
        self._watches.look()
        if keys_changed:
            self._wake.set()
        return True

    def _heartbeat(self, message: Mapping[str, Any], heard: float) -> bool:
        # One that is not proven changes nothing: neither how fresh the feed is nor the
        # place to go on from. One whose key is not known waits until the keys have been
        # fetched.
        envelope, key = open_token(message.get("proof"), HEARTBEAT), None
        if envelope is not None:
            with self._lock:
                found = self._keys.find(envelope.kid, self._steady())
                if found != "known":
                    self._waiting = message, heard
                    if found == "fetch":
                        self._fetching = self._fetching or threading.Event()
                        self._wake.set()
                    return False
                key = self._keys.known[envelope.kid]
        if envelope is None or not proves(envelope, key, self._rules, message["index"], self._wall(), self._config.skew):
            _log.warning("a heartbeat of %s without a good proof", self._nodes.base)
            return False
        with self._lock:
            self._feed.hear(message, heard)
            self._mark_ready()
        self._watches.look()
        return True

    def _heartbeat_again(self) -> None:
        # After a fetch. One that has failed is waited for no longer than the proof is good.
        with self._lock:
            waiting, found = self._waiting, "unknown"
            envelope = open_token(waiting[0].get("proof"), HEARTBEAT) if waiting is not None else None
            if envelope is not None:
                found = self._keys.settle(envelope.kid, self._steady())
            if found != "unavailable":
                self._waiting = None
        if waiting is not None and found == "known":
            self._heartbeat(*waiting)

    # Requests.

    def admit(self, authorization: Sequence[str], method: str, permissions: Sequence[P] = ()) -> User[P]:
        """The user of a request who holds all the permissions, or a Refusal raised."""
        user = self.verify(bearer(authorization), mutating=is_mutating(method))
        return _permitted(user, permissions)

    async def admit_async(self, authorization: Sequence[str], method: str, permissions: Sequence[P] = ()) -> User[P]:
        user = await self.verify_async(bearer(authorization), mutating=is_mutating(method))
        return _permitted(user, permissions)

    def watch(self, user: User[P], *, mutating: bool = False) -> Watch:
        """For what stays open: it ends when the user's token would be refused.

        That is at once when the feed says so, and within a second when the token runs
        out or the posture wants it. Whoever watches releases at the end.
        """
        return self._watches.add(user, mutating)

    def _glance(self, user: User[Any], mutating: bool) -> Glance:
        """What can be said of a token at once."""
        if not current(user, self._wall(), self._config.skew):
            return "invalid_token"
        held = self._seen(user.token)
        if held is None:
            return "ask"  # there are other keys than those that it was verified with
        with self._lock:
            age, verdict = self._beat_age(), self._feed.judge(user.rights, held.confirmed)
        return decide(self._config.posture, age, verdict, mutating, "")

    def wsgi(self, app: WSGIApp, *permissions: P) -> WSGIApp:
        """A WSGI application around another, which finds the user in authfi.user."""
        must_be_permissions(permissions)

        def guarded(environ: dict[str, Any], start_response: Any) -> Iterable[Any]:
            header, method = environ.get("HTTP_AUTHORIZATION"), environ["REQUEST_METHOD"]
            try:
                user = self.admit([] if header is None else [header], method, permissions)
            except Refusal as refusal:
                start_response(f"{refusal.status} {refusal.title}", list(refusal.headers.items()))
                return [refusal.body]
            watch = self.watch(user, mutating=is_mutating(method))
            try:
                parts = app({**environ, "authfi.user": user, "authfi.watch": watch}, start_response)
                if not isinstance(parts, (list, tuple)):
                    return Checked(parts, watch)
                watch.release()  # all of it is there
                return parts
            except BaseException:
                watch.release()
                raise

        return guarded

    def asgi(self, app: ASGIApp, *permissions: P) -> ASGIApp:
        """An ASGI application around another, which finds the user in scope["user"].

        It is cancelled when the token would be refused, and a WebSocket is closed.
        """
        must_be_permissions(permissions)

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] not in ("http", "websocket"):
                return await app(scope, receive, send)  # lifespan: nobody asks
            headers = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"authorization"]
            # What comes over a WebSocket may change things.
            method = scope.get("method", "WEBSOCKET")
            try:
                user = await self.admit_async(headers, method, permissions)
            except Refusal as refusal:
                return await refuse(refusal, scope, send)
            watch = self.watch(user, mutating=is_mutating(method))
            await attended(app, {**scope, "user": user}, receive, send, watch)

        return guarded


def is_mutating(method: str) -> bool:
    return method not in ("GET", "HEAD", "OPTIONS")


def _permitted(user: User[P], permissions: Sequence[P]) -> User[P]:
    missing = [p for p in permissions if not user.can(p)]
    if missing:
        raise Refusal("insufficient_permission", permissions, missing)
    return user
