"""Runs the vectors of stdin against the JWT libraries that Python programs use.

Each is used as its documentation says; the verdict of each on every case is printed.
"""

import datetime
import json
import sys
import warnings
from typing import Any
from unittest import mock

warnings.simplefilter("ignore")

import jwt  # noqa: E402
from authlib.jose import JsonWebKey, JsonWebToken  # noqa: E402

given = json.load(sys.stdin)
issuer, audience, skew = given["issuer"], given["audience"], given["skew"]
keys = {key.key_id: key.key for key in jwt.PyJWKSet.from_dict(given["key_set"]).keys}
authlib_keys = JsonWebKey.import_key_set(given["key_set"])
authlib_jwt = JsonWebToken(["ES256", "EdDSA"])
rules = {"iss": {"essential": True, "value": issuer}, "aud": {"essential": True, "value": audience}, "exp": {"essential": True}}


class Clock(datetime.datetime):
    """PyJWT has no option for the time."""

    at = 0.0

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return datetime.datetime.fromtimestamp(cls.at, tz)


def pyjwt(token: str, at: float) -> None:
    Clock.at = at
    key = keys[jwt.get_unverified_header(token)["kid"]]
    options: Any = {"require": ["exp", "iss", "aud"]}
    jwt.decode(token, key, algorithms=["ES256", "EdDSA"], audience=audience, issuer=issuer, leeway=skew, options=options)


def authlib(token: str, at: float) -> None:
    authlib_jwt.decode(token, authlib_keys, claims_options=rules).validate(now=int(at), leeway=int(skew))


def accepted(verify: Any, token: str, at: float) -> bool:
    try:
        verify(token, at)
    except Exception:
        return False
    return True


with mock.patch("jwt.api_jwt.datetime", Clock):
    verdicts = {
        name: [accepted(verify, case["token"], case.get("now", given["now"])) for case in given["cases"]]
        for name, verify in (("PyJWT 2.15.1", pyjwt), ("Authlib 1.9.10", authlib))
    }
print(json.dumps(verdicts))
