import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request } from "node:http";
import { test } from "node:test";
import { TestIssuer } from "../testing.mjs";

async function serve(t, handler, upgrade) {
  const issuer = new TestIssuer();
  const auth = await issuer.auth();
  t.after(() => auth.close());
  const server = createServer(handler?.(auth));
  if (upgrade) server.on("upgrade", upgrade(auth));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const ask = (token, headers = {}) => request({ port: server.address().port, headers: { authorization: `Bearer ${token}`, ...headers } }).end();
  return { issuer, auth, ask };
}

// end collects what a response still holds and how it ends.
function end(response) {
  return new Promise((resolve) => {
    let body = "";
    response.setEncoding("utf8").on("data", (part) => (body += part));
    response.on("end", () => resolve([body, "complete"])).on("error", () => resolve([body, "broken off"]));
  });
}

test("a stream of events ends with the right to it", async (t) => {
  let reason;
  const { issuer, ask } = await serve(t, (auth) =>
    auth.protect((req, res) => {
      res.writeHead(200, { "content-type": "text/event-stream" });
      res.write("data: first\n\n");
      req.revoked.addEventListener("abort", () => {
        reason = req.revoked.reason.code;
        res.write("data: too late\n\n");
        res.end();
      });
    }, "read:patients"),
  );
  const token = issuer.signIn({ permissions: ["read:patients"] });
  const [response] = await once(ask(token), "response");
  const ended = end(response);
  await once(response, "data");
  await issuer.revoke(token);
  assert.deepEqual(await ended, ["data: first\n\n", "broken off"]);
  assert.equal(reason, "token_revoked");
});

test("what has not begun to answer does not begin after the end", async (t) => {
  let waiting;
  const { issuer, ask } = await serve(t, (auth) =>
    auth.protect(async (req, res) => {
      await new Promise((resolve) => (waiting = resolve));
      res.setHeader("x-late", "1");
      res.end("too late");
    }, "read:patients"),
  );
  const token = issuer.signIn({ permissions: ["read:patients"] });
  const asked = ask(token);
  const failed = once(asked, "error");
  while (!waiting) await new Promise(setImmediate);
  await issuer.revoke(token);
  waiting();
  assert.match((await failed)[0].code, /ECONNRESET/);
});

test("an upgraded socket", async (t) => {
  const { issuer, ask } = await serve(t, undefined, (auth) => async (req, socket) => {
    const user = await auth.upgrade(req, socket, "read:patients");
    if (!user) return;
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: test\r\nConnection: Upgrade\r\n\r\n${user.id}`);
  });
  const headers = { connection: "Upgrade", upgrade: "test" };
  const [refused] = await once(ask(issuer.signIn(), headers), "response");
  assert.equal(refused.statusCode, 403);
  assert.deepEqual(JSON.parse((await end(refused))[0]).missing, ["read:patients"]);
  const token = issuer.signIn({ id: "usr-1", permissions: ["read:patients"] });
  const [, socket, head] = await once(ask(token, headers), "upgrade");
  const gone = once(socket.resume(), "close");
  assert.equal(head.toString() || (await once(socket, "data"))[0].toString(), "usr-1");
  await issuer.deactivate("usr-1");
  await gone;
});

test("what ends a watch, and what does not", async (t) => {
  const issuer = new TestIssuer();
  const auth = await issuer.auth();
  t.after(() => auth.close());
  const open = async () => {
    const token = issuer.signIn({ id: "usr-1", permissions: ["read:patients"] });
    return [token, auth.watch(await auth.verify(token))];
  };
  const [token, revoked] = await open();
  const [, other] = await open();
  await issuer.revoke(token);
  assert.deepEqual([revoked.signal.reason?.code, other.signal.aborted], ["token_revoked", false]);
  await issuer.permit("usr-1");
  assert.equal(other.signal.reason?.code, "token_stale");
  const [, dropped] = await open();
  await issuer.rotateKeys();
  if (!dropped.signal.aborted) await once(dropped.signal, "abort");
  assert.equal(dropped.signal.reason.code, "invalid_token");
  const [, late] = await open();
  await issuer.advance(306);
  assert.equal(late.signal.reason?.code, "invalid_token");
  const [last, released] = await open();
  released.release();
  await issuer.revoke(last);
  assert.equal(released.signal.aborted, false);
  const user = await auth.verify(issuer.signIn({ id: "usr-2" }));
  await issuer.deactivate("usr-2");
  assert.equal(auth.watch(user).signal.reason?.code, "token_revoked", "what happened before the watch");
});
