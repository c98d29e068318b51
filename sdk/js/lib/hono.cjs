"use strict";
const { Core, asRefusal } = require("./core.cjs");
const { mustBePermissions } = require("./permission.cjs");
const { answer, attend } = require("./web.cjs");

/** Hono: app.get(path, auth.require("read:patients"), handler), and c.get("user"). */
class HonoAuth extends Core {
  /** Middleware: lets requests through whose user holds all the permissions. */
  require(...permissions) {
    mustBePermissions(permissions);
    return this.#middleware(permissions);
  }

  /** Middleware: lets every user through. */
  authenticated() {
    return this.#middleware([]);
  }

  #middleware(permissions) {
    return async (c, next) => {
      let user;
      try {
        user = await this.admit(c.req.raw, ...permissions);
      } catch (error) {
        return answer(asRefusal(error));
      }
      const response = await attend(this, user, c.req.method, async (signal) => {
        c.set("user", user);
        c.set("revoked", signal);
        await next();
        return c.res;
      });
      c.res = undefined; // headers are not to be merged with themselves
      c.res = response;
    };
  }
}

module.exports = { authfi: (options) => new HonoAuth(options), HonoAuth };
