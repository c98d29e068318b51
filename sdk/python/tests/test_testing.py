"""The issuer for the tests of services, and what ends a call that stays open."""

import asyncio
import threading
import unittest
from typing import Any

from authfi import AuthFI, Refusal, Watch
from authfi.testing import TestIssuer

PERMISSIONS = ["read:patients"]
REFERRED: dict[str, Any] = {"permissions": [], "permissions_ref": "https://authfi.test/o/test/oauth2/permissions"}


class Rehearsal(unittest.TestCase):
    def setUp(self) -> None:
        self.issuer = TestIssuer()

    def make(self, **others: Any) -> AuthFI:
        auth = AuthFI(**self.issuer.options(), **others)
        self.addCleanup(auth.close)
        self.assertTrue(auth.ready(10))
        return auth

    def ask(self, auth: AuthFI, token: str, method: str = "GET") -> str:
        """ok or the code of the refusal."""
        try:
            auth.admit([f"Bearer {token}"], method, PERMISSIONS)
        except Refusal as refusal:
            return refusal.code
        return "ok"

    def test_changes(self) -> None:
        auth, issuer = self.make(), self.issuer
        first, second = (issuer.sign_in("usr-1", permissions=PERMISSIONS, roles=["doctor"]) for _ in range(2))
        self.assertEqual(self.ask(auth, first), "ok")
        self.assertEqual(self.ask(auth, issuer.sign_in()), "insufficient_permission")
        self.assertEqual(self.ask(auth, issuer.sign_in(permissions=PERMISSIONS, claims={"aud": "another"})), "invalid_token")
        issuer.revoke(first)
        self.assertEqual(self.ask(auth, first), "token_revoked")
        self.assertEqual(self.ask(auth, second), "ok")
        issuer.permit("usr-1")
        self.assertEqual(self.ask(auth, second), "token_stale")
        third = issuer.sign_in("usr-1", permissions=PERMISSIONS)
        issuer.deactivate("usr-1")
        self.assertEqual(self.ask(auth, third), "token_revoked")
        old = issuer.sign_in("usr-1", permissions=PERMISSIONS)
        issuer.rotate_keys()
        self.assertEqual(self.ask(auth, old), "invalid_token")
        self.assertEqual(self.ask(auth, issuer.sign_in(permissions=PERMISSIONS)), "ok")

    def test_clock(self) -> None:
        auth, issuer = self.make(), self.issuer
        token = issuer.sign_in(permissions=PERMISSIONS)
        issuer.advance(303)
        self.assertEqual(self.ask(auth, token), "ok")
        issuer.advance(3)
        self.assertEqual(self.ask(auth, token), "invalid_token")
        token = issuer.sign_in(permissions=PERMISSIONS)
        issuer.go_offline()
        issuer.advance(16)
        self.assertEqual(self.ask(auth, token, "POST"), "ok")
        issuer.advance(45)
        self.assertEqual((self.ask(auth, token), self.ask(auth, token, "POST")), ("ok", "auth_unavailable"))
        issuer.revoke(token)
        self.assertEqual(self.ask(auth, token), "ok")
        issuer.go_online()
        self.assertEqual(self.ask(auth, token), "token_revoked")

    def test_by_reference(self) -> None:
        """What a token leaves out a node is asked, and again when it has changed."""
        auth, issuer = self.make(), self.issuer
        token = issuer.sign_in("usr-1", permissions=PERMISSIONS, claims=REFERRED)
        for method in ("GET", "POST"):
            self.assertEqual(self.ask(auth, token, method), "ok")
        user = auth.verify(token)
        self.assertTrue(user.can("read:patients") and not user.can("write:notes"))
        address = REFERRED["permissions_ref"]
        bare = REFERRED | {"roles": [], "roles_ref": address, "groups": [], "groups_ref": address}
        told = auth.verify(issuer.sign_in(permissions=PERMISSIONS, roles=["nurse"], groups=["ward-3"], claims=bare))
        self.assertTrue("nurse" in told.roles and "ward-3" in told.groups)
        issuer.go_offline()
        self.assertEqual(self.ask(auth, token), "ok")  # what was told is kept
        self.assertEqual(self.ask(auth, issuer.sign_in(permissions=PERMISSIONS, claims=REFERRED)), "permissions_unavailable")
        issuer.go_online()
        watch, ended = auth.watch(user), threading.Event()
        watch.on_end(ended.set)
        issuer.permit("usr-1", "write:notes")
        self.assertEqual(self.ask(auth, token), "insufficient_permission")
        self.assertTrue(ended.wait(10))
        self.assertEqual(watch.ended and watch.ended.code, "token_stale")
        issuer.permit("usr-1", *PERMISSIONS)
        self.assertEqual(asyncio.run(auth.verify_async(token)).permissions, frozenset(PERMISSIONS))
        issuer.revoke(token)
        self.assertEqual(self.ask(auth, token), "token_revoked")

    def test_by_reference_offline(self) -> None:
        """Nobody is asked, so nothing is held."""
        auth = self.make(posture="offline")
        self.assertEqual(self.ask(auth, self.issuer.sign_in(permissions=PERMISSIONS, claims=REFERRED)), "permissions_unavailable")
        self.assertEqual(self.ask(auth, self.issuer.sign_in(claims={"permissions": {"patients": "read write"}})), "ok")

    def test_unproven(self) -> None:
        """A heartbeat that is not proven says nothing."""
        auth, issuer = self.make(), self.issuer
        issuer.go_offline()
        issuer.advance(10)
        status = auth.status()
        with issuer._changed:
            proof = issuer._heartbeat()["proof"]
        others: list[dict[str, Any]] = [{}, {"proof": ""}, {"proof": None}, {"proof": proof, "index": 99}, {"proof": issuer.sign_in()}]
        for wrong in others:
            with self.subTest(wrong):
                self.assertFalse(auth._hear({"type": "heartbeat", "index": status.index} | wrong))
        self.assertGreaterEqual(auth.status().feed_age or 0, 10)
        self.assertEqual(auth.status().index, status.index)
        self.assertTrue(auth._hear({"type": "heartbeat", "index": status.index, "proof": proof}))
        self.assertLess(auth.status().feed_age or 0, 10)

    def test_strict(self) -> None:
        auth = self.make(posture="strict")
        token = self.issuer.sign_in(permissions=PERMISSIONS)
        self.issuer.go_offline()
        self.assertEqual(self.ask(auth, token), "ok")
        self.issuer.advance(16)
        self.assertEqual(self.ask(auth, token), "auth_unavailable")

    def test_services_refuse_it(self) -> None:
        options = self.issuer.options()
        for issuer in ("https://authfi.test/o/test", "https://AUTHFI.test/o/test", "https://authfi.test./o/test", str(options["issuer"]) + ""):
            with self.subTest(issuer), self.assertRaisesRegex(ValueError, "issuer of tests"):
                AuthFI(**options | {"issuer": "".join(issuer)})


class Watches(Rehearsal):
    def open(self, auth: AuthFI) -> tuple[str, Watch]:
        token = self.issuer.sign_in("usr-1", permissions=PERMISSIONS)
        return token, auth.watch(auth.verify(token))

    def code(self, watch: Watch) -> str:
        """The code of the end, which is waited for."""
        ended = threading.Event()
        watch.on_end(ended.set)
        self.assertTrue(ended.wait(10), "what stays open was not ended within ten seconds")
        with self.assertRaises(Refusal) as refused:
            watch.check()
        return refused.exception.code

    def test_ends(self) -> None:
        auth, issuer = self.make(), self.issuer
        (token, revoked), (_, other) = self.open(auth), self.open(auth)
        issuer.revoke(token)
        self.assertEqual(self.code(revoked), "token_revoked")
        other.check()
        issuer.permit("usr-1")
        self.assertEqual(self.code(other), "token_stale")
        _, dropped = self.open(auth)
        issuer.rotate_keys()
        self.assertEqual(self.code(dropped), "invalid_token")
        _, late = self.open(auth)
        issuer.advance(306)
        self.assertEqual(self.code(late), "invalid_token")
        user = auth.verify(issuer.sign_in("usr-2"))
        issuer.deactivate("usr-2")
        self.assertEqual(self.code(auth.watch(user)), "token_revoked")

    def test_strict_ends(self) -> None:
        auth = self.make(posture="strict")
        _, watch = self.open(auth)
        self.issuer.go_offline()
        self.issuer.advance(16)
        self.assertEqual(self.code(watch), "auth_unavailable")

    def test_release(self) -> None:
        auth = self.make()
        token, released = self.open(auth)
        released.release()
        _, after = self.open(auth)
        self.issuer.revoke(token)
        self.issuer.permit("usr-1")
        self.assertEqual(self.code(after), "token_stale")
        self.assertIsNone(released.ended)

    def test_one_that_fails_keeps_no_other_open(self) -> None:
        auth = self.make()
        token = self.issuer.sign_in("usr-1")
        first, second = auth.watch(auth.verify(token)), auth.watch(auth.verify(token))
        for watch in (first, second):
            watch.on_end(lambda: 1 / 0)  # type: ignore[arg-type, return-value]
        with self.assertLogs("authfi", "ERROR"):
            self.issuer.revoke(token)
            self.assertEqual((self.code(first), self.code(second)), ("token_revoked", "token_revoked"))

    def run_asgi(self, auth: AuthFI, token: str, *sent: dict[str, Any]) -> list[Any]:
        """What is sent of an answer whose token is revoked behind its second message."""
        messages: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            for i, message in enumerate(sent):
                await send(message)
                if i == len(sent) - 2:
                    self.issuer.revoke(token)
            await asyncio.sleep(0)

        async def take(message: Any) -> None:
            messages.append(message)

        async def receive() -> Any:
            return {"type": "http.disconnect"}

        scope = {"type": "http", "method": "GET", "headers": [(b"authorization", f"Bearer {token}".encode())]}
        asyncio.run(auth.asgi(app, "read:patients")(scope, receive, take))  # type: ignore[arg-type]
        return messages

    def test_an_answer_in_one_piece_is_not_cut_in_two(self) -> None:
        auth = self.make()
        start = {"type": "http.response.start", "status": 200, "headers": []}
        first, last = {"type": "http.response.body", "body": b"1", "more_body": True}, {"type": "http.response.body", "body": b"2"}
        token = self.issuer.sign_in(permissions=PERMISSIONS)
        self.assertEqual(self.run_asgi(auth, token, start, last), [start, last])
        token = self.issuer.sign_in(permissions=PERMISSIONS)
        self.assertEqual(self.run_asgi(auth, token, start, first, last), [start, first])


if __name__ == "__main__":
    unittest.main()
