/**
 * What happens to a supervision set, the actors that fail together (a group's driver, group and
 * PMD), when one of them fails (H46): all of it is stopped and its I/O drained (H22), then, after a
 * back-off, whoever knows how is called to start it again; or it is parked.
 *
 *   running ──failure──► stopping ──all ended──► waiting ──delay──► restarting ──► running
 *                            └──third failure of one actor in a minute──► parked
 *
 * Times and limits are core/supervision.ts's; this file only carries them out. A failure while
 * the set stops or waits is part of the same failure; one during the restart is the next.
 */
import { isTdmfError, TdmfError, toPlainError } from '../core/errors.js';
import { type Decision, Supervision } from '../core/supervision.js';
import type { Clock, TimerHandle } from '../ports/clock.js';
import type { Log } from '../ports/log.js';

export type SetState = 'running' | 'stopping' | 'waiting' | 'restarting' | 'parked';

export interface SetsOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Stops every actor of the set; resolves when the I/O of all has ended. Does not reject. */
  readonly stop: (set: string) => Promise<void>;
  /** The back-off is over, start the set again; or it is parked, say so. A rejection is a failure. */
  readonly decided: (set: string, decision: Decision, error: unknown) => Promise<void>;
  readonly publish: (type: string, payload: Record<string, unknown>) => void;
}

interface Failure {
  readonly culprit: string | undefined;
  readonly error: unknown;
}

interface Entry {
  state: SetState;
  next: Failure | undefined;
  timer: TimerHandle | undefined;
}

/** A set that cannot be started is to blame itself, but not for the crash of its host (I11). */
const blame = (set: string, error: unknown): Failure => ({
  culprit: isTdmfError(error) && error.code === 'TDMF_HOST_CRASHED' ? undefined : set,
  error,
});

export class Sets {
  readonly #options: SetsOptions;
  readonly #supervision = new Supervision();
  readonly #entries = new Map<string, Entry>();
  #closed = false;

  constructor(options: SetsOptions) {
    this.#options = options;
  }

  state(set: string): SetState {
    return this.#entries.get(set)?.state ?? 'running';
  }

  /** `culprit` is the actor that is to blame, if anybody knows. */
  failed(set: string, culprit: string | undefined, error: unknown): void {
    if (this.#closed) return;
    const entry = this.#entries.get(set) ?? { state: 'running', next: undefined, timer: undefined };
    this.#entries.set(set, entry);
    if (entry.state === 'restarting') entry.next ??= { culprit, error };
    if (entry.state === 'running') void this.#handle(set, entry, { culprit, error });
  }

  /** The operator stopped the set: no restart is under way any more, and its record is clean. */
  forget(set: string): void {
    this.#entries.get(set)?.timer?.cancel();
    this.#entries.delete(set);
    this.#supervision.forget(set);
  }

  close(): void {
    this.#closed = true;
    for (const entry of this.#entries.values()) entry.timer?.cancel();
  }

  async #handle(set: string, entry: Entry, failure: Failure): Promise<void> {
    const { clock, publish, stop } = this.#options;
    const { culprit, error } = failure;
    entry.state = 'stopping';
    const decision = this.#supervision.failed(set, culprit, clock.now());
    await stop(set);
    if (this.#gone(set, entry)) return;
    if (decision.kind === 'park') {
      entry.state = 'parked';
      const parked = new TdmfError(
        'TDMF_ACTOR_PARKED',
        { actor: decision.culprit, count: decision.count },
        { cause: error },
      );
      publish('actor.parked', { set, actor: decision.culprit, error: toPlainError(parked) });
      await this.#tell(set, decision, parked);
      return;
    }
    publish('actor.failed', { set, actor: culprit, error: toPlainError(error), ...decision });
    entry.state = 'waiting';
    entry.timer = clock.after(decision.delayMs, () => {
      void this.#restart(set, entry, decision, error);
    });
  }

  async #restart(set: string, entry: Entry, decision: Decision, error: unknown): Promise<void> {
    entry.state = 'restarting';
    const problem = await this.#tell(set, decision, error);
    if (this.#gone(set, entry)) return;
    const next = entry.next ?? (problem && blame(set, problem.error));
    entry.next = undefined;
    if (next === undefined) this.#entries.delete(set);
    else await this.#handle(set, entry, next);
  }

  async #tell(
    set: string,
    decision: Decision,
    error: unknown,
  ): Promise<{ readonly error: unknown } | undefined> {
    try {
      await this.#options.decided(set, decision, error);
      return undefined;
    } catch (problem) {
      this.#options.log.write('error', 'a restart failed', { set, error: toPlainError(problem) });
      return { error: problem };
    }
  }

  #gone(set: string, entry: Entry): boolean {
    return this.#closed || this.#entries.get(set) !== entry;
  }
}
