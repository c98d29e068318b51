"""Flask: @auth.require("read:patients"), and request.user.can("write:notes")."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

from flask import Response, current_app, make_response, request

from ._auth import AuthFI as _AuthFI
from ._auth import is_mutating
from ._permission import P, must_be_permissions
from ._problem import Refusal
from ._serve import Checked
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
            if inspect.iscoroutinefunction(view):
                inner = cast(Callable[..., Any], view)

                def run(*args: Any, **kwargs: Any) -> Any:
                    return current_app.ensure_sync(inner)(*args, **kwargs)
            else:
                run = cast(Callable[..., Any], view)

            @functools.wraps(view)
            def guarded(*args: Any, **kwargs: Any) -> Any:
                try:
                    user = self.admit(request.headers.getlist("Authorization"), request.method, permissions)
                except Refusal as refusal:
                    return Response(refusal.body, refusal.status, refusal.headers)
                request.user = user  # type: ignore[attr-defined]
                watch = self.watch(user, mutating=is_mutating(request.method))
                try:
                    return _attended(run(*args, **kwargs), watch)
                except BaseException:
                    watch.release()
                    raise

            if inspect.iscoroutinefunction(view):
                # Flask looks through functools.wraps; the guard itself is sync.
                del guarded.__wrapped__
            return cast(View, guarded)

        return decorate


def _attended(returned: Any, watch: Watch) -> Response:
    """A response that streams ends with the right to it."""
    response = make_response(returned)
    if response.is_streamed:
        response.response = Checked(response.response, watch)
        response.call_on_close(watch.release)
    else:
        watch.release()
    return response
