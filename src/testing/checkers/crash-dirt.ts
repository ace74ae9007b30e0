/**
 * I5 over a crash of the primary (H18): whatever happens in the next instant, what a start would find
 * in the pstore, hot or dirty, covers every sector in which a local device may differ from its mirror.
 * Asked of every combination: the primary killed, or its power cut, which keeps any of the sectors
 * that no flush made durable; the secondary as it runs, or after a power cut of its own (Rule 27).
 *
 * The pstore may say that everything may differ, or that nothing is remembered (PASSTHRU).
 */
import { strict as assert } from 'node:assert';
import { sectorBytes } from '../../core/constants.js';
import { eachRun } from '../../core/pstore/bits.js';
import { regionsOf, unitsOf } from '../../core/pstore/geometry.js';
import { decideStart } from '../../core/pstore/start.js';
import { pstorePath } from '../cluster-options.js';
import type { History } from '../history.js';
import type { SimNode } from '../node.js';
import { groupInPstore, type StoredGroup } from '../pstore-view.js';
import type { SecondaryView } from '../secondary-view.js';
import { SectorValues } from '../sector-values.js';

export class CrashDirtChecker {
  checks = 0;
  readonly #history: History;
  readonly #view: SecondaryView;
  readonly #node: SimNode;
  readonly #group: number;
  readonly #local: SectorValues[];
  readonly #known: {
    [survival in 'live' | 'durable']?: {
      readonly version: number;
      readonly covered: readonly Uint8Array[] | undefined;
    };
  } = {};

  constructor(history: History, view: SecondaryView, node: SimNode, group: number) {
    this.#history = history;
    this.#view = view;
    this.#node = node;
    this.#group = group;
    this.#local = history.devices.map(({ disk, index }) => new SectorValues(disk, index));
  }

  check(): void {
    for (const survival of ['live', 'durable'] as const) {
      const covered = this.#coveredNow(survival);
      if (covered === undefined) continue;
      this.checks++;
      this.#compare(covered, survival);
    }
  }

  /** Read again only when the pstore has changed. */
  #coveredNow(survival: 'live' | 'durable'): readonly Uint8Array[] | undefined {
    const disk = this.#node.disk(pstorePath);
    const version = survival === 'live' ? disk.liveVersion : disk.durableVersion;
    const known = this.#known[survival];
    if (known?.version === version) return known.covered;
    const stored = groupInPstore(this.#node, this.#group, survival);
    const covered = stored && this.#covered(stored);
    this.#known[survival] = { version, covered };
    return covered;
  }

  /** One byte a sector; undefined: a start would promise nothing, or compare everything. */
  #covered({ record, images }: StoredGroup): readonly Uint8Array[] | undefined {
    const { dirt } = decideStart(record, {
      group: this.#group,
      devices: record.devices,
      tunables: {},
      newEra: '1'.repeat(32),
      newRefreshId: '2'.repeat(32),
      restarted: false,
      heatKnown: images.every((image) => image !== undefined),
      released: [],
    });
    if (dirt === 'all' || record.mode === 'passthru' || record.unverified) return undefined;
    return this.#history.devices.map(({ index, sectorCount }) => {
      const covered = new Uint8Array(sectorCount);
      const image = images[index];
      if (dirt === 'none' || image === undefined) return covered;
      const cover = (bytes: number) => (first: number, count: number) => {
        covered.fill(1, (first * bytes) / sectorBytes, ((first + count) * bytes) / sectorBytes);
      };
      eachRun(image.hot, regionsOf(image.geometry), cover(image.geometry.regionBytes));
      eachRun(image.dirty, unitsOf(image.geometry), cover(image.geometry.unitBytes));
      return covered;
    });
  }

  #compare(covered: readonly Uint8Array[], pstore: string): void {
    for (const mirrored of ['live', 'durable'] as const) {
      const mirrors = this.#view.mirrorValues(mirrored);
      let journaled: readonly Int32Array[] | undefined;
      for (const kept of ['live', 'durable'] as const) {
        for (const { index, sectorCount } of this.#history.devices) {
          const local = this.#local[index]![kept];
          const mirror = mirrors[index]!;
          for (let sector = 0; sector < sectorCount; sector++) {
            if (local[sector] === mirror[sector] || covered[index]![sector]) continue;
            journaled ??= this.#view.withJournal(mirrors, mirrored);
            if (journaled[index]![sector] === local[sector]) continue;
            assert.fail(
              `I5, H18: after a crash now device ${index} sector ${sector} may be ${local[sector]!} ` +
                `(${kept}) and its mirror ${mirror[sector]!} (${mirrored}), and the pstore ` +
                `(${pstore}) has it neither hot nor dirty`,
            );
          }
        }
      }
    }
  }
}
