/**
 * The turn in which the PMD sends: entries first, then blocks of a refresh (R5), within the credit of
 * the secondary and as long as the link takes them; then it goes to sleep if there is nothing left.
 * One run per turn of the host's loop, however many acks, publications and reads asked for it.
 */
import type { BabReader } from '../core/bab/reader.js';
import type { Window } from '../core/engine/window.js';
import type { TimerHandle } from '../ports/clock.js';
import type { ActorContext } from './actor.js';
import type { EntrySender } from './entry-sender.js';
import type { ChunkTunables } from './pmd-options.js';
import type { PmdRefresh } from './pmd-refresh.js';
import type { PmdSession } from './pmd-session.js';

export interface PumpSources {
  readonly entries: EntrySender;
  readonly run: PmdRefresh | undefined;
  readonly tunables: ChunkTunables;
}

/** How long entries may wait for company before a sleeping PMD sends them. */
const gatherMs = 1;

export class PmdPump {
  /** The credit of the session that was admitted. */
  window: Window | undefined;
  readonly #context: ActorContext;
  readonly #reader: BabReader;
  readonly #sources: PumpSources;
  #session: PmdSession | undefined;
  #flushWanted = 0;
  /** Of the session's bytes, what the statistics have. */
  #countedBytes = 0;
  #scheduled = false;
  #delay: TimerHandle | undefined;
  #gathering: TimerHandle | undefined;
  readonly #again = (): void => this.schedule();
  readonly #turn: () => void;

  constructor(context: ActorContext, reader: BabReader, sources: PumpSources) {
    this.#context = context;
    this.#reader = reader;
    this.#sources = sources;
    this.#turn = context.guard(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  attach(session: PmdSession, window: Window): void {
    this.#session = session;
    this.#countedBytes = 0;
    this.window = window;
  }

  detach(): void {
    this.#session = undefined;
    this.window = undefined;
    this.#flushWanted = 0;
    this.#delay?.cancel();
    this.#delay = undefined;
    this.#gathering?.cancel();
    this.#gathering = undefined;
  }

  /**
   * The driver published while the PMD slept. A writer with one write at a time would wake two
   * threads for each: what it writes in the next moment goes into the same frame. Nobody waits for
   * it; the driver does not ring again while the PMD gathers. In sync mode somebody does wait.
   */
  wake(): void {
    if (this.#session === undefined) return;
    if (this.#reader.control.awaitedDurable !== undefined) {
      this.schedule();
      return;
    }
    if (this.#gathering !== undefined) return;
    const over = this.#context.guard(() => {
      this.#gathering = undefined;
      this.schedule();
    });
    this.#gathering = this.#context.clock.after(gatherMs, over);
  }

  /** Sends what can be sent at the end of this turn. */
  schedule(): void {
    if (this.#scheduled || this.#session === undefined) return;
    this.#scheduled = true;
    this.#context.clock.endOfTurn(this.#turn);
  }

  /** CHUNKDELAY may have changed: a pause of before is over. */
  tuned(): void {
    this.#delay?.cancel();
    this.#delay = undefined;
    this.schedule();
  }

  /** The secondary shall flush through everything published by now (tdmfsync). */
  wantFlush(): void {
    this.#flushWanted = this.#reader.control.stamped;
    this.schedule();
  }

  #pump(): void {
    const session = this.#session;
    const { window } = this;
    if (session === undefined || window === undefined) return;
    this.#reader.awake();
    while (session.writable && this.#delay === undefined && this.#sendFrame(session, window)) {
      this.#pause();
    }
    this.#sources.run?.advance(window);
    this.#flush(session);
    this.#count(session);
    this.#sleep();
  }

  /** Everything that went to the link, compressed as it is (MD 36). */
  #count(session: PmdSession): void {
    this.#reader.control.countSent(0, session.linkBytes - this.#countedBytes);
    this.#countedBytes = session.linkBytes;
  }

  #sendFrame(session: PmdSession, window: Window): boolean {
    const { entries, run, tunables } = this.#sources;
    return (
      entries.send(session, window, tunables.chunkSizeKb * 1024, this.#again) ||
      run?.send(window, this.#again) === true
    );
  }

  /** CHUNKDELAY: a pause after every chunk. */
  #pause(): void {
    const { chunkDelayMs } = this.#sources.tunables;
    if (chunkDelayMs <= 0) return;
    const over = this.#context.guard(() => {
      this.#delay = undefined;
      this.schedule();
    });
    this.#delay = this.#context.clock.after(chunkDelayMs, over);
  }

  /** The wish goes out behind the entries it is about (Rule 39). */
  #flush(session: PmdSession): void {
    const { drain } = this.#sources.entries;
    if (drain.era === undefined) return;
    if (this.#flushWanted > 0 && drain.sent >= this.#flushWanted) {
      drain.flushAsked = this.#flushWanted;
      this.#flushWanted = 0;
      session.control({ kind: 'flushWanted', sequence: drain.flushAsked });
    }
    const sequence = this.#waitersWant();
    if (sequence === 0) return;
    drain.flushAsked = sequence;
    session.control({ kind: 'flushWanted', sequence });
  }

  /** Writers wait for this to be durable, and the secondary was not asked yet; 0: nothing. */
  #waitersWant(): number {
    const { drain } = this.#sources.entries;
    const awaited = this.#reader.control.awaitedDurable;
    return awaited === undefined ? 0 : drain.flushFor(awaited);
  }

  #sleep(): void {
    const { drain, published } = this.#sources.entries;
    if (drain.era === undefined || drain.indexOf(drain.sent + 1) !== published) return;
    // A wish that came behind the last look is seen now, or its writer sees the sleeper.
    if (this.#reader.sleep(published) && this.#waitersWant() === 0) return;
    this.#reader.awake();
    this.schedule();
  }
}
