import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { authfi, Refusal } from "../index.mjs";
import { TestIssuer } from "../testing.mjs";

const { rehearsal } = createRequire(import.meta.url)("../lib/rehearsal.cjs");
const permissions = ["read:patients"];

// ask says what becomes of a request: "ok" or the code of the refusal.
async function ask(auth, token, method = "GET") {
  try {
    await auth.admit({ method, headers: { authorization: `Bearer ${token}` } }, ...permissions);
    return "ok";
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return error.code;
  }
}

async function prepare(t, options) {
  const issuer = new TestIssuer();
  const auth = await issuer.auth(options);
  t.after(() => auth.close());
  return [issuer, auth];
}

test("sessions, users, permissions and keys", async (t) => {
  const [issuer, auth] = await prepare(t);
  const doctor = { id: "usr-1", permissions, roles: ["doctor"] };
  const [first, second] = [issuer.signIn(doctor), issuer.signIn(doctor)];
  assert.equal(await ask(auth, first), "ok");
  assert.equal(await ask(auth, issuer.signIn()), "insufficient_permission");
  assert.equal(await ask(auth, issuer.signIn({ ...doctor, claims: { aud: "another" } })), "invalid_token");
  await issuer.revoke(first);
  assert.equal(await ask(auth, first), "token_revoked");
  assert.equal(await ask(auth, second), "ok");
  await issuer.permit("usr-1");
  assert.equal(await ask(auth, second), "token_stale");
  const third = issuer.signIn(doctor);
  await issuer.deactivate("usr-1");
  assert.equal(await ask(auth, third), "token_revoked");
  const old = issuer.signIn(doctor);
  await issuer.rotateKeys();
  assert.equal(await ask(auth, old), "invalid_token");
  assert.equal(await ask(auth, issuer.signIn(doctor)), "ok");
});

test("the clock, and an outage", async (t) => {
  const [issuer, auth] = await prepare(t);
  let token = issuer.signIn({ permissions });
  await issuer.advance(304);
  assert.equal(await ask(auth, token), "ok");
  await issuer.advance(2);
  assert.equal(await ask(auth, token), "invalid_token");
  token = issuer.signIn({ permissions });
  await issuer.goOffline();
  await issuer.advance(16);
  assert.equal(await ask(auth, token, "POST"), "ok");
  await issuer.advance(45);
  assert.equal(await ask(auth, token), "ok");
  assert.equal(await ask(auth, token, "POST"), "auth_unavailable");
  await issuer.revoke(token);
  assert.equal(await ask(auth, token), "ok");
  await issuer.goOnline();
  assert.equal(await ask(auth, token), "token_revoked");
});

test("strict", async (t) => {
  const [issuer, auth] = await prepare(t, { posture: "strict" });
  const token = issuer.signIn({ permissions });
  await issuer.goOffline();
  assert.equal(await ask(auth, token), "ok");
  await issuer.advance(16);
  assert.equal(await ask(auth, token), "auth_unavailable");
});

const referred = { permissions: [], permissions_ref: "https://authfi.test/o/test/oauth2/permissions" };

test("permissions by reference", async (t) => {
  const [issuer, auth] = await prepare(t);
  const token = issuer.signIn({ id: "usr-1", permissions, claims: referred });
  for (const method of ["GET", "POST"]) assert.equal(await ask(auth, token, method), "ok");
  const user = await auth.verify(token);
  assert.ok(user.can("read:patients") && !user.can("write:notes"));
  const bare = { ...referred, roles: [], roles_ref: referred.permissions_ref, groups: [], groups_ref: referred.permissions_ref };
  const all = await auth.verify(issuer.signIn({ permissions, roles: ["nurse"], groups: ["ward-3"], claims: bare }));
  assert.ok(all.roles.includes("nurse") && all.groups.includes("ward-3"));
  await issuer.goOffline();
  assert.equal(await ask(auth, token), "ok"); // what was told is kept
  assert.equal(await ask(auth, issuer.signIn({ permissions, claims: referred })), "permissions_unavailable");
  await issuer.goOnline();
  const watch = auth.watch(user);
  await issuer.permit("usr-1", "write:notes");
  assert.equal(await ask(auth, token), "insufficient_permission");
  if (!watch.signal.aborted) await new Promise((resolve) => watch.signal.addEventListener("abort", resolve));
  assert.equal(watch.signal.reason.code, "token_stale");
  await issuer.permit("usr-1", ...permissions);
  assert.equal(await ask(auth, token), "ok");
  await issuer.revoke(token);
  assert.equal(await ask(auth, token), "token_revoked");
});

test("permissions by reference, and nobody is asked", async (t) => {
  const issuer = new TestIssuer();
  const auth = await issuer.auth({ posture: "offline" });
  t.after(() => auth.close());
  assert.equal(await ask(auth, issuer.signIn({ permissions, claims: referred })), "permissions_unavailable");
  assert.equal(await ask(auth, issuer.signIn({ claims: { permissions: { patients: "read write" } } })), "ok");
});

test("a heartbeat that is not proven says nothing", async (t) => {
  const issuer = new TestIssuer();
  const options = issuer.options();
  const auth = authfi(options);
  t.after(() => auth.close());
  await auth.ready();
  const { nodes } = options[rehearsal];
  const { hear } = nodes;
  let beat;
  nodes.hear = (m) => hear((beat = m));
  await issuer.advance(0);
  await issuer.goOffline();
  await issuer.advance(10);
  const { index, feedAge } = auth.status();
  for (const wrong of [{ proof: undefined }, { proof: "" }, { proof: null }, { index: index + 1 }, { proof: issuer.signIn() }]) {
    assert.equal(hear({ ...beat, ...wrong }), false, JSON.stringify(wrong));
  }
  assert.ok(auth.status().feedAge >= feedAge && auth.status().index === index);
  assert.equal(hear(beat), true);
  assert.ok(auth.status().feedAge < 10);
  await issuer.advance(20); // it is too old now
  assert.equal(hear(beat), false);
});

test("a service does not trust it, whatever its configuration", () => {
  const options = new TestIssuer().options();
  for (const issuer of ["https://authfi.test/o/test", "https://AUTHFI.TEST/o/test", "https://authfi.test./o/test", "https://authfi.test:443/o/test"]) {
    assert.throws(() => authfi({ issuer, org: options.org, apiKey: "key" }), /issuer of tests/);
  }
  const stolen = Object.fromEntries(Object.entries(options)); // what can be copied of them
  assert.throws(() => authfi(JSON.parse(JSON.stringify(stolen))), /issuer of tests/);
});
