import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer, request } from "node:http";
import { test } from "node:test";
import * as esm from "../index.mjs";

const require = createRequire(import.meta.url);
const cjs = require("../index.cjs");
const file = JSON.parse(readFileSync(new URL("../../conformance/tokens.json", import.meta.url), "utf8"));

const offline = { issuer: file.issuer, posture: "offline", keySet: file.key_set, nodes: ["https://127.0.0.1:1"] };

test("both kinds of modules are one implementation", () => {
  for (const name of ["authfi", "Auth", "Refusal", "User", "allows"]) assert.equal(esm[name], cjs[name], name);
  assert.equal(esm.default, cjs.authfi);
});

test("what cannot be is refused when it is configured", () => {
  const good = { issuer: file.issuer, org: file.org, apiKey: "key" };
  for (const wrong of [
    { issuer: "" }, { issuer: "http://x/o/y" }, { nodes: ["http://x"] }, { nodes: [] }, { apiKey: "" }, { org: "" },
    { posture: "slack" }, { skew: 61 }, { skew: -1 }, { skew: NaN }, { posture: "offline", keySet: { keys: [] } },
  ]) {
    assert.throws(() => esm.authfi({ ...good, ...wrong }), TypeError, JSON.stringify(wrong));
  }
  const auth = esm.authfi(offline);
  for (const wrong of [[], ["read"], ["read:patients", "Read:notes"], [undefined]]) {
    assert.throws(() => auth.require(...wrong), TypeError);
    assert.throws(() => auth.protect(() => {}, ...wrong), TypeError);
  }
  auth.close();
});

// serve answers requests of the raw headers given, with a service's clock at the
// vectors' time.
async function serve(t, handler) {
  t.mock.method(Date, "now", () => file.now * 1000);
  const server = createServer(handler);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return (authorization, method = "GET") =>
    new Promise((resolve, reject) => {
      const headers = ["Host", "localhost", "Connection", "close", ...authorization.flatMap((value) => ["Authorization", value])];
      const sent = request({ port: server.address().port, method, headers }, (res) => {
        let body = "";
        res.setEncoding("utf8").on("data", (part) => (body += part)).on("end", () => resolve({ status: res.statusCode, headers: res.headers, body }));
      });
      sent.on("error", reject).end();
    });
}

test("a protected handler", async (t) => {
  const auth = esm.authfi(offline);
  t.after(() => auth.close());
  const ask = await serve(t, auth.protect((req, res) => res.end(`${req.user.id} ${req.user.can("write:notes")} ${req.user.can("delete:notes")}`), "read:patients"));
  const good = file.cases[0].token;
  assert.equal((await ask([`Bearer ${good}`])).body, "usr-0192d3a4b5c6d7e8f90a1b2c3d4e5f61 true false");
  assert.equal((await ask([])).status, 401);
  assert.equal((await ask([`Bearer ${good}`, `Bearer ${good}`])).status, 400);
  assert.equal((await ask([`Bearer ${good}x`])).status, 401);
  assert.ok(auth.status().keysAge >= 0 && auth.status().feedAge === undefined);
  const none = file.cases.find((c) => c.name === "permissions empty").token;
  const refused = await ask([`Bearer ${none}`]);
  assert.equal(refused.status, 403);
  assert.equal(refused.headers["content-type"], "application/problem+json");
  assert.deepEqual(JSON.parse(refused.body).missing, ["read:patients"]);
  assert.match(refused.headers["www-authenticate"], /error="insufficient_scope", scope="read:patients"/);
});

test("without keys nobody is told that his token is bad", async (t) => {
  const auth = esm.authfi({ ...offline, keySet: undefined });
  t.after(() => auth.close());
  const ask = await serve(t, auth.protect((req, res) => res.end(), "read:patients"));
  const refused = await ask([`Bearer ${file.cases[0].token}`]);
  assert.equal(refused.status, 503);
  assert.equal(refused.headers["retry-after"], "5");
});

test("a token is not shown in logs", async () => {
  const { inspect } = await import("node:util");
  const user = new esm.User(JSON.parse(Buffer.from(file.cases[0].token.split(".")[1], "base64url")), "secret-token");
  assert.ok(!inspect(user).includes("secret-token") && !JSON.stringify(user).includes("secret-token"));
});
