"""FastAPI and Starlette.

As a dependency, user: User = Depends(auth.require("read:patients")), or around an
endpoint that takes the request, @auth.require("read:patients"); then
request.user.can("write:notes"). install(app) makes refusals the answers that they
are.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, overload

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from ._auth import AuthFI as _AuthFI
from ._permission import must_be_permissions
from ._problem import Refusal
from ._token import User

__all__ = ["AuthFI", "Refusal", "Requirement", "User"]

Endpoint = Callable[..., Any]


class AuthFI(_AuthFI):
    def install(self, app: FastAPI) -> None:
        """Answers refusals. Without it they are errors of the server: nobody is let in."""
        app.add_exception_handler(Refusal, _answer)

    def require(self, *permissions: str) -> "Requirement":
        """Lets requests through whose user holds all the permissions."""
        must_be_permissions(permissions)
        return Requirement(self, permissions)

    def authenticated(self) -> "Requirement":
        """Lets every user through."""
        return Requirement(self, ())


class Requirement:
    """A dependency, and a decorator of endpoints."""

    def __init__(self, auth: AuthFI, permissions: tuple[str, ...]) -> None:
        self._auth = auth
        self._permissions = permissions

    @overload
    def __call__(self, request: HTTPConnection) -> User: ...
    @overload
    def __call__(self, request: Endpoint) -> Endpoint: ...
    # FastAPI reads this signature: a dependency that is no coroutine runs in a thread.
    def __call__(self, request: HTTPConnection) -> Any:  # type: ignore[misc]
        if not isinstance(request, HTTPConnection):
            return self._decorate(request)
        headers = request.headers.getlist("Authorization")
        user = self._auth.admit(headers, request.scope.get("method", "GET"), self._permissions)
        request.scope["user"] = user
        return user

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
            request.scope["user"] = user
            if inspect.iscoroutinefunction(endpoint):
                return await endpoint(*args, request=request, **kwargs)
            return await run_in_threadpool(endpoint, *args, request=request, **kwargs)

        return guarded


def _answer(_: Request, refusal: Exception) -> Response:
    if not isinstance(refusal, Refusal):
        raise refusal
    return Response(refusal.body, refusal.status, refusal.headers)
