/**
 * I5, dirt, and I4, release: while a group protects its data, every sector in which a local device
 * and its mirror differ is covered: by an entry in the BAB that is not durable over there, by a write
 * in flight, or by a bit of the map; or the journal of the secondary holds the local value.
 *
 * Asked twice: of the mirror as a killed process would leave it, and of the mirror as a power cut
 * would leave it at the worst. The second is what an acknowledgement of `durable` promises.
 */
import { strict as assert } from 'node:assert';
import { newBabEntry } from '../../core/bab/descriptors.js';
import { slotState } from '../../core/bab/layout.js';
import type { BabPool } from '../../core/bab/pool.js';
import { BabReader } from '../../core/bab/reader.js';
import { InFlightSlots } from '../../core/bab/slots.js';
import { mapBlockBytes, sectorBytes, writesInFlightMax } from '../../core/constants.js';
import type { History } from '../history.js';
import type { StartedGroup } from '../primary.js';
import type { SecondaryView, Survival } from '../secondary-view.js';

export class DirtChecker {
  checks = 0;
  readonly #history: History;
  readonly #view: SecondaryView;

  constructor(history: History, view: SecondaryView) {
    this.#history = history;
    this.#view = view;
  }

  check(started: StartedGroup, pool: BabPool): void {
    // PASSTHRU remembers nothing, and says so.
    if (started.control.duties === 0) return;
    this.checks++;
    const covered = this.#covered(started, pool);
    for (const survival of ['live', 'durable'] as const) this.#compare(covered, survival);
  }

  #compare(covered: readonly Uint8Array[], survival: Survival): void {
    const mirrors = this.#view.mirrorValues(survival);
    let journaled: readonly Int32Array[] | undefined;
    for (const device of this.#history.devices) {
      const mirror = mirrors[device.index]!;
      for (let sector = 0; sector < device.sectorCount; sector++) {
        if (device.latest[sector] === mirror[sector] || covered[device.index]![sector]) continue;
        journaled ??= this.#view.withJournal(mirrors, survival);
        if (journaled[device.index]![sector] === device.latest[sector]) continue;
        assert.fail(
          `I5: device ${device.index} sector ${sector} is ${device.latest[sector]!} and its mirror ` +
            `(${survival}) ${mirror[sector]!}, and nothing remembers it`,
        );
      }
    }
  }

  /** One byte a sector: something remembers that it may differ. */
  #covered({ control, maps, shared }: StartedGroup, pool: BabPool): Uint8Array[] {
    const covered = this.#history.devices.map(({ sectorCount }) => new Uint8Array(sectorCount));
    const cover = (device: number, offset: number, length: number) => {
      covered[device]!.fill(1, offset / sectorBytes, Math.ceil((offset + length) / sectorBytes));
    };
    for (const [device, { persisted, blockCount }] of maps.entries()) {
      for (let block = 0; block < blockCount; block++) {
        if (persisted.has(block)) cover(device, block * mapBlockBytes, mapBlockBytes);
      }
    }
    const slots = new InFlightSlots(control);
    for (let slot = 0; slot < writesInFlightMax; slot++) {
      if (slots.stateOf(slot) !== slotState.started) continue;
      cover(slots.deviceOf(slot), slots.offsetOf(slot), slots.lengthOf(slot));
    }
    const reader = new BabReader(pool, shared.control);
    const entry = newBabEntry();
    for (let index = 0; index < reader.pending; index++) {
      reader.read((reader.durable + index) >>> 0, entry);
      cover(entry.device, entry.offset, entry.length);
    }
    return covered;
  }
}
