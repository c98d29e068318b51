"use strict";
const { Core, asRefusal } = require("./core.cjs");
const { mustBePermissions } = require("./permission.cjs");
const { answer, attend } = require("./web.cjs");

/** Next.js: export const GET = auth.require("read:patients")(handler), and request.user. */
class NextAuth extends Core {
  /** Around a route handler: lets requests through whose user holds all the permissions. */
  require(...permissions) {
    mustBePermissions(permissions);
    return (handler) => this.#around(handler, permissions);
  }

  /** Around a route handler: lets every user through. */
  authenticated() {
    return (handler) => this.#around(handler, []);
  }

  #around(handler, permissions) {
    return async (request, context) => {
      let user;
      try {
        user = await this.admit(request, ...permissions);
      } catch (error) {
        return answer(asRefusal(error));
      }
      return attend(this, user, request.method, (revoked) => handler(Object.assign(request, { user, revoked }), context));
    };
  }
}

module.exports = { authfi: (options) => new NextAuth(options), NextAuth };
