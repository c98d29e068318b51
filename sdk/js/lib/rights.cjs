"use strict";
const { parseObject, isObject, has, isText, isTexts, isNumber } = require("./json.cjs");
const { isPermission } = require("./permission.cjs");

// Below the issuer, where a token's user's rights are told that the token does not hold
// itself. No token names another address that is asked.
const permissionsPath = "/oauth2/permissions";
const lists = ["permissions", "roles", "groups"];

const isIndex = (value) => isNumber(value) && Number.isInteger(value);

/**
 * What the user of verified claims may do, in whichever form they say it: listed,
 * grouped by noun, or by reference. A claim that is not there is none of them. ri is the
 * index of the state that it is taken from.
 */
function readRights(claims, issuer) {
  if (!lists.every((name) => has(claims, name)) || !isTexts(claims.roles) || !isTexts(claims.groups)) return undefined;
  const permissions = isTexts(claims.permissions) ? new Set(claims.permissions) : ungroup(claims.permissions);
  if (!permissions || !isIndex(claims.ri)) return undefined;
  const { sub, sid, roles, groups, ri } = claims;
  const referred = reference(claims, permissions, issuer + permissionsPath);
  return referred === undefined ? undefined : { sub, sid, roles, groups, permissions, ri, referred, told: false };
}

// The verbs of each noun, with one space between.
function ungroup(nouns) {
  if (!isObject(nouns)) return undefined;
  const held = [];
  for (const [noun, verbs] of Object.entries(nouns)) {
    if (!isText(verbs)) return undefined;
    held.push(...verbs.split(" ").map((verb) => `${verb}:${noun}`));
  }
  return held.every(isPermission) ? new Set(held) : undefined;
}

// Whether the permissions are referred to; undefined where it is no form. What is
// referred to is not held, roles and groups are so only together and beside the
// permissions, and all are at one address.
function reference(claims, permissions, address) {
  const there = lists.filter((name) => has(claims, `${name}_ref`));
  if (there.some((name) => claims[`${name}_ref`] !== address)) return undefined;
  if (there.length === 0) return false;
  if (permissions.size > 0 || !there.includes("permissions") || there.length === 2) return undefined;
  return there.length === 1 || claims.roles.length + claims.groups.length === 0 ? true : undefined;
}

function readTold(body) {
  const o = parseObject(body);
  if (!o || !lists.every((name) => has(o, name) && isTexts(o[name])) || !isIndex(o.index)) return undefined;
  return { permissions: new Set(o.permissions), roles: o.roles, groups: o.groups, index: o.index };
}

/** What a node answers to who asks with the user's token: the reply, and what it told. */
function replyOf(user, status, body) {
  if (status === 401) return ["revoked", undefined];
  const told = status === 200 ? readTold(body) : undefined;
  if (!told) return ["failed", undefined];
  return [user.rights.referred || same(user.permissions, told.permissions) ? "live" : "stale", told];
}

const same = (a, b) => a.size === b.size && [...a].every((p) => b.has(p));

module.exports = { permissionsPath, isIndex, readRights, replyOf, same };
