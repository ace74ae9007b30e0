/**
 * The rings of one place: to and from every other thread, each made on first use by its writer.
 *
 * A thread that died and was replaced is the same place in a new generation. Its rings are dropped
 * by everybody and made anew, so that no message of a dead thread reaches its successor (I16).
 */
import type { ActorCell } from '../actors/cell.js';
import { ringMemoryBytes, ringMessageBytesMax } from '../core/ring/layout.js';
import type { RingOffer } from './control.js';
import { Bell } from './doorbell.js';
import { type Deliver, Inbound } from './inbound.js';
import { Outbound } from './outbound.js';

/** Room for some thousand small messages; the largest message is a quarter. */
export const ringCapacityBytes = 256 * 1024;

export interface RingsOptions {
  readonly place: number;
  readonly bells: SharedArrayBuffer;
  /** Of every place, at the time this one began. */
  readonly generations: readonly number[];
  /** A ring was made here; main gives it to the reader. */
  readonly offer: (offer: RingOffer) => void;
  /** A ring of `place` holds what cannot be: its writer is broken. */
  readonly broken: (place: number, error: unknown) => void;
  /** Something was written: flush at the end of the turn. */
  readonly written: () => void;
}

export class Rings {
  readonly #options: RingsOptions;
  readonly #generations: number[];
  readonly #outbound = new Map<number, Outbound>();
  readonly #inbound = new Map<number, Inbound>();
  readonly #scratch = new Uint8Array(ringMessageBytesMax(ringCapacityBytes));

  constructor(options: RingsOptions) {
    this.#options = options;
    this.#generations = [...options.generations];
  }

  tell(place: number, bytes: Uint8Array, sender: ActorCell | undefined): boolean {
    this.#options.written();
    return this.#to(place).tell(bytes, sender);
  }

  send(place: number, bytes: Uint8Array): boolean {
    this.#options.written();
    return this.#to(place).send(bytes);
  }

  accept(offer: RingOffer): void {
    if (
      offer.toGeneration !== this.#generations[this.#options.place] ||
      offer.fromGeneration !== this.#generations[offer.from]
    ) {
      return;
    }
    this.#inbound.set(
      offer.from,
      new Inbound(offer.from, offer.memory, new Bell(this.#options.bells, offer.from)),
    );
  }

  /** True: there is more to deliver. */
  drain(deliver: Deliver): boolean {
    let more = false;
    for (const inbound of this.#inbound.values()) {
      try {
        more = inbound.drain(this.#scratch, deliver) || more;
      } catch (error) {
        this.#drop(inbound);
        this.#options.broken(inbound.from, error);
      }
    }
    return more;
  }

  /** After a wake-up: readers may have made room. */
  resume(): void {
    for (const outbound of this.#outbound.values()) if (outbound.hungry) outbound.resume();
  }

  /** Rings each bell once for everything written since. */
  flush(): void {
    for (const outbound of this.#outbound.values()) outbound.flush();
  }

  /**
   * The thread died and its successor will be `generation`. What it had said is still heard; then
   * its rings are dropped. False: this place began after that death and knows nothing of the dead.
   */
  placeDown(place: number, generation: number, deliver: Deliver): boolean {
    if ((this.#generations[place] ?? 0) >= generation) return false;
    const inbound = this.#inbound.get(place);
    if (inbound !== undefined) {
      try {
        inbound.drainAll(this.#scratch, deliver);
      } catch {
        // Nothing can follow from a broken ring of a thread that is dead anyway.
      }
      this.#drop(inbound);
    }
    this.#outbound.delete(place);
    this.#generations[place] = generation;
    return true;
  }

  #drop(inbound: Inbound): void {
    inbound.closed = true;
    this.#inbound.delete(inbound.from);
  }

  #to(place: number): Outbound {
    let outbound = this.#outbound.get(place);
    if (outbound === undefined) {
      const memory = new SharedArrayBuffer(ringMemoryBytes(ringCapacityBytes));
      outbound = new Outbound(memory, new Bell(this.#options.bells, place));
      this.#outbound.set(place, outbound);
      const from = this.#options.place;
      this.#options.offer({
        from,
        to: place,
        fromGeneration: this.#generations[from] ?? 0,
        toGeneration: this.#generations[place] ?? 0,
        memory,
      });
    }
    return outbound;
  }
}
