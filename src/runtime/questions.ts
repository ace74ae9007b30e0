/**
 * The questions one thread has asked actors on other threads and that are not answered yet.
 * Bounded: beyond the limit a question is refused, not queued (I12).
 */
import { TdmfError } from '../core/errors.js';

export const questionsMax = 1024;

interface Pending {
  readonly actor: string;
  readonly place: number;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
}

export class Questions {
  readonly #pending = new Map<number, Pending>();
  #last = 0;

  /** `send` gets the number of the question; false from it means that it could not be sent. */
  ask(actor: string, place: number, send: (id: number) => boolean): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#last = (this.#last + 1) >>> 0;
      const id = this.#last;
      if (this.#pending.size >= questionsMax || this.#pending.has(id) || !send(id)) {
        reject(new TdmfError('TDMF_ACTOR_BUSY', { actor }));
        return;
      }
      this.#pending.set(id, { actor, place, resolve, reject });
    });
  }

  answered(id: number, answer: unknown): void {
    this.#take(id)?.resolve(answer);
  }

  refused(id: number, error: unknown): void {
    this.#take(id)?.reject(error);
  }

  /** The actor had ended when the question came. */
  gone(id: number): void {
    const pending = this.#take(id);
    pending?.reject(new TdmfError('TDMF_ACTOR_GONE', { actor: pending.actor }));
  }

  /** The thread that should have answered is gone. */
  placeDown(place: number, error: unknown): void {
    for (const [id, pending] of this.#pending) {
      if (pending.place !== place) continue;
      this.#pending.delete(id);
      pending.reject(error);
    }
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }
}
