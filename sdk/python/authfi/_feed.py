"""What has been heard of the feed. No input or output; times are seconds."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from ._json import is_texts
from ._rights import Rights
from ._token import LIFE_MAX

# What is remembered outlasts every token: one that is older has run out.
_MEMORY = LIFE_MAX + 2 * 60
# Beyond so much all is forgotten, and tokens from before are asked about one by one.
_MARKS_MAX = 200_000
_PRUNE_EVERY = 60

# The types of events that can take something away. What is given reaches a user with
# the next token. An entry names whose rights it touches in its first event, which may
# be one that gives.
FOLLOWED = (
    "user.deactivated", "user.deleted", "session.ended", "key.changed",
    "organization.updated", "organization.deleted",
    "group.members_changed", "group.updated", "group.deleted", "group.unnested", "group.nested",
    "role.updated", "role.deleted", "role.unassigned", "role.assigned", "assignment.expired",
)  # fmt: skip

# They end the detail of a change of members.
_COUNTS = re.compile(r": [0-9]+ joined, [0-9]+ left\Z")

# referred: by reference, and not told yet or changed since.
Verdict = Literal["live", "revoked", "stale", "unknown", "referred"]


class _Marks(dict[str, tuple[int, float]]):
    """The index of the newest change, and when it may be forgotten, by id or name."""

    def after(self, name: str, index: int) -> bool:
        return self.get(name, (0, 0.0))[0] > index

    def any_after(self, names: Iterable[str], index: int) -> bool:
        return bool(self) and any(self.after(name, index) for name in names)

    def prune(self, now: float) -> None:
        for name in [name for name, mark in self.items() if now > mark[1]]:
            del self[name]


class Feed:
    """The owner calls it under a lock."""

    def __init__(self) -> None:
        self.at = 0  # place to go on from
        self.ordinal: int | None = None
        self.beat: float | None = None  # of the last heartbeat since the beginning
        self._pruned = 0.0
        self._forget(math.inf)

    def _forget(self, floor: float) -> None:
        self._floor = floor  # tokens from before it are unknown
        self._org = 0  # of the last change that may concern every token
        self._users, self._sessions = _Marks(), _Marks()  # those that are gone
        self._touched = _Marks()  # users whose rights have changed
        self._roles, self._groups = _Marks(), _Marks()  # by name, which is what tokens hold
        self._names: dict[str, str] = {}  # of roles and groups, by id

    def start(self, index: int) -> None:
        """Follows from an index on."""
        self._forget(index)
        self.at, self.ordinal, self.beat = index, None, None

    def hear(self, m: Mapping[str, Any], now: float) -> bool:
        """Takes one message, in order; of heartbeats those that are proven.

        Whether keys have changed.
        """
        kind = m["type"]
        if kind in ("row", "closed"):
            return False
        if kind == "resync":
            self.start(0)
            self._floor = math.inf
            return False
        if kind == "synced":
            self._forget(m["index"])
            self.at, self.ordinal, self.beat = m["index"], None, None  # a heartbeat follows, and proves it
            return True  # whatever has changed meanwhile
        if kind == "heartbeat":
            self.beat = now
            if m["index"] >= self.at:  # one that has waited for its key may be older
                self.at, self.ordinal = m["index"], None
            self._prune(now)
            return False
        self.at, self.ordinal = m["index"], m.get("ordinal", 0)
        self._note(kind, m, (m["index"], now + _MEMORY))
        if sum(len(marks) for marks in self._marks()) + len(self._names) > _MARKS_MAX:
            self._forget(m["index"])
        return bool(kind == "key.changed")

    def _marks(self) -> tuple[_Marks, ...]:
        return self._users, self._touched, self._sessions, self._roles, self._groups

    def _note(self, kind: str, m: Mapping[str, Any], mark: tuple[int, float]) -> None:
        thing, detail, touched = m.get("object", ""), m.get("detail", ""), m.get("user_ids", [])
        if not is_texts(touched):
            raise ValueError("user_ids of the feed are no list of ids")
        # Whoever is named is reached whatever the type: it is by this alone that a
        # client's token, which names no roles and groups, is known to be stale.
        for user in touched:
            self._touched[user] = mark
        if m.get("everybody"):
            self._org = mark[0]
        match kind:
            case "user.deactivated" | "user.deleted":
                self._users[thing] = mark
            case "session.ended":
                self._sessions[thing] = mark
            case "organization.updated" | "organization.deleted" | "group.deleted" | "group.unnested":
                self._org = mark[0]  # groups in groups: tokens name only those that a user is in
            case "group.members_changed":
                name = _COUNTS.sub("", detail)
                self._groups[name], self._names[thing] = mark, name
            case "group.updated":
                self._rename(self._groups, thing, detail, mark)
            case "role.updated" | "role.deleted":
                self._rename(self._roles, thing, detail, mark)
            case "role.unassigned" | "assignment.expired":
                for name in _before_from(detail):
                    self._roles[name] = mark

    def _rename(self, marks: _Marks, thing: str, name: str, mark: tuple[int, float]) -> None:
        # Marks the old name, which older tokens hold, and the new one. An old name
        # that was never heard may be any.
        old = self._names.get(thing)
        if old is None:
            self._org = mark[0]
        else:
            marks[old] = mark
        marks[name], self._names[thing] = mark, name

    def _prune(self, now: float) -> None:
        if now - self._pruned < _PRUNE_EVERY:
            return
        self._pruned = now
        for marks in self._marks():
            marks.prune(now)

    def judge(self, rights: Rights, confirmed: int) -> Verdict:
        """What is known of a token.

        confirmed is the index at which a node vouched for what a token holds; of one by
        reference counts when it was told.
        """
        index = rights.index if rights.referred else max(rights.index, confirmed)
        if rights.session in self._sessions or self._users.after(rights.user, index):
            return "revoked"
        named = self._org > index or self._touched.after(rights.user, index)
        changed = named or self._roles.any_after(rights.roles, index) or self._groups.any_after(rights.groups, index)
        if rights.referred and (changed or not rights.told):
            return "referred"
        if changed:
            return "stale"
        return "unknown" if index < self._floor else "live"


def _before_from(detail: str) -> Iterator[str]:
    # The names that "NAME from HOLDER" may begin with; names may hold the word, too.
    at = detail.find(" from ")
    while at >= 0:
        yield detail[:at]
        at = detail.find(" from ", at + len(" from "))
