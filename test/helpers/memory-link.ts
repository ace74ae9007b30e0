/**
 * Two ends of a link in the simulated world: ordered bytes, delivered after a random delay, cut into
 * chunks at random places; `cut` loses what is under way.
 */
import type { LinkClosed, LinkConnection, LinkHandlers } from '../../src/ports/link.js';
import type { SimWorld } from '../../src/testing/world.js';

const silent: LinkHandlers = { data: () => {}, drained: () => {}, closed: () => {} };

export class MemoryLink implements LinkConnection {
  readonly peerAddress = 'memory';
  readonly sessionSecret: Uint8Array;
  handlers: LinkHandlers = silent;
  peer!: MemoryLink;
  paused = false;
  pauses = 0;
  closed: LinkClosed | undefined;
  readonly #world: SimWorld;
  readonly #incoming: Uint8Array[] = [];
  #scheduled = false;

  private constructor(world: SimWorld, secret: Uint8Array) {
    this.#world = world;
    this.sessionSecret = secret;
  }

  static pair(world: SimWorld): readonly [primary: MemoryLink, secondary: MemoryLink] {
    const secret = world.random.fill(new Uint8Array(32));
    const primary = new MemoryLink(world, secret);
    const secondary = new MemoryLink(world, secret);
    primary.peer = secondary;
    secondary.peer = primary;
    return [primary, secondary];
  }

  send(bytes: Uint8Array, sent?: () => void): boolean {
    if (this.closed !== undefined) {
      sent?.();
      return true;
    }
    const copy = bytes.slice();
    this.#world.after(0, 'link send', () => {
      this.peer.#arrive(copy);
      sent?.();
    });
    return true;
  }

  pause(): void {
    this.paused = true;
    this.pauses += 1;
  }

  resume(): void {
    this.paused = false;
    this.#schedule();
  }

  close(reason: LinkClosed): void {
    this.#end(reason);
    // What was sent before is delivered first: close follows it on the wire.
    this.#world.after(1, 'link close', () => this.peer.#end(reason));
  }

  /** The network fails: both ends learn it, what was under way is lost. */
  cut(): void {
    const reason = { code: 'TDMF_LINK_LOST', message: 'cut' };
    this.#end(reason);
    this.peer.#end(reason);
  }

  #arrive(bytes: Uint8Array): void {
    if (this.closed !== undefined) return;
    this.#incoming.push(bytes);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || this.paused || this.#incoming.length === 0) return;
    this.#scheduled = true;
    this.#world.soon(0.2, 'link data', () => {
      this.#scheduled = false;
      if (this.closed !== undefined || this.paused) return;
      const bytes = this.#incoming.shift()!;
      const at = this.#world.random.chance(1, 3) ? this.#world.random.below(bytes.length + 1) : 0;
      if (at > 0) this.handlers.data(bytes.subarray(0, at));
      if (at < bytes.length && this.closed === undefined) {
        if (this.paused) this.#incoming.unshift(bytes.subarray(at));
        else this.handlers.data(bytes.subarray(at));
      }
      this.#schedule();
    });
  }

  #end(reason: LinkClosed): void {
    if (this.closed !== undefined) return;
    this.closed = reason;
    this.handlers.closed(reason);
  }
}
