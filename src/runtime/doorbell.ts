/**
 * The only file that waits on shared memory. Every place (a host thread, or the main thread) has
 * one bell: a counter and a flag on a 64-byte line of their own. Who has put a message into a ring
 * rings the bell of the reader; the reader looks at the counter, then at its rings, then sleeps.
 *
 * It sleeps in Atomics.waitAsync, so timers, sockets and completions go on meanwhile. A pending
 * waitAsync does not keep a thread alive, so a keeper holds a ref'd interval; the interval also is
 * the insurance: it wakes a keeper that missed a ring. That must never happen; it is counted, and
 * the tests demand zero.
 *
 *   word 0 count · 1 asleep · 2 running (which actor runs, to blame it for a crash) · 3 insured
 */
import type { Doorbell } from '../ports/doorbell.js';

const bellWords = 16;
const countWord = 0;
const asleepWord = 1;
const runningWord = 2;
const insuredWord = 3;
const keepAliveMs = 500;

type WaitAsync = (
  words: Int32Array,
  index: number,
  value: number,
) => { async: false; value: string } | { async: true; value: Promise<string> };

// Node 20 has it; the ES2022 type library does not know it yet.
const { waitAsync } = Atomics as unknown as { readonly waitAsync: WaitAsync };

export const bellMemory = (places: number): SharedArrayBuffer =>
  new SharedArrayBuffer(places * bellWords * 4);

const bellOf = (memory: SharedArrayBuffer, place: number): Int32Array =>
  new Int32Array(memory, place * bellWords * 4, bellWords);

/** For the threads that ring. */
export class Bell implements Doorbell {
  readonly #words: Int32Array;

  constructor(memory: SharedArrayBuffer, place: number) {
    this.#words = bellOf(memory, place);
  }

  ring(): void {
    Atomics.add(this.#words, countWord, 1);
    // An awake keeper needs no notify. The order proves it: the keeper stores `asleep` and *then*
    // compares the counter (inside waitAsync); this thread adds to the counter and *then* loads
    // `asleep`. If 0 is seen here, the add came before that comparison, which fails, and the keeper
    // looks again. If 1 is seen, exactly one ringer takes the flag and notifies; a later ringer
    // sees 0 while that notify is still under way, and its add is seen when the keeper, woken by
    // it, looks at the counter or fails the comparison of its next sleep.
    if (
      Atomics.load(this.#words, asleepWord) === 1 &&
      Atomics.exchange(this.#words, asleepWord, 0) === 1
    ) {
      Atomics.notify(this.#words, countWord);
    }
  }

  /** The key of the actor that runs now, or ran when the thread died; 0 for none. */
  get running(): number {
    return Atomics.load(this.#words, runningWord);
  }

  /** How often the insurance found a missed ring: always 0. */
  get insured(): number {
    return Atomics.load(this.#words, insuredWord);
  }

  /** For the successor of a thread that died in its sleep. */
  reset(): void {
    Atomics.store(this.#words, asleepWord, 0);
    Atomics.store(this.#words, runningWord, 0);
  }
}

/** For the one thread that waits. Use: look, serve every queue, sleep; again when `woken`. */
export class BellKeeper {
  readonly #words: Int32Array;
  readonly #woken: () => void;
  readonly #keepAlive: NodeJS.Timeout;
  #seen: number;
  #armed = false;
  #sleeps = 0;
  #suspected = -1;
  #closed = false;

  constructor(memory: SharedArrayBuffer, place: number, woken: () => void) {
    this.#words = bellOf(memory, place);
    this.#woken = woken;
    this.#seen = Atomics.load(this.#words, countWord);
    this.#keepAlive = setInterval(() => this.#insure(), keepAliveMs);
  }

  /** Before the queues are served: what is put into them from now on moves the counter again. */
  look(): void {
    this.#seen = Atomics.load(this.#words, countWord);
  }

  /** False: the bell rang since `look`, serve again. True: `woken` will be called when it rings. */
  sleep(): boolean {
    // A sleep that is still armed began before this look; every ring since then notifies it.
    if (this.#armed || this.#closed) return true;
    Atomics.store(this.#words, asleepWord, 1);
    const wait = waitAsync(this.#words, countWord, this.#seen);
    if (!wait.async) {
      Atomics.store(this.#words, asleepWord, 0);
      return false;
    }
    this.#armed = true;
    this.#sleeps++;
    void wait.value.then(() => {
      this.#armed = false;
      Atomics.store(this.#words, asleepWord, 0);
      if (!this.#closed) this.#woken();
    });
    return true;
  }

  /** Names the actor whose code runs now (0: none), for the one who looks after a crash. */
  running(key: number): void {
    Atomics.store(this.#words, runningWord, key);
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#keepAlive);
    // Lets the pending promise settle, so that nothing of it outlives the thread's loop.
    Atomics.notify(this.#words, countWord);
  }

  #insure(): void {
    // One look is no proof: the wake-up may be on its way. Between two turns of this interval the
    // loop has delivered whatever had arrived, so the same sleep with a moved counter is a miss.
    const missed = this.#armed && Atomics.load(this.#words, countWord) !== this.#seen;
    if (missed && this.#suspected === this.#sleeps) {
      Atomics.add(this.#words, insuredWord, 1);
      Atomics.notify(this.#words, countWord);
    }
    this.#suspected = missed ? this.#sleeps : -1;
  }
}
