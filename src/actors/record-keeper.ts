/**
 * The group's record and its way into the pstore. Changes are made in memory and asked to be saved;
 * saves go out one at a time and always carry everything, so a later one replaces an earlier one. A
 * failed save is reported and tried again by itself with a growing pause, until it is durable: the
 * decisions that must not be taken without it wait for `saved` (I6, Rule 8a).
 */
import type { GroupRecord } from '../core/pstore/record.js';
import type { Clock, TimerHandle } from '../ports/clock.js';
import type { Address } from './actor.js';

const retryFirstMs = 500;
const retryMaxMs = 30_000;

export interface RecordKeeperHooks {
  /** Called before a save: the record with the positions of this moment. */
  current(record: GroupRecord): GroupRecord;
  /** `latest`: everything that was asked to be saved is durable. */
  saved(durable: GroupRecord, latest: boolean): void;
  failed(error: unknown): void;
}

interface Waiter {
  readonly version: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class RecordKeeper {
  record: GroupRecord;
  /** What a restart would find. */
  durable: GroupRecord;
  readonly #pstore: Address<never>;
  readonly #clock: Clock;
  readonly #guarded: (run: () => void) => () => void;
  readonly #hooks: RecordKeeperHooks;
  #asked = 0;
  #done = 0;
  #saving = false;
  #failures = 0;
  #retry: TimerHandle | undefined;
  #closed = false;
  #waiters: Waiter[] = [];

  constructor(
    durable: GroupRecord,
    pstore: Address<never>,
    clock: Clock,
    guarded: (run: () => void) => () => void,
    hooks: RecordKeeperHooks,
  ) {
    this.record = durable;
    this.durable = durable;
    this.#pstore = pstore;
    this.#clock = clock;
    this.#guarded = guarded;
    this.#hooks = hooks;
  }

  change(change: (record: GroupRecord) => GroupRecord): void {
    this.record = change(this.record);
  }

  persist(): void {
    this.#asked++;
    this.#retry?.cancel();
    this.#retry = undefined;
    if (!this.#saving) this.#save();
  }

  /** Resolves when everything asked for so far is durable; rejects when the next try fails. */
  settled(): Promise<void> {
    if (this.#done === this.#asked) return Promise.resolve();
    const version = this.#asked;
    return new Promise((resolve, reject) => {
      this.#waiters.push({ version, resolve, reject });
    });
  }

  close(): void {
    this.#closed = true;
    this.#retry?.cancel();
  }

  #save(): void {
    this.#saving = true;
    const version = this.#asked;
    this.record = this.#hooks.current(this.record);
    const record = this.record;
    let failure: { readonly error: unknown } | undefined;
    const finish = this.#guarded(() => {
      this.#saving = false;
      if (this.#closed) return;
      if (failure === undefined) this.#succeeded(version, record);
      else this.#failed(version, failure.error);
    });
    void this.#pstore.ask({ kind: 'pstore.save', record }).then(finish, (error: unknown) => {
      failure = { error };
      finish();
    });
  }

  #succeeded(version: number, record: GroupRecord): void {
    this.#failures = 0;
    this.#done = version;
    this.durable = record;
    this.#settle(version, (waiter) => waiter.resolve());
    this.#hooks.saved(record, version === this.#asked);
    if (this.#done < this.#asked && !this.#saving) this.#save();
  }

  #failed(version: number, error: unknown): void {
    this.#failures++;
    const pause = Math.min(retryMaxMs, retryFirstMs * 2 ** (this.#failures - 1));
    this.#retry = this.#clock.after(
      pause,
      this.#guarded(() => {
        this.#retry = undefined;
        if (!this.#saving) this.#save();
      }),
    );
    this.#settle(version, (waiter) => waiter.reject(error));
    this.#hooks.failed(error);
  }

  #settle(upTo: number, end: (waiter: Waiter) => void): void {
    const ended = this.#waiters.filter(({ version }) => version <= upTo);
    this.#waiters = this.#waiters.filter(({ version }) => version > upTo);
    for (const waiter of ended) end(waiter);
  }
}
