"""A protected service with FastAPI."""

import socket

import uvicorn
from authfi.fastapi import AuthFI
from fastapi import FastAPI, Request

app = FastAPI()
auth = AuthFI()  # AUTHFI_ISSUER and the others
auth.install(app)


@app.get("/patients")
@auth.require("read:patients")
async def patients(request: Request) -> dict[str, object]:
    return {"user": request.user.id, "notes": request.user.can("write:notes")}


if __name__ == "__main__":
    auth.ready()
    listening = socket.create_server(("127.0.0.1", 0))
    print(f"fastapi http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])
