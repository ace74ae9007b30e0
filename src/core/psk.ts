/**
 * Keys of the link: how a group's secret is known on the wire, and which group an authenticated
 * identity stands for. The identity is opaque and keyed, so that a peer without the secret learns
 * nothing from it, not even that the group exists (H38, I13); the group of a session comes from here
 * and from no message (H34). An unknown identity gets a key nobody has, so it fails as a wrong key
 * does. HMAC and randomness are arguments.
 */
import { Buffer } from 'node:buffer';

/** HMAC-SHA256 of a text. */
export type Hmac = (key: Uint8Array, text: string) => Uint8Array;

export const secretBytes = 32;
const identityHexDigits = 32;

/** `secret` of a .cfg file as bytes; undefined when it is not 32 bytes of base64. */
export function decodeSecret(secret: string): Uint8Array | undefined {
  const bytes = Buffer.from(secret, 'base64');
  if (bytes.length !== secretBytes || bytes.toString('base64') !== secret) return undefined;
  return new Uint8Array(bytes);
}

export function pskIdentity(secret: Uint8Array, hmac: Hmac): string {
  const digest = Buffer.from(hmac(secret, 'tdmf identity')).toString('hex');
  return digest.slice(0, identityHexDigits);
}

export interface KnownKey {
  readonly group: number;
  readonly key: Uint8Array;
}

export interface KeyProblem {
  readonly group: number;
  readonly problem: string;
}

/** The keys of all groups of which this host is the secondary. */
export class KeyTable {
  readonly #hmac: Hmac;
  #known = new Map<string, KnownKey>();

  constructor(hmac: Hmac) {
    this.#hmac = hmac;
  }

  /**
   * Replaces all keys. A secret that is none, or that two groups share, would not name one group:
   * it is left out and reported.
   */
  replace(keys: readonly { readonly group: number; readonly secret: string }[]): KeyProblem[] {
    const problems: KeyProblem[] = [];
    const shared = new Set<string>();
    const known = new Map<string, KnownKey>();
    for (const { group, secret } of keys) {
      const key = decodeSecret(secret);
      if (key === undefined) {
        problems.push({ group, problem: 'the secret is not 32 bytes of base64' });
        continue;
      }
      const identity = pskIdentity(key, this.#hmac);
      const other = known.get(identity);
      if (other !== undefined) {
        shared.add(identity);
        problems.push({ group, problem: `group ${other.group} has the same secret` });
      } else {
        known.set(identity, { group, key });
      }
    }
    for (const identity of shared) known.delete(identity);
    this.#known = known;
    return problems;
  }

  /** Whose identity it is; undefined for a stranger. */
  find(identity: string): KnownKey | undefined {
    return this.#known.get(identity);
  }
}
