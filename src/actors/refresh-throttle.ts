/**
 * Holds the reads of a refresh back to the pace that core/engine/refresh-pace.ts allows, and asks for
 * another turn when the next one may begin. In phase b nothing is held back: the rest is small, and
 * the BAB fills meanwhile.
 */
import type { GroupControlView } from '../core/bab/control.js';
import { sectorBytes } from '../core/constants.js';
import { RefreshPace } from '../core/engine/refresh-pace.js';
import type { TimerHandle } from '../ports/clock.js';
import type { ActorContext } from './actor.js';

export class RefreshThrottle {
  readonly #context: ActorContext;
  readonly #control: GroupControlView;
  /** REFRESHRATE, as it is now; 0: no limit of the operator's. */
  readonly #rateKb: () => number;
  readonly #changed: () => void;
  readonly #pace = new RefreshPace();
  #timer: TimerHandle | undefined;

  constructor(
    context: ActorContext,
    control: GroupControlView,
    rateKb: () => number,
    changed: () => void,
  ) {
    this.#context = context;
    this.#control = control;
    this.#rateKb = rateKb;
    this.#changed = changed;
  }

  /** False: not now; `changed` follows. */
  mayRead(): boolean {
    const { clock } = this.#context;
    const now = clock.now();
    if (this.#pace.wantsSample(now)) this.#sample(now);
    const waitMs = this.#pace.waitMs(now);
    if (waitMs === 0) return true;
    const over = this.#context.guard(() => {
      this.#timer = undefined;
      this.#changed();
    });
    // Looked at again now and then: the rate may be set, and applications may end, meanwhile.
    this.#timer ??= clock.after(Math.min(waitMs, lookMs), over);
    return false;
  }

  read(bytes: number): void {
    this.#pace.read(bytes);
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #sample(now: number): void {
    let ios = 0;
    let sectors = 0;
    for (const { reads, writes, sectorsWritten } of this.#control.snapshot().devices) {
      ios += reads + writes;
      sectors += sectorsWritten;
    }
    const rateBytes = this.#rateKb() * 1024;
    this.#pace.sample(now, rateBytes, { ios, writtenBytes: sectors * sectorBytes });
  }
}

const lookMs = 100;
