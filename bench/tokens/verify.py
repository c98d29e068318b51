"""Verifies the tokens of stdin with authfi and with PyJWT, in turn.

Prints the microseconds of each. Every token is one that was not seen before.
"""

import json
import logging
import sys
import time

import jwt
from authfi import AuthFI

logging.disable()
given = json.load(sys.stdin)
issuer, tokens = given["issuer"], given["tokens"]
auth = AuthFI(issuer, posture="offline", key_set=given["key_set"], nodes=["https://127.0.0.1:1"])
keys = {key.key_id: key.key for key in jwt.PyJWKSet.from_dict(given["key_set"]).keys}


def theirs(token: str) -> None:
    kid = jwt.get_unverified_header(token)["kid"]
    jwt.decode(token, keys[kid], algorithms=["ES256"], audience=issuer, issuer=issuer)


sides = {"ours": auth.verify, "theirs": theirs}
took: dict[str, list[float]] = {"ours": [], "theirs": []}
warm = len(tokens) // 4  # of each, before anything counts
for i, token in enumerate(tokens):
    for side in ("ours", "theirs") if i % 2 else ("theirs", "ours"):
        began = time.perf_counter_ns()
        sides[side](token)
        if i >= warm:
            took[side].append((time.perf_counter_ns() - began) / 1000)
auth.close()
print(json.dumps(took))
