/**
 * Hands the mirror of one group to applications, and takes it back (Rule 29). It runs while no session
 * of the group does (main sees to that), and every step is durable before the next, so that it can be
 * repeated after a crash anywhere:
 *
 *   judge ─► hold the mirrors ─► flush the journal ─► record: pending, sGGG.off ─► replay, flush
 *         ─► record: new era, done ─► let go
 *
 * From "pending" on no RMD is admitted, by the record or by the file, whichever is there. Keeps Rule 9a:
 * the era that begins here makes every primary that knew the mirror before stop and ask.
 */
import { TdmfError } from '../core/errors.js';
import { metaName, offName, ownName, segmentsOf } from '../core/journal/names.js';
import { type MirrorRecord, withOwnEra } from '../core/meta.js';
import { hexOfBytes } from '../core/pstore/superblock.js';
import type { WirePosition } from '../core/wire/messages.js';
import type { Actor, ActorContext } from './actor.js';
import { replayChain } from './chain-replay.js';
import { deviceCall } from './device-call.js';
import { deviceFailed } from './mirror.js';
import { type FoundChanges, findOwnChanges } from './own-changes.js';
import type { MirrorConfig } from './rmd-admission.js';
import { type RmdRecord, readRecord, readStanding, saveRecord } from './rmd-record.js';

export interface RecoOptions extends MirrorConfig {
  /** TDMF_HOME, for sGGG.off. */
  readonly home: string;
}

export type RecoQuestion =
  /** Answered with RecoOutcome. */
  | { readonly kind: 'reco.run'; readonly force: boolean }
  /** What `reco.end` would find: FoundChanges without the bitmaps, and whether it is in reco at all. */
  | { readonly kind: 'reco.look' }
  /** `reco -d`; answered with RecoEnd. */
  | { readonly kind: 'reco.end' };

export interface RecoOutcome {
  /** It was handed over before; nothing was done. */
  readonly already: boolean;
  readonly era: string | undefined;
  /** Where the primary's history ends on the mirror. */
  readonly base: WirePosition | undefined;
  readonly state: MirrorRecord['state'];
  readonly forced: boolean;
}

export interface RecoEnd {
  readonly wasInReco: boolean;
  readonly changes: FoundChanges['changes'];
  readonly bytes: number;
  readonly since: number;
}

export async function startReco(
  context: ActorContext,
  options: RecoOptions,
): Promise<Actor<never>> {
  const reco = new Reco(context, options);
  return {
    receive: () => undefined,
    ask: async (question) => {
      const asked = question as RecoQuestion;
      switch (asked.kind) {
        case 'reco.run':
          return reco.run(asked.force);
        case 'reco.look':
          return reco.look();
        case 'reco.end':
          return reco.end();
      }
    },
    stop: () => Promise.resolve(),
  };
}

class Reco {
  readonly #context: ActorContext;
  readonly #options: RecoOptions;

  constructor(context: ActorContext, options: RecoOptions) {
    this.#context = context;
    this.#options = options;
  }

  /** @throws TDMF_RECO_STATE, TDMF_RMD_MIRROR, TDMF_JOURNAL_DAMAGED, TDMF_DEVICE_FAILED */
  async run(force: boolean): Promise<RecoOutcome> {
    const record = await this.#record();
    if (record.reco === 'done') {
      await this.#raiseFlag();
      return outcomeOf(record, true);
    }
    const { files, devices } = this.#context.ports;
    const { journal, group } = this.#options;
    const found = await readStanding(files, devices.digest, journal, group);
    // Broken off before: nothing but the replay has written since, from a journal that was durable then.
    const begun = record.reco === 'pending' && record.own !== 'unknown';
    const proven = begun || isGood(found.state);
    if (!force && !proven) throw notCoherent(found.state);
    let after: MirrorRecord | undefined;
    await replayChain(this.#context, this.#options, {
      before: async (held) => {
        if (!begun) await this.#flushJournal();
        // A label that a replay does not take away; who repeats it without --force is refused again.
        await held.save({ reco: 'pending', own: proven ? held.record.own : 'unknown' });
        await this.#raiseFlag();
      },
      after: async (held, standing) => {
        const again = proven && standing.rewound && held.record.state === 'coherent';
        const state = again ? 'coherent' : standing.state;
        // The journal may have turned out to be damaged; the mirror is fenced, and reco can be repeated.
        if (!force && !isGood(state)) throw notCoherent(state);
        await this.#setAside();
        after = await this.#handOver(held, standing.position, proven && isGood(state));
      },
    });
    return outcomeOf(after!, false);
  }

  async look(): Promise<RecoEnd> {
    const record = await this.#record();
    const { changes, bytes, since } = await this.#changes(record);
    const flagged = (await this.#context.ports.files.read(this.#flag)) !== undefined;
    return { wasInReco: record.reco !== 'none' || flagged, changes, bytes, since };
  }

  /** The record first, then the file (Rule 29). Never connects by itself (Rule 9b). */
  async end(): Promise<RecoEnd> {
    const { files, devices } = this.#context.ports;
    const { journal } = this.#options;
    const seen = await this.look();
    if (!seen.wasInReco) return seen;
    const record = await this.#record();
    if (record.reco !== 'none') {
      const own = record.ownSince === 0 ? 'none' : seen.changes;
      await saveRecord(files, devices.digest, journal, { ...record, reco: 'none', own });
    }
    await files.remove(this.#flag);
    for (const name of (await files.list(journal)) ?? []) {
      if (name.startsWith(this.#prefix) && name.endsWith(asideSuffix)) {
        await files.remove(`${journal}/${name}`);
      }
    }
    return seen;
  }

  /** Era R, based where the mirror stands, and marks that tell whether others write (Rule 15c). */
  async #handOver(
    held: RmdRecord,
    position: number | undefined,
    proven: boolean,
  ): Promise<MirrorRecord> {
    const { files } = this.#context.ports;
    const { journal, group, devices } = this.#options;
    const { record } = held;
    const { era: before } = record;
    const at =
      before === undefined || position === undefined
        ? undefined
        : { era: before, sequence: position };
    const known = record.mirrors.length > 0 ? record.mirrors : held.mirrors;
    const mirrors = await Promise.all(
      known.map(async (stamp, index) => ({
        ...stamp,
        writeMark: await files.writeMark(devices[index]?.mirror ?? ''),
      })),
    );
    // What an earlier hand-over left is no part of this one.
    await files.remove(`${journal}/${ownName(group)}`);
    const bytes = this.#context.random.fill(new Uint8Array(16));
    await held.save({
      ...withOwnEra(record, hexOfBytes(bytes), at),
      state: proven ? 'coherent' : 'unknown',
      refreshId: '',
      bootId: held.bootId,
      mirrors,
      own: proven ? 'none' : 'unknown',
      ownSince: Math.max(1, Math.floor(this.#context.clock.wallNow())),
      reco: 'done',
    });
    return held.record;
  }

  /** What a killed process left in the page cache must not be lost when the mirror has it already. */
  async #flushJournal(): Promise<void> {
    const { files, devices } = this.#context.ports;
    const { journal, group } = this.#options;
    for (const { name } of segmentsOf(group, (await files.list(journal)) ?? [])) {
      const path = `${journal}/${name}`;
      const file = await devices.open({
        path,
        access: 'readwrite',
        cache: 'writeback',
        growable: true,
      });
      const result = await deviceCall((sink) => file.flush(sink, 0));
      await file.close();
      if (result < 0) throw deviceFailed(path, 'flush', -result);
    }
    await files.syncDirectory(journal);
  }

  /** Attempts without a commit record are worth nothing, and nobody shall take them for more. */
  async #setAside(): Promise<void> {
    const { files } = this.#context.ports;
    const { journal, group } = this.#options;
    for (const { name } of segmentsOf(group, (await files.list(journal)) ?? [])) {
      await files.rename(`${journal}/${name}`, `${journal}/${name}${asideSuffix}`);
    }
  }

  async #raiseFlag(): Promise<void> {
    const { files } = this.#context.ports;
    if ((await files.read(this.#flag)) !== undefined) return;
    await files.replace(this.#flag, new TextEncoder().encode(flagText));
  }

  async #record(): Promise<MirrorRecord> {
    const { files, devices } = this.#context.ports;
    const { journal, group } = this.#options;
    return (await readRecord(files, devices.digest, journal, group)).record;
  }

  #changes(record: MirrorRecord): Promise<FoundChanges> {
    const { files, devices } = this.#context.ports;
    const { journal: directory } = this.#options;
    const mirrors = this.#options.devices.map(({ mirror }) => mirror);
    return findOwnChanges({ files, digest: devices.digest, directory, mirrors }, record);
  }

  get #flag(): string {
    return `${this.#options.home}/${offName(this.#options.group)}`;
  }

  get #prefix(): string {
    return metaName(this.#options.group).replace('.meta', '');
  }
}

const asideSuffix = '.aside';
const flagText =
  'tdmfctl reco handed this mirror to applications; no primary may write to it.\n' +
  'tdmfctl reco -d takes it back. Do not remove this file by hand.\n';

/** What may be handed out without --force: a cut of the primary, or what becomes one by a replay. */
function isGood(state: MirrorRecord['state']): boolean {
  return state === 'coherent' || state === 'recoverable';
}

function notCoherent(state: MirrorRecord['state']): TdmfError {
  return new TdmfError('TDMF_RECO_STATE', { state, why: whyNot[state] ?? '' });
}

const whyNot: { readonly [State in MirrorRecord['state']]?: string } = {
  never: 'it was never refreshed',
  incoherent: 'a refresh is unfinished, or writes came out of order when power was lost',
  unknown: 'nobody has proven what it holds',
};

function outcomeOf({ era, base, state }: MirrorRecord, already: boolean): RecoOutcome {
  return { already, era, base, state, forced: state !== 'coherent' };
}
