"use strict";
const crypto = require("node:crypto");
const { parseObject, isObject, has, isText, isTexts } = require("./json.cjs");
const { decode, kidMax } = require("./token.cjs");

const setMax = 256 * 1024; // bytes of a key set
const refreshDefault = 300; // seconds, as all below
const refreshMin = 60;
const refreshMax = 3600;
const retryAfter = 10; // a fetch that has failed
const staleMax = 24 * 3600; // keys serve so long while their source fails
const tokensMax = 3; // refetches for unknown kids at once; a forged kid cannot take all
const tokenEvery = 10; // and one more
const missesMax = 128;
const missLife = 60;

/**
 * Reads the keys that are of use here and leaves out those of other types and
 * purposes. A set that names two keys alike, or none, is not taken.
 */
function parseSet(body) {
  if (body.length > setMax) return undefined;
  const set = parseObject(body);
  const keys = new Map();
  for (const jwk of (set && Array.isArray(set.keys) && set.keys) || []) {
    const key = isObject(jwk) && isText(jwk.kid) && Buffer.byteLength(jwk.kid) <= kidMax && parseKey(jwk);
    if (!key) continue;
    if (keys.has(jwk.kid)) return undefined;
    keys.set(jwk.kid, key);
  }
  return keys.size > 0 ? keys : undefined;
}

function parseKey(jwk) {
  if (has(jwk, "d")) return undefined; // whoever publishes it has lost it
  if (has(jwk, "use") && jwk.use !== "sig") return undefined;
  if (has(jwk, "key_ops") && !(isTexts(jwk.key_ops) && jwk.key_ops.includes("verify"))) return undefined;
  let alg, plain;
  if (jwk.kty === "EC" && jwk.crv === "P-256" && isCoordinate(jwk.x) && isCoordinate(jwk.y)) {
    [alg, plain] = ["ES256", { kty: "EC", crv: "P-256", x: jwk.x, y: jwk.y }];
  } else if (jwk.kty === "OKP" && jwk.crv === "Ed25519" && isCoordinate(jwk.x)) {
    [alg, plain] = ["EdDSA", { kty: "OKP", crv: "Ed25519", x: jwk.x }];
  }
  if (!alg || (has(jwk, "alg") && jwk.alg !== alg)) return undefined;
  try {
    return { alg, public: crypto.createPublicKey({ key: plain, format: "jwk" }), text: JSON.stringify(plain) };
  } catch {
    return undefined; // no point of the curve
  }
}

const isCoordinate = (value) => decode(value)?.length === 32;

/**
 * The state of the key set. The owner fetches when it says so, and tells it what
 * came of it. It does no input or output; times are seconds.
 */
class Keys {
  known = new Map();
  etag = "";
  fetched; // when the set was last vouched for
  due = 0; // when to fetch next
  failing = false; // the last fetch has told nothing
  #budget = tokensMax; // refetches that unknown kids may cause
  #counted;
  #misses = new Map(); // in the order of their times

  constructor(now) {
    this.#counted = now;
  }

  trusted(now) {
    return this.fetched !== undefined && now - this.fetched <= staleMax;
  }

  /** known, fetch (then settle), unknown or unavailable. A fetch spends budget. */
  find(kid, now) {
    if (!this.trusted(now)) return this.#spend(now) ? "fetch" : "unavailable";
    if (this.known.has(kid)) return "known";
    const missed = this.#misses.get(kid);
    if (missed !== undefined && now - missed < missLife) return "unknown";
    if (this.#spend(now)) return "fetch";
    return this.failing ? "unavailable" : "unknown";
  }

  /**
   * Looks again after a fetch and remembers a kid that is not there, unless the fetch
   * has failed: that is nobody's forgery.
   */
  settle(kid, now) {
    if (!this.trusted(now)) return "unavailable";
    if (this.known.has(kid)) return "known";
    if (this.failing) return "unavailable";
    this.#misses.delete(kid);
    if (this.#misses.size >= missesMax) this.#misses.delete(this.#misses.keys().next().value);
    this.#misses.set(kid, now);
    return "unknown";
  }

  #spend(now) {
    if (now > this.#counted) {
      this.#budget = Math.min(tokensMax, this.#budget + (now - this.#counted) / tokenEvery);
      this.#counted = now;
    }
    if (this.#budget < 1) return false;
    this.#budget--;
    return true;
  }

  /**
   * Accepts a set or keeps what there is: {status, body, etag, maxAge}, status 0 for
   * no answer. jitter is within ±0.2. Whether the keys have changed.
   */
  take(answer, now, jitter) {
    let changed = false;
    let fresh = answer.status === 304 && this.fetched !== undefined;
    const set = answer.status === 200 ? parseSet(answer.body) : undefined;
    if (set) {
      changed = !sameKeys(this.known, set);
      fresh = true;
      this.known = set;
      this.etag = answer.etag ?? "";
    }
    this.failing = !fresh;
    let wait = retryAfter;
    if (fresh) {
      this.fetched = now;
      wait = answer.maxAge > 0 ? Math.min(Math.max(answer.maxAge, refreshMin), refreshMax) : refreshDefault;
    }
    this.due = now + wait * (1 + jitter);
    return changed;
  }
}

function sameKeys(a, b) {
  if (a.size !== b.size) return false;
  for (const [kid, key] of a) if (b.get(kid)?.text !== key.text) return false;
  return true;
}

module.exports = { Keys, parseSet, setMax };
