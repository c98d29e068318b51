"""Every adapter under its framework and a server, over sockets: what it answers, and
that what streams ends with the right to it."""

import asyncio
import http.client
import json
import logging
import socket
import threading
import unittest
from collections.abc import AsyncIterator, Iterator
from typing import Any

import authfi.django
import authfi.fastapi
import authfi.flask
import django
import django.http
import django.urls
import uvicorn
from authfi import AuthFI
from authfi.testing import TestIssuer
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from fastapi import Depends, FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from flask import Flask, Response
from flask import request as flask_request
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from werkzeug.serving import make_server

logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
logging.getLogger("django").setLevel(logging.CRITICAL)
settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="of the tests", LOGGING_CONFIG=None)
django.setup()
urlpatterns: list[Any] = []  # of the Django site; set by its tests

FIRST, LATE = b"data: first\n\n", b"data: too late\n\n"


class Served(unittest.TestCase):
    """A service that has /patients and the stream /events."""

    def setUp(self) -> None:
        self.issuer = TestIssuer()
        self.over = threading.Event()  # ends streams that wait in a thread

    def options(self, auth: type[AuthFI]) -> Any:
        made = auth(**self.issuer.options())
        self.addCleanup(made.close)
        self.assertTrue(made.ready(10))
        return made

    def wait_in_thread(self) -> Iterator[bytes]:
        yield FIRST
        self.over.wait(10)
        yield LATE

    @staticmethod
    async def wait_in_loop() -> AsyncIterator[bytes]:
        yield FIRST
        await asyncio.sleep(60)
        yield LATE

    def serve_wsgi(self, app: Any) -> int:
        server = make_server("127.0.0.1", 0, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)
        return int(server.server_port)

    def serve_asgi(self, app: Any) -> int:
        listening = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()

        def stop() -> None:
            server.should_exit = True
            thread.join()

        self.addCleanup(stop)
        return int(listening.getsockname()[1])

    def get(self, port: int, path: str, *tokens: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self.addCleanup(connection.close)
        connection.putrequest("GET", path)
        for token in tokens:
            connection.putheader("Authorization", f"Bearer {token}")
        connection.endheaders()
        return connection.getresponse()

    def check(self, port: int, prefix: str = "") -> None:
        patients, events = f"{prefix}/patients", f"{prefix}/events"
        token = self.issuer.sign_in("usr-1", permissions=["read:patients", "write:notes"])
        served = self.get(port, patients, token)
        self.assertEqual((served.status, json.loads(served.read())), (200, {"user": "usr-1", "notes": True}))
        refused = self.get(port, patients, self.issuer.sign_in(permissions=["write:notes"]))
        self.assertEqual((refused.status, refused.getheader("content-type")), (403, "application/problem+json"))
        self.assertEqual(refused.getheader("www-authenticate"), 'Bearer realm="authfi", error="insufficient_scope", scope="read:patients"')
        problem = json.loads(refused.read())
        self.assertEqual((problem["required"], problem["missing"]), (["read:patients"], ["read:patients"]))
        for status, tokens in ((401, ()), (401, (f"{token}x",)), (400, (token, token))):
            self.assertEqual(self.get(port, patients, *tokens).status, status)
        stream = self.get(port, events, token)
        self.assertEqual(stream.read1(len(FIRST)), FIRST)
        self.issuer.revoke(token)
        self.over.set()
        rest = b""
        try:
            while part := stream.read1(100):
                rest += part
        except (http.client.HTTPException, ConnectionError):
            pass  # broken off
        self.assertEqual(rest, b"")
        self.assertEqual(json.loads(self.get(port, patients, token).read())["code"], "token_revoked")
        self.over.clear()


class WSGI(Served):
    def test_plain(self) -> None:
        auth = self.options(AuthFI)

        def app(environ: dict[str, Any], start_response: Any) -> Any:
            start_response("200 OK", [("Content-Type", "text/plain")])
            if environ["PATH_INFO"] == "/events":
                return self.wait_in_thread()
            user = environ["authfi.user"]
            return [json.dumps({"user": user.id, "notes": user.can("write:notes")}).encode()]

        self.check(self.serve_wsgi(auth.wsgi(app, "read:patients")))

    def test_flask(self) -> None:
        auth = self.options(authfi.flask.AuthFI)
        app = Flask(__name__)

        @app.get("/patients")
        @auth.require("read:patients")
        def patients() -> dict[str, Any]:
            return {"user": flask_request.user.id, "notes": flask_request.user.can("write:notes")}  # type: ignore[attr-defined]

        @app.get("/events")
        @auth.require("read:patients")
        def events() -> Response:
            return Response(self.wait_in_thread(), content_type="text/event-stream")

        self.check(self.serve_wsgi(app))


class Django(Served):
    def setUp(self) -> None:
        super().setUp()
        auth = self.options(authfi.django.AuthFI)

        def told(request: django.http.HttpRequest) -> django.http.JsonResponse:
            return django.http.JsonResponse({"user": request.user.id, "notes": request.user.can("write:notes")})

        @auth.require("read:patients")
        def patients(request: django.http.HttpRequest) -> django.http.HttpResponse:
            return told(request)

        @auth.require("read:patients")
        async def patients_async(request: django.http.HttpRequest) -> django.http.HttpResponse:
            return told(request)

        @auth.require("read:patients")
        def events(_: django.http.HttpRequest) -> django.http.StreamingHttpResponse:
            return django.http.StreamingHttpResponse(self.wait_in_thread(), content_type="text/event-stream")

        @auth.require("read:patients")
        async def events_async(_: django.http.HttpRequest) -> django.http.StreamingHttpResponse:
            return django.http.StreamingHttpResponse(self.wait_in_loop(), content_type="text/event-stream")

        urlpatterns[:] = [
            django.urls.path("patients", patients), django.urls.path("events", events),
            django.urls.path("async/patients", patients_async), django.urls.path("async/events", events_async),
        ]  # fmt: skip
        django.urls.clear_url_caches()

    def test_wsgi(self) -> None:
        self.check(self.serve_wsgi(get_wsgi_application()))

    def test_asgi(self) -> None:
        self.check(self.serve_asgi(get_asgi_application()), "/async")


class ASGI(Served):
    def test_plain(self) -> None:
        auth = self.options(AuthFI)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            if scope["path"] == "/events":
                async for part in self.wait_in_loop():
                    await send({"type": "http.response.body", "body": part, "more_body": True})
            body = json.dumps({"user": scope["user"].id, "notes": scope["user"].can("write:notes")})
            await send({"type": "http.response.body", "body": body.encode()})

        self.check(self.serve_asgi(auth.asgi(app, "read:patients")))

    def make_fastapi(self) -> FastAPI:
        auth = self.options(authfi.fastapi.AuthFI)
        app = FastAPI()
        auth.install(app)

        @app.get("/patients")
        def patients(user: authfi.fastapi.User = Depends(auth.require("read:patients"))) -> dict[str, Any]:
            return {"user": user.id, "notes": user.can("write:notes")}

        @app.get("/events")
        @auth.require("read:patients")
        async def events(request: authfi.fastapi.Request) -> StreamingResponse:
            return StreamingResponse(self.wait_in_loop(), media_type="text/event-stream")

        @app.get("/depends/patients")
        async def depends(user: authfi.fastapi.User = Depends(auth.require("read:patients"))) -> dict[str, Any]:
            return {"user": user.id, "notes": user.can("write:notes")}

        @app.get("/depends/events", dependencies=[Depends(auth.require("read:patients")), Depends(auth.authenticated())])
        def in_thread() -> StreamingResponse:
            return StreamingResponse(self.wait_in_thread(), media_type="text/event-stream")

        @app.websocket("/socket")
        async def talk(socket: WebSocket, user: authfi.fastapi.User = Depends(auth.require("read:patients"))) -> None:
            await socket.accept()
            await socket.send_text(user.id)
            await socket.receive_text()

        return app

    def test_fastapi(self) -> None:
        port = self.serve_asgi(self.make_fastapi())
        self.check(port)
        self.check(port, "/depends")

    def test_websocket(self) -> None:
        """One that is open is closed for a reason, and one that may not be is not opened."""
        url = f"ws://127.0.0.1:{self.serve_asgi(self.make_fastapi())}/socket"
        token = self.issuer.sign_in("usr-1", permissions=["read:patients"])
        with connect(url, additional_headers={"Authorization": f"Bearer {token}"}) as talking:
            self.assertEqual(talking.recv(timeout=10), "usr-1")
            self.issuer.revoke(token)
            with self.assertRaises(ConnectionClosed) as closed:
                talking.recv(timeout=10)
            self.assertEqual(closed.exception.rcvd and closed.exception.rcvd.code, 1008)
        with self.assertRaises(InvalidStatus) as refused, connect(url, additional_headers={"Authorization": f"Bearer {token}"}):
            self.fail("a token that is revoked opens a socket")
        self.assertEqual(refused.exception.response.status_code, 401)


if __name__ == "__main__":
    unittest.main()
