// Administers a cluster, whose first node is killed in the middle. The test that starts
// this is in dev.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { Admin, Problem } from "@authfi/node/admin";

const admin = new Admin(); // AUTHFI_URL, AUTHFI_TOKEN and AUTHFI_CACERT
const org_id = process.env.AUTHFI_ORG;
const is = (kind) => (error) => error instanceof Problem && error.kind === kind;

// A repeat is the same change, and one of another version than was read is refused.
const input = { org_id, email: "js-0@x.example", title: "Dr." };
const first = await admin.createUser(input, { idempotencyKey: "js-0" });
assert.equal((await admin.createUser(input, { idempotencyKey: "js-0" })).id, first.id);
const changed = await admin.updateUser({ id: first.id, department: "surgery" }, { ifVersion: first.version });
assert.deepEqual([changed.department, changed.title], ["surgery", "Dr."]);
await assert.rejects(admin.updateUser({ id: first.id, department: "" }, { ifVersion: first.version }), is("changed"));
const emptied = await admin.updateUser({ id: first.id, update_mask: ["title"] });
assert.deepEqual([emptied.department, emptied.title], ["surgery", ""]);

// Pages.
for (let n = 1; n < 5; n++) await admin.createUser({ org_id, email: `js-${n}@x.example` });
const found = new Set();
for await (const user of admin.allUsers({ org_id, q: "js-", limit: 2 })) found.add(user.id);
assert.equal(found.size, 5);

// Refusals.
const reader = new Admin({ token: process.env.READER_TOKEN });
await assert.rejects(reader.createUser({ org_id, email: "js-denied@x.example" }), (error) => is("denied")(error) && error.requestId !== "");
reader.close();
await assert.rejects(admin.createUser({ org_id, email: "js-0@x.example" }), is("conflict"));
await assert.rejects(admin.getUser({ id: "usr-00000000000000000000000000000001" }), is("not_found"));
await assert.rejects(admin.getUser({ id: ".." }), TypeError);
await assert.rejects(admin.listUsers({ org_id }, { ifVersion: 1 }), TypeError);
await assert.rejects(admin.leave(), TypeError); // of which node?
await assert.rejects(admin.getUser({ id: first.id }, { signal: AbortSignal.abort(new Error("gone")) }), /gone/);

// Fields in paths, queries and bodies.
assert.equal((await admin.describePermission({ org_id, permission: "read:js-charts", description: "d" })).permission, "read:js-charts");
const done = await admin.bulk({
  in_order: true,
  operations: [
    { create_role: { org_id, name: "js-reader", permissions: ["read:js-charts"] } },
    { assign_user_role: { user_id: first.id, role_name: "js-reader" } },
    { deactivate_user: { id: "nobody" } },
  ],
});
assert.deepEqual([done.succeeded, done.failed], [2, 1]);
assert.equal((await admin.check({ user_id: first.id, permission: "read:js-charts" }, { newest: true })).allowed, true);
for await (const holder of admin.allPermissionUsers({ org_id, permission: "read:js-charts" })) assert.equal(holder.id, first.id);
assert.ok(admin.index > 0);

// The node that was asked is gone, and with it the leader.
const lines = createInterface({ input: process.stdin });
console.log("ready");
await once(lines, "line");
lines.close();
await admin.createUser({ org_id, email: "js-after@x.example" });
const after = [];
for await (const user of admin.allUsers({ org_id, q: "js-after" })) after.push(user.email);
assert.deepEqual(after, ["js-after@x.example"]);
await assert.rejects(admin.deleteUser({ id: first.id }, { ifVersion: 1 }), is("changed"));
assert.equal(await admin.deleteUser({ id: first.id }), undefined);
admin.close();
