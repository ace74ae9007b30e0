/**
 * Main's hold on one host thread from its start to its death: one run of one Piscina task. When the
 * thread dies, calls that wait for it are rejected (comlink alone would wait for ever), and `ended`
 * says so only after the thread has really exited: its I/O may not land after that (H22, I16).
 *
 * A run never comes back; pool.ts begins a new one in its place.
 */
import { MessageChannel, type Worker } from 'node:worker_threads';
import type { Piscina } from 'piscina';
import { TdmfError } from '../core/errors.js';
import type { HostControl, HostInput, HostReports, RingOffer } from './control.js';
import { expose, type Remote, remote } from './expose.js';

export interface HostEnd {
  /** Undefined after a clean stop. */
  readonly error: unknown;
}

export class HostRun {
  readonly place: number;
  /** Resolves when the host takes calls; rejects when it dies before. */
  readonly ready: Promise<void>;
  /** Resolves, never rejects, when nothing of the host runs any more. */
  readonly ended: Promise<HostEnd>;
  readonly #control: Remote<HostControl>;
  readonly #abort = new AbortController();
  readonly #waiting = new Set<(error: unknown) => void>();
  #dead = false;
  #worker: Worker | undefined;
  #exited: Promise<unknown> = Promise.resolve();

  constructor(
    pool: Piscina,
    input: Omit<HostInput, 'control' | 'reports'>,
    ringOpened: (offer: RingOffer) => void,
  ) {
    this.place = input.place;
    const control = new MessageChannel();
    const reports = new MessageChannel();
    this.#control = remote<HostControl>(control.port1);
    const isReady = new Promise<void>((resolve) => {
      const answers: HostReports = {
        ready: (threadId) => {
          this.#worker = pool.threads.find((worker) => worker.threadId === threadId);
          this.#exited = new Promise((exited) => {
            if (this.#worker === undefined) exited(undefined);
            else this.#worker.once('exit', exited);
          });
          resolve();
        },
        // What a thread says after its death was said to a generation that is gone.
        ringOpened: (offer) => {
          if (!this.#dead) ringOpened(offer);
        },
      };
      expose(answers, reports.port1);
    });
    const task = pool.run(
      { ...input, control: control.port2, reports: reports.port2 },
      { transferList: [control.port2, reports.port2], signal: this.#abort.signal },
    );
    this.ended = task.then(
      () => this.#end(undefined),
      (error: unknown) => this.#end(error ?? new Error('the host failed without an error')),
    );
    void this.ended.then(() => {
      control.port1.close();
      reports.port1.close();
    });
    this.ready = this.#orDeath(isReady);
    this.ready.catch(() => undefined);
  }

  /** A control call; rejects with TDMF_HOST_CRASHED when the host dies before it answers. */
  call<Answer>(run: (control: Remote<HostControl>) => Promise<Answer>): Promise<Answer> {
    return this.#orDeath(this.#dead ? new Promise<Answer>(() => undefined) : run(this.#control));
  }

  /** Ends a thread that does not answer or cannot be trusted. `ended` follows. */
  terminate(): void {
    this.#abort.abort();
  }

  async #end(error: unknown): Promise<HostEnd> {
    this.#dead = true;
    const crashed = new TdmfError('TDMF_HOST_CRASHED', { host: this.place }, { cause: error });
    for (const reject of this.#waiting) reject(crashed);
    this.#waiting.clear();
    if (error !== undefined) {
      // The task may have failed on a thread that lives on; whatever it left behind goes with it.
      await this.#worker?.terminate();
      await this.#exited;
    }
    return { error };
  }

  #orDeath<Answer>(answer: Promise<Answer>): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#dead) {
        reject(new TdmfError('TDMF_HOST_CRASHED', { host: this.place }));
        return;
      }
      this.#waiting.add(reject);
      answer.then(resolve, reject).finally(() => this.#waiting.delete(reject));
    });
  }
}
