"""Django: @auth.require("read:patients"), and request.user.can("write:notes").

Views may be sync or async, and of a class with method_decorator.
"""

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, TypeVar, cast

# It has no types of its own.
from django.http import (  # type: ignore[import-untyped]
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    StreamingHttpResponse,
)

from ._auth import AuthFI as _AuthFI
from ._auth import is_mutating
from ._permission import P, must_be_permissions
from ._problem import Refusal
from ._serve import Checked, checked_async
from ._token import User
from ._watch import Watch

__all__ = ["AuthFI", "Refusal", "User"]

View = TypeVar("View", bound=Callable[..., Any])


class AuthFI(_AuthFI[P]):
    def require(self, *permissions: P) -> Callable[[View], View]:
        """Lets requests through whose user holds all the permissions."""
        must_be_permissions(permissions)
        return self._guard(permissions)

    def authenticated(self) -> Callable[[View], View]:
        """Lets every user through."""
        return self._guard(())

    def _guard(self, permissions: tuple[P, ...]) -> Callable[[View], View]:
        def decorate(view: View) -> View:
            @functools.wraps(view)
            def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
                try:
                    user = self.admit(_authorization(request), request.method or "", permissions)
                except Refusal as refusal:
                    return _answer(refusal)
                watch = self._enter(request, user)
                return _attend(watch, lambda: view(request, *args, **kwargs))

            @functools.wraps(view)
            async def guarded_async(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
                try:
                    user = await self.admit_async(_authorization(request), request.method or "", permissions)
                except Refusal as refusal:
                    return _answer(refusal)
                watch = self._enter(request, user)
                try:
                    response = await view(request, *args, **kwargs)
                except BaseException:
                    watch.release()
                    raise
                return _attend(watch, lambda: response)

            return cast(View, guarded_async if inspect.iscoroutinefunction(view) else guarded)

        return decorate

    def _enter(self, request: HttpRequest, user: User[P]) -> Watch:
        request.user = user
        return self.watch(user, mutating=is_mutating(request.method or ""))


def _authorization(request: HttpRequest) -> list[str]:
    header = request.META.get("HTTP_AUTHORIZATION")
    return [] if header is None else [header]


def _answer(refusal: Refusal) -> HttpResponse:
    return HttpResponse(refusal.body, status=refusal.status, headers=refusal.headers)


def _attend(watch: Watch, view: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    """A response that streams ends with the right to it."""
    try:
        response = view()
    except BaseException:
        watch.release()
        raise
    if not isinstance(response, StreamingHttpResponse):
        watch.release()
    elif response.is_async:
        response.streaming_content = checked_async(cast(AsyncIterator[bytes], response.streaming_content), watch)
    else:
        response.streaming_content = iter(Checked(cast(Iterable[bytes], response.streaming_content), watch))
    return response
