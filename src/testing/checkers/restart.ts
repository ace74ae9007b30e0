/**
 * I5 and I18 of the primary, in every state: what a restart of it would report as dirt (hot regions
 * and dirty units in the pstore) covers each sector in which its local disk and the mirror differ,
 * whether its process dies now or its power is cut. H18: a power cut may take a sector back that the
 * mirror has already; then the mirror is ahead, and only the hot mark knows.
 */
import { strict as assert } from 'node:assert';
import type { History } from '../history.js';
import type { SimNode } from '../node.js';
import { keptInPstore } from '../pstore-view.js';
import type { SecondaryView, Survival } from '../secondary-view.js';
import { SectorValues } from '../sector-values.js';

export class RestartChecker {
  checks = 0;
  readonly #node: SimNode;
  readonly #group: number;
  readonly #history: History;
  readonly #view: SecondaryView;
  readonly #values: readonly SectorValues[];

  constructor(node: SimNode, group: number, history: History, view: SecondaryView) {
    this.#node = node;
    this.#group = group;
    this.#history = history;
    this.#view = view;
    this.#values = history.devices.map(({ disk, index }) => new SectorValues(disk, index));
  }

  check(): void {
    for (const survival of ['live', 'durable'] as const) this.#checkAfter(survival);
  }

  #checkAfter(survival: Survival): void {
    const kept = keptInPstore(this.#node, this.#group, survival);
    if (kept === undefined || !claims(kept.record)) return;
    this.checks++;
    const mirrors = this.#view.mirrorValues('live');
    let journaled: readonly Int32Array[] | undefined;
    for (const device of this.#history.devices) {
      const dirt = kept.dirt[device.index];
      const mirror = mirrors[device.index]!;
      const { live, durable } = this.#values[device.index]!;
      for (let sector = 0; sector < device.sectorCount; sector++) {
        const value = mirror[sector];
        const equal = live[sector] === value && (survival === 'live' || durable[sector] === value);
        if (equal || dirt === undefined || dirt[sector] !== 0) continue;
        // The journal of a commit makes the mirror equal; a sector that may fall back is not.
        journaled ??= this.#view.withJournal(mirrors, 'live');
        const later = journaled[device.index]![sector];
        if (live[sector] === later && (survival === 'live' || durable[sector] === later)) continue;
        assert.fail(
          `I5: after a ${survival === 'live' ? 'kill' : 'power cut'} of the primary nothing says that ` +
            `device ${device.index} sector ${sector} differs: local ${live[sector]}, on the platter ` +
            `${durable[sector]}, mirror ${value} (mode ${kept.record.mode})`,
        );
      }
    }
  }
}

/** Whether the record says of itself that hot and dirty are all there is. */
function claims({
  mode,
  map,
  mapAll,
  clean,
}: {
  readonly mode: string;
  readonly map: string;
  readonly mapAll: boolean;
  readonly clean: boolean;
}): boolean {
  if (clean || mapAll || map !== 'continuous') return false;
  return mode === 'normal' || mode === 'tracking' || mode === 'refresh';
}
