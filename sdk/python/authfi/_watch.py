"""What stays open, which ends when its token would be refused."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from ._posture import Decision
from ._problem import Refusal
from ._token import User

_WATCH_EVERY = 1.0  # seconds between two looks while the feed says nothing
_QUESTIONS_MAX = 8  # asked at once about what stays open; the next ones wait

Glance = Decision | Literal["invalid_token"]

_log = logging.getLogger("authfi")


class Watch:
    """A call under way. ended is the Refusal that it ended with."""

    def __init__(self, watches: "Watches", user: User[Any], mutating: bool) -> None:
        self.user = user
        self.mutating = mutating
        self.ended: Refusal | None = None
        self.asking = False
        self._watches = watches
        self._lock = threading.Lock()
        self._on_end: list[Callable[[], None]] = []

    def on_end(self, call: Callable[[], None]) -> None:
        """Has something called at the end, in another thread; or now, if it was."""
        with self._lock:
            if self.ended is None:
                self._on_end.append(call)
                return
        call()

    def check(self) -> None:
        """Raises the Refusal after the end."""
        if self.ended is not None:
            raise self.ended

    def release(self) -> None:
        """Forgets it: nothing is called any more."""
        self._watches.remove(self)
        with self._lock:
            self._on_end = []

    def end(self, refusal: Refusal) -> None:
        self._watches.remove(self)
        with self._lock:
            if self.ended is not None:
                return
            self.ended, calls, self._on_end = refusal, self._on_end, []
        for call in calls:
            try:
                call()
            except Exception:  # of one, which must not keep the others open
                _log.exception("a call at the end of %s", self.user.session_id)


class Watches:
    """Looks at what is open when something has changed, and every second.

    glance says ok, ask or a code at once; verify waits, and raises a Refusal.
    """

    def __init__(self, glance: Callable[[User[Any], bool], Glance], verify: Callable[[User[Any], bool], User[Any]]) -> None:
        self._glance = glance
        self._verify = verify
        self._lock = threading.Lock()  # of what is open
        self._open: set[Watch] = set()
        self._looking = threading.Event()
        self._looked = threading.Event()  # at everything that has changed
        self._closed = False
        self._thread: threading.Thread | None = None
        self._questions: ThreadPoolExecutor | None = None

    def add(self, user: User[Any], mutating: bool) -> Watch:
        watch = Watch(self, user, mutating)
        with self._lock:
            self._open.add(watch)
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._keep, name="authfi-watches", daemon=True)
                self._thread.start()
        self._look(watch)  # what has changed since the token was verified
        return watch

    def remove(self, watch: Watch) -> None:
        with self._lock:
            self._open.discard(watch)

    def look(self) -> None:
        """Has everything looked at that is open: once for all the changes of a moment."""
        self._looking.set()
        self._looked.clear()

    def settle(self, timeout: float) -> None:
        """Waits until what has changed was looked at, for tests."""
        if self._thread is not None:
            self._looked.wait(timeout)

    def close(self) -> None:
        self._closed = True
        self._looking.set()
        if self._questions is not None:
            self._questions.shutdown(wait=False, cancel_futures=True)

    def _keep(self) -> None:
        while not self._closed:
            self._looking.wait(_WATCH_EVERY)
            self._looking.clear()
            with self._lock:
                watches = list(self._open)
            for watch in watches:
                self._look(watch)
            if not self._looking.is_set():
                self._looked.set()

    def _look(self, watch: Watch) -> None:
        decision = self._glance(watch.user, watch.mutating)
        if decision == "ask":
            self._ask(watch)
        elif decision != "ok":
            watch.end(Refusal(decision))

    def _ask(self, watch: Watch) -> None:
        with self._lock:
            if watch.asking or self._closed:
                return
            watch.asking = True
            if self._questions is None:
                self._questions = ThreadPoolExecutor(_QUESTIONS_MAX, thread_name_prefix="authfi-question")
        self._questions.submit(self._question, watch)

    def _question(self, watch: Watch) -> None:
        try:
            user = self._verify(watch.user, watch.mutating)
            # What was let in by rights that are others now begins anew: nobody knows
            # here which of them it needs.
            if user.permissions != watch.user.permissions:
                watch.end(Refusal("token_stale"))
            watch.user = user
        except Refusal as refusal:
            watch.end(refusal)
        finally:
            watch.asking = False
