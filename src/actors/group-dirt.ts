/**
 * What a group that starts believes to differ from the mirror: asked of the pstore before the start
 * is decided, put into the maps in memory before the driver hears a word (I5). Everything that comes
 * from the pstore is coarse, so it is compared before it is sent (Rule 36).
 */
import { DeviceMap } from '../core/bitmap/device-map.js';
import { eachRun } from '../core/pstore/bits.js';
import { regionsOf, unitsOf } from '../core/pstore/geometry.js';
import type { RecordPosition } from '../core/pstore/record.js';
import type { StartDirt } from '../core/pstore/start.js';
import type { Address } from './actor.js';
import type { HeatDevice, HeatDirt, HeatQuestion } from './heat-messages.js';

export interface FoundDirt {
  readonly dirt: HeatDirt;
  readonly heatKnown: boolean;
  readonly released: readonly RecordPosition[];
}

export async function askDirt(
  pstore: Address<never>,
  group: number,
  devices: readonly HeatDevice[],
): Promise<FoundDirt> {
  const asked = devices.map(({ name, sizeBytes }) => ({ name, sizeBytes }));
  const question: HeatQuestion = { kind: 'pstore.dirt', group, devices: asked };
  const dirt = await pstore.ask<HeatDirt>(question);
  const known = dirt.devices.every((device) => device !== undefined && device !== null);
  return { dirt, heatKnown: known && dirt.damage.length === 0, released: dirt.released };
}

/** `maps`: the shared memory of each device, as the driver has it. */
export function restoreDirt(
  maps: readonly SharedArrayBuffer[],
  devices: readonly HeatDevice[],
  which: StartDirt,
  { dirt }: FoundDirt,
): void {
  if (which === 'kept' || which === 'none') return;
  for (const [index, memory] of maps.entries()) {
    const { sizeBytes } = devices[index]!;
    const map = new DeviceMap(memory, sizeBytes);
    const device = dirt.devices[index];
    if (which === 'all' || device === undefined || device === null) {
      map.markAllCompare();
      continue;
    }
    const mark = (bytes: number) => (first: number, count: number) => {
      const offset = first * bytes;
      map.markCompare(offset, Math.min(sizeBytes - offset, count * bytes));
    };
    eachRun(device.hot, regionsOf(device), mark(device.regionBytes));
    eachRun(device.dirty, unitsOf(device), mark(device.unitBytes));
  }
}
