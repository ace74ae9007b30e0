/**
 * Turns completions into promises, for contract suites and tests. Also checks the two promises that
 * every completion keeps: it comes exactly once, and never from inside the call that started it.
 */
import { strict as assert } from 'node:assert';
import type { CompletionSink } from '../../ports/completion.js';

export class Outcomes implements CompletionSink {
  readonly #waiting = new Map<number, (result: number) => void>();
  #lastTag = 0;
  #inside = false;

  /** Starts an operation with this sink and a fresh tag; resolves with its result. */
  of(start: (sink: CompletionSink, tag: number) => void): Promise<number> {
    const tag = ++this.#lastTag;
    return new Promise((resolve) => {
      this.#waiting.set(tag, resolve);
      this.#inside = true;
      start(this, tag);
      this.#inside = false;
    });
  }

  completed(tag: number, result: number): void {
    assert.equal(this.#inside, false, 'a completion comes after the call has returned');
    const resolve = this.#waiting.get(tag);
    assert.ok(resolve, `tag ${tag} completes exactly once`);
    this.#waiting.delete(tag);
    resolve(result);
  }
}
