/**
 * I2 and I3 at the moment a client hears of its write: with the entries that the primary believes not
 * durable over there (which the checker of acks compares with what a power cut would leave), at most
 * DEPTH − 1 writes up to this one lack it; and from then on its local disk must keep it (Rule 19).
 * Only of writes during whose whole life sync mode was in force: NORMAL, and not degraded.
 */
import { strict as assert } from 'node:assert';
import { newBabEntry } from '../../core/bab/descriptors.js';
import { duty } from '../../core/bab/layout.js';
import type { BabPool } from '../../core/bab/pool.js';
import { BabReader } from '../../core/bab/reader.js';
import { sectorBytes } from '../../core/constants.js';
import { entryFlags } from '../../core/wire/messages.js';
import type { History, Write } from '../history.js';
import type { StartedGroup } from '../primary.js';

export class SyncChecker {
  readonly #history: History;
  /** Instant of the history since which sync mode has been in force. */
  #since = Number.POSITIVE_INFINITY;
  #depth = 0;

  constructor(history: History) {
    this.#history = history;
  }

  /** After any event. */
  look(started: StartedGroup | undefined): void {
    const control = started?.control;
    const depth = control?.syncDepth ?? 0;
    const inForce =
      control !== undefined && depth > 0 && !control.syncDegraded && control.duties === duty.append;
    if (!inForce) this.#since = Number.POSITIVE_INFINITY;
    else if (depth !== this.#depth) this.#since = this.#history.now;
    else this.#since = Math.min(this.#since, this.#history.now);
    this.#depth = depth;
  }

  /** A client hears that its write is done. */
  answered(write: Write, started: StartedGroup | undefined, pool: () => BabPool): void {
    this.look(started);
    if (started === undefined || write.issuedAt <= this.#since || write.zero) return;
    const lacking = this.#lacking(write, started, pool());
    assert.ok(
      lacking < this.#depth || this.#readBack(write),
      `I3: write ${write.id} was answered, ${lacking} of ${this.#depth} up to it are not durable`,
    );
    this.#history.forced(write);
  }

  /** Writes up to this one that the secondary does not have durably. */
  #lacking(write: Write, started: StartedGroup, pool: BabPool): number {
    const reader = new BabReader(pool, started.shared.control);
    const entry = newBabEntry();
    let count = 0;
    let found = 0;
    for (let index = 0; index < reader.pending; index++) {
      reader.read((reader.durable + index) >>> 0, entry);
      const { flags } = entry;
      const last = (flags & entryFlags.continues) === 0;
      if (last && (flags & entryFlags.checkpoint) === 0) count++;
      if ((flags & entryFlags.zero) !== 0 || found > 0) continue;
      if (entry.device !== write.device || entry.offset !== write.firstSector * sectorBytes)
        continue;
      const at = reader.payload(entry);
      const id = new DataView(at.buffer, at.byteOffset).getUint32(0, true);
      if (id === write.id) found = last ? count : count + 1;
    }
    return found;
  }

  /** A write that failed on the same sectors: its entry is what was read back there (H20). */
  #readBack({ device, firstSector, sectorCount }: Write): boolean {
    for (const other of this.#history.writes.values()) {
      if (other.device !== device || (other.error === 0 && !other.lost)) continue;
      if (other.firstSector >= firstSector + sectorCount) continue;
      if (firstSector < other.firstSector + other.sectorCount) return true;
    }
    return false;
  }
}
