"use strict";
const { parseObject, isNumber } = require("./json.cjs");
const { isIndex } = require("./rights.cjs");
const { decode, verifies } = require("./token.cjs");

const typeHeartbeat = "heartbeat+jwt";
const proofLife = 15; // seconds: three heartbeats

/**
 * Whether a key has signed, a moment ago, that everything of the organization up to an
 * index was told. Without that, whoever stands between could keep a follower in the past
 * by telling it old heartbeats.
 */
function proves(envelope, key, rules, index, now) {
  const bytes = decode(envelope.payload);
  const o = bytes && verifies(envelope, key) ? parseObject(bytes) : undefined;
  return (
    o !== undefined && o.iss === rules.issuer && o.org_id === rules.org && isIndex(o.index) && o.index === index &&
    isNumber(o.iat) && isNumber(o.exp) && o.exp - o.iat <= proofLife && now < o.exp + rules.skew
  );
}

module.exports = { typeHeartbeat, proves };
