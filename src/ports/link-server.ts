/**
 * Where connections of primaries arrive on a host thread: TLS ends here, and the authenticated
 * identity, never a message, says which group a session belongs to (H34).
 */
import type { LinkConnection } from './link.js';

export interface LinkKey {
  readonly group: number;
  /** 32 bytes, base64: the `secret` of s###.cfg. */
  readonly secret: string;
}

export interface LinkSession {
  readonly group: number;
  readonly connection: LinkConnection;
}

export interface LinkServer {
  /** Replaces the keys; sessions already open go on. */
  setKeys(keys: readonly LinkKey[]): void;
  /** Takes over an accepted TCP connection by its descriptor and lets it authenticate. */
  serve(fd: number): void;
  /** Called with every authenticated session; `connection.handlers` must be set in that turn. */
  onSession(accept: (session: LinkSession) => void): void;
  /** Ends handshakes in progress. */
  close(): Promise<void>;
}
