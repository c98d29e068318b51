"use strict";

// Ages of the last heartbeat in seconds; there is one every 5.
const freshMax = 15;
const quietMax = 60;

/**
 * Whether a token that verifies is served: "ok", "ask" (a node, then decide again), or
 * the code of the refusal. An age of Infinity is that of a heartbeat that has not
 * come; reply is "", live, revoked, stale or failed.
 */
function decide(posture, age, verdict, mutating, reply) {
  if (posture === "offline") return verdict === "referred" ? "permissions_unavailable" : "ok"; // nobody is asked
  if (verdict === "revoked" || reply === "revoked") return "token_revoked";
  if (verdict === "stale" || reply === "stale") return "token_stale";
  if (posture === "strict" && age > freshMax) return "auth_unavailable";
  if (verdict === "referred" && reply !== "") return "permissions_unavailable"; // not told, or by a node that is behind
  if ((age <= freshMax && verdict === "live") || reply === "live") return "ok";
  if (reply === "") return "ask";
  if (posture === "strict" || (mutating && (age > quietMax || verdict === "unknown"))) return "auth_unavailable";
  return "ok";
}

module.exports = { decide };
