import type { Core, Options, Permission, User } from "./index.cjs";

/** A hook of Fastify. */
export type Hook = (request: any, reply: any) => Promise<unknown>;

/** Fastify: { onRequest: auth.require("read:patients") }, and request.user. */
export class FastifyAuth<P extends Permission = Permission> extends Core<P> {
  require(...permissions: [P, ...P[]]): Hook;
  authenticated(): Hook;
}

/** What a hook puts into a request. Declare it in your own code: declare module "fastify" { interface FastifyRequest extends Protected {} } */
export interface Protected<P extends Permission = Permission> {
  user: User<P>;
  /** Aborts when the token would be refused. */
  revoked: AbortSignal;
}

export function authfi<P extends Permission = Permission>(options?: Options): FastifyAuth<P>;
