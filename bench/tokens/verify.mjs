// Verifies the tokens of stdin with @authfi/node and with jose, in turn, and prints the
// microseconds of each. Every token is one that was not seen before.
import { readFileSync } from "node:fs";
import { authfi } from "@authfi/node";
import { createLocalJWKSet, jwtVerify } from "jose";

const { issuer, key_set: keySet, tokens } = JSON.parse(readFileSync(0, "utf8"));
const auth = authfi({ issuer, posture: "offline", keySet, nodes: ["https://127.0.0.1:1"] });
const keys = createLocalJWKSet(keySet);
const rules = { issuer, audience: issuer, typ: "at+jwt", algorithms: ["ES256"] };
const sides = { ours: (token) => auth.verify(token), theirs: (token) => jwtVerify(token, keys, rules) };
const took = { ours: [], theirs: [] };
const warm = tokens.length / 4; // of each, before anything counts

for (const [i, token] of tokens.entries()) {
  for (const side of i % 2 ? ["ours", "theirs"] : ["theirs", "ours"]) {
    const began = process.hrtime.bigint();
    await sides[side](token);
    if (i >= warm) took[side].push(Number(process.hrtime.bigint() - began) / 1000);
  }
}
auth.close();
console.log(JSON.stringify(took));
