/**
 * The groups of which this host is the secondary: their s###.cfg files, the keys the link hosts know,
 * and the one session each group may have. An RMD asks here before it opens anything: an earlier
 * session of the same group is ended first, and its I/O awaited (Rule 22, Rule 34).
 */
import { stat } from 'node:fs/promises';
import type { Actor } from '../actors/actor.js';
import type { LinkHostQuestion, SecondaryGroup, SessionStatus } from '../actors/link-host.js';
import type { RmdQuestion } from '../actors/rmd.js';
import type { SupervisorQuestion } from '../actors/supervisor-questions.js';
import { listGroups, readGroupConfig } from '../config/files.js';
import { type GroupConfig, isLoopback } from '../config/group-config.js';
import type { Home } from '../config/home.js';
import { fromPlainError, isTdmfError, TdmfError, toPlainError } from '../core/errors.js';
import type { Decision } from '../core/supervision.js';
import type { SecondaryInfo } from '../info.js';
import { closeDetached } from '../io/close-detached.js';
import { type LinkDoor, openLinkDoor } from '../io/link-door.js';
import { native } from '../io/native.js';
import type { DeviceOpener } from '../ports/block-device.js';
import type { Clock } from '../ports/clock.js';
import type { Log } from '../ports/log.js';
import type { ActorSystem } from '../runtime/pool.js';
import { type HookQuestion, hooksActor } from './hooks.js';
import type { MirrorExports } from './mirror-exports.js';
import { type Problem, problemOf, withRemedy } from './problem.js';
import { secondaryInfo, secondaryNotReadable } from './secondary-info.js';

export interface SecondaryGroupsOptions {
  readonly home: Home;
  readonly system: ActorSystem;
  readonly log: Log;
  readonly publish: (type: string, payload: Readonly<Record<string, unknown>>) => void;
  readonly nodeId: string;
  readonly version: string;
  readonly address: string;
  readonly port: number;
  readonly io: Pick<DeviceOpener, 'digest'>;
  readonly clock: Clock;
  readonly mirrors: Pick<MirrorExports, 'look' | 'nameOf' | 'mustBeUnused' | 'withdraw'>;
}

/** Files are looked at again at most this often when connections arrive. */
const rescanMs = 500;

interface AdmittedSession {
  readonly session: string;
  readonly host: string;
}

export class SecondaryGroups {
  readonly #options: SecondaryGroupsOptions;
  #configs: ReadonlyMap<number, GroupConfig> = new Map();
  /** Files that cannot be used. */
  readonly #invalid = new Map<number, Problem>();
  /** Why the last session of a group was refused. */
  readonly #refused = new Map<number, Problem>();
  readonly #sessions = new Map<number, AdmittedSession>();
  readonly #turns = new Map<number, Promise<unknown>>();
  #door: LinkDoor | undefined;
  #nextHost: number;
  #scannedAt = Number.NEGATIVE_INFINITY;
  #signature = '';

  constructor(options: SecondaryGroupsOptions) {
    this.#options = options;
    // The driver of group 0 is on host 0: sessions begin at the other end.
    this.#nextHost = options.system.hosts - 1;
  }

  async start(): Promise<void> {
    const { system, clock, log, address, port } = this.#options;
    await system.spawnLocal<undefined, never>({
      id: 'supervisor',
      start: async () => this.#actor(),
      options: undefined,
    });
    await Promise.all(Array.from({ length: system.hosts }, (_, host) => this.#spawnHost(host)));
    await this.#scan();
    await Promise.all([...this.#configs.keys()].map((group) => this.lookAtMirror(group)));
    this.#door = await openLinkDoor(
      { address, port, dupFd: native.dupFd, clock, log },
      (fd) => void this.#arrived(fd),
    );
  }

  async stop(): Promise<void> {
    await this.#door?.close();
  }

  /** The set of a link host (`linkN`) failed and has ended. */
  async setFailed(set: string, decision: Decision): Promise<void> {
    if (decision.kind === 'park') return;
    await this.#spawnHost(Number(set.slice('link'.length)));
  }

  /** The group as its s###.cfg says. @throws TDMF_GROUP_UNKNOWN, TDMF_CONFIG_* */
  async configOf(group: number): Promise<GroupConfig> {
    await this.#scan();
    const config = this.#configs.get(group);
    if (config !== undefined) return config;
    const { code, message } = this.#invalid.get(group) ?? {};
    if (code === undefined) throw new TdmfError('TDMF_GROUP_UNKNOWN', { group });
    throw fromPlainError({ name: 'TdmfError', code, message: message ?? '' });
  }

  /** Runs `work` while no session of the group does I/O, and none is admitted. */
  alone<T>(group: number, work: (config: GroupConfig) => Promise<T>): Promise<T> {
    return this.#inTurn(group, async () => {
      const config = await this.configOf(group);
      await this.#endEarlier(group, undefined);
      this.#sessions.delete(group);
      return work(config);
    });
  }

  /** Asks the RMD of the group's session; undefined when there is no session. */
  async askSession<Answer>(
    group: number,
    question: RmdQuestion,
  ): Promise<{ readonly answer: Answer } | undefined> {
    const admitted = this.#sessions.get(group);
    if (admitted === undefined) return undefined;
    const { session, host } = admitted;
    return this.#ask<{ answer: Answer } | undefined>(host, {
      kind: 'link.ask',
      session,
      question,
    }).catch((error: unknown) => {
      // A host that crashed, or a session that ended meanwhile: there is none.
      if (isTdmfError(error) && error.code.startsWith('TDMF_ACTOR_')) return undefined;
      throw error;
    });
  }

  /**
   * The mirror is to be written again after a checkpoint: the hook pre_off, then nobody may use it.
   * @throws TDMF_HOOK_*, TDMF_MIRROR_CLIENTS, TDMF_MIRROR_IN_USE; nothing has changed then
   */
  async takeBack(group: number): Promise<void> {
    const { mirrors } = this.#options;
    await this.#hook(group, 'pre_off');
    await mirrors.mustBeUnused(await this.configOf(group));
    await mirrors.withdraw(group);
  }

  async info(): Promise<SecondaryInfo[]> {
    await this.#scan();
    const sessions = await this.#statuses();
    const { home, io, mirrors } = this.#options;
    const place = { home, digest: io.digest, mirrors };
    const known = await Promise.all(
      [...this.#configs.values()].map((config) =>
        secondaryInfo(
          config,
          this.#refused.get(config.group) ?? null,
          sessions.find(({ group }) => group === config.group),
          place,
        ),
      ),
    );
    return [
      ...known,
      ...[...this.#invalid].map(([group, why]) => secondaryNotReadable(group, why)),
    ];
  }

  /**
   * Hears every event before it is published. False for a refusal that was told already: a refused
   * primary comes again every few seconds, and would fill the log with the same line.
   */
  hears(type: string, payload: Readonly<Record<string, unknown>>): boolean {
    const { group, code, message } = payload;
    if (typeof group !== 'number') return true;
    if (/^(?:rmd|checkpoint)\./.test(type)) void this.lookAtMirror(group);
    if (type === 'rmd.connected') this.#refused.delete(group);
    if (type !== 'rmd.refused') return true;
    const before = this.#refused.get(group);
    if (before?.code === code && before?.message === message) return false;
    this.#refused.set(group, withRemedy({ code: String(code), message: String(message) }));
    return true;
  }

  /** Whether applications may have the mirror may have changed. */
  async lookAtMirror(group: number): Promise<void> {
    const config = this.#configs.get(group);
    if (config === undefined) return;
    await this.#options.mirrors.look(config).catch((error: unknown) => {
      const { log } = this.#options;
      log.write('warn', 'the record of a mirror cannot be read', {
        group,
        error: toPlainError(error),
      });
    });
  }

  async #spawnHost(host: number): Promise<void> {
    const { system, nodeId, version, home } = this.#options;
    await system.spawn({
      id: `link${host}`,
      kind: 'linkHost',
      host,
      options: { nodeId, version, home: home.directory, supervisor: 'supervisor' },
    });
    await this.#tell(`link${host}`);
  }

  /** A connection goes to the next host in turn; who it is, TLS finds out there. */
  async #arrived(fd: number): Promise<void> {
    // Files that cannot be read now are no reason to refuse the groups that are known (I11).
    await this.#scan().catch((error: unknown) => {
      const { log } = this.#options;
      log.write('error', 'the s.cfg files cannot be read', { error: toPlainError(error) });
    });
    const { hosts } = this.#options.system;
    for (let attempt = 0; attempt < hosts; attempt++) {
      const host = this.#nextHost;
      this.#nextHost = (host + hosts - 1) % hosts;
      if (this.#options.system.address(`link${host}`).tell({ type: 'link.serve', fd })) return;
    }
    await closeDetached(fd);
  }

  /** Reads s###.cfg files that came, went or changed, and tells the hosts. */
  async #scan(): Promise<void> {
    const { home, publish } = this.#options;
    const now = this.#options.clock.now();
    if (now - this.#scannedAt < rescanMs) return;
    this.#scannedAt = now;
    const groups = await listGroups(home, 's.cfg');
    const signature = (
      await Promise.all(
        groups.map(async (group) => {
          const facts = await stat(home.groupFile('s.cfg', group)).catch(() => undefined);
          return `${group}:${facts?.mtimeMs}:${facts?.size}`;
        }),
      )
    ).join();
    if (signature === this.#signature) return;
    this.#signature = signature;
    const configs = new Map<number, GroupConfig>();
    this.#invalid.clear();
    for (const group of groups) {
      try {
        configs.set(group, await readGroupConfig(home, 's.cfg', group));
      } catch (error) {
        const problem = problemOf(error);
        publish('secondary.configInvalid', { group, ...problem });
        // One that the system does not let us read now is as it was, and looked at again.
        const before = isTdmfError(error) ? undefined : this.#configs.get(group);
        if (!isTdmfError(error)) this.#signature = '';
        if (before === undefined) this.#invalid.set(group, problem);
        else configs.set(group, before);
      }
    }
    this.#configs = configs;
    const { hosts } = this.#options.system;
    await Promise.all(Array.from({ length: hosts }, (_, host) => this.#tell(`link${host}`)));
  }

  async #tell(host: string): Promise<void> {
    const groups: SecondaryGroup[] = [...this.#configs.values()].map((config) => ({
      group: config.group,
      secret: config.secret,
      loopback: isLoopback(config),
      journal: this.#options.home.resolve(config.secondary.journal),
      chaining: config.secondary.chaining,
      devices: config.devices.map(({ name, mirror, cache }) => ({
        name,
        mirror,
        ...(cache !== undefined && { cache }),
      })),
    }));
    await this.#ask(host, { kind: 'link.groups', groups }).catch((error: unknown) => {
      this.#options.log.write('warn', 'a link host is down; it is told when it is back', {
        host,
        error: toPlainError(error),
      });
    });
  }

  async #statuses(): Promise<SessionStatus[]> {
    const { hosts } = this.#options.system;
    const lists = await Promise.all(
      Array.from({ length: hosts }, (_, host) =>
        this.#ask<SessionStatus[]>(`link${host}`, { kind: 'link.status' }).catch(() => []),
      ),
    );
    return lists.flat();
  }

  #ask<Answer>(host: string, question: LinkHostQuestion): Promise<Answer> {
    return this.#options.system.address(host).ask<Answer>(question);
  }

  #actor(): Actor<never> {
    return {
      receive: () => undefined,
      ask: async (question) => {
        const asked = question as SupervisorQuestion;
        const { group } = asked;
        switch (asked.kind) {
          case 'rmd.admit':
            return this.#inTurn(group, () => this.#admit(group, asked.session));
          case 'rmd.handOutMirrors':
            return this.#handOut(group);
          case 'rmd.releaseMirrors':
            return this.takeBack(group);
        }
      },
      stop: () => Promise.resolve(),
    };
  }

  /** Under a checkpoint; the hook may use the export, so that comes first. */
  async #handOut(group: number): Promise<void> {
    await this.lookAtMirror(group);
    // It has failed, said why, and what it was for is as it is: the checkpoint is on.
    await this.#hook(group, 'post_on').catch(() => undefined);
  }

  #hook(group: number, hook: HookQuestion['hook']): Promise<unknown> {
    const question: HookQuestion = { kind: 'hook.run', group, hook, role: 'secondary' };
    return this.#options.system.ask(hooksActor, question);
  }

  async #admit(group: number, session: string): Promise<void> {
    await this.#endEarlier(group, session);
    this.#sessions.set(group, { session, host: session.split('/')[0] ?? '' });
  }

  /** Resolves when no other session than `session` does I/O for the group (Rule 22). */
  async #endEarlier(group: number, session: string | undefined): Promise<void> {
    const earlier = this.#sessions.get(group);
    if (earlier === undefined || earlier.session === session) return;
    // A host that crashed has no sessions any more, and its descriptors are closed.
    await this.#ask(earlier.host, {
      kind: 'link.end',
      session: earlier.session,
      code: 'TDMF_LINK_REPLACED',
    }).catch(() => undefined);
  }

  #inTurn<T>(group: number, run: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(group) ?? Promise.resolve();
    const turn = before.then(run, run);
    this.#turns.set(
      group,
      turn.catch(() => undefined),
    );
    return turn;
  }
}
