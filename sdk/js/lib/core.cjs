"use strict";
const { configure } = require("./config.cjs");
const { rehearsal } = require("./rehearsal.cjs");
const { Watches } = require("./watch.cjs");
const { Feed } = require("./feed.cjs");
const { Keys } = require("./keys.cjs");
const { Nodes } = require("./nodes.cjs");
const { mustBePermissions } = require("./permission.cjs");
const { decide } = require("./posture.cjs");
const { Refusal, bearer } = require("./problem.cjs");
const { typeHeartbeat, proves } = require("./heartbeat.cjs");
const { typeAccess, open, verifies, read, current } = require("./token.cjs");

const keyWait = 2_000; // milliseconds, for a key that is being fetched
const replyLife = 1; // seconds, of a node's word on a token, while the feed is behind
const backoffMin = 0.2; // seconds, as all below
const backoffMax = 5;
const jitterRange = 0.2;
const startMax = 0.1; // processes that start together do not fetch together
const skewWarning = 2;
const seenMax = 5_000; // verified tokens of a generation, of which two are kept

// Both in seconds.
const clock = { wall: () => Date.now() / 1000, steady: () => performance.now() / 1000 };
const jitter = () => jitterRange * (2 * Math.random() - 1);

/** Verifies tokens of one organization; the adapters extend it. */
class Core {
  #config;
  #nodes;
  #clock = clock;
  #keys;
  #feed = new Feed();
  #young = new Map(); // verified tokens by their whole text
  #old = new Map();
  #fetching; // the fetch under way
  #again = false; // one more behind it
  #waiting; // a heartbeat whose key is to be fetched, and when it was heard
  #skewed = false; // said that the clocks are apart
  #timer;
  #closing = new AbortController();
  #ready = resolvers();
  #watches = new Watches(
    (user, mutating) => this.#glance(user, mutating),
    (user, mutating) => this.verify(user.token, { mutating }),
  );

  constructor(options) {
    this.#config = configure(options);
    const test = options?.[rehearsal];
    this.#clock = test?.clock ?? clock;
    this.#nodes = test?.nodes ?? new Nodes(this.#config.nodes, this.#config.ca);
    this.#keys = new Keys(this.#steady());
    if (this.#config.keySet !== undefined) {
      const body = Buffer.from(typeof this.#config.keySet === "string" ? this.#config.keySet : JSON.stringify(this.#config.keySet));
      this.#keys.take({ status: 200, body }, this.#steady(), 0);
      if (this.#keys.fetched === undefined) throw new TypeError("authfi: the key set given has no usable key");
    }
    this.#timer = setTimeout(() => this.#fetch(), Math.random() * startMax * 1000).unref();
    if (this.#config.posture !== "offline") this.#keepFeed();
  }

  #steady() {
    return this.#clock.steady();
  }

  /** Ends what the constructor has begun. */
  close() {
    this.#watches.close();
    this.#closing.abort(new Error("closed"));
    clearTimeout(this.#timer);
    this.#nodes.close();
  }

  /** Resolves when the keys are known and the feed is followed. */
  async ready() {
    // What is followed does not keep a program from its end; who waits for it does.
    const alive = setInterval(() => {}, 1 << 30);
    try {
      await this.#ready.promise;
    } finally {
      clearInterval(alive);
    }
  }

  #markReady() {
    if (this.#keys.fetched !== undefined && (this.#config.posture === "offline" || this.#feed.beat !== undefined)) this.#ready.resolve();
  }

  /**
   * Who a token speaks of; throws a Refusal. mutating tells of what the token is to
   * permit: while nobody can be asked, reading goes on longer.
   */
  async verify(token, { mutating = false } = {}) {
    const held = this.#held(token) ?? (await this.#verified(token));
    if (!current(held.user, this.#clock.wall(), this.#config.skew)) throw new Refusal("invalid_token");
    const code = await this.#decide(held, mutating);
    if (code !== "ok") throw new Refusal(code);
    return held.user; // by what is known now
  }

  #held(token) {
    if (!this.#keys.trusted(this.#steady())) return undefined;
    const young = this.#young.get(token);
    if (young) return young;
    const old = this.#old.get(token);
    if (old) this.#remember(token, old); // used again: it stays
    return old;
  }

  #remember(token, held) {
    if (this.#young.size >= seenMax) [this.#old, this.#young] = [this.#young, new Map()];
    this.#young.set(token, held);
  }

  async #verified(token) {
    const envelope = open(token, typeAccess);
    if (!envelope) throw new Refusal("invalid_token");
    let found = this.#keys.find(envelope.kid, this.#steady());
    if (found === "fetch" || (found !== "known" && this.#fetching)) found = await this.#awaitKey(envelope.kid);
    if (found === "unavailable") throw new Refusal("auth_unavailable");
    // From here to the end nothing waits, so that the key is one of the present set.
    const user = verifies(envelope, this.#keys.known.get(envelope.kid)) ? read(envelope, this.#config, token) : undefined;
    if (!user) throw new Refusal("invalid_token");
    const held = { user, confirmed: 0, reply: "", asked: undefined, asking: undefined };
    if (current(user, this.#clock.wall(), this.#config.skew)) this.#remember(token, held);
    return held;
  }

  async #awaitKey(kid) {
    let timer;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, keyWait, "late");
    });
    const first = await Promise.race([this.#fetch(), late]);
    clearTimeout(timer);
    return first === "late" ? "unavailable" : this.#keys.settle(kid, this.#steady());
  }

  async #decide(held, mutating) {
    const posture = this.#config.posture;
    const age = () => (this.#feed.beat === undefined ? Infinity : this.#steady() - this.#feed.beat);
    const judge = () => this.#feed.judge(held.user.rights, held.confirmed);
    const verdict = judge();
    const code = decide(posture, age(), verdict, mutating, "");
    if (code !== "ask") return code;
    const overtaken = held.reply === "live" && (verdict === "unknown" || verdict === "referred");
    const repeat = held.asked === undefined || this.#steady() - held.asked > replyLife || overtaken;
    if (repeat || held.asking) await (held.asking ??= this.#ask(held));
    return decide(posture, age(), judge(), mutating, held.reply);
  }

  // Requests with one token share one question.
  async #ask(held) {
    const [asked, atLeast] = [this.#steady(), this.#feed.at];
    const [reply, told] = await this.#nodes.vouch(this.#config.issuer, held.user);
    [held.reply, held.asked, held.asking] = [reply, asked, undefined];
    if (reply !== "live" || told.index < atLeast) return; // what is older than what is known
    held.confirmed = told.index;
    if (held.user.rights.referred) held.user = held.user.with(told);
  }

  // Joins the fetch under way or begins one.
  #fetch() {
    return (this.#fetching ??= this.#fetchKeys().finally(() => {
      this.#fetching = undefined;
      clearTimeout(this.#timer);
      if (this.#closing.signal.aborted) return;
      const wait = this.#again ? 0 : Math.max(this.#keys.due - this.#steady(), backoffMin);
      this.#again = false;
      this.#timer = setTimeout(() => this.#fetch(), wait * 1000).unref();
    }));
  }

  async #fetchKeys() {
    const answer = await this.#nodes.keySet(this.#config.issuer, this.#keys.etag);
    const now = this.#steady();
    if (this.#keys.take(answer, now, jitter())) {
      // What another key has signed is to be verified anew.
      this.#young.clear();
      this.#old.clear();
      this.#watches.look();
    }
    if (this.#keys.fetched !== now) this.#config.log(`authfi: keys not refreshed; those there are stay: ${answer.error ?? answer.status}`);
    const apart = Math.abs(this.#clock.wall() - answer.date / 1000);
    if (apart > skewWarning && !this.#skewed) {
      this.#skewed = true;
      this.#config.log(`authfi: this machine's clock and the issuer's are ${apart.toFixed(1)} s apart`);
    }
    this.#markReady();
    this.#heartbeatAgain();
  }

  /**
   * For gauges, in seconds: how old the keys and the last heartbeat are, undefined if
   * there are none, and the index up to which the feed has been followed.
   */
  status() {
    const age = (since) => (since === undefined ? undefined : this.#steady() - since);
    return { keysAge: age(this.#keys.fetched), feedAge: age(this.#feed.beat), index: this.#feed.at };
  }

  // Follows the feed, on one node after the other.
  async #keepFeed() {
    const closing = this.#closing.signal;
    for (let backoff = backoffMin; !closing.aborted; ) {
      const begun = this.#steady();
      try {
        this.#waiting = undefined; // it was of another stream
        if (this.#feed.at === 0) this.#feed.start(await this.#nodes.now(this.#config.org, this.#config.apiKey));
        await this.#nodes.follow(this.#config.org, this.#feed.at, this.#feed.ordinal, this.#config.apiKey, (m) => this.#hear(m), closing);
      } catch (error) {
        if (closing.aborted) return;
        this.#config.log(`authfi: the feed of ${this.#nodes.base} broke off: ${error.message}`);
      }
      this.#nodes.next();
      backoff = this.#steady() - begun > backoffMax ? backoffMin : Math.min(2 * backoff, backoffMax);
      await new Promise((resolve) => setTimeout(resolve, backoff * (1 + jitter()) * 1000).unref());
    }
  }

  // Takes in a message; whether it tells that the stream is alive, which a heartbeat must
  // prove.
  #hear(m) {
    if (m.type === "heartbeat") return this.#heartbeat(m, this.#steady());
    if (m.type === "resync") this.#waiting = undefined;
    const keysChanged = this.#feed.hear(m, this.#steady());
    this.#watches.look();
    // A fetch under way may have begun too early.
    if (keysChanged && this.#fetching) this.#again = true;
    else if (keysChanged) this.#fetch();
    return true;
  }

  // One that is not proven changes nothing: neither how fresh the feed is nor the place to
  // go on from. One whose key is not known waits until the keys have been fetched.
  #heartbeat(m, heard) {
    const envelope = open(m.proof, typeHeartbeat);
    const found = envelope && this.#keys.find(envelope.kid, this.#steady());
    if (envelope && found !== "known") {
      this.#waiting = { m, heard, kid: envelope.kid };
      if (found === "fetch") this.#fetch();
      return false;
    }
    if (!envelope || !proves(envelope, this.#keys.known.get(envelope.kid), this.#config, m.index, this.#clock.wall())) {
      this.#config.log(`authfi: a heartbeat of ${this.#nodes.base} without a good proof`);
      return false;
    }
    this.#feed.hear(m, heard);
    this.#markReady();
    this.#watches.look();
    return true;
  }

  // After a fetch. One that has failed is waited for no longer than the proof is good.
  #heartbeatAgain() {
    const waiting = this.#waiting;
    if (!waiting) return;
    const found = this.#keys.settle(waiting.kid, this.#steady());
    if (found !== "unavailable") this.#waiting = undefined;
    if (found === "known") this.#heartbeat(waiting.m, waiting.heard);
  }

  /**
   * The user of a request who holds all the permissions; throws a Refusal. The request
   * is one of node's http or of the web.
   */
  async admit(req, ...permissions) {
    const user = await this.verify(bearer(authorization(req)), { mutating: isMutating(req.method) });
    const missing = permissions.filter((p) => !user.can(p));
    if (missing.length > 0) throw new Refusal("insufficient_permission", permissions, missing);
    return user;
  }

  /**
   * For what stays open: a signal that aborts when the user's token would be refused, at
   * once when the feed says so, and within a second when it runs out or the posture
   * wants it. The reason is the Refusal. release() frees it.
   */
  watch(user, { mutating = false } = {}) {
    return this.#watches.add(user, mutating);
  }

  /** What can be said of a token at once: "ok", "ask", or the code of a refusal. */
  #glance(user, mutating) {
    if (!current(user, this.#clock.wall(), this.#config.skew)) return "invalid_token";
    const held = this.#held(user.token);
    if (!held) return "ask"; // other keys than those that it was verified with
    const age = this.#feed.beat === undefined ? Infinity : this.#steady() - this.#feed.beat;
    return decide(this.#config.posture, age, this.#feed.judge(user.rights, held.confirmed), mutating, "");
  }
}

const isMutating = (method) => !["GET", "HEAD", "OPTIONS"].includes(method);

// node keeps the first of two Authorization headers; the raw ones tell of both. Those of
// the web are joined, which is malformed, too.
function authorization(req) {
  const one = typeof req.headers.get === "function" ? req.headers.get("authorization") : req.headers.authorization;
  if (!req.rawHeaders) return one === undefined || one === null ? [] : [one];
  return req.rawHeaders.filter((_, i, all) => i % 2 === 1 && all[i - 1].toLowerCase() === "authorization");
}

// Whatever else went wrong, it is not the caller's token.
const asRefusal = (error) => (error instanceof Refusal ? error : new Refusal("auth_unavailable"));

function resolvers() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
}

module.exports = { Core, asRefusal, isMutating };
