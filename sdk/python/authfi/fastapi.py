"""FastAPI and Starlette.

As a dependency, user: User = Depends(auth.require("read:patients")), or around an
endpoint that takes the request, @auth.require("read:patients"); then
request.user.can("write:notes"). install(app) makes refusals the answers that they
are, and ends what streams with the right to it.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Generic, overload

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from ._auth import AuthFI as _AuthFI
from ._auth import is_mutating
from ._permission import P, must_be_permissions
from ._problem import Refusal
from ._serve import ATTEND, ASGIApp, Receive, Scope, Send, attended
from ._token import User

__all__ = ["AuthFI", "Refusal", "Requirement", "User"]

Endpoint = Callable[..., Any]


class AuthFI(_AuthFI[P]):
    def install(self, app: FastAPI) -> None:
        """Answers refusals. Without it they are errors of the server: nobody is let in."""
        app.add_exception_handler(Refusal, _answer)
        app.add_middleware(_Attended)

    def require(self, *permissions: P) -> "Requirement[P]":
        """Lets requests through whose user holds all the permissions."""
        must_be_permissions(permissions)
        return Requirement(self, permissions)

    def authenticated(self) -> "Requirement[P]":
        """Lets every user through."""
        return Requirement(self, ())


class _Attended:
    """Interrupts what streams, or listens to a WebSocket, when its token would be refused."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            await attended(self._app, scope, receive, send)
        else:
            await self._app(scope, receive, send)


class Requirement(Generic[P]):
    """A dependency, and a decorator of endpoints."""

    def __init__(self, auth: AuthFI[P], permissions: tuple[P, ...]) -> None:
        self._auth = auth
        self._permissions = permissions

    @overload
    def __call__(self, request: HTTPConnection) -> User[P]: ...
    @overload
    def __call__(self, request: Endpoint) -> Endpoint: ...
    # FastAPI reads this signature: a dependency that is no coroutine runs in a thread.
    def __call__(self, request: HTTPConnection) -> Any:  # type: ignore[misc]
        if not isinstance(request, HTTPConnection):
            return self._decorate(request)
        headers = request.headers.getlist("Authorization")
        user = self._auth.admit(headers, _method(request), self._permissions)
        self._enter(request, user)
        return user

    def _enter(self, request: HTTPConnection, user: User[P]) -> None:
        request.scope["user"] = user
        if (attend := request.scope.get(ATTEND)) is not None:
            attend(self._auth.watch(user, mutating=is_mutating(_method(request))))

    def _decorate(self, endpoint: Endpoint) -> Endpoint:
        if "request" not in inspect.signature(endpoint).parameters:
            raise TypeError(f"authfi: {endpoint.__name__} needs a parameter request: Request")

        @functools.wraps(endpoint)
        async def guarded(*args: Any, request: Request, **kwargs: Any) -> Any:
            headers = request.headers.getlist("Authorization")
            try:
                user = await self._auth.admit_async(headers, request.method, self._permissions)
            except Refusal as refusal:
                return _answer(request, refusal)
            self._enter(request, user)
            if inspect.iscoroutinefunction(endpoint):
                return await endpoint(*args, request=request, **kwargs)
            return await run_in_threadpool(endpoint, *args, request=request, **kwargs)

        return guarded


def _method(request: HTTPConnection) -> str:
    # What comes over a WebSocket may change things.
    return str(request.scope.get("method", "WEBSOCKET"))


def _answer(_: Request, refusal: Exception) -> Response:
    if not isinstance(refusal, Refusal):
        raise refusal
    return Response(refusal.body, refusal.status, refusal.headers)
