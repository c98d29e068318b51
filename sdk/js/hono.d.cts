import type { Core, Options, Permission, User } from "./index.cjs";

/** What the middleware sets: new Hono<{ Variables: Variables }>(), and c.get("user"). */
export interface Variables<P extends Permission = Permission> {
  user: User<P>;
  /** Aborts when the token would be refused. */
  revoked: AbortSignal;
}

/** Middleware of Hono. */
export type Middleware = (c: any, next: () => Promise<void>) => Promise<Response | void>;

/** Hono: app.get(path, auth.require("read:patients"), handler). */
export class HonoAuth<P extends Permission = Permission> extends Core<P> {
  require(...permissions: [P, ...P[]]): Middleware;
  authenticated(): Middleware;
}

export function authfi<P extends Permission = Permission>(options?: Options): HonoAuth<P>;
