/** The kind of a failure. changed: since the version of ifVersion; condition: another one failed. */
export type Kind = "not_found" | "conflict" | "changed" | "condition" | "denied" | "unavailable" | "other";

export interface Options {
  /** Base URLs of nodes; when one does not answer, the next is asked. AUTHFI_URL, with commas. */
  nodes?: string[];
  /** An operator's, of a session, or an API key; AUTHFI_TOKEN. */
  token?: string;
  /** Gives the token instead, before each request, as when sessions are renewed. */
  credential?: () => string | Promise<string>;
  /** Certificates to trust, as PEM; the file AUTHFI_CACERT. */
  ca?: string | Buffer;
  /** How many milliseconds one call goes on repeating; 30,000 unless given. */
  patience?: number;
}

export namespace Wishes {
  interface Any {
    /** Ends the call. A change may have been made. */
    signal?: AbortSignal;
  }
  interface Read extends Any {
    /** An answer that misses no change acknowledged before, by whomever. It costs a round of the cluster. */
    newest?: boolean;
  }
  interface Change extends Any {
    /** Names a change, so that its repeats are one change although they are calls of their own. */
    idempotencyKey?: string;
  }
  interface Conditional extends Change {
    /** The change is made only if the object has this version. */
    ifVersion?: number;
  }
}

/** What a node answers when it does not do what it was asked, or that none has answered. */
export class Problem extends Error {
  readonly kind: Kind;
  readonly operation: string;
  /** Zero: nobody has answered. */
  readonly status: number;
  /** A stable word for programs. */
  readonly code: string;
  readonly title: string;
  /** One sentence for people. */
  readonly detail: string;
  /** Of the request, which is at fault; empty when no single one is. */
  readonly field: string;
  /** Names the request in the node's logs. */
  readonly requestId: string;
}

export class Cluster {
  constructor(options?: Options);
  /** The newest index that an answer has told. */
  readonly index: number;
  /** Demands of every further answer that it is at least as new. */
  reached(index: number): void;
  /** Ends the connections that are kept. */
  close(): void;
}
