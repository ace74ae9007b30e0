/**
 * One device operation as a promise, for the control path only: headers of journal files, replays,
 * flushes around a commit. The data path uses long-lived completion sinks instead.
 */
import type { CompletionSink } from '../ports/completion.js';

/** Resolves with the result: ≥ 0, or −errno. Device operations always complete. */
export function deviceCall(start: (sink: CompletionSink) => void): Promise<number> {
  return new Promise((resolve) => {
    start({ completed: (_tag, result) => resolve(result) });
  });
}
