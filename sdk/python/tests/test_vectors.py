"""The vectors that judge every SDK."""

import json
import math
import pathlib
import unittest
from typing import Any

from authfi import Refusal, allows
from authfi._feed import Feed
from authfi._heartbeat import TYPE as HEARTBEAT
from authfi._heartbeat import proves
from authfi._keys import Answer, Keys, parse_set
from authfi._nodes import reply_of
from authfi._posture import decide
from authfi._problem import bearer
from authfi._rights import Rights
from authfi._token import Rules, User, current, open_token, read, verifies

VECTORS = pathlib.Path(__file__).parents[2] / "conformance"


def load(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text())


class Tokens(unittest.TestCase):
    def setUp(self) -> None:
        self.file = load("tokens")
        self.keys = parse_set(json.dumps(self.file["key_set"]).encode()) or {}

    def user(self, token: str, now: float) -> User | None:
        envelope = open_token(token)
        if envelope is None or not verifies(envelope, self.keys.get(envelope.kid)):
            return None
        user = read(envelope, Rules(self.file["issuer"], self.file["audience"], self.file["org"]), token)
        return user if user is not None and current(user, now, self.file["skew"]) else None

    def judge(self, token: str, now: float) -> str:
        return "invalid_token" if self.user(token, now) is None else "ok"

    def test_cases(self) -> None:
        self.assertGreater(len(self.file["cases"]), 150)
        for case in self.file["cases"]:
            with self.subTest(case["name"]):
                user = self.user(case["token"], case.get("now", self.file["now"]))
                self.assertEqual("invalid_token" if user is None else "ok", case["expect"])
                if user is not None:
                    self.assertEqual(user.rights.referred, case.get("referred", False))
                    if "holds" in case or user.rights.referred:
                        self.assertEqual(sorted(user.permissions), case.get("holds", []))

    def test_rights(self) -> None:
        """What is made of a node's answer to who asks what a token leaves out."""
        token = next(case["token"] for case in self.file["cases"] if case.get("referred"))
        user = self.user(token, self.file["now"])
        assert user is not None
        cases = load("rights")
        self.assertGreater(len(cases), 40)
        for case in cases:
            with self.subTest(case["name"]):
                reply, told = reply_of(user, case["status"], case["body"].encode())
                self.assertEqual(reply, case["expect"])
                if told is not None:
                    now = user.told(told)
                    self.assertEqual(now.permissions, frozenset(case.get("permissions", [])))
                    self.assertEqual([*now.roles], case.get("roles", []))
                    self.assertEqual([*now.groups], case.get("groups", []))
                    self.assertEqual(now.rights.index, case.get("index", 0))

    def test_malleability(self) -> None:
        """No prefix, suffix or flipped bit of a token is a token."""
        good = self.file["cases"][0]["token"]
        self.assertEqual(self.judge(good, self.file["now"]), "ok")
        for i in range(len(good)):
            self.assertNotEqual(self.judge(good[:i], self.file["now"]), "ok", i)
            if i:
                self.assertNotEqual(self.judge(good[i:], self.file["now"]), "ok", i)
            for bit in range(8):
                other = good[:i] + chr(ord(good[i]) ^ 1 << bit) + good[i + 1 :]
                self.assertNotEqual(self.judge(other, self.file["now"]), "ok", (i, bit))


class Heartbeats(unittest.TestCase):
    def test_cases(self) -> None:
        file = load("heartbeats")
        keys = parse_set(json.dumps(file["key_set"]).encode()) or {}
        rules = Rules(file["issuer"], "", file["org"])
        self.assertGreater(len(file["cases"]), 45)
        for case in file["cases"]:
            with self.subTest(case["name"]):
                envelope, got = open_token(case["proof"], HEARTBEAT), "wrong"
                if envelope is not None and envelope.kid not in keys:
                    got = "unknown"
                elif envelope is not None and proves(envelope, keys[envelope.kid], rules, file["index"], file["now"], file["skew"]):
                    got = "proven"
                self.assertEqual(got, case["expect"])


class Tables(unittest.TestCase):
    def test_permissions(self) -> None:
        for case in load("permissions"):
            with self.subTest(case):
                self.assertEqual(allows(frozenset(case["held"]), case["ask"]), case["allowed"])

    def test_postures(self) -> None:
        for case in load("postures"):
            with self.subTest(case):
                age = math.inf if case["age"] is None else case["age"]
                got = decide(case["posture"], age, case["verdict"], case["mutating"], case["reply"])
                self.assertEqual(got, case["expect"])

    def test_headers(self) -> None:
        for case in load("http")["headers"]:
            with self.subTest(case):
                try:
                    got = {"token": bearer(case["authorization"])}
                except Refusal as refusal:
                    got = {"code": refusal.code}
                self.assertEqual(got, {k: v for k, v in case.items() if k != "authorization"})

    def test_refusals(self) -> None:
        for case in load("http")["refusals"]:
            with self.subTest(case["code"]):
                refusal = Refusal(case["code"], case.get("required", ()), case.get("missing", ()))
                self.assertEqual(refusal.status, case["status"])
                self.assertEqual(json.loads(refusal.body), case["body"])
                self.assertEqual(refusal.headers.get("www-authenticate"), case.get("www_authenticate"))
                self.assertEqual(refusal.headers.get("retry-after"), case.get("retry_after"))
                self.assertEqual(refusal.headers["content-type"], "application/problem+json")


class Timelines(unittest.TestCase):
    def test_keys(self) -> None:
        for line in load("keys"):
            keys = Keys(0)
            for i, step in enumerate(line["steps"]):
                with self.subTest(line["name"], step=i):
                    self.assertEqual(self.play_keys(keys, step), step["changed"] if "take" in step else step["expect"])

    def play_keys(self, keys: Keys, step: dict[str, Any]) -> Any:
        if "take" in step:
            take = step["take"]
            answer = Answer(take["status"], take.get("body", "").encode(), max_age=take.get("max_age", 0))
            return keys.take(answer, step["at"], 0)
        if "find" in step:
            return keys.find(step["find"], step["at"])
        if "settle" in step:
            return keys.settle(step["settle"], step["at"])
        return keys.due

    def test_feed(self) -> None:
        for line in load("feed"):
            feed = Feed()
            for i, step in enumerate(line["steps"]):
                with self.subTest(line["name"], step=i):
                    self.play_feed(feed, step)

    def play_feed(self, feed: Feed, step: dict[str, Any]) -> None:
        expect = step.get("expect")
        if "start" in step:
            feed.start(step["start"])
        elif "hear" in step:
            for n in range(expect or 1):
                heard = step["hear"] | {"object": step["hear"].get("object", "").replace("%d", str(n))}
                self.assertEqual(feed.hear(heard, step["at"]), step["changed"])
        elif "judge" in step:
            of = step["judge"]
            rights = Rights(
                of["sub"], of["sid"], tuple(of["roles"]), tuple(of["groups"]), frozenset(), of["ri"], of.get("referred", False), of.get("told", False)
            )
            self.assertEqual(feed.judge(rights, of["confirmed"]), expect)
        elif "age" in step:
            self.assertEqual(None if feed.beat is None else step["at"] - feed.beat, expect)
        else:
            self.assertEqual([feed.at] if feed.ordinal is None else [feed.at, feed.ordinal], expect)


if __name__ == "__main__":
    unittest.main()
