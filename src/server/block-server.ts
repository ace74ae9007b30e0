/**
 * The block server of a host ("Softek TDMF Block Server" of the manual): opens the home, starts the
 * host threads and the doors, and hands verbs to the groups. Lives on main; touches no data.
 *
 *   home lock ─ pstore ─ actor system ─┬─ primary groups ── NBD door
 *                                      └─ secondary groups ─ link door
 */
import { mkdir } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { startPstore } from '../actors/pstore.js';
import { refreshTurnsActor, startRefreshTurns, type TurnMessage } from '../actors/refresh-turns.js';
import { listGroups } from '../config/files.js';
import type { Home } from '../config/home.js';
import { babMbMax, type HostConfig } from '../config/host-config.js';
import { packageVersion } from '../config/package-version.js';
import { TdmfError, toPlainError } from '../core/errors.js';
import type { GroupInfo, TdmfInfo } from '../info.js';
import { atomicFiles } from '../io/atomic-files.js';
import { jsonLog } from '../io/json-log.js';
import { lockFile } from '../io/lock-file.js';
import { openIo } from '../io/open-io.js';
import { SystemClock } from '../io/system-clock.js';
import { systemRandom } from '../io/system-random.js';
import { tlsDialer } from '../io/tls-link.js';
import type { LinkServer } from '../ports/link-server.js';
import type { Log } from '../ports/log.js';
import { createActorSystem } from '../runtime/pool.js';
import type { WaitCondition } from '../tdmf.js';
import { Closers } from './closers.js';
import { holds } from './conditions.js';
import { EventLog, type EventRecord } from './event-log.js';
import { followEvents } from './follow-events.js';
import { hooksActor, startHooks } from './hooks.js';
import { MirrorExports } from './mirror-exports.js';
import { openNbd } from './nbd.js';
import { PrimaryGroups } from './primary-groups.js';
import { ensurePstore, mustBeNewest, mustExist, openPstore } from './pstore-file.js';
import { SecondaryGroups } from './secondary-groups.js';
import { SecondaryVerbs } from './secondary-verbs.js';
import { SharedPool } from './shared-pool.js';
import { verbsOf } from './verbs.js';

export interface BlockServer {
  readonly ioKind: string;
  /** The groups that `-a` means for a verb: of this or that side, or those that ran before. */
  groupsOf(verb: string, args: Readonly<Record<string, unknown>>): Promise<number[]>;
  verb(verb: string, group: number, args: Readonly<Record<string, unknown>>): Promise<unknown>;
  wait(group: number, condition: WaitCondition, signal: AbortSignal | undefined): Promise<void>;
  info(groups: readonly number[] | 'all'): Promise<TdmfInfo>;
  events(
    since: number | undefined,
    follow: boolean,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<EventRecord, void, undefined>;
  /** Fault injection, for tests: ends a host thread as a native failure would. */
  crashHost(host: number): void;
  close(): Promise<void>;
}

/** How often a condition that somebody waits for is looked at when no event says it changed. */
const conditionPollMs = 50;

/** @throws TDMF_HOME_LOCKED, TDMF_CONFIG_INVALID, TDMF_PSTORE_*, TDMF_PORT_*, TDMF_NBD_SOCKET */
export async function startBlockServer(
  home: Home,
  config: HostConfig,
  log: Log = jsonLog(process.stderr),
): Promise<BlockServer> {
  const closers = new Closers();
  try {
    return await openBlockServer(home, config, log, closers);
  } catch (error) {
    await closers.closeAll().catch((second: unknown) => {
      log.write('error', 'what was open could not be closed', { error: toPlainError(second) });
    });
    throw error;
  }
}

async function openBlockServer(
  home: Home,
  config: HostConfig,
  log: Log,
  closers: Closers,
): Promise<BlockServer> {
  const limitMb = babMbMax(totalmem());
  if (config.bab > limitMb) {
    const problem = `bab: ${config.bab} MB is more than half of this host's memory (${limitMb} MB)`;
    throw new TdmfError('TDMF_CONFIG_INVALID', { file: 'tdmf.cfg', problem });
  }
  await mkdir(home.runDirectory, { recursive: true, mode: 0o700 });
  const unlock = await lockFile(home.lock);
  if (unlock === undefined) throw new TdmfError('TDMF_HOME_LOCKED', { home: home.directory });
  closers.add(unlock);
  const io = openIo(config.io);
  closers.add(() => io.close());
  const clock = new SystemClock();
  const events = new EventLog(() => clock.wallNow());
  const version = packageVersion();
  const hosts =
    config.hosts === 'auto' ? Math.max(2, availableParallelism()) : Math.max(2, config.hosts);

  const system = await createActorSystem({
    hosts,
    world: { url: new URL('./host-world.js', import.meta.url).href, data: { io: io.kind } },
    registry: new URL('./registry.js', import.meta.url).href,
    clock,
    log,
    random: systemRandom,
    ports: { devices: io, streams: io, files: atomicFiles, dialer: tlsDialer, links: noLinks },
    onEvent: (type, payload) => publish(type, payload),
    onSetFailed: async (set, decision, error) => {
      if (set.startsWith('export')) mirrors.setFailed(set);
      // Whoever asked for it has heard of the failure, and may ask again (Rule 29).
      else if (!set.startsWith('reco'))
        await (set.startsWith('link') ? secondary : primary).setFailed(set, decision, error);
    },
  });
  closers.add(() => system.stop());
  const publish = (type: string, payload: Readonly<Record<string, unknown>>): void => {
    if (!secondary.hears(type, payload)) return;
    const { seq } = events.publish(type, payload);
    log.write(levelOf(type), type, { seq, ...payload });
  };

  const pstorePath = home.resolve(config.pstore);
  if ((await listGroups(home, 'p.cur')).length > 0) await mustExist(pstorePath);
  if (await ensurePstore(io, pstorePath)) {
    log.write('info', 'a new pstore was made', { pstore: pstorePath });
  }
  const pstore = await system.spawnLocal({
    id: 'pstore',
    start: startPstore,
    options: await openPstore(io, pstorePath),
  });
  const node = await pstore.ask<{ nodeId: string; sequence: number }>({ kind: 'pstore.node' });
  await mustBeNewest(home.pstoreSeen, pstorePath, node);
  const { nodeId } = node;
  const pool = new SharedPool(config.bab, io);
  const shared = { home, system, log, publish, nodeId, version, io, clock };
  const { hotRegionMb, hotRegions, tcpWindow: tcpWindowKb } = config;
  const settings = { pstorePath, tcpWindowKb, hotRegionMb, hotRegions };
  const primary = new PrimaryGroups({ ...shared, ...settings, pool });
  const mirrors = new MirrorExports({ home, system, io, log });
  const door = { address: config.address, port: config.port };
  const secondary = new SecondaryGroups({ ...shared, ...door, mirrors });
  const hooks = { directory: home.directory, limitMs: config.hookTimeout * 1000 };
  await system.spawnLocal<undefined, TurnMessage>({
    id: refreshTurnsActor,
    start: startRefreshTurns,
    options: undefined,
  });
  await system.spawnLocal<undefined, never>({
    id: hooksActor,
    start: async () => startHooks({ ...hooks, clock, log, publish }),
    options: undefined,
  });
  closers.add(() => secondary.stop());
  closers.add(() => primary.stopAll());
  closers.add(await openNbd(home, primary, mirrors, system, clock, log));
  await secondary.start();
  await primary.resumeAll();

  const secondaryVerbs = new SecondaryVerbs(secondary, { home, io, system, mirrors, publish });
  const verbs = verbsOf(home, primary, secondaryVerbs);
  const info = async (groups: readonly number[] | 'all'): Promise<TdmfInfo> => {
    const all: GroupInfo[] = [...(await primary.info()), ...(await secondary.info())];
    const wanted = groups === 'all' ? all : all.filter(({ group }) => groups.includes(group));
    for (const group of groups === 'all' ? [] : groups) {
      if (!wanted.some((one) => one.group === group))
        throw new TdmfError('TDMF_GROUP_UNKNOWN', { group });
    }
    return {
      schema: 'tdmf.info/1',
      version,
      bab: pool.info(),
      groups: wanted.toSorted((a, b) => a.group - b.group),
    };
  };

  return {
    ioKind: io.kind,
    info,
    groupsOf: (verb, args) => verbs.groupsOf(verb, args),
    verb: (verb, group, args) => verbs.run(verb, group, args),
    async wait(group, condition, signal) {
      for (;;) {
        const now = await primary.infoOf(group);
        if (holds(condition, now)) return;
        signal?.throwIfAborted();
        await new Promise<void>((resolve) => {
          clock.after(conditionPollMs, resolve);
        });
      }
    },
    events: (since, follow, signal) =>
      followEvents(events, async () => (await info('all')).groups, since, follow, signal),
    crashHost: (host) => system.crashHost(host),
    close: () => closers.closeAll(),
  };
}

/** Progress is for those who follow the events; the log has what an operator reads afterwards. */
function levelOf(type: string): 'debug' | 'info' | 'warn' {
  if (type.endsWith('progressed')) return 'debug';
  return /failed|crashed|parked|refused|unclean|overflow|lost|invalid/i.test(type)
    ? 'warn'
    : 'info';
}

/** Main has no link sessions of its own: they end on host threads. */
const noLinks: LinkServer = {
  setKeys: () => undefined,
  serve: () => undefined,
  onSession: () => undefined,
  close: () => Promise.resolve(),
};
