/**
 * Counts what strangers may have in progress before they have shown a key: connections at once, in
 * total and per address (Rule 38, I12). Established sessions do not count. Pure: the owner says when
 * a handshake begins and ends.
 */

export interface HandshakeLimits {
  readonly total: number;
  readonly perAddress: number;
}

export class HandshakeLimiter {
  readonly #limits: HandshakeLimits;
  readonly #perAddress = new Map<string, number>();
  #total = 0;

  constructor(limits: HandshakeLimits) {
    this.#limits = limits;
  }

  get inProgress(): number {
    return this.#total;
  }

  /** False: one too many, nothing was counted. */
  enter(address: string): boolean {
    const here = this.#perAddress.get(address) ?? 0;
    if (this.#total >= this.#limits.total || here >= this.#limits.perAddress) return false;
    this.#total += 1;
    this.#perAddress.set(address, here + 1);
    return true;
  }

  /** Once for every `enter` that was true. */
  leave(address: string): void {
    const here = this.#perAddress.get(address) ?? 0;
    this.#total -= 1;
    if (here <= 1) this.#perAddress.delete(address);
    else this.#perAddress.set(address, here - 1);
  }
}
