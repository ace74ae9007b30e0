/**
 * The embeddable block server: what `tdmfd` runs and what a program gets from `createTdmf`. It
 * orchestrates; every decision about data is made by the actors of a group. `status()` is exactly
 * what `tdmfctl info --json` prints.
 */
import { readHostConfig } from './config/files.js';
import { type Home, home as homeOf } from './config/home.js';
import { packageVersion } from './config/package-version.js';
import { TdmfError, toPlainError } from './core/errors.js';
import type { TdmfInfo } from './info.js';
import type { Log } from './ports/log.js';
import { type BlockServer, startBlockServer } from './server/block-server.js';
import type { EventRecord } from './server/event-log.js';

export interface TdmfOptions {
  /** The TDMF home directory. */
  readonly home: string;
  /** Where log lines go; default: JSON lines on stderr. */
  readonly log?: Log;
}

export type WaitCondition = 'normal' | 'connected' | 'drained' | 'coherent';

export type GroupOutcome =
  | { readonly group: number; readonly ok: true; readonly value?: unknown }
  | { readonly group: number; readonly ok: false; readonly error: ReturnType<typeof toPlainError> };

export interface WaitOptions {
  readonly signal?: AbortSignal;
  readonly timeoutSeconds?: number;
}

/**
 * Runs a block server in this process.
 * @throws TDMF_HOME_LOCKED, TDMF_CONFIG_INVALID, TDMF_PORT_BUSY, TDMF_PSTORE_DAMAGED
 */
export async function createTdmf(options: TdmfOptions): Promise<Tdmf> {
  const home = homeOf(options.home);
  const config = await readHostConfig(home);
  return new Tdmf(home, await startBlockServer(home, config, options.log));
}

export class Tdmf {
  readonly home: Home;
  readonly #server: BlockServer;

  constructor(home: Home, server: BlockServer) {
    this.home = home;
    this.#server = server;
  }

  /** One group's verb; rejects with the group's TdmfError (a refusal has the reason code). */
  run(verb: string, group: number, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    return this.#server.verb(verb, group, args);
  }

  /**
   * A verb for several groups: each succeeds or fails by itself. All groups are those of the side that
   * the verb is for; `start` with `boot` means those that ran before (manual: `tdmfstart -b`).
   */
  async each(
    verb: string,
    groups: readonly number[] | 'all',
    args: Readonly<Record<string, unknown>> = {},
  ): Promise<GroupOutcome[]> {
    const chosen = groups === 'all' ? await this.#server.groupsOf(verb, args) : groups;
    return outcomes(chosen, (group) => this.run(verb, group, args));
  }

  async wait(group: number, condition: WaitCondition, options: WaitOptions = {}): Promise<void> {
    await this.#server.wait(group, condition, options.signal).catch((error: unknown) => {
      if (!options.signal?.aborted) throw error;
      const what = `'${condition}'`;
      throw new TdmfError('TDMF_TIMED_OUT', { what, group, seconds: options.timeoutSeconds });
    });
  }

  async waitEach(
    groups: readonly number[] | 'all',
    condition: WaitCondition,
    options: WaitOptions = {},
  ): Promise<GroupOutcome[]> {
    const chosen = groups === 'all' ? await this.#server.groupsOf('sync', {}) : groups;
    return outcomes(chosen, (group) => this.wait(group, condition, options));
  }

  status(groups: readonly number[] | 'all' = 'all'): Promise<TdmfInfo> {
    return this.#server.info(groups);
  }

  version(): { version: string; node: string; io: string } {
    return { version: packageVersion(), node: process.versions.node, io: this.#server.ioKind };
  }

  /**
   * Events: without `since`, first the present state of every group, then a line `exists -`; with
   * it, what came after. Goes on as they happen when `follow`.
   */
  events(
    since?: number,
    follow = false,
    signal?: AbortSignal,
  ): AsyncGenerator<EventRecord, void, undefined> {
    return this.#server.events(since, follow, signal);
  }

  /** Fault injection, for tests: a host thread dies; its groups shall be back by themselves. */
  crashHost(host: number): void {
    this.#server.crashHost(host);
  }

  /** Stops cleanly: persists every state, closes every device. */
  close(): Promise<void> {
    return this.#server.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

async function outcomes(
  groups: readonly number[],
  run: (group: number) => Promise<unknown>,
): Promise<GroupOutcome[]> {
  return Promise.all(
    groups.map(async (group): Promise<GroupOutcome> => {
      try {
        return { group, ok: true, value: await run(group) };
      } catch (error) {
        return { group, ok: false, error: toPlainError(error) };
      }
    }),
  );
}
