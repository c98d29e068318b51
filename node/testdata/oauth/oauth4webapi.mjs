// oauth4webapi, which checks every answer for itself: private_key_jwt, client
// credentials with DPoP and its nonce, token exchange, and what is refused.
import assert from "node:assert/strict";
import * as oauth from "oauth4webapi";
import { signIn } from "./browser.mjs";

const { ISSUER, CLIENT_ID, CLIENT_SECRET, BROKER_ID, BROKER_SECRET, REDIRECT, ORG, ACCOUNT, AUTHFI_URL, AUTHFI_TOKEN } = process.env;
const issuer = new URL(ISSUER);
const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer));

// A client with a key of its own.
const pair = await oauth.generateKeyPair("EdDSA", { extractable: true });
const jwk = { ...(await crypto.subtle.exportKey("jwk", pair.publicKey)), alg: "EdDSA", key_ops: undefined, ext: undefined };
const made = await fetch(`${AUTHFI_URL}/api/v1/organizations/${ORG}/clients`, {
  method: "POST", headers: { authorization: "Bearer " + AUTHFI_TOKEN, "content-type": "application/json" },
  body: JSON.stringify({ name: "keyed", grant_types: ["client_credentials"], account_id: ACCOUNT, permissions: ["read:patients"], keys: JSON.stringify({ keys: [jwk] }) }),
});
assert.equal(made.status, 200, await made.clone().text());
const keyed = { client_id: (await made.json()).client.id };
const auth = oauth.PrivateKeyJwt(pair.privateKey);
const DPoP = oauth.DPoP(keyed, await oauth.generateKeyPair("ES256"));
const robot = async () =>
  oauth.processClientCredentialsResponse(as, keyed, await oauth.clientCredentialsGrantRequest(as, keyed, auth, new URLSearchParams(), { DPoP }));
const bound = await robot().catch((err) => {
  assert.ok(oauth.isDPoPNonceError(err), err);
  return robot();
});
assert.equal(bound.token_type, "dpop");

// Authorization code with the issuer in the answer, then an exchange by a service.
const web = { client_id: CLIENT_ID };
const verifier = oauth.generateRandomCodeVerifier();
const state = oauth.generateRandomState();
const address = new URL(as.authorization_endpoint);
for (const [name, value] of Object.entries({
  client_id: CLIENT_ID, redirect_uri: REDIRECT, response_type: "code", scope: "openid", state,
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
})) address.searchParams.set(name, value);
const back = oauth.validateAuthResponse(as, web, await signIn(address, { user_name: "alice@site.example" }), state);
const secret = oauth.ClientSecretPost(CLIENT_SECRET);
const tokens = await oauth.processAuthorizationCodeResponse(
  as, web, await oauth.authorizationCodeGrantRequest(as, web, secret, back, REDIRECT, verifier), { requireIdToken: true });
const broker = { client_id: BROKER_ID };
const exchanged = await oauth.processGenericTokenEndpointResponse(as, broker, await oauth.genericTokenEndpointRequest(
  as, broker, oauth.ClientSecretBasic(BROKER_SECRET), "urn:ietf:params:oauth:grant-type:token-exchange",
  { subject_token: tokens.access_token, subject_token_type: "urn:ietf:params:oauth:token-type:access_token", scope: "read:patients" }));
assert.equal(exchanged.scope, "read:patients");
// As a service verifies it, by the key set alone.
const request = new Request("https://service.example/", { headers: { authorization: "Bearer " + exchanged.access_token } });
const claims = await oauth.validateJwtAccessToken(as, request, ISSUER);
assert.deepEqual(claims.permissions, ["read:patients"]);

const again = await oauth.authorizationCodeGrantRequest(as, web, secret, back, REDIRECT, verifier);
await assert.rejects(oauth.processAuthorizationCodeResponse(as, web, again), (err) => err.error === "invalid_grant");
console.log("oauth4webapi: ok");
