"""The adapters, with tokens that are signed for real."""

import asyncio
import json
import os
import pathlib
import unittest
from typing import Any
from unittest import mock

import authfi.fastapi
import authfi.flask
from authfi import AuthFI, Refusal
from fastapi import Depends, FastAPI, Request
from fastapi.testclient import TestClient
from flask import Flask
from flask import request as flask_request

FILE = json.loads((pathlib.Path(__file__).parents[2] / "conformance" / "tokens.json").read_text())
GOOD = FILE["cases"][0]["token"]
NONE = next(case["token"] for case in FILE["cases"] if case["name"] == "permissions empty")
OFFLINE: dict[str, Any] = {
    "issuer": FILE["issuer"], "posture": "offline", "key_set": FILE["key_set"], "nodes": ["https://127.0.0.1:1"],
}  # fmt: skip


class Adapters(unittest.TestCase):
    def setUp(self) -> None:
        clock = mock.patch("authfi._auth.time.time", return_value=FILE["now"])
        clock.start()
        self.addCleanup(clock.stop)

    def check(self, ask: Any) -> None:
        """ask takes an Authorization header and gives status, headers and body."""
        status, _, body = ask(f"Bearer {GOOD}")
        self.assertEqual((status, json.loads(body)), (200, {"notes": True, "delete": False}))
        self.assertEqual(ask(None)[0], 401)
        self.assertEqual(ask(f"Bearer {GOOD}x")[0], 401)
        self.assertEqual(ask(f"Bearer {GOOD}, Bearer {GOOD}")[0], 400)
        status, headers, body = ask(f"Bearer {NONE}")
        self.assertEqual((status, headers["content-type"]), (403, "application/problem+json"))
        self.assertEqual(headers["www-authenticate"], 'Bearer realm="authfi", error="insufficient_scope", scope="read:patients"')
        self.assertEqual(json.loads(body)["missing"], ["read:patients"])

    def test_flask(self) -> None:
        auth = authfi.flask.AuthFI(**OFFLINE)
        self.addCleanup(auth.close)
        app = Flask(__name__)

        @app.get("/patients")
        @auth.require("read:patients")
        def patients() -> dict[str, bool]:
            return {"notes": flask_request.user.can("write:notes"), "delete": flask_request.user.can("delete:notes")}

        def ask(header: str | None) -> Any:
            answer = app.test_client().get("/patients", headers={"Authorization": header} if header else {})
            return answer.status_code, answer.headers, answer.data

        self.check(ask)

    def test_fastapi(self) -> None:
        auth = authfi.fastapi.AuthFI(**OFFLINE)
        self.addCleanup(auth.close)
        app = FastAPI()
        auth.install(app)

        @app.get("/depends")
        def depends(user: authfi.fastapi.User = Depends(auth.require("read:patients"))) -> dict[str, bool]:
            return {"notes": user.can("write:notes"), "delete": user.can("delete:notes")}

        @app.get("/async")
        @auth.require("read:patients")
        async def decorated(request: Request) -> dict[str, bool]:
            return {"notes": request.user.can("write:notes"), "delete": request.user.can("delete:notes")}

        @app.get("/sync/{ward}")
        @auth.require("read:patients")
        def threaded(ward: int, request: Request) -> dict[str, bool]:
            return {"notes": request.user.can("write:notes") and ward == 3, "delete": request.user.can("delete:notes")}

        client = TestClient(app)
        for path in ("/depends", "/async", "/sync/3"):

            def ask(header: str | None, path: str = path) -> Any:
                answer = client.get(path, headers={"Authorization": header} if header else {})
                return answer.status_code, answer.headers, answer.content

            with self.subTest(path):
                self.check(ask)
        with self.assertRaises(TypeError):
            auth.require("read:patients")(lambda: None)

    def test_wsgi(self) -> None:
        auth = AuthFI(**OFFLINE)
        self.addCleanup(auth.close)

        def app(environ: dict[str, Any], start_response: Any) -> Any:
            user = environ["authfi.user"]
            start_response("200 OK", [])
            return [json.dumps({"notes": user.can("write:notes"), "delete": user.can("delete:notes")}).encode()]

        guarded = auth.wsgi(app, "read:patients")

        def ask(header: str | None) -> Any:
            started: list[Any] = []
            environ = {"REQUEST_METHOD": "GET"} | ({"HTTP_AUTHORIZATION": header} if header else {})
            body = b"".join(guarded(environ, lambda status, headers: started.extend([status, headers])))
            return int(started[0].split()[0]), dict(started[1]), body

        self.check(ask)

    def test_asgi(self) -> None:
        auth = AuthFI(**OFFLINE)
        self.addCleanup(auth.close)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            body = json.dumps({"notes": scope["user"].can("write:notes"), "delete": scope["user"].can("delete:notes")})
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body.encode()})

        guarded = auth.asgi(app, "read:patients")

        def sent(kind: str, *headers: str) -> list[Any]:
            messages: list[Any] = []

            async def send(message: Any) -> None:
                messages.append(message)

            scope = {"type": kind, "method": "GET", "headers": [(b"authorization", h.encode()) for h in headers]}
            asyncio.run(guarded(scope, mock.AsyncMock(), send))
            return messages

        def ask(header: str | None) -> Any:
            start, body = sent("http", *([header] if header else []))
            return start["status"], {k.decode(): v.decode() for k, v in start["headers"]}, body["body"]

        self.check(ask)
        self.assertEqual(sent("http", f"Bearer {GOOD}", f"Bearer {GOOD}")[0]["status"], 400)
        self.assertEqual(sent("websocket"), [{"type": "websocket.close", "code": 1008}])

    def test_cold_start(self) -> None:
        """Without keys nobody is told that his token is bad."""
        auth = AuthFI(**OFFLINE | {"key_set": None})
        self.addCleanup(auth.close)
        for verify in (lambda: auth.verify(GOOD), lambda: asyncio.run(auth.verify_async(GOOD))):
            with self.assertRaises(Refusal) as refused:
                verify()
            self.assertEqual(refused.exception.code, "auth_unavailable")

    def test_fork(self) -> None:
        """A process that was forked has threads and locks of its own."""
        auth = AuthFI(**OFFLINE)
        self.addCleanup(auth.close)
        with auth._lock:
            child = os.fork()
            if child == 0:
                os._exit(0 if auth.verify(GOOD).can("read:patients") else 1)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)


class Configuration(unittest.TestCase):
    def test_refused(self) -> None:
        good = {"issuer": FILE["issuer"], "org": FILE["org"], "api_key": "key"}
        for wrong in (
            {"issuer": ""}, {"issuer": "http://x/o/y"}, {"nodes": ["http://x"]}, {"nodes": []}, {"api_key": ""}, {"org": ""},
            {"posture": "slack"}, {"skew": 61}, {"skew": -1}, {"skew": float("nan")}, {"posture": "offline", "key_set": {"keys": []}},
        ):  # fmt: skip
            with self.subTest(wrong), self.assertRaises(ValueError):
                AuthFI(**good | wrong)  # type: ignore[arg-type]

    def test_permissions(self) -> None:
        auth = authfi.flask.AuthFI(**OFFLINE)
        self.addCleanup(auth.close)
        for wrong in ((), ("read",), ("read:patients", "Read:notes")):
            for made in (auth.require, lambda *p: auth.wsgi(lambda *_: [], *p)):
                with self.subTest(wrong), self.assertRaises(ValueError):
                    made(*wrong)

    def test_secrets_are_not_shown(self) -> None:
        with mock.patch("authfi._auth.time.time", return_value=FILE["now"]):
            auth = AuthFI(**OFFLINE)
            self.addCleanup(auth.close)
            self.assertNotIn(GOOD, repr(auth.verify(GOOD)))

    def test_status(self) -> None:
        auth = AuthFI(**OFFLINE)
        self.addCleanup(auth.close)
        status = auth.status()
        self.assertLess(status.keys_age or 0, 60)
        self.assertEqual((status.feed_age, status.index), (None, 0))


if __name__ == "__main__":
    unittest.main()
