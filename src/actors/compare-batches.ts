/**
 * The questions of a comparison that are under way in one session (Rule 17): hashes go out, `differs`
 * comes back. The session counts them, those included whose blocks were given back meanwhile: the
 * secondary works on them all the same. Which blocks, and what becomes of the answer, is
 * refresh-sender.ts's.
 */
import { hashBlocksMax, mapBlockBytes } from '../core/constants.js';
import type { Refresh } from '../core/engine/refresh.js';
import type { Differs } from '../core/wire/messages.js';
import type { Digest } from '../ports/block-device.js';
import { readBlocksMax } from './blocks-frame.js';
import type { PmdSession } from './pmd-session.js';
import { dataOf, type Item } from './refresh-item.js';

const hashBytes = 16;

export class CompareBatches {
  readonly #digest: Digest;
  readonly #refresh: Refresh;
  readonly #hashes = new Uint8Array(hashBytes * hashBlocksMax);
  /** The item of every batch without an answer; undefined when it was given back. */
  #asked = new Map<number, Item | undefined>();

  constructor(digest: Digest, refresh: Refresh) {
    this.#digest = digest;
    this.#refresh = refresh;
  }

  /** A new session: nothing of the old one is answered any more. */
  restart(): void {
    this.#asked = new Map();
  }

  ask(session: PmdSession, item: Item, memory: Uint8Array): void {
    const { low, high } = session.hashSeed;
    for (let block = 0; block < item.count; block += 1) {
      const length = this.#refresh.lengthOf(item.device, item.first + block, 1);
      const slot = item.slots[Math.floor(block / readBlocksMax)];
      const bytes = slot === undefined ? zeroes : memory;
      const at = slot === undefined ? 0 : dataOf(slot) + (block % readBlocksMax) * mapBlockBytes;
      this.#digest.xxh3(bytes, at, length, this.#hashes, block * hashBytes, low, high);
    }
    // Numbered by the session: an answer to a refresh that was ended meanwhile names no other batch.
    session.hashBatches += 1;
    session.hashesUnderWay += 1;
    this.#asked.set(session.hashBatches, item);
    item.state = 'asked';
    session.control({
      kind: 'hashes',
      batch: session.hashBatches,
      device: item.device,
      offset: item.first * mapBlockBytes,
      hashes: this.#hashes.slice(0, item.count * hashBytes),
    });
  }

  /** The item that was asked for; undefined: given back meanwhile. A text: the answer is wrong. */
  answered({ batch, bits }: Differs): Item | undefined | string {
    const item = this.#asked.get(batch);
    this.#asked.delete(batch);
    if (item !== undefined && bits.length !== Math.ceil(item.count / 8)) {
      return 'an answer of another length than the question';
    }
    return item;
  }

  /** The blocks of every batch are given back; their answers say nothing any more. */
  forget(): void {
    for (const batch of this.#asked.keys()) this.#asked.set(batch, undefined);
  }
}

const zeroes = new Uint8Array(mapBlockBytes);
