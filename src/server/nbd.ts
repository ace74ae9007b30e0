/**
 * The NBD door of the host and what it offers: the devices of started groups, by `g<group>/<device>`,
 * and mirrors that were handed to applications (mirror-exports.ts).
 */
import type { Home } from '../config/home.js';
import { nbdRequestMax } from '../core/constants.js';
import type { ExportInfo } from '../core/nbd/exports.js';
import { closeDetached } from '../io/close-detached.js';
import { native } from '../io/native.js';
import { detachByDup, openNbdDoor } from '../io/nbd-door.js';
import type { Clock } from '../ports/clock.js';
import type { Log } from '../ports/log.js';
import type { ActorSystem } from '../runtime/pool.js';
import type { MirrorExports } from './mirror-exports.js';
import type { PrimaryGroups, StartedGroup } from './primary-groups.js';

/** Opens the door; the returned function closes it. */
export async function openNbd(
  home: Home,
  groups: PrimaryGroups,
  mirrors: MirrorExports,
  system: ActorSystem,
  clock: Clock,
  log: Log,
): Promise<() => Promise<void>> {
  const door = await openNbdDoor(
    {
      socketPath: home.nbdSocket,
      exports: {
        list: () => [
          ...[...groups.all()].flatMap(([group, started]) =>
            started.config.devices.map((_, index) => exportOf(group, started, index)),
          ),
          ...mirrors.list(),
        ],
        find: (name) => {
          const [group, started, index] = findDevice(groups, name) ?? [];
          return group === undefined || started === undefined || index === undefined
            ? mirrors.find(name)
            : exportOf(group, started, index);
        },
      },
      detach: detachByDup(native.dupFd),
      clock,
      log,
    },
    (connection) => {
      const [group, , index] = findDevice(groups, connection.exportName) ?? [];
      if (group === undefined && mirrors.find(connection.exportName) !== undefined) {
        mirrors.connect(connection);
        return;
      }
      const told =
        group !== undefined &&
        index !== undefined &&
        system.address(`g${group}/driver`).tell({
          type: 'driver.connection',
          fd: connection.fd,
          device: connection.exportName.split('/')[1],
          structuredReplies: connection.structuredReplies,
          baseAllocation: connection.metaContexts.includes('base:allocation'),
          leftover: connection.leftover,
        });
      // The group stopped between handshake and here, or its driver is just being restarted.
      if (!told) void closeDetached(connection.fd);
    },
  );
  return () => door.close();
}

function findDevice(
  groups: PrimaryGroups,
  name: string,
): [group: number, started: StartedGroup, index: number] | undefined {
  const match = /^g(\d{1,3})\/([A-Za-z0-9_.-]+)$/.exec(name);
  const group = Number(match?.[1]);
  const started = match ? groups.started(group) : undefined;
  const index = started?.config.devices.findIndex((device) => device.name === match?.[2]) ?? -1;
  return started === undefined || index < 0 ? undefined : [group, started, index];
}

function exportOf(group: number, started: StartedGroup, index: number): ExportInfo {
  return {
    name: `g${group}/${started.config.devices[index]?.name}`,
    sizeBytes: started.sizes[index] ?? 0,
    readOnly: false,
    // A flush of the local device covers the completed writes of every connection to it.
    canMultiConn: true,
    canTrim: true,
    blockMin: 1,
    blockPreferred: 4096,
    blockMax: nbdRequestMax,
    description: started.config.note,
  };
}
