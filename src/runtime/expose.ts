/**
 * Typed calls between two threads over a MessagePort. The only importer of comlink and of its node
 * adapter: comlink listens in the browser's way, and it rebuilds thrown errors from their message
 * alone. Here its `throw` handler is replaced, so that `code`, `details` and `cause` survive.
 *
 * It does not notice the death of the other thread: whoever calls must give up by other means
 * (host-run.ts does).
 */
import type { MessagePort } from 'node:worker_threads';
import { expose as comlinkExpose, type Remote, transferHandlers, wrap } from 'comlink';
import nodeAdapter from 'comlink/dist/umd/node-adapter.js';
import { fromPlainError, type PlainError, toPlainError } from '../core/errors.js';

export type { Remote } from 'comlink';

const original = transferHandlers.get('throw');
if (original !== undefined) {
  transferHandlers.set('throw', {
    canHandle: (value): value is unknown => original.canHandle(value),
    serialize: (thrown) => [toPlainError((thrown as { readonly value: unknown }).value), []],
    deserialize: (plain) => {
      throw fromPlainError(plain as PlainError);
    },
  });
}

// A CommonJS module whose types say `export default`: under nodenext the function is in the type
// one level deeper than in the value.
const nodeEndpoint = nodeAdapter as unknown as typeof nodeAdapter.default;

/** Answers the calls of the other thread with the methods of `target`. */
export function expose(target: object, port: MessagePort): void {
  comlinkExpose(target, nodeEndpoint(port));
}

/** The other thread's target; every method returns a promise. */
export function remote<Target>(port: MessagePort): Remote<Target> {
  return wrap<Target>(nodeEndpoint(port));
}
