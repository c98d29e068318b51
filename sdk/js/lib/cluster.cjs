"use strict";
// One way to ask the nodes of a cluster, over REST: which node is asked, repetition,
// conditions, pages and errors. The operations are rows of the API's document.
const { randomUUID } = require("node:crypto");
const { readFileSync } = require("node:fs");
const https = require("node:https");
const { setTimeout: pauseFor } = require("node:timers/promises");

const patienceDefault = 30_000; // milliseconds, as all times here; a leader is found in a few seconds
const replyTimeout = 10_000; // of one node: twice what a node waits for the others
const pauseFirst = 50;
const pauseMax = 1_000;
const answerMax = 128 * 1024 * 1024; // bytes; a page of 1,000 users, each with all it may have
const indexHeader = "x-authfi-index";

// Statuses that say that the same request may be answered otherwise soon. Zero: nobody
// has answered.
const passing = new Set([0, 502, 503, 504]);

/** What a node answers when it does not do what it was asked, or that none has answered. */
class Problem extends Error {
  constructor(operation, status, said = {}, requestId = "", cause = undefined) {
    const text = (value) => (typeof value === "string" ? value : "");
    const field = text(said.field);
    const detail = text(said.detail);
    const code = text(said.code) || (status === 0 ? "unavailable" : "");
    super(`authfi: ${operation}: ${[status || "no answer", code].join(" ").trim()}${field && `: ${field}`}${detail && `: ${detail}`}`, { cause });
    this.name = "Problem";
    this.operation = operation;
    this.status = status;
    this.code = code;
    this.title = text(said.title);
    this.detail = detail;
    this.field = field;
    this.requestId = requestId;
  }

  /** The kind of failure, for programs. */
  get kind() {
    if (passing.has(this.status)) return "unavailable";
    if (this.status === 412) return this.field === "version" ? "changed" : "condition";
    return { 403: "denied", 404: "not_found", 409: "conflict" }[this.status] ?? "other";
  }
}

/** Options, with the environment for what they leave out, or a TypeError. */
function configure(options = {}, env = process.env) {
  const nodes = (options.nodes ?? (env.AUTHFI_URL ? env.AUTHFI_URL.split(",") : [])).map((node) => node.trim().replace(/\/+$/, ""));
  if (nodes.length === 0) fail("no node is named; AUTHFI_URL has base URLs, with commas");
  for (const node of nodes) if (!node.startsWith("https://")) fail(`${JSON.stringify(node)} is not an https URL of a node`);
  const token = options.token ?? env.AUTHFI_TOKEN ?? "";
  const credential = options.credential ?? (() => token);
  if (!options.credential && !token) fail("there is no credential; AUTHFI_TOKEN has an operator's token, that of a session, or an API key");
  const patience = options.patience ?? patienceDefault;
  if (!(patience > 0)) fail(`a patience of ${patience} ms`);
  const ca = options.ca ?? (env.AUTHFI_CACERT ? readFileSync(env.AUTHFI_CACERT) : undefined);
  return { nodes, credential, patience, ca };
}

function fail(what) {
  throw new TypeError(`authfi: ${what}`);
}

/** The path, with its query, and the body of what is asked. */
function prepare(operation, input) {
  const fields = new Map(Object.entries(input).filter(([, value]) => value !== undefined && value !== null));
  let path = operation.path.replace(/\{(\w+)\}/g, (_, name) => {
    const value = String(fields.get(name) ?? "");
    // One that is empty would make it the path of something else.
    if (value === "" || value === "." || value === "..") fail(`${operation.name} needs ${name}`);
    fields.delete(name);
    return encodeURIComponent(value);
  });
  if (operation.body === "*") return { path, body: JSON.stringify(Object.fromEntries(fields)) };
  let body;
  if (operation.body !== undefined) {
    body = JSON.stringify({ [operation.body]: fields.get(operation.body) ?? [] }); // such a body is a list
    fields.delete(operation.body);
  }
  const query = new URLSearchParams();
  for (const [name, value] of fields) for (const one of [value].flat()) query.append(name, String(one));
  if (query.size > 0) path += `?${query}`;
  return { path, body };
}

/** What is sent besides the fields. What an operation does not take is not left out silently. */
function headersOf(operation, wishes, seen) {
  const headers = { accept: "application/json" };
  if (wishes.newest) headers[indexHeader] = "newest";
  else if (seen > 0) headers[indexHeader] = String(seen);
  if (wishes.ifVersion !== undefined) {
    if (!operation.conditional) fail(`${operation.name} takes no version`);
    if (!Number.isSafeInteger(wishes.ifVersion) || wishes.ifVersion < 1) fail(`${wishes.ifVersion} is no version`);
    headers["if-match"] = `"${wishes.ifVersion}"`;
  }
  if (operation.read && wishes.idempotencyKey !== undefined) fail(`${operation.name} changes nothing and takes no key`);
  if (!operation.read) headers["idempotency-key"] = wishes.idempotencyKey ?? randomUUID();
  return headers;
}

/** The nodes as who asks sees them: one, and the next when it does not answer. */
class Cluster {
  #config;
  #agent;
  #turn = 0;
  #seen = 0;

  constructor(options) {
    this.#config = configure(options);
    this.#agent = new https.Agent({ ca: this.#config.ca, keepAlive: true, minVersion: "TLSv1.2" });
  }

  /** The newest index that an answer has told. */
  get index() {
    return this.#seen;
  }

  /** Demands of every further answer that it is at least as new. */
  reached(index) {
    if (!Number.isSafeInteger(index) || index < 0) fail(`${index} is no index`);
    this.#seen = Math.max(this.#seen, index);
  }

  /** Ends the connections that are kept. */
  close() {
    this.#agent.destroy();
  }

  /** Repeats a request until it is answered for good or the patience ends. */
  async _call(operation, input = {}, wishes = {}) {
    if (operation.local && this.#config.nodes.length > 1) fail(`${operation.name} is about the node that answers: ask with that one alone`);
    const asked = prepare(operation, input);
    const headers = headersOf(operation, wishes, this.#seen);
    const until = Date.now() + this.#config.patience;
    for (let pause = pauseFirst; ; pause = Math.min(2 * pause, pauseMax)) {
      const turn = this.#turn;
      let problem;
      try {
        return await this.#once(operation, asked, headers, until, wishes.signal);
      } catch (error) {
        wishes.signal?.throwIfAborted();
        if (operation.local || !(error instanceof Problem) || error.kind !== "unavailable") throw error;
        problem = error;
      }
      if (this.#turn === turn) this.#turn++; // unless another call has moved on already
      const wait = (pause * (1 + Math.random())) / 2;
      if (Date.now() + wait >= until) throw problem;
      await pauseFor(wait, undefined, { signal: wishes.signal });
    }
  }

  async #once(operation, asked, headers, until, signal) {
    const sent = { ...headers };
    if (asked.body !== undefined) sent["content-type"] = "application/json";
    if (!operation.anonymous) sent.authorization = `Bearer ${await this.#config.credential()}`;
    const node = this.#config.nodes[this.#turn % this.#config.nodes.length];
    const timeout = AbortSignal.timeout(Math.max(1, Math.min(replyTimeout, until - Date.now())));
    let got;
    try {
      got = await this.#send(operation.method, node + asked.path, sent, asked.body, signal ? AbortSignal.any([signal, timeout]) : timeout);
    } catch (error) {
      throw new Problem(operation.name, 0, { detail: error.message }, "", error);
    }
    if (got.status !== 200) throw new Problem(operation.name, got.status, objectIn(got.body ?? Buffer.alloc(0)), got.headers["x-request-id"]);
    if (got.body === undefined) throw new Error(`authfi: the answer to ${operation.name} has more than ${answerMax} bytes`);
    const index = Number(got.headers[indexHeader]);
    if (Number.isSafeInteger(index) && index > 0) this.reached(index);
    const answer = JSON.parse(got.body.toString("utf8"));
    return Object.keys(answer).length > 0 ? answer : undefined;
  }

  /** Sends a request and reads the answer; of one that is too long there is no body. */
  async #send(method, url, headers, body, signal) {
    const response = await new Promise((resolve, reject) => {
      const request = https.request(url, { method, agent: this.#agent, headers, signal }, resolve);
      request.on("error", reject);
      request.end(body);
    });
    const parts = [];
    let size = 0;
    for await (const part of response) {
      parts.push(part);
      if ((size += part.length) > answerMax) return { status: response.statusCode, headers: response.headers };
    }
    return { status: response.statusCode, headers: response.headers, body: Buffer.concat(parts) };
  }

  /** The items of every page, each page asked for when the one before is used up. */
  async *_all(operation, input = {}, wishes = {}) {
    for (let cursor = input.cursor; ; ) {
      const page = await this._call(operation, { ...input, cursor }, wishes);
      yield* page[operation.items];
      if (!page.cursor) return;
      if (page.cursor === cursor) throw new Error("authfi: a page names itself as the next");
      cursor = page.cursor;
    }
  }
}

/** The object in a body. What stands between may answer in a form of its own. */
function objectIn(body) {
  try {
    const value = JSON.parse(body.toString("utf8"));
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}

/** The class that has a method for every operation, and one for all pages of a list. */
function administration(operations) {
  class Admin extends Cluster {}
  for (const [name, operation] of Object.entries(operations)) {
    Admin.prototype[name] = function (input, wishes) {
      return this._call(operation, input, wishes);
    };
    if (operation.every === undefined) continue;
    Admin.prototype[operation.every] = function (input, wishes) {
      return this._all(operation, input, wishes);
    };
  }
  return Admin;
}

module.exports = { Problem, administration };
