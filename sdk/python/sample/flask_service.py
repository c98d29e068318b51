"""A protected service with Flask."""

from authfi.flask import AuthFI
from flask import Flask, request
from werkzeug.serving import make_server

app = Flask(__name__)
auth = AuthFI()  # AUTHFI_ISSUER and the others


@app.get("/patients")
@auth.require("read:patients")
def patients() -> dict[str, object]:
    return {"user": request.user.id, "notes": request.user.can("write:notes")}


if __name__ == "__main__":
    auth.ready()
    server = make_server("127.0.0.1", 0, app, threaded=True)
    print(f"flask http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
