// Every adapter under its framework, over sockets, with tokens that are signed for real.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { serve as serveHono } from "@hono/node-server";
import express from "express";
import fastify from "fastify";
import { Hono } from "hono";
import { streamSSE } from "hono/streaming";
import { NextRequest } from "next/server.js";
import WebSocket, { WebSocketServer } from "ws";
import { authfi as forExpress } from "@authfi/node/express";
import { authfi as forFastify } from "@authfi/node/fastify";
import { authfi as forHono } from "@authfi/node/hono";
import { authfi as forNext } from "@authfi/node/next";
import { TestIssuer } from "@authfi/node/testing";

const notes = (user) => ({ user: user.id, notes: user.can("write:notes") });
const first = "data: first\n\n";

async function listening(t, server) {
  if (!server.listening) await once(server, "listening");
  t.after(() => server.closeAllConnections());
  t.after(() => server.close());
  return `http://127.0.0.1:${server.address().port}`;
}

async function ready(t, issuer, make) {
  const auth = make(issuer.options());
  await auth.ready();
  t.after(() => auth.close());
  return auth;
}

// check holds a service that has /patients and the stream /events against what every
// adapter promises.
async function check(issuer, ask) {
  const token = issuer.signIn({ id: "usr-1", permissions: ["read:patients", "write:notes"] });
  const served = await ask("/patients", token);
  assert.equal(served.status, 200);
  assert.deepEqual(await served.json(), { user: "usr-1", notes: true });
  const refused = await ask("/patients", issuer.signIn({ permissions: ["write:notes"] }));
  assert.equal(refused.status, 403);
  assert.match(refused.headers.get("content-type"), /^application\/problem\+json/);
  assert.equal(refused.headers.get("www-authenticate"), 'Bearer realm="authfi", error="insufficient_scope", scope="read:patients"');
  const problem = await refused.json();
  assert.deepEqual([problem.code, problem.required, problem.missing], ["insufficient_permission", ["read:patients"], ["read:patients"]]);
  assert.equal((await ask("/patients")).status, 401);
  assert.equal((await ask("/patients", `${token}x`)).status, 401);
  assert.equal((await ask("/patients", `${token}, Bearer ${token}`)).status, 400);

  const events = (await ask("/events", token)).body.getReader();
  assert.equal(Buffer.from((await events.read()).value).toString(), first);
  await issuer.revoke(token);
  await assert.rejects(async () => {
    for (let part = await events.read(); !part.done; part = await events.read()) assert.fail("something after the end");
  }, { name: /TypeError|Refusal/ });
  assert.equal((await (await ask("/patients", token)).json()).code, "token_revoked");
}

const over = (url) => (path, token) => fetch(url + path, token ? { headers: { authorization: `Bearer ${token}` } } : {});

test("express", async (t) => {
  const issuer = new TestIssuer();
  const auth = await ready(t, issuer, forExpress);
  const app = express();
  app.get("/patients", auth.require("read:patients"), (req, res) => res.json(notes(req.user)));
  app.get("/events", auth.require("read:patients"), (req, res) => {
    res.set("content-type", "text/event-stream");
    res.write(first);
    req.revoked.addEventListener("abort", () => res.write("data: too late\n\n"));
  });
  await check(issuer, over(await listening(t, app.listen(0, "127.0.0.1"))));
});

test("fastify", async (t) => {
  const issuer = new TestIssuer();
  const auth = await ready(t, issuer, forFastify);
  const app = fastify();
  app.get("/patients", { onRequest: auth.require("read:patients") }, async (request) => notes(request.user));
  app.get("/events", { preHandler: auth.require("read:patients") }, (request, reply) => {
    reply.hijack();
    reply.raw.writeHead(200, { "content-type": "text/event-stream" });
    reply.raw.write(first);
    request.revoked.addEventListener("abort", () => reply.raw.write("data: too late\n\n"));
  });
  await app.listen({ port: 0, host: "127.0.0.1" });
  await check(issuer, over(await listening(t, app.server)));
});

test("hono", async (t) => {
  const issuer = new TestIssuer();
  const auth = await ready(t, issuer, forHono);
  const app = new Hono();
  app.get("/patients", auth.require("read:patients"), (c) => c.json(notes(c.get("user"))));
  app.get("/events", auth.require("read:patients"), (c) =>
    streamSSE(c, async (stream) => {
      await stream.writeSSE({ data: "first" });
      await once(c.get("revoked"), "abort");
      await stream.writeSSE({ data: "too late" });
    }),
  );
  await check(issuer, over(await listening(t, serveHono({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }))));
});

test("next", async (t) => {
  const issuer = new TestIssuer();
  const auth = await ready(t, issuer, forNext);
  const routes = {
    "/patients": auth.require("read:patients")(async (request, { params }) => Response.json({ ...notes(request.user), ...(await params) })),
    "/events": auth.require("read:patients")((request) => {
      assert.ok(request instanceof NextRequest);
      const body = new ReadableStream({
        start(controller) {
          controller.enqueue(Buffer.from(first));
          request.revoked.addEventListener("abort", () => controller.enqueue(Buffer.from("data: too late\n\n")));
        },
      });
      return new Response(body, { headers: { "content-type": "text/event-stream" } });
    }),
  };
  await check(issuer, (path, token) => {
    const request = new NextRequest(`https://clinic.example${path}`, token ? { headers: { authorization: `Bearer ${token}` } } : {});
    return routes[path](request, { params: Promise.resolve({}) });
  });
});

test("a WebSocket", async (t) => {
  const issuer = new TestIssuer();
  const auth = await ready(t, issuer, forExpress);
  const sockets = new WebSocketServer({ noServer: true });
  const server = createServer().on("upgrade", async (req, socket, head) => {
    const user = await auth.upgrade(req, socket, "read:patients");
    if (user) sockets.handleUpgrade(req, socket, head, (ws) => ws.send(user.id));
  });
  const url = (await listening(t, server.listen(0, "127.0.0.1"))).replace("http", "ws");
  const open = (token) => new WebSocket(url, { headers: { authorization: `Bearer ${token}` } });
  const [error] = await once(open(issuer.signIn()), "error");
  assert.match(error.message, /403/);
  const token = issuer.signIn({ id: "usr-1", permissions: ["read:patients"] });
  const ws = open(token);
  assert.equal((await once(ws, "message"))[0].toString(), "usr-1");
  const closed = once(ws, "close");
  await issuer.revoke(token);
  assert.equal((await closed)[0], 1006, "without a word");
});
