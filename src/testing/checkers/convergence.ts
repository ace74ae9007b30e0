/**
 * I14, liveness, once everything is healed and nobody writes any more: the group is NORMAL, has
 * drained, calls its mirror coherent, and the mirror is byte for byte what the local devices are,
 * in the page cache and, because all of it was acknowledged as durable, on the disk as well.
 */
import { strict as assert } from 'node:assert';
import type { GroupStatus } from '../../actors/group-status.js';
import type { History } from '../history.js';
import type { StartedGroup } from '../primary.js';
import type { SecondaryView } from '../secondary-view.js';

/** What is still missing, in words; undefined when the group has converged. */
export function missingForConvergence(
  started: StartedGroup | undefined,
  status: GroupStatus | undefined,
  view: SecondaryView,
): string | undefined {
  if (started === undefined || status === undefined) return 'the group is not there';
  if (status.mode !== 'NORMAL') return `mode ${status.mode} (${status.situation})`;
  if (status.connection !== 'CONNECTED') return `connection ${status.connection}`;
  if (started.control.pending > 0) return `${started.control.pending} entries in the BAB`;
  if (status.mirrorState !== 'coherent') return `mirror ${status.mirrorState}`;
  // Entries behind the commit mark are durable in the journal before they are on the mirror.
  if (view.record?.chain !== undefined) return 'a journal that is not on the mirror yet';
  return undefined;
}

export function mustBeIdentical(history: History, view: SecondaryView): void {
  for (const device of history.devices) {
    const mirror = view.mirror(device.index);
    const { disk, index } = device;
    for (const survival of ['live', 'durable'] as const) {
      const place = firstDifference(disk.live, mirror[survival]);
      assert.equal(
        place,
        -1,
        `device ${index} and its mirror (${survival}) differ at byte ${place}`,
      );
    }
  }
}

function firstDifference(a: Uint8Array, b: Uint8Array): number {
  if (a.length !== b.length) return Math.min(a.length, b.length);
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return index;
  return -1;
}
