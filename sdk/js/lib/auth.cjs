"use strict";
const { Core, asRefusal, isMutating } = require("./core.cjs");
const { mustBePermissions } = require("./permission.cjs");

/** For node's http, and for Express and what takes its middleware. */
class Auth extends Core {
  /** Express middleware: lets requests through whose user holds all the permissions. */
  require(...permissions) {
    mustBePermissions(permissions);
    return this.#middleware(permissions);
  }

  /** Express middleware: lets every user through. */
  authenticated() {
    return this.#middleware([]);
  }

  #middleware(permissions) {
    return async (req, res, next) => {
      if (await this.#guard(req, res, permissions)) next();
    };
  }

  /** A handler of node's http around another. */
  protect(handler, ...permissions) {
    mustBePermissions(permissions);
    return async (req, res) => {
      if (await this.#guard(req, res, permissions)) return handler(req, res);
    };
  }

  /**
   * For a server's upgrade event: the user of the request, whose socket is destroyed as
   * soon as the token would be refused; or undefined, and the refusal was answered.
   */
  async upgrade(req, socket, ...permissions) {
    mustBePermissions(permissions);
    try {
      const user = await this.admit(req, ...permissions);
      const watch = this.watch(user, { mutating: true }); // what comes over it may change things
      socket.once("close", watch.release);
      watch.signal.addEventListener("abort", () => socket.destroy());
      return user;
    } catch (error) {
      const refusal = asRefusal(error);
      const headers = Object.entries({ ...refusal.headers, "content-length": Buffer.byteLength(refusal.body), connection: "close" });
      socket.end(`HTTP/1.1 ${refusal.status} ${refusal.title}\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n${refusal.body}`);
      return undefined;
    }
  }

  async #guard(req, res, permissions) {
    try {
      req.user = await this.admit(req, ...permissions);
    } catch (error) {
      asRefusal(error).send(res);
      return false;
    }
    attend(this, req, res);
    return true;
  }
}

/**
 * Destroys the response when the token of its request would be refused, and tells the
 * handler by req.revoked.
 */
function attend(auth, req, res) {
  const watch = auth.watch(req.user, { mutating: isMutating(req.method) });
  req.revoked = watch.signal;
  res.once("close", watch.release);
  watch.signal.addEventListener("abort", () => {
    if (res.writableEnded) return;
    res.on("error", () => {}); // what the handler still writes goes nowhere, as when a caller has left
    res.destroy();
  });
}

module.exports = { Auth, attend };
