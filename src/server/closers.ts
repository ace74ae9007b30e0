/**
 * What has been opened, to be closed in reverse order: by the end of a block server, and by a start
 * that failed half-way, so that a host without a port or a pstore leaves no thread and no lock.
 */

export class Closers {
  readonly #closers: (() => Promise<unknown>)[] = [];

  add(close: () => Promise<unknown>): void {
    this.#closers.push(close);
  }

  /** Closes all, whatever fails; then rejects with the first failure. */
  async closeAll(): Promise<void> {
    const failures: unknown[] = [];
    for (;;) {
      const close = this.#closers.pop();
      if (close === undefined) break;
      await close().catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  }
}
