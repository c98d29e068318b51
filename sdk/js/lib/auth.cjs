"use strict";
const { configure } = require("./config.cjs");
const { Feed } = require("./feed.cjs");
const { Keys } = require("./keys.cjs");
const { Nodes } = require("./nodes.cjs");
const { mustBePermissions } = require("./permission.cjs");
const { decide } = require("./posture.cjs");
const { Refusal, bearer } = require("./problem.cjs");
const { open, verifies, read, current } = require("./token.cjs");

const keyWait = 2_000; // milliseconds, for a key that is being fetched
const replyLife = 1; // seconds, of a node's word on a token, while the feed is behind
const backoffMin = 0.2; // seconds, as all below
const backoffMax = 5;
const jitterRange = 0.2;
const startMax = 0.1; // processes that start together do not fetch together
const skewWarning = 2;
const seenMax = 5_000; // verified tokens of a generation, of which two are kept

const wall = () => Date.now() / 1000;
const steady = () => performance.now() / 1000;
const jitter = () => jitterRange * (2 * Math.random() - 1);

/** Verifies tokens of one organization. */
class Auth {
  #config;
  #nodes;
  #keys = new Keys(steady());
  #feed = new Feed();
  #young = new Map(); // verified tokens by their whole text
  #old = new Map();
  #fetching; // the fetch under way
  #again = false; // one more behind it
  #skewed = false; // said that the clocks are apart
  #timer;
  #closing = new AbortController();
  #ready = resolvers();

  constructor(options) {
    this.#config = configure(options);
    this.#nodes = new Nodes(this.#config.nodes, this.#config.ca);
    if (this.#config.keySet !== undefined) {
      const body = Buffer.from(typeof this.#config.keySet === "string" ? this.#config.keySet : JSON.stringify(this.#config.keySet));
      this.#keys.take({ status: 200, body }, steady(), 0);
      if (this.#keys.fetched === undefined) throw new TypeError("authfi: the key set given has no usable key");
    }
    this.#timer = setTimeout(() => this.#fetch(), Math.random() * startMax * 1000).unref();
    if (this.#config.posture !== "offline") this.#keepFeed();
  }

  /** Ends what the constructor has begun. */
  close() {
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
    if (!current(held.user, wall(), this.#config.skew)) throw new Refusal("invalid_token");
    const code = await this.#decide(held, mutating);
    if (code !== "ok") throw new Refusal(code);
    return held.user;
  }

  #held(token) {
    if (!this.#keys.trusted(steady())) return undefined;
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
    const envelope = open(token);
    if (!envelope) throw new Refusal("invalid_token");
    let found = this.#keys.find(envelope.kid, steady());
    if (found === "fetch" || (found !== "known" && this.#fetching)) found = await this.#awaitKey(envelope.kid);
    if (found === "unavailable") throw new Refusal("auth_unavailable");
    // From here to the end nothing waits, so that the key is one of the present set.
    const user = verifies(envelope, this.#keys.known.get(envelope.kid)) ? read(envelope, this.#config, token) : undefined;
    if (!user) throw new Refusal("invalid_token");
    const held = { user, confirmed: 0, reply: "", asked: undefined, asking: undefined };
    if (current(user, wall(), this.#config.skew)) this.#remember(token, held);
    return held;
  }

  async #awaitKey(kid) {
    let timer;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, keyWait, "late");
    });
    const first = await Promise.race([this.#fetch(), late]);
    clearTimeout(timer);
    return first === "late" ? "unavailable" : this.#keys.settle(kid, steady());
  }

  async #decide(held, mutating) {
    const posture = this.#config.posture;
    const age = () => (this.#feed.beat === undefined ? Infinity : steady() - this.#feed.beat);
    const judge = () => this.#feed.judge(held.user.claims, held.confirmed);
    const verdict = judge();
    const code = decide(posture, age(), verdict, mutating, "");
    if (code !== "ask") return code;
    const repeat = held.asked === undefined || steady() - held.asked > replyLife || (verdict === "unknown" && held.reply === "live");
    if (repeat || held.asking) await (held.asking ??= this.#ask(held));
    return decide(posture, age(), judge(), mutating, held.reply);
  }

  // Requests with one token share one question.
  async #ask(held) {
    const [asked, atLeast] = [steady(), this.#feed.at];
    const [reply, at] = await this.#nodes.vouch(held.user, atLeast);
    [held.reply, held.asked, held.asking] = [reply, asked, undefined];
    if (reply === "live" && at >= atLeast) held.confirmed = at;
  }

  // Joins the fetch under way or begins one.
  #fetch() {
    return (this.#fetching ??= this.#fetchKeys().finally(() => {
      this.#fetching = undefined;
      clearTimeout(this.#timer);
      if (this.#closing.signal.aborted) return;
      const wait = this.#again ? 0 : Math.max(this.#keys.due - steady(), backoffMin);
      this.#again = false;
      this.#timer = setTimeout(() => this.#fetch(), wait * 1000).unref();
    }));
  }

  async #fetchKeys() {
    const answer = await this.#nodes.keySet(this.#config.issuer, this.#keys.etag);
    const now = steady();
    if (this.#keys.take(answer, now, jitter())) {
      // What another key has signed is to be verified anew.
      this.#young.clear();
      this.#old.clear();
    }
    if (this.#keys.fetched !== now) this.#config.log(`authfi: keys not refreshed; those there are stay: ${answer.error ?? answer.status}`);
    const apart = Math.abs(Date.now() - answer.date) / 1000;
    if (apart > skewWarning && !this.#skewed) {
      this.#skewed = true;
      this.#config.log(`authfi: this machine's clock and the issuer's are ${apart.toFixed(1)} s apart`);
    }
    this.#markReady();
  }

  /**
   * For gauges, in seconds: how old the keys and the last heartbeat are, undefined if
   * there are none, and the index up to which the feed has been followed.
   */
  status() {
    const age = (since) => (since === undefined ? undefined : steady() - since);
    return { keysAge: age(this.#keys.fetched), feedAge: age(this.#feed.beat), index: this.#feed.at };
  }

  // Follows the feed, on one node after the other.
  async #keepFeed() {
    const closing = this.#closing.signal;
    for (let backoff = backoffMin; !closing.aborted; ) {
      const begun = steady();
      try {
        if (this.#feed.at === 0) this.#feed.start(await this.#nodes.now(this.#config.org, this.#config.apiKey));
        await this.#nodes.follow(this.#config.org, this.#feed.at, this.#feed.ordinal, this.#config.apiKey, (m) => this.#hear(m), closing);
      } catch (error) {
        if (closing.aborted) return;
        this.#config.log(`authfi: the feed of ${this.#nodes.base} broke off: ${error.message}`);
      }
      this.#nodes.next();
      backoff = steady() - begun > backoffMax ? backoffMin : Math.min(2 * backoff, backoffMax);
      await new Promise((resolve) => setTimeout(resolve, backoff * (1 + jitter()) * 1000).unref());
    }
  }

  #hear(m) {
    const keysChanged = this.#feed.hear(m, steady());
    this.#markReady();
    if (!keysChanged) return;
    // A fetch under way may have begun too early.
    if (this.#fetching) this.#again = true;
    else this.#fetch();
  }

  /** The user of a request who holds all the permissions; throws a Refusal. */
  async admit(req, ...permissions) {
    const headers = authorization(req);
    const mutating = !["GET", "HEAD", "OPTIONS"].includes(req.method);
    const user = await this.verify(bearer(headers), { mutating });
    const missing = permissions.filter((p) => !user.can(p));
    if (missing.length > 0) throw new Refusal("insufficient_permission", permissions, missing);
    return user;
  }

  /** Express middleware: lets requests through whose user holds all the permissions. */
  require(...permissions) {
    mustBePermissions(permissions);
    return this.#middleware(permissions);
  }

  /** Express middleware: lets every user through. */
  authenticated() {
    return this.#middleware([]);
  }

  #middleware(permissions) {
    return async (req, res, next) => {
      if (await this.#guard(req, res, permissions)) next();
    };
  }

  /** A handler of node's http around another. */
  protect(handler, ...permissions) {
    mustBePermissions(permissions);
    return async (req, res) => {
      if (await this.#guard(req, res, permissions)) return handler(req, res);
    };
  }

  async #guard(req, res, permissions) {
    try {
      req.user = await this.admit(req, ...permissions);
      return true;
    } catch (error) {
      // Whatever went wrong here, it is not the caller's token.
      const refusal = error instanceof Refusal ? error : new Refusal("auth_unavailable");
      refusal.send(res);
      return false;
    }
  }
}

// node keeps the first of two Authorization headers; the raw ones tell of both.
function authorization(req) {
  if (!req.rawHeaders) return req.headers.authorization === undefined ? [] : [req.headers.authorization];
  return req.rawHeaders.filter((_, i, all) => i % 2 === 1 && all[i - 1].toLowerCase() === "authorization");
}

function resolvers() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
}

module.exports = { Auth };
