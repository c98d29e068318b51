import type { Auth, Options, Permission, Posture } from "./index.cjs";

export interface Person<P extends string = Permission> {
  id?: string;
  permissions?: readonly P[];
  roles?: readonly string[];
  groups?: readonly string[];
  /** amr; pwd and otp unless given. */
  methods?: readonly string[];
  /** Others, or other values of those that there are. */
  claims?: Readonly<Record<string, unknown>>;
}

/** What a test may choose. */
export interface TestOptions {
  posture?: Posture;
  skew?: number;
  log?: (line: string) => void;
}

/**
 * Signs for real with a fresh key, and gives keys and feed in process. When a promise of it
 * resolves, every service has heard of what it did.
 */
export class TestIssuer<P extends Permission = Permission> {
  /** For the authfi() of any adapter. */
  options(others?: TestOptions): Options;
  /** One for node's http and Express that is ready. */
  auth(others?: TestOptions): Promise<Auth<P>>;
  signIn(person?: Person<P>): string;
  revoke(token: string): Promise<void>;
  deactivate(user: string): Promise<void>;
  permit(user: string, ...permissions: P[]): Promise<void>;
  rotateKeys(): Promise<void>;
  /** Moves the clock by seconds. */
  advance(seconds: number): Promise<void>;
  now(): number;
  goOffline(): Promise<void>;
  goOnline(): Promise<void>;
}
