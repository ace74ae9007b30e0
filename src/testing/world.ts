/**
 * The simulated world: one thread, one heap of events ordered by (due time, number). Everything that
 * takes time in a simulation is an event here, so one seed gives one run, and a failure replays.
 *
 * A step delivers one event, then lets all microtasks finish, then runs what asked for the end of
 * the turn. This is the only file that may call setImmediate: nothing else schedules macrotasks.
 * Node empties the microtask queue between two immediates, so a step needs no promise of its own:
 * immediates are asked for by the hundred, which spares a poll of the kernel for every event.
 */
import { strict as assert } from 'node:assert';
import type { Clock, TimerHandle } from '../ports/clock.js';
import { Prng } from './prng.js';

interface SimEvent {
  readonly dueAt: number;
  readonly id: number;
  readonly label: string;
  run: (() => void) | undefined;
}

/** Something that should have happened has not. */
export class LateError extends Error {}

const wallStart = Date.UTC(2026, 0, 1);
const immediatesPerTurn = 64;

export class SimWorld {
  readonly seed: number;
  readonly random: Prng;
  readonly clock: Clock;
  /** How far the calendar of both hosts is off; only timers and `now` are to be trusted. */
  wallOffsetMs = 0;
  /** Events delivered so far; named in failures. */
  delivered = 0;
  /** Every disk has a number of its own, as files have. */
  nextInode = 1;
  #now = 0;
  #nextId = 0;
  readonly #heap: SimEvent[] = [];
  #endOfTurn: (() => void)[] = [];
  #driven = false;
  readonly #trace: string[] = [];
  /** Called with every line of the trace. */
  onTrace: ((line: string) => void) | undefined;
  /** Called after every step: the checkers' place. A throw ends the run. */
  afterStep: (() => void) | undefined;

  constructor(seed: number) {
    this.seed = seed;
    this.random = new Prng(seed);
    this.clock = {
      now: () => this.#now,
      wallNow: () => wallStart + Math.floor(this.#now) + this.wallOffsetMs,
      after: (delayMs, fire) => this.after(delayMs, 'timer', fire),
      endOfTurn: (run) => {
        // A turn that is asked for from outside a step (set-up code) still ends: as an event.
        if (this.#endOfTurn.length === 0) this.after(0, 'turn', () => {});
        this.#endOfTurn.push(run);
      },
    };
  }

  get now(): number {
    return this.#now;
  }

  /** Schedules `run` after `delayMs`; events due at one instant run in the order of scheduling. */
  after(delayMs: number, label: string, run: () => void): TimerHandle {
    const event: SimEvent = {
      dueAt: this.#now + Math.max(0, delayMs),
      id: this.#nextId++,
      label,
      run,
    };
    heapPush(this.#heap, event);
    return {
      cancel: () => {
        event.run = undefined;
      },
    };
  }

  /** Schedules after a random delay of 0 to `maxMs` (in steps of a microsecond). */
  soon(maxMs: number, label: string, run: () => void): TimerHandle {
    return this.after(this.random.below(Math.max(1, Math.round(maxMs * 1000))) / 1000, label, run);
  }

  /** Remembers a line for the report of a failure. */
  trace(line: string): void {
    const text = `${this.#now.toFixed(3).padStart(12)} ${line}`;
    this.#trace.push(text);
    this.onTrace?.(text);
    if (this.#trace.length > 400) this.#trace.splice(0, 200);
  }

  lastTrace(count = 100): string {
    return this.#trace.slice(-count).join('\n');
  }

  /** Delivers the next event. False when there is none. */
  async step(): Promise<boolean> {
    const before = this.delivered;
    await this.#drive(() => this.delivered > before, 4);
    return this.delivered > before;
  }

  /** Steps until `done` holds. Throws after `limitMs` of simulated time or when nothing is left. */
  async until(done: () => boolean, limitMs: number, what: string): Promise<void> {
    const end = this.#now + limitMs;
    let met = false;
    const over = () => {
      met = done();
      return met || this.#now > end;
    };
    await this.#drive(over);
    if (met) return;
    throw new LateError(
      `seed ${this.seed}: '${what}' did not happen by ${this.#now.toFixed(3)} ms ` +
        `(event ${this.delivered})\n${this.lastTrace()}`,
    );
  }

  /** Steps through `forMs` of simulated time. */
  async run(forMs: number): Promise<void> {
    const end = this.#now + forMs;
    // An event at the end, so that the world's time gets there even when nothing else happens.
    this.after(forMs, 'run', () => {});
    await this.#drive(() => this.#now >= end);
  }

  /** Steps until `over` holds between two steps, or nothing is left. */
  #drive(over: () => boolean, batch = immediatesPerTurn): Promise<void> {
    assert.ok(!this.#driven, 'one at a time makes the world go on');
    this.#driven = true;
    return new Promise<void>((resolve, reject) => {
      let ended = false;
      /** An event was delivered, and its step has not ended. */
      let stepping = false;
      const end = (error?: unknown) => {
        ended = true;
        this.#driven = false;
        if (error === undefined) resolve();
        else reject(error);
      };
      // All microtasks have finished whenever this is called.
      const go = () => {
        if (ended) return;
        try {
          const asked = this.#endOfTurn;
          if (stepping && asked.length > 0) {
            this.#endOfTurn = [];
            for (const run of asked) run();
            return;
          }
          if (stepping) this.afterStep?.();
          stepping = false;
          if (over()) return end();
          stepping = this.#deliver();
          if (!stepping) end();
        } catch (error) {
          end(error);
        }
      };
      const more = () => {
        for (let count = 0; count < batch; count++) setImmediate(go);
        setImmediate(() => {
          if (!ended) more();
        });
      };
      more();
    });
  }

  #deliver(): boolean {
    let event = heapPop(this.#heap);
    while (event !== undefined && event.run === undefined) event = heapPop(this.#heap);
    if (event === undefined) return false;
    this.#now = event.dueAt;
    this.delivered++;
    event.run?.();
    return true;
  }

  /** Awaits a promise while the world goes on. */
  async settled<T>(promise: Promise<T>, limitMs = 600_000, what = 'a promise'): Promise<T> {
    let outcome: { value: T } | { error: unknown } | undefined;
    promise.then(
      (value) => {
        outcome = { value };
      },
      (error: unknown) => {
        outcome = { error };
      },
    );
    await this.until(() => outcome !== undefined, limitMs, what);
    if (outcome !== undefined && 'value' in outcome) return outcome.value;
    throw (outcome as { error: unknown }).error;
  }
}

function before(a: SimEvent, b: SimEvent): boolean {
  return a.dueAt < b.dueAt || (a.dueAt === b.dueAt && a.id < b.id);
}

function heapPush(heap: SimEvent[], event: SimEvent): void {
  let i = heap.length;
  heap.push(event);
  while (i > 0) {
    const parent = (i - 1) >> 1;
    if (!before(event, heap[parent]!)) break;
    heap[i] = heap[parent]!;
    i = parent;
  }
  heap[i] = event;
}

function heapPop(heap: SimEvent[]): SimEvent | undefined {
  const top = heap[0];
  const last = heap.pop();
  if (top === undefined || last === undefined || heap.length === 0) return top;
  let i = 0;
  for (;;) {
    let child = 2 * i + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
    if (!before(heap[child]!, last)) break;
    heap[i] = heap[child]!;
    i = child;
  }
  heap[i] = last;
  return top;
}
