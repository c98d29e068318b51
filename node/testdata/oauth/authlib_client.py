"""Authlib, as an application uses it: code with PKCE, an ID token that is verified by
the key set, refresh, introspection and revocation."""
import html
import os
import re
import secrets

from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.jwk import KeySet
import requests

issuer, back = os.environ["ISSUER"], os.environ["REDIRECT"]
web = requests.Session()
web.verify, web.trust_env = os.environ["AUTHFI_CACERT"], False  # or the CAs of the environment count for more
found = web.get(issuer + "/.well-known/openid-configuration").json()


def sign_in(address):
    page = web.get(address)
    page.raise_for_status()
    hidden = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page.text)
    form = {html.unescape(name): html.unescape(value) for name, value in hidden}
    form["user_name"] = "alice@site.example"
    sent = web.post(found["authorization_endpoint"], data=form, allow_redirects=False)
    assert sent.status_code == 303, sent.text
    return sent.headers["location"]


client = OAuth2Session(
    os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"], scope="openid read:patients", redirect_uri=back, code_challenge_method="S256",
    revocation_endpoint_auth_method="client_secret_basic",
)
client.verify, client.trust_env = web.verify, False
verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
address, state = client.create_authorization_url(found["authorization_endpoint"], code_verifier=verifier, nonce=nonce)
token = client.fetch_token(found["token_endpoint"], authorization_response=sign_in(address), code_verifier=verifier, state=state)
keys = KeySet.import_key_set(web.get(found["jwks_uri"]).json())
claims = jwt.decode(token["id_token"], keys, algorithms=found["id_token_signing_alg_values_supported"]).claims
assert claims["iss"] == issuer and claims["nonce"] == nonce and claims["aud"] in (client.client_id, [client.client_id]), claims
info = client.get(found["userinfo_endpoint"]).json()
assert info["sub"] == claims["sub"], info
token = client.refresh_token(found["token_endpoint"])
told = client.introspect_token(found["introspection_endpoint"], token=token["access_token"]).json()
assert told["active"] and told["permissions"] == ["read:patients"], told
client.revoke_token(found["revocation_endpoint"], token=token["refresh_token"]).raise_for_status()
told = client.introspect_token(found["introspection_endpoint"], token=token["access_token"]).json()
assert told == {"active": False}, told
print("authlib: ok")
