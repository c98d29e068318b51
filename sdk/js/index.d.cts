import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";

/** verb:noun in lower case, or verb:*. Narrow it to the permissions of your own. */
export type Permission = `${string}:${string}`;

export type Posture = "fresh" | "strict" | "offline";

export type Code =
  | "unauthenticated" | "invalid_request" | "invalid_token" | "token_revoked" | "token_stale"
  | "insufficient_permission" | "auth_unavailable" | "permissions_unavailable";

export interface Options {
  /** https://HOST/o/SLUG; AUTHFI_ISSUER. */
  issuer?: string;
  /** AUTHFI_AUDIENCE; the issuer unless it is given. */
  audience?: string;
  /** org-…; AUTHFI_ORG. */
  org?: string;
  /** Base URLs of nodes; AUTHFI_URL, with commas. The issuer's unless given. */
  nodes?: string[];
  /** Holds read:audit-logs; AUTHFI_TOKEN. */
  apiKey?: string;
  /** AUTHFI_POSTURE; fresh unless it is given. */
  posture?: Posture;
  /** Seconds that clocks may be apart, 60 at most; 5 unless given. */
  skew?: number;
  /** Certificates to trust, as PEM; the file AUTHFI_CACERT. */
  ca?: string | Buffer;
  /** A key set to begin with. */
  keySet?: string | object;
  log?: (line: string) => void;
}

export class User<P extends Permission = Permission> {
  readonly id: string;
  readonly orgId: string;
  readonly sessionId: string;
  readonly roles: readonly string[];
  readonly groups: readonly string[];
  readonly permissions: ReadonlySet<string>;
  readonly methods: readonly string[];
  readonly claims: Readonly<Record<string, unknown>>;
  readonly token: string;
  can(permission: P): boolean;
  canAny(...permissions: P[]): boolean;
  canAll(...permissions: P[]): boolean;
}

export class Refusal extends Error {
  constructor(code: Code, required?: string[], missing?: string[]);
  readonly code: Code;
  readonly status: number;
  readonly title: string;
  readonly required: string[];
  readonly missing: string[];
  readonly headers: Record<string, string>;
  readonly body: string;
  send(res: ServerResponse): void;
}

export interface Authenticated<P extends Permission = Permission> {
  user: User<P>;
  /** Aborts when the token would be refused; the response is destroyed then. */
  revoked: AbortSignal;
}

/** What stays open. */
export interface Watch {
  /** Aborts when the token would be refused; its reason is the Refusal. */
  readonly signal: AbortSignal;
  release(): void;
}

export type Middleware = (req: any, res: any, next: (error?: unknown) => void) => Promise<void>;

/** What all adapters have. */
export class Core<P extends Permission = Permission> {
  constructor(options?: Options);
  ready(): Promise<void>;
  close(): void;
  /** Ages in seconds of the keys and of the last heartbeat, and the index followed. */
  status(): { keysAge: number | undefined; feedAge: number | undefined; index: number };
  verify(token: string, options?: { mutating?: boolean }): Promise<User<P>>;
  admit(req: IncomingMessage | Request, ...permissions: P[]): Promise<User<P>>;
  /** For what outlives a request, as a WebSocket does. */
  watch(user: User<P>, options?: { mutating?: boolean }): Watch;
}

/** For node's http, and for Express and what takes its middleware. */
export class Auth<P extends Permission = Permission> extends Core<P> {
  require(...permissions: [P, ...P[]]): Middleware;
  authenticated(): Middleware;
  protect(
    handler: (req: IncomingMessage & Authenticated<P>, res: ServerResponse) => unknown,
    ...permissions: [P, ...P[]]
  ): (req: IncomingMessage, res: ServerResponse) => Promise<unknown>;
  /** For a server's upgrade event: undefined when the request was refused, and answered. */
  upgrade(req: IncomingMessage, socket: Duplex, ...permissions: [P, ...P[]]): Promise<User<P> | undefined>;
}

export function authfi<P extends Permission = Permission>(options?: Options): Auth<P>;
export function allows(held: ReadonlySet<string>, permission: string): boolean;

declare global {
  namespace Express {
    interface Request {
      user: User;
      revoked: AbortSignal;
    }
  }
}
