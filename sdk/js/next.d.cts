import type { Core, Options, Permission, User } from "./index.cjs";

/** What a route handler is given. */
export interface Protected<P extends Permission = Permission> {
  user: User<P>;
  /** Aborts when the token would be refused. */
  revoked: AbortSignal;
}

export type Handler<P extends Permission, R extends Request, C> = (request: R & Protected<P>, context: C) => Response | Promise<Response>;

/** Around a route handler. */
export type Around<P extends Permission> = <R extends Request, C>(handler: Handler<P, R, C>) => (request: R, context: C) => Promise<Response>;

/** Next.js: export const GET = auth.require("read:patients")(handler). */
export class NextAuth<P extends Permission = Permission> extends Core<P> {
  require(...permissions: [P, ...P[]]): Around<P>;
  authenticated(): Around<P>;
}

export function authfi<P extends Permission = Permission>(options?: Options): NextAuth<P>;
