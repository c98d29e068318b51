// openid-client, as an application uses it: pushed request, code, DPoP, userinfo,
// refresh, device, introspection, revocation and logout.
import assert from "node:assert/strict";
import * as client from "openid-client";
import { signIn } from "./browser.mjs";

const { ISSUER, CLIENT_ID, CLIENT_SECRET, REDIRECT } = process.env;
const user = { user_name: "alice@site.example" };
const config = await client.discovery(new URL(ISSUER), CLIENT_ID, undefined, client.ClientSecretBasic(CLIENT_SECRET));
const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair("ES256"));

async function code(options) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier();
  const expectedState = client.randomState();
  const expectedNonce = client.randomNonce();
  const parameters = {
    redirect_uri: REDIRECT, scope: "openid profile email read:patients", state: expectedState, nonce: expectedNonce,
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: "S256",
  };
  const address = options.push
    ? await client.buildAuthorizationUrlWithPAR(config, parameters, { DPoP: options.DPoP })
    : client.buildAuthorizationUrl(config, parameters);
  const back = await signIn(address, user);
  return client.authorizationCodeGrant(config, back, { pkceCodeVerifier, expectedState, expectedNonce }, undefined, { DPoP: options.DPoP });
}

for (const options of [{}, { push: true }, { push: true, DPoP }]) {
  const tokens = await code(options);
  const { sub } = tokens.claims();
  assert.equal(tokens.token_type, options.DPoP ? "dpop" : "bearer");
  const info = await client.fetchUserInfo(config, tokens.access_token, sub, { DPoP: options.DPoP });
  assert.equal(info.email, "alice@site.example");
  const next = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP: options.DPoP });
  assert.notEqual(next.refresh_token, tokens.refresh_token);
  const now = await client.tokenIntrospection(config, next.access_token);
  assert.equal(now.active, true);
  assert.equal(now.cnf !== undefined, options.DPoP !== undefined);
  if (options.push) {
    await client.tokenRevocation(config, next.access_token);
  } else {
    const out = client.buildEndSessionUrl(config, { id_token_hint: tokens.id_token });
    assert.equal((await fetch(out)).status, 200);
  }
  assert.equal((await client.tokenIntrospection(config, next.access_token)).active, false);
}

const device = await client.initiateDeviceAuthorization(config, { scope: "openid" });
assert.match(await signIn(device.verification_uri_complete, { ...user, decision: "allow" }), /signed in/);
const polled = await client.pollDeviceAuthorizationGrant(config, device);
assert.ok(polled.claims().sub);
console.log("openid-client: ok");
