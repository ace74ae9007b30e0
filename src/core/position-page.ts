/**
 * `jGGG.page`: 4096 bytes of shared memory backed by a file. It holds the two positions of Rule 7a
 * that move while entries stream: `applied`, one aligned word stored after every completion, which a
 * killed process leaves behind at once; and `durable`, in two checksummed slots written in turn, which
 * counts after a power cut once the page was synced. Bytes are in docs/journal.md.
 *
 * `applied` means something only together with the era and the boot it was written under (the guard);
 * while the guard is rewritten the word says "unknown". No allocation in `setApplied`.
 */
import { assert } from './assert.js';
import { getU32, getU64, putU32, putU64 } from './bytes.js';
import type { Crc32c } from './checksum.js';
import { getEra, getText, idBytes, putEra, putText } from './fixed-text.js';
import { layout } from './layout.js';
import type { WirePosition } from './wire/messages.js';

export const positionPageBytes = 4096;

export const positionSlotLayout = layout({
  id: 'position-slot',
  sizeBytes: 64,
  // biome-ignore format: one field a line reads as a table
  fields: [
    { offset: 0, size: 4, type: 'u32', name: 'magic', meaning: '`TDMP`: 54 44 4d 50' },
    { offset: 4, size: 4, type: 'u32', name: 'crc', meaning: 'CRC32C of the 56 bytes after' },
    { offset: 8, size: 8, type: 'u64', name: 'generation', meaning: 'the greater one counts' },
    { offset: 16, size: 16, type: 'bytes', name: 'era', meaning: 'era of the position' },
    { offset: 32, size: 8, type: 'u64', name: 'durable', meaning: 'everything up to here is durable' },
    { offset: 40, size: 24, type: 'reserved', name: 'reserved', meaning: 'zero' },
  ],
});

export const positionPageLayout = layout({
  id: 'position-page',
  sizeBytes: positionPageBytes,
  // biome-ignore format: one field a line reads as a table
  fields: [
    { offset: 0, size: 64, type: 'bytes', name: 'slotA', meaning: 'a `position-slot`' },
    { offset: 64, size: 448, type: 'reserved', name: 'reservedA', meaning: 'zero' },
    { offset: 512, size: 64, type: 'bytes', name: 'slotB', meaning: 'a `position-slot`, in another sector' },
    { offset: 576, size: 448, type: 'reserved', name: 'reservedB', meaning: 'zero' },
    { offset: 1024, size: 16, type: 'bytes', name: 'guardEra', meaning: 'era of `applied`' },
    { offset: 1040, size: 64, type: 'bytes', name: 'guardBoot', meaning: 'boot under which `applied` was stored' },
    { offset: 1104, size: 4, type: 'u32', name: 'guardCrc', meaning: 'CRC32C of the 80 bytes before' },
    { offset: 1108, size: 428, type: 'reserved', name: 'reservedC', meaning: 'zero' },
    { offset: 1536, size: 8, type: 'bytes', name: 'applied', meaning: 'a 64-bit float: everything up to here is on the mirror; −1 unknown' },
    { offset: 1544, size: 2552, type: 'reserved', name: 'reservedD', meaning: 'zero' },
  ],
});

const magic = 0x504d4454;
const at = positionPageLayout.at;
const slotAt = positionSlotLayout.at;
const slots = [at.slotA, at.slotB] as const;
const unknown = -1;

export class PositionPage {
  readonly #bytes: Uint8Array;
  readonly #applied: Float64Array;
  readonly #crc32c: Crc32c;

  constructor(bytes: Uint8Array, crc32c: Crc32c) {
    assert(bytes.length >= positionPageBytes, 'a position page has 4096 bytes');
    assert((bytes.byteOffset + at.applied) % 8 === 0, 'the applied word is aligned');
    this.#bytes = bytes;
    this.#applied = new Float64Array(bytes.buffer, bytes.byteOffset + at.applied, 1);
    this.#crc32c = crc32c;
  }

  /** The durable position, or undefined when neither slot is whole. */
  durable(): WirePosition | undefined {
    const slot = this.#newest();
    if (slot === undefined) return undefined;
    const era = getEra(this.#bytes, slot + slotAt.era);
    const sequence = getU64(this.#bytes, slot + slotAt.durable);
    return era === undefined ? undefined : { era, sequence };
  }

  /** Writes the slot that does not count; durable once the page is synced. */
  setDurable(era: string, sequence: number): void {
    const bytes = this.#bytes;
    const newest = this.#newest();
    const slot = newest === at.slotA ? at.slotB : at.slotA;
    const generation = newest === undefined ? 0 : getU64(bytes, newest + slotAt.generation);
    bytes.fill(0, slot, slot + positionSlotLayout.sizeBytes);
    putU64(bytes, slot + slotAt.generation, generation + 1);
    putEra(bytes, slot + slotAt.era, era);
    putU64(bytes, slot + slotAt.durable, sequence);
    putU32(bytes, slot + slotAt.crc, this.#crc32c(bytes, slot + slotAt.generation, 56));
    putU32(bytes, slot + slotAt.magic, magic);
  }

  /** From now on `applied` counts entries of `era`, under this boot. */
  guard(era: string, bootId: string, applied: number): void {
    const bytes = this.#bytes;
    this.#applied[0] = unknown;
    putEra(bytes, at.guardEra, era);
    putText(bytes, at.guardBoot, idBytes, bootId);
    putU32(bytes, at.guardCrc, this.#crc32c(bytes, at.guardEra, at.guardCrc - at.guardEra));
    this.#applied[0] = applied;
  }

  /** One store: it is there if the process dies in the next instruction. */
  setApplied(sequence: number): void {
    this.#applied[0] = sequence;
  }

  /** What was applied, or is stored by a late completion, is not to be believed any more (H21). */
  forget(): void {
    this.#applied[0] = unknown;
    putU32(this.#bytes, at.guardCrc, ~getU32(this.#bytes, at.guardCrc) >>> 0);
  }

  /** `applied`, if it was stored in this era under this boot. */
  applied(era: string, bootId: string): number | undefined {
    const bytes = this.#bytes;
    const crc = this.#crc32c(bytes, at.guardEra, at.guardCrc - at.guardEra);
    if (getU32(bytes, at.guardCrc) !== crc) return undefined;
    if (getEra(bytes, at.guardEra) !== era) return undefined;
    if (getText(bytes, at.guardBoot, idBytes) !== bootId) return undefined;
    const applied = this.#applied[0]!;
    return Number.isSafeInteger(applied) && applied >= 0 ? applied : undefined;
  }

  #newest(): number | undefined {
    let newest: number | undefined;
    let generation = -1;
    for (const slot of slots) {
      if (getU32(this.#bytes, slot + slotAt.magic) !== magic) continue;
      const crc = this.#crc32c(this.#bytes, slot + slotAt.generation, 56);
      if (getU32(this.#bytes, slot + slotAt.crc) !== crc) continue;
      const its = getU64(this.#bytes, slot + slotAt.generation);
      if (its > generation) {
        generation = its;
        newest = slot;
      }
    }
    return newest;
  }
}
