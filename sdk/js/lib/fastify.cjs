"use strict";
const { attend } = require("./auth.cjs");
const { Core, asRefusal } = require("./core.cjs");
const { mustBePermissions } = require("./permission.cjs");

/** Fastify: { onRequest: auth.require("read:patients") }, and request.user. */
class FastifyAuth extends Core {
  /** A hook: lets requests through whose user holds all the permissions. */
  require(...permissions) {
    mustBePermissions(permissions);
    return this.#hook(permissions);
  }

  /** A hook: lets every user through. */
  authenticated() {
    return this.#hook([]);
  }

  #hook(permissions) {
    return async (request, reply) => {
      try {
        request.user = await this.admit(request.raw, ...permissions);
      } catch (error) {
        const refusal = asRefusal(error);
        return reply.code(refusal.status).headers(refusal.headers).send(refusal.body);
      }
      attend(this, request, reply.raw);
    };
  }
}

module.exports = { authfi: (options) => new FastifyAuth(options), FastifyAuth };
