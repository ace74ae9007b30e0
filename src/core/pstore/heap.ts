/**
 * The heap of the pstore: which pages behind the slots belong to the images of which device. Kept in
 * memory only; what is used is what the slots say. First fit: extents are few, of few sizes, and
 * change only when a group or one of its devices comes or goes.
 */
import type { Extent } from './slot-payload.js';

export class Heap {
  /** First page that may be given out, and the first that may not. */
  readonly #first: number;
  readonly #end: number;
  #used: { readonly page: number; readonly end: number }[] = [];

  constructor(first: number, end: number) {
    this.#first = first;
    this.#end = end;
  }

  take({ page, pages }: Extent): void {
    this.#used.push({ page, end: page + 2 * pages });
  }

  give({ page }: Extent): void {
    this.#used = this.#used.filter((one) => one.page !== page);
  }

  /** Room for two images of `pages`; it is the caller's from now on. Undefined: there is none. */
  allocate(pages: number, allocation: number): Extent | undefined {
    let page = this.#first;
    for (const used of this.#used.toSorted((a, b) => a.page - b.page)) {
      if (used.page >= page + 2 * pages) break;
      page = Math.max(page, used.end);
    }
    if (page + 2 * pages > this.#end) return undefined;
    const extent = { page, pages, allocation };
    this.take(extent);
    return extent;
  }

  /** Whether images of these sizes would find room. */
  hasRoom(sizes: readonly number[]): boolean {
    const taken = sizes.map((pages) => this.allocate(pages, 0));
    for (const extent of taken) if (extent !== undefined) this.give(extent);
    return taken.every((extent) => extent !== undefined);
  }
}
