/**
 * Which mirrors this host offers to applications now, and the actors that serve them: those that reco
 * handed out, and those under a checkpoint. The truth is jGGG.meta; what is kept here is a copy of it
 * for the NBD door, looked at anew whenever something may have changed. An export is `s<group>/<device>`,
 * and `g<group>/<device>` as well where this host is not the primary of a group of that number.
 */
import { access } from 'node:fs/promises';
import type { MirrorExportMessage } from '../actors/mirror-export.js';
import { readRecord } from '../actors/rmd-record.js';
import type { GroupConfig } from '../config/group-config.js';
import type { Home } from '../config/home.js';
import { nbdRequestMax } from '../core/constants.js';
import { TdmfError, toPlainError } from '../core/errors.js';
import type { ExportInfo } from '../core/nbd/exports.js';
import { atomicFiles } from '../io/atomic-files.js';
import { native } from '../io/native.js';
import type { NbdConnection } from '../io/nbd-door.js';
import { usersOf } from '../io/users-of.js';
import type { DeviceOpener } from '../ports/block-device.js';
import type { Log } from '../ports/log.js';
import type { ActorSystem } from '../runtime/pool.js';

export interface MirrorExportsOptions {
  readonly home: Home;
  readonly system: ActorSystem;
  readonly io: Pick<DeviceOpener, 'digest'>;
  readonly log: Log;
}

interface Offer {
  readonly config: GroupConfig;
  readonly prefixes: readonly string[];
  /** Agreed sizes; 0: not known, as of a mirror that was never refreshed. */
  readonly sizes: readonly number[];
  /** The actor that serves it, from the first connection on. */
  serving: Promise<unknown> | undefined;
}

export class MirrorExports {
  readonly #options: MirrorExportsOptions;
  readonly #offers = new Map<number, Offer>();

  constructor(options: MirrorExportsOptions) {
    this.#options = options;
  }

  /** Looks whether the group's mirror is handed out now. */
  async look(config: GroupConfig): Promise<void> {
    const { home, io } = this.#options;
    const { group } = config;
    const journal = home.resolve(config.secondary.journal);
    const { record } = await readRecord(atomicFiles, io.digest, journal, group);
    if (record.reco !== 'done' && record.checkpoint !== 'on') {
      this.#offers.delete(group);
      return;
    }
    const alone = await access(home.groupFile('p.cfg', group)).then(
      () => false,
      () => true,
    );
    const before = this.#offers.get(group);
    this.#offers.set(group, {
      config,
      prefixes: alone ? ['g', 's'] : ['s'],
      sizes: config.devices.map((_, index) => record.mirrors[index]?.sizeBytes ?? 0),
      serving: before?.serving,
    });
  }

  list(): ExportInfo[] {
    return [...this.#offers.values()].flatMap((offer) =>
      offer.prefixes.flatMap((prefix) =>
        offer.config.devices.flatMap((_, index) => exportOf(offer, prefix, index) ?? []),
      ),
    );
  }

  find(name: string): ExportInfo | undefined {
    return this.list().find((one) => one.name === name);
  }

  /** The export of a device, or undefined while its mirror is not handed out. */
  nameOf(group: number, device: string): string | undefined {
    const offer = this.#offers.get(group);
    const index = offer?.config.devices.findIndex(({ name }) => name === device) ?? -1;
    if (offer === undefined || (offer.sizes[index] ?? 0) === 0) return undefined;
    return `${offer.prefixes[0]}${group}/${device}`;
  }

  /** Hands the connection to the actor of its mirror, which is started if it does not run. */
  connect(connection: NbdConnection): void {
    const [, digits, device = ''] = /^[gs](\d{1,3})\/(.+)$/.exec(connection.exportName) ?? [];
    const group = Number(digits);
    const { system, log } = this.#options;
    const close = (error?: unknown): void => {
      if (error !== undefined) {
        log.write('error', 'a mirror cannot be served', { group, error: toPlainError(error) });
      }
      void native.closeFd(connection.fd);
    };
    this.#serve(group).then(() => {
      const message: MirrorExportMessage = {
        type: 'export.connection',
        fd: connection.fd,
        device,
        structuredReplies: connection.structuredReplies,
        baseAllocation: connection.metaContexts.includes('base:allocation'),
        leftover: connection.leftover,
      };
      if (!system.address<MirrorExportMessage>(actorOf(group)).tell(message)) close();
    }, close);
  }

  /**
   * Whoever wants the mirror for himself asks first. @throws TDMF_MIRROR_CLIENTS, TDMF_MIRROR_IN_USE
   */
  async mustBeUnused({ group, devices }: GroupConfig): Promise<void> {
    const count = await this.#clients(group);
    if (count > 0) throw new TdmfError('TDMF_MIRROR_CLIENTS', { group, count });
    for (const { mirror: path } of devices) {
      const users = await usersOf(path);
      if (users.length === 0) continue;
      throw new TdmfError('TDMF_MIRROR_IN_USE', { group, path, users: users.join(', ') });
    }
  }

  async #clients(group: number): Promise<number> {
    const serving = this.#offers.get(group)?.serving;
    if (serving === undefined) return 0;
    await serving.catch(() => undefined);
    return this.#options.system
      .ask<number>(actorOf(group), { kind: 'export.clients' })
      .catch(() => 0);
  }

  /** No client comes in any more, and those that are there are ended; the mirror is let go. */
  async withdraw(group: number): Promise<void> {
    const offer = this.#offers.get(group);
    this.#offers.delete(group);
    if (offer?.serving === undefined) return;
    await offer.serving.catch(() => undefined);
    await this.#options.system.stopSet(actorOf(group));
  }

  /** Its actor failed and has ended: the next client starts another. */
  setFailed(set: string): void {
    const offer = this.#offers.get(Number(/\d+/.exec(set)?.[0]));
    if (offer !== undefined) offer.serving = undefined;
  }

  #serve(group: number): Promise<unknown> {
    const offer = this.#offers.get(group);
    if (offer === undefined) return Promise.reject(new TdmfError('TDMF_MIRROR_NOT_OUT', { group }));
    offer.serving ??= this.#spawn(group, offer.config);
    return offer.serving;
  }

  async #spawn(group: number, { devices, secondary }: GroupConfig): Promise<void> {
    const { home, system } = this.#options;
    const set = actorOf(group);
    // One that failed is still in the list of the system.
    await system.stopSet(set);
    await system.spawn({
      id: set,
      kind: 'mirrorExport',
      set,
      host: group % system.hosts,
      options: {
        group,
        journal: home.resolve(secondary.journal),
        devices: devices.map(({ name, mirror, cache }) => ({
          name,
          mirror,
          ...(cache !== undefined && { cache }),
        })),
      },
    });
  }
}

/** Sets of this kind begin with `export`; see block-server.ts. */
function actorOf(group: number): string {
  return `export${group}`;
}

function exportOf(offer: Offer, prefix: string, index: number): ExportInfo | undefined {
  const sizeBytes = offer.sizes[index] ?? 0;
  const { config } = offer;
  if (sizeBytes === 0) return undefined;
  return {
    name: `${prefix}${config.group}/${config.devices[index]!.name}`,
    sizeBytes,
    readOnly: false,
    canMultiConn: true,
    canTrim: true,
    blockMin: 1,
    blockPreferred: 4096,
    blockMax: nbdRequestMax,
    description: `mirror ${config.note}`.trim(),
  };
}
