/**
 * What the driver tells the group and the PMD. Mailboxes are bounded and nothing waits for them
 * (Rule 47): a fact that finds no room stays here and is told again at the next turn. Facts are few:
 * answers to tokens the group gave, and changes of situation, each kept at most once.
 */
import type { Clock, TimerHandle } from '../ports/clock.js';
import type { Address } from './actor.js';
import type { GroupMessage, PmdMessage } from './messages.js';

const retryMs = 10;
/** A failing disk fails often; the group hears of it once a second for each device. */
const ioFailedEveryMs = 1000;

export class DriverFacts {
  readonly #clock: Clock;
  readonly #group: Address<GroupMessage>;
  readonly #pmd: Address<PmdMessage>;
  readonly #facts: GroupMessage[] = [];
  readonly #ioFailedAt = new Map<string, number>();
  #wakeOwed = false;
  #retry: TimerHandle | undefined;
  readonly #again = (): void => {
    this.#retry = undefined;
    this.tell();
  };

  constructor(clock: Clock, group: Address<GroupMessage>, pmd: Address<PmdMessage>) {
    this.#clock = clock;
    this.#group = group;
    this.#pmd = pmd;
  }

  fact(message: GroupMessage): void {
    this.#facts.push(message);
    this.tell();
  }

  /** An overflow, or a lease that runs out: the newest is all there is to know. */
  factOnce(message: GroupMessage): void {
    const index = this.#facts.findIndex((other) => other.type === message.type);
    if (index >= 0) this.#facts.splice(index, 1);
    this.fact(message);
  }

  ioFailed(device: string, operation: string, errno: number): void {
    const now = this.#clock.now();
    const last = this.#ioFailedAt.get(device);
    if (last !== undefined && now - last < ioFailedEveryMs) return;
    this.#ioFailedAt.set(device, now);
    this.fact({ type: 'driver.ioFailed', device, operation, errno });
  }

  /** The PMD slept when something was published. */
  wakePmd(): void {
    this.#wakeOwed = true;
    this.tell();
  }

  /** Tells what there is room for, in order; the rest is tried again. */
  tell(): void {
    while (this.#facts.length > 0 && this.#group.tell(this.#facts[0]!)) this.#facts.shift();
    if (this.#wakeOwed && this.#pmd.tell({ type: 'pmd.wake' })) this.#wakeOwed = false;
    if (this.#facts.length === 0 && !this.#wakeOwed) return;
    this.#retry ??= this.#clock.after(retryMs, this.#again);
  }

  stop(): void {
    this.#retry?.cancel();
    this.#retry = undefined;
  }
}
