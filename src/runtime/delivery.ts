/**
 * What becomes of an envelope that a ring handed over: a message or question for an actor of this
 * thread, an answer to a question that was asked here, or, on main, a report.
 *
 * A message to an actor that has ended is dropped; a question to it is answered so. An envelope
 * whose mailbox is full is handed back, and the ring keeps it in front (inbound.ts).
 */
import type { ActorCell } from '../actors/cell.js';
import { AssertionError } from '../core/assert.js';
import { fromPlainError, type PlainError, toPlainError } from '../core/errors.js';
import { type Envelope, type EnvelopeKind, envelopeKinds } from './envelope.js';
import type { Deliver, Inbound } from './inbound.js';
import type { Questions } from './questions.js';

/** An actor's word to the runtime. */
export type Report =
  | { readonly kind: 'event'; readonly type: string; readonly payload: Record<string, unknown> }
  | { readonly kind: 'failure'; readonly key: number; readonly error: unknown };

export interface DeliveryOptions {
  readonly cells: ReadonlyMap<number, ActorCell>;
  readonly questions: Questions;
  readonly reply: (place: number, kind: EnvelopeKind, id: number, body: unknown) => boolean;
  /** `place` is where the actor lives. */
  readonly report: (report: Report, place: number) => void;
}

export function deliverTo({ cells, questions, reply, report }: DeliveryOptions): Deliver {
  const ask = (to: number, id: number, question: unknown, from: Inbound): boolean => {
    // An answer to a dead thread must not reach its successor, which counts its questions anew.
    const answer = (kind: EnvelopeKind, body: unknown): void => {
      if (!from.closed) reply(from.from, kind, id, body);
    };
    const cell = cells.get(to);
    if (cell === undefined) {
      // Only the asker still knows what the actor was called.
      answer(envelopeKinds.error, null);
      return true;
    }
    const answered = cell.ask(question);
    if (answered === undefined) return false;
    answered
      .then((value) => answer(envelopeKinds.answer, value))
      // Also when the answer cannot be packed or is too large: the asker must hear something.
      .catch((error: unknown) => answer(envelopeKinds.error, toPlainError(error)));
    return true;
  };

  return ({ to, kind, id, body }: Envelope, from: Inbound): boolean => {
    switch (kind) {
      case envelopeKinds.tell: {
        const cell = cells.get(to);
        return cell === undefined || cell.tell(body) || !cell.alive;
      }
      case envelopeKinds.ask:
        return ask(to, id, body, from);
      case envelopeKinds.answer:
        questions.answered(id, body);
        return true;
      case envelopeKinds.error:
        if (body === null) questions.gone(id);
        else questions.refused(id, fromPlainError(body as PlainError));
        return true;
      case envelopeKinds.event: {
        const [type, payload] = body as [string, Record<string, unknown>];
        report({ kind: 'event', type, payload }, from.from);
        return true;
      }
      case envelopeKinds.failure: {
        const error = fromPlainError(body as PlainError);
        report({ kind: 'failure', key: id, error }, from.from);
        return true;
      }
      default:
        throw new AssertionError(`a ring carries no envelope of kind ${kind}`);
    }
  };
}
