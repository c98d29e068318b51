"use strict";
const crypto = require("node:crypto");
const { parseObject, has, isText, isTexts, isNumber } = require("./json.cjs");
const { allows } = require("./permission.cjs");
const { readRights } = require("./rights.cjs");

const tokenMax = 16 * 1024; // bytes; servers refuse headers that are longer
const typeAccess = "at+jwt"; // RFC 9068
const kidMax = 128; // bytes
const lifeMax = 3600; // seconds
const signatureSize = 64; // of ES256 and of Ed25519

// Header names that would say which key to trust, or change what is signed. Nothing
// that a token says about its own verification is followed.
const forbidden = ["jku", "jwk", "x5u", "x5c", "crit", "b64", "zip"];
const alphabet = /^[A-Za-z0-9_-]*$/;

/** Who a verified token speaks of. */
class User {
  constructor(claims, token, rights = readRights(claims, claims.iss)) {
    this.id = claims.sub;
    this.orgId = claims.org_id;
    this.sessionId = claims.sid;
    this.roles = Object.freeze([...rights.roles]);
    this.groups = Object.freeze([...rights.groups]);
    this.permissions = rights.permissions;
    this.methods = Object.freeze([...claims.amr]);
    this.claims = claims;
    Object.defineProperty(this, "token", { value: token }); // not shown in logs
    Object.defineProperty(this, "rights", { value: rights });
  }

  /**
   * The user of a token by reference, who holds what was told. The index of that takes
   * the place of the token's.
   */
  with({ permissions, roles, groups, index }) {
    return new User(this.claims, this.token, { ...this.rights, permissions, roles, groups, ri: index, told: true });
  }

  can(permission) {
    return allows(this.permissions, permission);
  }

  canAny(...permissions) {
    return permissions.some((p) => this.can(p));
  }

  canAll(...permissions) {
    return permissions.length > 0 && permissions.every((p) => this.can(p));
  }
}

/**
 * Reads base64url as RFC 7515 writes it: no padding, and no bits that do not count,
 * so that a token has one spelling.
 */
function decode(text) {
  if (typeof text !== "string" || text.endsWith("\n") || !alphabet.test(text)) return undefined;
  const bytes = Buffer.from(text, "base64url");
  return bytes.toString("base64url") === text ? bytes : undefined;
}

/** Takes a token of a type apart; nothing of it is believed. */
function open(token, type) {
  if (typeof token !== "string" || token.length > tokenMax) return undefined;
  const parts = token.split(".", 4);
  if (parts.length !== 3) return undefined;
  const bytes = decode(parts[0]);
  const header = bytes && parseObject(bytes);
  if (!header || forbidden.some((name) => has(header, name))) return undefined;
  const signature = decode(parts[2]);
  if (!signature || header.typ !== type || !isText(header.kid) || Buffer.byteLength(header.kid) > kidMax) return undefined;
  return { alg: header.alg, kid: header.kid, signed: token.slice(0, parts[0].length + 1 + parts[1].length), payload: parts[1], signature };
}

/** The algorithm is the key's; the header may only agree with it. */
function verifies(envelope, key) {
  if (!key || envelope.alg !== key.alg || envelope.signature.length !== signatureSize) return false;
  const input = Buffer.from(envelope.signed, "latin1");
  if (key.alg === "EdDSA") return crypto.verify(null, input, key.public, envelope.signature);
  return crypto.verify("sha256", input, { key: key.public, dsaEncoding: "ieee-p1363" }, envelope.signature);
}

/** The user of a token whose signature was verified, or undefined. */
function read(envelope, rules, token) {
  const bytes = decode(envelope.payload);
  const claims = bytes && parseObject(bytes);
  if (!claims || !addressed(claims, rules) || !timed(claims) || !named(claims)) return undefined;
  if (rules.org && claims.org_id !== rules.org) return undefined;
  if (has(claims, "cnf")) return undefined; // whoever bears it may have stolen it; no proof is looked at here
  const rights = readRights(claims, rules.issuer);
  return rights && new User(claims, token, rights);
}

function addressed(claims, rules) {
  if (!rules.issuer || !rules.audience || claims.iss !== rules.issuer) return false;
  if (isText(claims.aud)) return claims.aud === rules.audience;
  return isTexts(claims.aud) && claims.aud.includes(rules.audience);
}

// iat is not judged by the clock: it says when the token was made, not from when it
// counts.
function timed(claims) {
  return (
    isNumber(claims.iat) && isNumber(claims.exp) && claims.exp - claims.iat <= lifeMax &&
    (!has(claims, "nbf") || isNumber(claims.nbf))
  );
}

// Every claim is demanded: one that is empty is not absent.
function named(claims) {
  return ["sub", "org_id", "sid", "jti"].every((name) => has(claims, name) && isText(claims[name])) && has(claims, "amr") && isTexts(claims.amr);
}

/** Holds a token against the clock; all in seconds. */
function current(user, now, skew) {
  return now < user.claims.exp + skew && now >= (user.claims.nbf ?? 0) - skew;
}

module.exports = { User, typeAccess, decode, open, verifies, read, current, kidMax, lifeMax };
