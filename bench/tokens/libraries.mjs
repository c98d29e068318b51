// Runs the vectors of stdin against the JWT libraries that Node.js programs use, each as
// its documentation says, and prints the verdict of each on every case.
import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { createLocalJWKSet, jwtVerify } from "jose";
import jsonwebtoken from "jsonwebtoken";

const { issuer, audience, now, skew, key_set: keySet, cases } = JSON.parse(readFileSync(0, "utf8"));
const set = createLocalJWKSet(keySet);
const keys = new Map(keySet.keys.map((jwk) => [jwk.kid, createPublicKey({ key: jwk, format: "jwk" })]));
const key = (header, done) => (keys.has(header.kid) ? done(null, keys.get(header.kid)) : done(new Error("no such key")));

const libraries = {
  "jose 6.2.17": (token, at) =>
    jwtVerify(token, set, { issuer, audience, typ: "at+jwt", algorithms: ["ES256", "EdDSA"], clockTolerance: skew, currentDate: new Date(at * 1000), requiredClaims: ["exp"] }),
  "jsonwebtoken 9.0.3": (token, at) =>
    new Promise((resolve, reject) =>
      jsonwebtoken.verify(token, key, { issuer, audience, algorithms: ["ES256"], clockTolerance: skew, clockTimestamp: at }, (error, claims) => (error ? reject(error) : resolve(claims))),
    ),
};
const verdicts = {};
for (const [name, verify] of Object.entries(libraries)) {
  verdicts[name] = [];
  for (const c of cases) verdicts[name].push(await verify(c.token, c.now ?? now).then(() => true, () => false));
}
console.log(JSON.stringify(verdicts));
