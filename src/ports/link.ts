/**
 * The network between PMD and RMD as an ordered stream of bytes with back-pressure, already
 * authenticated by the group's key. Real: node:tls (TLS 1.3, PSK); simulated: SimLink, which delays,
 * stalls and cuts at any byte. Frames are the business of core/wire.
 */

export interface LinkHandlers {
  /** `chunk` is valid only during the call. Order is the sender's. */
  data(chunk: Uint8Array): void;
  /** `writableBytes` fell below the low-water mark after `send` had returned false. */
  drained(): void;
  /** Exactly once, whoever ended it; nothing is delivered afterwards. */
  closed(reason: LinkClosed): void;
}

export interface LinkClosed {
  /** Why, as a TDMF_LINK_* code. */
  readonly code: string;
  readonly message: string;
}

export interface LinkConnection {
  /** Who is at the other end, for messages only; never for decisions. */
  readonly peerAddress: string;
  /** 32 bytes both sides derive from the TLS session (exporter), different in every session. */
  readonly sessionSecret: Uint8Array;
  /**
   * Queues the bytes, which belong to the connection until `sent` is called (also called when the
   * connection closes first). Returns false when the sender should wait for `drained`.
   */
  send(bytes: Uint8Array, sent?: () => void): boolean;
  /** Stop and resume delivery of data; bytes then pile up at the sender (back-pressure). */
  pause(): void;
  resume(): void;
  /** Ends the connection now; `closed` follows. */
  close(reason: LinkClosed): void;
  /** Must be set in the turn in which the connection was handed over. */
  handlers: LinkHandlers;
}

export interface DialTarget {
  readonly host: string;
  readonly port: number;
  /** 32 bytes: the group's pre-shared key. */
  readonly key: Uint8Array;
  readonly tcpWindowBytes: number;
}

export interface LinkDialer {
  /**
   * Connects and authenticates, or rejects with `TdmfError` TDMF_LINK_REFUSED (nobody listens),
   * TDMF_LINK_KEY (wrong or unknown key: the two are indistinguishable, H38), TDMF_LINK_LOST,
   * TDMF_LINK_TIMEOUT. `signal` gives up.
   */
  dial(target: DialTarget, signal: AbortSignal): Promise<LinkConnection>;
}
