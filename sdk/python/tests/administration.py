"""Administers a cluster, whose first node is killed in the middle. The test that starts this is in dev."""

import asyncio
import os
import sys
from collections.abc import Callable

from authfi.admin import Admin, AsyncAdmin, Changed, Conflict, Denied, NotFound

admin = Admin()  # AUTHFI_URL, AUTHFI_TOKEN and AUTHFI_CACERT
org_id = os.environ["AUTHFI_ORG"]


def refused(kind: type[Exception], call: Callable[[], object]) -> Exception:
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"it is not refused as {kind.__name__}")


# A repeat is the same change, and one of another version than was read is refused.
first = admin.create_user(org_id=org_id, email="py-0@x.example", title="Dr.", idempotency_key="py-0")
user_id = first["id"]
assert admin.create_user(org_id=org_id, email="py-0@x.example", title="Dr.", idempotency_key="py-0")["id"] == user_id
changed = admin.update_user(id=user_id, department="surgery", if_version=first["version"])
assert (changed["department"], changed["title"]) == ("surgery", "Dr."), changed
refused(Changed, lambda: admin.update_user(id=user_id, department="", if_version=first["version"]))
emptied = admin.update_user(id=user_id, update_mask=["title"])
assert (emptied["department"], emptied["title"]) == ("surgery", ""), emptied

# Pages.
for n in range(1, 5):
    admin.create_user(org_id=org_id, email=f"py-{n}@x.example")
assert len({user["id"] for user in admin.all_users(org_id=org_id, q="py-", limit=2)}) == 5

# Refusals.
reader = Admin(token=os.environ["READER_TOKEN"])
denied = refused(Denied, lambda: reader.create_user(org_id=org_id, email="py-denied@x.example"))
assert isinstance(denied, Denied) and denied.request_id != ""
refused(Conflict, lambda: admin.create_user(org_id=org_id, email="py-0@x.example"))
refused(NotFound, lambda: admin.get_user(id="usr-00000000000000000000000000000001"))
refused(ValueError, lambda: admin.get_user(id=".."))
refused(ValueError, admin.leave)  # of which node?

# Fields in paths, queries and bodies.
assert admin.describe_permission(org_id=org_id, permission="read:py-charts", description="d")["permission"] == "read:py-charts"
done = admin.bulk(
    in_order=True,
    operations=[
        {"create_role": {"org_id": org_id, "name": "py-reader", "permissions": ["read:py-charts"]}},
        {"assign_user_role": {"user_id": user_id, "role_name": "py-reader"}},
        {"deactivate_user": {"id": "nobody"}},
    ],
)
assert (done["succeeded"], done["failed"]) == (2, 1), done
assert admin.check(user_id=user_id, permission="read:py-charts", newest=True)["allowed"]
assert [user["id"] for user in admin.all_permission_users(org_id=org_id, permission="read:py-charts")] == [user_id]
assert admin.index > 0


async def awaited() -> None:
    """The same, awaited, and as new as what was written without."""
    aside = AsyncAdmin()
    aside.reached(admin.index)
    assert len([user async for user in aside.all_users(org_id=org_id, q="py-", limit=2)]) == 5
    assert (await aside.create_user(org_id=org_id, email="later-py@x.example"))["email"] == "later-py@x.example"


asyncio.run(awaited())

# The node that was asked is gone, and with it the leader.
print("ready", flush=True)
sys.stdin.readline()
admin.create_user(org_id=org_id, email="py-after@x.example")
assert [user["email"] for user in admin.all_users(org_id=org_id, q="py-after")] == ["py-after@x.example"]
refused(Changed, lambda: admin.delete_user(id=user_id, if_version=1))
admin.delete_user(id=user_id)
refused(NotFound, lambda: admin.get_user(id=user_id))
