import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";

const require = createRequire(import.meta.url);
const { parseSet, Keys } = require("../lib/keys.cjs");
const { typeAccess, open, verifies, read, current } = require("../lib/token.cjs");
const { replyOf } = require("../lib/rights.cjs");
const { typeHeartbeat, proves } = require("../lib/heartbeat.cjs");
const { allows } = require("../lib/permission.cjs");
const { Feed } = require("../lib/feed.cjs");
const { decide } = require("../lib/posture.cjs");
const { Refusal, bearer } = require("../lib/problem.cjs");

const load = (name) => JSON.parse(readFileSync(new URL(`../../conformance/${name}.json`, import.meta.url), "utf8"));

test("tokens", () => {
  const file = load("tokens");
  const set = parseSet(Buffer.from(JSON.stringify(file.key_set)));
  assert.ok(file.cases.length > 150);
  for (const c of file.cases) {
    const envelope = open(c.token, typeAccess);
    let user;
    if (envelope && verifies(envelope, set.get(envelope.kid))) user = read(envelope, file, c.token);
    const got = user && current(user, c.now ?? file.now, file.skew) ? "ok" : "invalid_token";
    assert.equal(got, c.expect, c.name);
    if (got !== "ok") continue;
    assert.equal(user.rights.referred, c.referred ?? false, c.name);
    if (c.holds || c.referred) assert.deepEqual([...user.permissions].sort(), c.holds ?? [], c.name);
  }
});

test("what nodes tell of rights", () => {
  const file = load("tokens");
  const { token } = file.cases.find((c) => c.referred);
  const user = read(open(token, typeAccess), file, token);
  const cases = load("rights");
  assert.ok(cases.length > 40);
  for (const c of cases) {
    const [reply, told] = replyOf(user, c.status, Buffer.from(c.body));
    assert.equal(reply, c.expect, c.name);
    if (reply !== "live") continue;
    const now = user.with(told);
    assert.deepEqual([[...now.permissions], now.roles, now.groups, now.rights.ri], [c.permissions ?? [], c.roles ?? [], c.groups ?? [], c.index ?? 0], c.name);
  }
});

test("heartbeats", () => {
  const file = load("heartbeats");
  const set = parseSet(Buffer.from(JSON.stringify(file.key_set)));
  assert.ok(file.cases.length > 45);
  for (const c of file.cases) {
    const envelope = open(c.proof, typeHeartbeat);
    let got = "wrong";
    if (envelope && !set.has(envelope.kid)) got = "unknown";
    else if (envelope && proves(envelope, set.get(envelope.kid), file, file.index, file.now)) got = "proven";
    assert.equal(got, c.expect, c.name);
  }
});

test("no prefix, suffix or flipped bit of a token is a token", () => {
  const file = load("tokens");
  const set = parseSet(Buffer.from(JSON.stringify(file.key_set)));
  const accepted = (token) => {
    const envelope = open(token, typeAccess);
    return envelope !== undefined && verifies(envelope, set.get(envelope.kid));
  };
  const good = file.cases[0].token;
  assert.ok(accepted(good));
  for (let i = 0; i < good.length; i++) {
    assert.ok(!accepted(good.slice(0, i)) && (i === 0 || !accepted(good.slice(i))), `cut at ${i}`);
    for (let bit = 0; bit < 8; bit++) {
      const other = good.slice(0, i) + String.fromCharCode(good.charCodeAt(i) ^ (1 << bit)) + good.slice(i + 1);
      assert.ok(!accepted(other), `bit ${bit} of ${i}`);
    }
  }
});

test("permissions", () => {
  for (const c of load("permissions")) assert.equal(allows(new Set(c.held), c.ask), c.allowed, JSON.stringify(c));
});

test("keys", () => {
  for (const line of load("keys")) {
    const keys = new Keys(0);
    line.steps.forEach((s, i) => {
      const name = `${line.name}, step ${i}`;
      if (s.take) {
        const answer = { status: s.take.status, body: Buffer.from(s.take.body ?? ""), maxAge: s.take.max_age };
        assert.equal(keys.take(answer, s.at, 0), s.changed, name);
      } else if (s.find) assert.equal(keys.find(s.find, s.at), s.expect, name);
      else if (s.settle) assert.equal(keys.settle(s.settle, s.at), s.expect, name);
      else assert.equal(keys.due, s.expect, name);
    });
  }
});

test("feed", () => {
  for (const line of load("feed")) {
    const feed = new Feed();
    line.steps.forEach((s, i) => playFeed(feed, s, `${line.name}, step ${i}`));
  }
});

function playFeed(feed, s, name) {
  if (s.start !== undefined) feed.start(s.start);
  else if (s.hear) {
    for (let n = 0; n < (s.expect ?? 1); n++) {
      assert.equal(feed.hear({ ...s.hear, object: s.hear.object?.replace("%d", n) }, s.at), s.changed, name);
    }
  } else if (s.judge) assert.equal(feed.judge(s.judge, s.judge.confirmed), s.expect, name);
  else if (s.age) assert.equal(feed.beat === undefined ? undefined : s.at - feed.beat, s.expect, name);
  else assert.deepEqual(feed.ordinal === undefined ? [feed.at] : [feed.at, feed.ordinal], s.expect, name);
}

test("postures", () => {
  for (const c of load("postures")) {
    assert.equal(decide(c.posture, c.age ?? Infinity, c.verdict, c.mutating, c.reply), c.expect, JSON.stringify(c));
  }
});

test("answers", () => {
  const file = load("http");
  for (const c of file.headers) {
    let token, code;
    try {
      token = bearer(c.authorization);
    } catch (refusal) {
      code = refusal.code;
    }
    assert.deepEqual([token, code], [c.token, c.code], JSON.stringify(c.authorization));
  }
  for (const c of file.refusals) {
    const refusal = new Refusal(c.code, c.required, c.missing);
    assert.equal(refusal.status, c.status);
    assert.equal(refusal.headers["www-authenticate"], c.www_authenticate);
    assert.equal(refusal.headers["retry-after"], c.retry_after);
    assert.equal(refusal.headers["content-type"], "application/problem+json");
    assert.deepEqual(JSON.parse(refusal.body), c.body);
  }
});
