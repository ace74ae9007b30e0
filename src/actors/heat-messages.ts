/**
 * What drivers and groups ask the pstore about heat. Changes are flat lists of numbers, so that a
 * message is cheap however many regions it names: device, kind, first, count, and again.
 */
import { assert } from '../core/assert.js';
import type { HeatChange } from '../core/pstore/heat-image.js';
import { heatChanges } from '../core/pstore/layout.js';
import type { RecordPosition } from '../core/pstore/record.js';

export interface HeatDevice {
  readonly name: string;
  readonly sizeBytes: number;
}

/** A driver begins, or begins anew: changes of the one before count no more. */
export interface HeatOpen {
  readonly kind: 'pstore.heat.open';
  readonly group: number;
  readonly devices: readonly HeatDevice[];
  /** Smallest size of a region, for tests. */
  readonly regionMin?: number | null | undefined;
}

export interface HeatAnswer {
  readonly token: number;
  readonly devices: readonly {
    readonly sizeBytes: number;
    readonly regionBytes: number;
    readonly unitBytes: number;
    /** A bit per region, as it is durable; none: nothing is hot. */
    readonly hot: Uint8Array | null | undefined;
    /** The boot in which a flush of it failed (H21); 0: none did. */
    readonly kept: number;
  }[];
}

export interface HeatChanges {
  readonly kind: 'pstore.heat.change';
  readonly group: number;
  readonly token: number;
  /** device, kind, first, count, … in the order in which they happened. */
  readonly changes: readonly number[];
  /** Rule 26: goes with every change. */
  readonly released: RecordPosition | null | undefined;
}

export interface HeatQuestion {
  readonly kind: 'pstore.dirt';
  readonly group: number;
  readonly devices: readonly HeatDevice[];
}

/** What may differ from the mirror when nothing but the pstore is left. */
export interface HeatDirt {
  /** By index; none: nothing is known of this device. */
  readonly devices: readonly (
    | {
        readonly sizeBytes: number;
        readonly regionBytes: number;
        readonly unitBytes: number;
        readonly hot: Uint8Array;
        readonly dirty: Uint8Array;
      }
    | null
    | undefined
  )[];
  readonly released: readonly RecordPosition[];
  /** Why devices are distrusted; empty when none is. */
  readonly damage: readonly string[];
}

const kinds = Object.keys(heatChanges) as HeatChange['kind'][];

export function addChange(
  changes: number[],
  device: number,
  kind: HeatChange['kind'],
  first: number,
  count: number,
): void {
  changes.push(device, heatChanges[kind], first, count);
}

/** Those of one kind, still flat. */
export function changesOfKind(flat: readonly number[], kind: HeatChange['kind']): number[] {
  return flat.filter((_, at) => flat[at - (at % 4) + 1] === heatChanges[kind]);
}

/** The changes of each device, devices in the order of their first change. */
export function changesFrom(
  flat: readonly number[],
): readonly { readonly device: number; readonly changes: readonly HeatChange[] }[] {
  assert(flat.length % 4 === 0, 'changes come in fours');
  const byDevice = new Map<number, HeatChange[]>();
  for (let at = 0; at < flat.length; at += 4) {
    const kind = kinds[flat[at + 1]! - 1];
    assert(kind !== undefined, 'a change is of a known kind');
    const device = flat[at]!;
    const changes = byDevice.get(device) ?? [];
    changes.push({ kind, first: flat[at + 2]!, count: flat[at + 3]! });
    byDevice.set(device, changes);
  }
  return [...byDevice].map(([device, changes]) => ({ device, changes }));
}
