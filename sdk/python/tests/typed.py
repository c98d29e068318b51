"""Type-checked in the tests and never run: what is right, and what is not."""

from typing import Any, Literal

import authfi
import authfi.admin
import authfi.django
import authfi.fastapi
import authfi.flask
from fastapi import Depends

Permission = Literal["read:patients", "write:notes"]

fastapi_auth = authfi.fastapi.AuthFI[Permission](posture="strict")
flask_auth = authfi.flask.AuthFI[Permission]()
django_auth = authfi.django.AuthFI[Permission]()
any_auth = authfi.AuthFI()


@flask_auth.require("read:patients", "write:notes")
def patients() -> dict[str, Any]:
    return {}


def depends(user: authfi.User[Permission] = Depends(fastapi_auth.require("read:patients"))) -> bool:
    return user.can("write:notes") and not user.can("write:note")  # type: ignore[arg-type]


def plain(app: Any) -> Any:
    any_auth.verify("token").can("anything:else")
    return any_auth.wsgi(app, "anything:else")


flask_auth.require("read:patient")  # type: ignore[arg-type]
django_auth.require("read:patient")  # type: ignore[arg-type]
fastapi_auth.require("read:patient")  # type: ignore[arg-type]
authfi.AuthFI[Permission]().wsgi(plain, "read:patient")  # type: ignore[arg-type]


async def administers(admin: authfi.admin.Admin, aside: authfi.admin.AsyncAdmin) -> list[str]:
    admin.get_user()  # type: ignore[call-arg]
    admin.list_users(mail="x")  # type: ignore[call-arg]
    admin.list_users(if_version=1)  # type: ignore[call-arg]
    user: authfi.admin.User = await aside.get_user(id="usr-1", newest=True)
    return [user["email"]] + [found["email"] for found in admin.all_users(q="x")]
