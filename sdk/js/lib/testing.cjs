"use strict";
const crypto = require("node:crypto");
const { Auth } = require("./auth.cjs");
const { host, rehearsal } = require("./rehearsal.cjs");
const { replyOf } = require("./rights.cjs");

const issuerURL = `https://${host}/o/test`;
const org = "org-00000000000000000000000000000001";
const apiKey = "the key of the tests";
const life = 300; // seconds of a token, as a node's
const proofLife = 15; // of a heartbeat, likewise
const heartbeatEvery = 5_000; // milliseconds, as a node's
const offline = () => new Error("the test issuer is offline");

const newID = (prefix) => prefix + crypto.randomBytes(16).toString("hex");
const encoded = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

// A role of one person alone, which changes with the permissions.
const roleOf = (user) => `everything of ${user}`;

/**
 * An issuer for the tests of services: it signs for real with a fresh key, gives keys and
 * feed in process without a network, and does what a test tells it. Its issuer is
 * https://authfi.test, which a service refuses to be configured with.
 */
class TestIssuer {
  #key = newKey();
  #offline = false;
  #moved = 0; // seconds, of the clock
  #index = 1;
  #events = [];
  #sessions = new Map(); // user by session; ended ones are not there
  #held = new Map(); // by user, what is true now: permissions, roles and groups
  #nodes = new Set();

  /** For the authfi() of any adapter, with others of its options. */
  options(others = {}) {
    const nodes = new TestNodes(this.#served());
    this.#nodes.add(nodes);
    const steady = () => performance.now() / 1000 + this.#moved;
    return { ...others, issuer: issuerURL, audience: issuerURL, org, apiKey, nodes: [`https://${host}`], [rehearsal]: { nodes, clock: { wall: () => this.now(), steady } } };
  }

  /** One for node's http and Express that has the keys and follows the feed. */
  async auth(others) {
    const auth = new Auth(this.options(others));
    await auth.ready();
    return auth;
  }

  /** Begins a session and gives its token; what is left out is made up. */
  signIn({ id = newID("usr-"), permissions = [], roles = [], groups = [], methods = ["pwd", "otp"], claims = {} } = {}) {
    const session = newID("ses-");
    this.#sessions.set(session, id);
    const held = { permissions: [...permissions], roles: [...roles, roleOf(id)], groups: [...groups] };
    this.#held.set(id, held);
    const iat = Math.floor(this.now());
    return this.#key.sign("at+jwt", {
      iss: issuerURL, aud: [issuerURL], sub: id, iat, exp: iat + life, jti: newID(""), sid: session, org_id: org,
      ...held, amr: methods, ri: this.#index, ...claims,
    });
  }

  /** Ends the session of a token. Every service has heard of it then, as with all that follows. */
  async revoke(token) {
    const { sid } = claimsOf(token);
    this.#sessions.delete(sid);
    await this.#change({ type: "session.ended", object: sid });
  }

  /** Ends all sessions of a user, as an identity provider does. */
  async deactivate(user) {
    for (const [session, of] of this.#sessions) if (of === user) this.#sessions.delete(session);
    await this.#change({ type: "user.deactivated", object: user });
  }

  /** Changes what a user holds: the user's tokens are stale. */
  async permit(user, ...permissions) {
    this.#held.set(user, { roles: [], groups: [], ...this.#held.get(user), permissions });
    await this.#change({ type: "role.unassigned", object: "rol-1", detail: `${roleOf(user)} from ${user}`, user_ids: [user] });
  }

  /** Signs with a new key, and takes the old one away with all its tokens. */
  async rotateKeys() {
    this.#key = newKey();
    await this.#change({ type: "key.changed", object: org });
    const taken = () => [...this.#nodes].every((nodes) => !nodes.hear || nodes.kid === this.#key.id);
    while (!this.#offline && !taken()) await new Promise(setImmediate);
    await new Promise(setImmediate); // what was given is taken in
  }

  /** Moves the clock by seconds. A heartbeat follows, unless the issuer is offline. */
  async advance(seconds) {
    this.#moved += seconds;
    await this.#beat();
  }

  /** The clock, in seconds, which its services go by. */
  now() {
    return Date.now() / 1000 + this.#moved;
  }

  /** Breaks every connection, and none is made. */
  async goOffline() {
    this.#offline = true;
    for (const nodes of this.#nodes) nodes.break?.(offline());
  }

  /** Ends that, and waits until the feed is followed again: 5 seconds at most. */
  async goOnline() {
    this.#offline = false;
    for (const nodes of this.#nodes) {
      while (!nodes.closed && !nodes.hear) await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async #change(event) {
    this.#events.push({ ordinal: 0, index: ++this.#index, ...event });
    if (this.#offline) return; // it is heard when they are back
    for (const nodes of this.#nodes) nodes.hear?.(this.#events.at(-1));
    await this.#beat();
  }

  async #beat() {
    if (this.#offline) return;
    for (const nodes of this.#nodes) nodes.hear?.(this.#heartbeat());
    await new Promise(setImmediate); // what stays open was looked at before
  }

  #heartbeat() {
    const [index, iat] = [this.#index, Math.floor(this.now())];
    return { type: "heartbeat", index, proof: this.#key.sign("heartbeat+jwt", { iss: issuerURL, org_id: org, index, iat, exp: iat + proofLife }) };
  }

  // What a service's nodes know.
  #served() {
    return {
      online: () => !this.#offline,
      index: () => this.#index,
      heartbeat: () => this.#heartbeat(),
      after: (index) => this.#events.filter((event) => event.index > index),
      date: () => this.now() * 1000,
      key: () => this.#key,
      live: (user) => this.#sessions.get(user.sessionId) === user.id,
      held: (user) => this.#held.get(user.id),
    };
  }
}

/** The cluster as one service sees it. */
class TestNodes {
  base = `https://${host}`;
  closed = false;
  hear; // of the service, while it follows
  break;
  kid; // of the key that was given last
  #issuer;

  constructor(issuer) {
    this.#issuer = issuer;
  }

  next() {}

  close() {
    this.closed = true;
  }

  async keySet() {
    if (!this.#issuer.online()) return { status: 0, error: offline() };
    const key = this.#issuer.key();
    this.kid = key.id;
    return { status: 200, body: Buffer.from(JSON.stringify({ keys: [key.jwk] })), date: this.#issuer.date() };
  }

  async vouch(_issuer, user) {
    if (!this.#issuer.online()) return ["failed", undefined];
    if (!this.#issuer.live(user)) return ["revoked", undefined];
    return replyOf(user, 200, Buffer.from(JSON.stringify({ ...this.#issuer.held(user), index: this.#issuer.index() })));
  }

  async now() {
    if (!this.#issuer.online()) throw offline();
    return this.#issuer.index();
  }

  async follow(_org, at, _ordinal, _key, hear, closing) {
    if (!this.#issuer.online()) throw offline();
    for (const event of this.#issuer.after(at)) hear(event);
    const beat = () => hear(this.#issuer.heartbeat());
    beat();
    const beating = setInterval(beat, heartbeatEvery).unref();
    try {
      await new Promise((_, reject) => {
        [this.hear, this.break] = [hear, reject];
        closing.addEventListener("abort", () => reject(closing.reason));
      });
    } finally {
      clearInterval(beating);
      [this.hear, this.break] = [undefined, undefined];
    }
  }
}

function newKey() {
  const { privateKey, publicKey } = crypto.generateKeyPairSync("ec", { namedCurve: "P-256" });
  const id = newID("key-");
  return {
    id,
    jwk: { ...publicKey.export({ format: "jwk" }), kid: id, alg: "ES256", use: "sig" },
    sign(typ, claims) {
      const input = `${encoded({ typ, alg: "ES256", kid: id })}.${encoded(claims)}`;
      return `${input}.${crypto.sign("sha256", Buffer.from(input), { key: privateKey, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
    },
  };
}

const claimsOf = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url"));

module.exports = { TestIssuer };
