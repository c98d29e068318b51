"use strict";
const https = require("node:https");
const { followed } = require("./feed.cjs");
const { setMax } = require("./keys.cjs");
const { permissionsPath, replyOf } = require("./rights.cjs");

const fetchTimeout = 5_000; // milliseconds, as all times here
const replyTimeout = 1_000; // of each node
const silenceMax = 15_000; // three heartbeats
const replyMax = 4 * 1024 * 1024; // bytes; all that a user holds, by name
const lineMax = 64 * 1024; // characters of one message of the feed

// The same at every node.
const issuerPath = (issuer) => issuer.slice(issuer.indexOf("/o/"));

/** The cluster as a client sees it: one node after the other, when one does not answer. */
class Nodes {
  #turn = 0;
  #agent;

  constructor(bases, ca) {
    this.bases = bases;
    this.#agent = new https.Agent({ ca, keepAlive: true, minVersion: "TLSv1.2" });
  }

  get base() {
    return this.bases[this.#turn % this.bases.length];
  }

  next() {
    this.#turn++;
  }

  close() {
    this.#agent.destroy();
  }

  /** Sends a request; the answer comes as soon as its headers do. */
  #send(method, path, token, headers, signal) {
    return new Promise((resolve, reject) => {
      const authorization = token ? { authorization: `Bearer ${token}` } : {};
      const request = https.request(this.base + path, { method, agent: this.#agent, headers: { ...authorization, ...headers }, signal }, resolve);
      request.on("error", reject);
      request.on("socket", (socket) => socket.unref()); // a program may end while it follows
      request.end();
    });
  }

  /** Sends a request and reads at most max bytes of the answer. */
  async #ask(method, path, token, headers, timeout, max) {
    try {
      const signal = AbortSignal.timeout(timeout);
      const response = await this.#send(method, path, token, headers, signal);
      const parts = [];
      let size = 0;
      for await (const part of response) {
        parts.push(part);
        if ((size += part.length) > max) break;
      }
      if (response.statusCode >= 500) this.next();
      return { status: response.statusCode, headers: response.headers, body: Buffer.concat(parts) };
    } catch (error) {
      this.next();
      throw error;
    }
  }

  /** Asks each node once at most for the key set. */
  async keySet(issuer, etag) {
    const path = issuerPath(issuer) + "/.well-known/jwks.json";
    let answer = { status: 0 };
    for (let n = 0; n < this.bases.length; n++) {
      try {
        const got = await this.#ask("GET", path, "", etag ? { "if-none-match": etag } : {}, fetchTimeout, setMax);
        const age = /(?:^|[ ,])max-age=([0-9]+)/.exec(got.headers["cache-control"] ?? "");
        answer = { status: got.status, body: got.body, etag: got.headers.etag, maxAge: age ? Number(age[1]) : 0, date: Date.parse(got.headers.date) };
        if (got.status < 500) break;
      } catch (error) {
        answer.error = error;
      }
    }
    return answer;
  }

  /**
   * Asks about a token, with that token: whoever holds it may ask what it permits. A node
   * answers from a state that misses nothing, or with 503.
   */
  async vouch(issuer, user) {
    for (let n = 0; n < this.bases.length; n++) {
      const [reply, told] = await this.#vouchOnce(issuer, user);
      if (reply !== "failed") return [reply, told];
    }
    return ["failed", undefined];
  }

  async #vouchOnce(issuer, user) {
    try {
      const got = await this.#ask("GET", issuerPath(issuer) + permissionsPath, user.token, {}, replyTimeout, replyMax);
      return got.body.length > replyMax ? ["failed", undefined] : replyOf(user, got.status, got.body);
    } catch {
      return ["failed", undefined];
    }
  }

  #path(org, at, ordinal) {
    const query = new URLSearchParams({ org_id: org });
    for (const type of followed) query.append("type", type);
    if (at > 0) query.set("after", String(at));
    if (at > 0 && ordinal !== undefined) query.set("after_ordinal", String(ordinal));
    return `/api/v1/events?${query}`;
  }

  /** The index that a node has applied. */
  async now(org, key) {
    const got = await this.#ask("HEAD", this.#path(org), key, {}, fetchTimeout, 0);
    const index = Number(got.headers["x-authfi-index"]);
    if (got.status !== 200 || !Number.isSafeInteger(index)) throw new Error(`the feed is refused with ${got.status}`);
    return index;
  }

  /**
   * Reads a stream until it ends, which it always does with an error. hear says whether a
   * message tells that the stream is alive.
   */
  async follow(org, at, ordinal, key, hear, closing) {
    const silent = new AbortController();
    const listen = () => setTimeout(() => silent.abort(new Error("the feed is silent")), silenceMax).unref();
    let silence = listen();
    try {
      const signal = AbortSignal.any([silent.signal, closing]);
      const response = await this.#send("GET", this.#path(org, at, ordinal), key, { accept: "text/event-stream" }, signal);
      if (response.statusCode !== 200) {
        response.destroy();
        throw new Error(`the feed is refused with ${response.statusCode}`);
      }
      let rest = "";
      response.setEncoding("utf8");
      for await (const part of response) {
        const messages = (rest + part).split("\n\n");
        rest = messages.pop();
        if (rest.length > lineMax) throw new Error("a message of the feed is too long");
        for (const message of messages) {
          const data = message.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5)).join("\n");
          if (data === "") continue;
          if (!hear(JSON.parse(data))) continue; // what is not understood is not skipped
          clearTimeout(silence);
          silence = listen();
        }
      }
      throw new Error("the feed has ended");
    } finally {
      clearTimeout(silence);
    }
  }
}

module.exports = { Nodes };
