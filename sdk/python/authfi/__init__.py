"""Protects Python services with AuthFI.

Tokens are verified in process, and a thread follows the change feed of the issuer,
so that a token is refused within a second of the end of its session or the
deactivation of its user. The adapters are in authfi.flask, authfi.fastapi and
authfi.django, and for everything else that speaks WSGI or ASGI in AuthFI itself;
authfi.testing has an issuer for the tests of services.
"""

from ._auth import AuthFI, Status
from ._permission import allows
from ._problem import Code, Refusal
from ._token import User
from ._watch import Watch

__all__ = ["AuthFI", "Code", "Refusal", "Status", "User", "Watch", "allows"]
