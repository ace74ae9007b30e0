/**
 * What a group that starts believes to differ from the mirror: asked of the pstore before the start
 * is decided, put into the maps in memory before the driver hears a word (I5). What comes from the
 * pstore is coarse, so it is compared before it is sent (Rule 36); what a clean stop saved is exact, and
 * believed once (Rule 31).
 */

import { GroupControlView } from '../core/bab/control.js';
import { DescriptorRing, newBabEntry } from '../core/bab/descriptors.js';
import { BabPool } from '../core/bab/pool.js';
import { DeviceMap } from '../core/bitmap/device-map.js';
import { eachRun } from '../core/pstore/bits.js';
import { decodeFineMap, encodeFineMap } from '../core/pstore/fine-map.js';
import { regionsOf, unitsOf } from '../core/pstore/geometry.js';
import type { RecordPosition } from '../core/pstore/record.js';
import type { StartDirt } from '../core/pstore/start.js';
import type { ActorContext, Address } from './actor.js';
import { randomId } from './group-hands.js';
import type { GroupOptions } from './group-options.js';
import type { HeatDevice, HeatDirt, HeatQuestion } from './heat-messages.js';
import type { GroupShared } from './messages.js';
import { checksumOf } from './pstore-format.js';

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

export async function restoreDirt(
  context: ActorContext,
  options: GroupOptions,
  which: StartDirt,
  { dirt }: FoundDirt,
  savedMap: string | undefined,
): Promise<void> {
  const maps = mapsOf(options);
  if (which === 'kept' || which === 'none') return;
  if (which === 'all') {
    for (const map of maps) map.markAllCompare();
  } else if (which === 'persisted' || !(await loadMap(context, options, savedMap, maps))) {
    for (const [index, map] of maps.entries()) restoreCoarse(map, dirt.devices[index]);
  }
}

/**
 * The driver has ended: what the BAB still holds becomes marks, and the maps a file. Returns its token,
 * undefined when it could not be written; then the next start takes what the pstore has.
 */
export async function saveDirt(
  context: ActorContext,
  options: GroupOptions,
): Promise<string | undefined> {
  const { shared, mapFile } = options;
  if (shared === undefined || mapFile === undefined) return undefined;
  const maps = mapsOf(options);
  markPending(shared, maps);
  const token = randomId(context.random);
  const { files, devices } = context.ports;
  try {
    await files.replace(mapFile, encodeFineMap(token, maps, checksumOf(devices.digest)));
    return token;
  } catch (error) {
    context.log.write('warn', 'the map could not be saved; the next start compares more', {
      path: mapFile,
      error: String(error),
    });
    return undefined;
  }
}

async function loadMap(
  context: ActorContext,
  { mapFile }: GroupOptions,
  token: string | undefined,
  maps: readonly DeviceMap[],
): Promise<boolean> {
  if (mapFile === undefined || token === undefined) return false;
  const { files, devices } = context.ports;
  const bytes = await files.read(mapFile).catch(() => undefined);
  const loaded =
    bytes !== undefined && decodeFineMap(bytes, token, maps, checksumOf(devices.digest));
  if (!loaded) {
    context.log.write('warn', 'the saved map cannot be read: more is compared', { path: mapFile });
  }
  return loaded;
}

/** Entries that became durable meanwhile are marked too: a superset is always right. */
function markPending(shared: GroupShared, maps: readonly DeviceMap[]): void {
  const control = new GroupControlView(shared.control);
  const ring = new DescriptorRing(BabPool.attach(shared.pool, shared.babMemories), control);
  const entry = newBabEntry();
  const end = control.cursor('published');
  for (let count = control.cursor('durable'); count !== end; count = (count + 1) >>> 0) {
    ring.read(count, entry);
    maps[entry.device]!.mark(entry.offset, entry.length);
  }
}

function restoreCoarse(map: DeviceMap, device: HeatDirt['devices'][number]): void {
  if (device === undefined || device === null) {
    map.markAllCompare();
    return;
  }
  const mark = (bytes: number) => (first: number, count: number) => {
    const offset = first * bytes;
    map.markCompare(offset, Math.min(map.sizeBytes - offset, count * bytes));
  };
  eachRun(device.hot, regionsOf(device), mark(device.regionBytes));
  eachRun(device.dirty, unitsOf(device), mark(device.unitBytes));
}

function mapsOf({ shared, devices }: GroupOptions): DeviceMap[] {
  const memories = shared?.maps ?? [];
  return memories.map((memory, index) => new DeviceMap(memory, devices[index]!.sizeBytes));
}
