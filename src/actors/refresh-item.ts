/**
 * Blocks on their way through the refresh sender, in the order of the walk: what they are, where they
 * were read to, how far they are. Plain data; refresh-sender.ts moves it along.
 *
 *   reading ─► read ──────────────────────────► ready ─► sent
 *                └─ compare: asked ─► split ─────┘
 */
import { babEntryPayloadMax, hashBlocksMax } from '../core/constants.js';
import { frontBytes, type ReadPiece, readBlocksMax } from './blocks-frame.js';

export interface Item extends ReadPiece {
  /** Compared before anything of it is sent; up to `hashBlocksMax` blocks. Otherwise of one slot. */
  compare: boolean;
  /** The pieces of memory it was read to; none for zeroes. */
  slots: number[];
  state: 'reading' | 'read' | 'asked' | 'ready';
  /** Given back while its read was under way: nobody looks at what is read. */
  dropped: boolean;
}

export const slotBytes = frontBytes + babEntryPayloadMax;
/** Slots that a batch of hashes reads to. */
export const slotsPerBatch = hashBlocksMax / readBlocksMax;

/** Where the data of a slot begins. */
export function dataOf(slot: number): number {
  return slot * slotBytes + frontBytes;
}

/** What a comparison left of `item`, as pieces that can be sent, and the slots they do not need. */
export interface Split {
  readonly pieces: Item[];
  readonly unused: number[];
}

/** `differs`: one bit a block. A piece keeps its slot when some of its data must travel. */
export function splitCompared(item: Item, differs: number): Split {
  const pieces: Item[] = [];
  const unused: number[] = [];
  for (let block = 0; block < item.count; block += readBlocksMax) {
    const count = Math.min(readBlocksMax, item.count - block);
    const all = 2 ** count - 1;
    const wanted = (differs >>> block) & all;
    const zeroMask = (item.zeroMask >>> block) & all;
    const slot = item.slots[block / readBlocksMax];
    const first = item.first + block;
    if ((wanted & ~zeroMask) !== 0) {
      pieces.push(ready(item.device, first, count, zeroMask, all & ~wanted, [slot!]));
      continue;
    }
    if (slot !== undefined) unused.push(slot);
    for (let at = 0; at < count; at += 1) {
      if ((wanted & (1 << at)) === 0) continue;
      let run = 1;
      while (at + run < count && (wanted & (1 << (at + run))) !== 0) run += 1;
      pieces.push(ready(item.device, first + at, run, 2 ** run - 1, 0, []));
      at += run;
    }
  }
  return { pieces, unused };
}

/** Blocks that are known to be zeroes, or were read already. */
export function ready(
  device: number,
  first: number,
  count: number,
  zeroMask: number,
  skipMask: number,
  slots: number[],
): Item {
  const state = 'ready';
  return {
    device,
    first,
    count,
    zeroMask,
    skipMask,
    slots,
    state,
    compare: false,
    dropped: false,
  };
}
