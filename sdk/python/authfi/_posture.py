"""Whether a token that verifies is served, by what is known of it."""

from typing import Literal

from ._feed import Verdict

Posture = Literal["fresh", "strict", "offline"]
Reply = Literal["", "live", "revoked", "stale", "failed"]
Decision = Literal["ok", "ask", "token_revoked", "token_stale", "auth_unavailable", "permissions_unavailable"]

# Ages of the last heartbeat in seconds; there is one every 5.
_FRESH_MAX = 15
_QUIET_MAX = 60


def decide(posture: Posture, age: float, verdict: Verdict, mutating: bool, reply: Reply) -> Decision:
    """ok, ask (a node, then decide again), or the code of the refusal.

    An infinite age is that of a heartbeat that has not come.
    """
    if posture == "offline":
        return "permissions_unavailable" if verdict == "referred" else "ok"  # nobody is asked
    if verdict == "revoked" or reply == "revoked":
        return "token_revoked"
    if verdict == "stale" or reply == "stale":
        return "token_stale"
    if posture == "strict" and age > _FRESH_MAX:
        return "auth_unavailable"
    if verdict == "referred" and reply != "":
        return "permissions_unavailable"  # not told, or by a node that is behind
    if age <= _FRESH_MAX and verdict == "live" or reply == "live":
        return "ok"
    if reply == "":
        return "ask"
    if posture == "strict" or mutating and (age > _QUIET_MAX or verdict == "unknown"):
        return "auth_unavailable"
    return "ok"
