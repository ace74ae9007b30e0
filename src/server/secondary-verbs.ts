/**
 * What an operator may ask of the secondary side of a group: killrmd, adopt, reco and its end, and a
 * checkpoint from this side. Each works beside no session of the group (Rules 22, 34), leaves what it
 * did in jGGG.meta before it answers, and may be repeated.
 */
import type { RecoEnd, RecoOptions, RecoOutcome, RecoQuestion } from '../actors/reco.js';
import { barLastLaunch, readRecord, releaseOwner } from '../actors/rmd-record.js';
import { type GroupConfig, isLoopback } from '../config/group-config.js';
import type { Home } from '../config/home.js';
import { TdmfError } from '../core/errors.js';
import { bytesInWords, timeInWords } from '../core/words.js';
import { atomicFiles } from '../io/atomic-files.js';
import type { DeviceOpener } from '../ports/block-device.js';
import type { ActorSystem } from '../runtime/pool.js';
import { refuseUnless } from './confirm.js';
import type { MirrorExports } from './mirror-exports.js';
import type { SecondaryGroups } from './secondary-groups.js';

export interface SecondaryVerbsOptions {
  readonly home: Home;
  readonly io: Pick<DeviceOpener, 'digest'>;
  readonly system: ActorSystem;
  readonly mirrors: MirrorExports;
  readonly publish: (type: string, payload: Readonly<Record<string, unknown>>) => void;
}

/** What the CLI prints of a verb that went well. */
export interface Told {
  readonly told: readonly string[];
}

export class SecondaryVerbs {
  readonly #groups: SecondaryGroups;
  readonly #options: SecondaryVerbsOptions;

  constructor(groups: SecondaryGroups, options: SecondaryVerbsOptions) {
    this.#groups = groups;
    this.#options = options;
  }

  /**
   * Ends the RMD and bars the launch of the PMD that it served (Rule 50), durably: only killpmd and
   * launchpmd on the primary bring it back. Without a session the launch seen last is barred.
   * @throws TDMF_GROUP_UNKNOWN
   */
  async killRmd(group: number): Promise<{ readonly session: boolean }> {
    await this.#groups.configOf(group);
    const session = (await this.#groups.askSession(group, { kind: 'rmd.kill' })) !== undefined;
    return this.#groups.alone(group, async (config) => {
      const { io, publish } = this.#options;
      await barLastLaunch(atomicFiles, io.digest, this.#journal(config), group);
      publish('rmd.killed', { group, session });
      return { session };
    });
  }

  /**
   * Lets another primary have the mirror (Rule 34): ends the session, bars the owner's launch, so that
   * it does not come back by itself, and forgets the owner. The mirror and its state stay as they are.
   * @throws TDMF_GROUP_UNKNOWN
   */
  adopt(group: number): Promise<{ readonly owner: string }> {
    return this.#groups.alone(group, async (config) => {
      const { io, publish } = this.#options;
      const owner = await releaseOwner(atomicFiles, io.digest, this.#journal(config), group);
      publish('mirror.released', { group, owner });
      return { owner };
    });
  }

  /**
   * Hands the mirror to applications (Rule 29). What is incoherent is handed out with `force` only.
   * @throws TDMF_RECO_STATE, TDMF_CONFIRM, TDMF_RMD_MIRROR, TDMF_JOURNAL_DAMAGED, TDMF_DEVICE_FAILED
   */
  reco(group: number, options: { readonly force: boolean; readonly yes: boolean }): Promise<Told> {
    const { force, yes } = options;
    return this.#groups.alone(group, async (config) => {
      if (force) refuseUnless({ loss: forcedLoss, must: true }, yes, false);
      // Rule 15d: -off comes first, and asks for the same.
      if (await this.#isUnderCheckpoint(config)) await this.#groups.takeBack(group);
      const { already, base, state, forced } = await this.#handOut(config, force);
      if (!already) this.#options.publish('mirror.handedOver', { group, base, state, forced });
      const exports = config.devices.flatMap(
        ({ name }) => this.#options.mirrors.nameOf(group, name) ?? [],
      );
      return {
        told: [
          already
            ? `the mirror was handed over before (${state})`
            : `the mirror is yours (${state}); no primary writes to it until tdmfctl reco -d`,
          ...(forced ? ['it is not known to be coherent: check it before it is used'] : []),
          ...(exports.length > 0
            ? [
                `what is written through ${exports.join(', ')} is tracked, which saves a full compare`,
              ]
            : []),
        ],
      };
    });
  }

  /**
   * Takes the mirror back from applications. Nothing connects by itself, and nothing is lost by it; what
   * they changed decides what may follow on the primary (Rule 9b).
   * @throws TDMF_MIRROR_CLIENTS, TDMF_MIRROR_IN_USE, TDMF_CONFIRM
   */
  endReco(
    group: number,
    options: { readonly yes: boolean; readonly terminal: boolean },
  ): Promise<Told> {
    const { yes, terminal } = options;
    const { mirrors, publish } = this.#options;
    return this.#groups.alone(group, async (config) => {
      await mirrors.mustBeUnused(config);
      const seen = await this.#ask<RecoEnd>(config, { kind: 'reco.look' });
      if (!seen.wasInReco) return { told: ['the mirror was not handed out'] };
      if (seen.changes !== 'none') {
        const loss = `${changedInWords(seen)}; a refresh from the primary would overwrite it`;
        refuseUnless({ loss, must: false }, yes, terminal);
      }
      // Nobody comes in between the last look and the end.
      await mirrors.withdraw(group);
      const end = await this.#ask<RecoEnd>(config, { kind: 'reco.end' });
      publish('mirror.takenBack', { group, changes: end.changes, bytes: end.bytes });
      return {
        told: [
          changedInWords(end),
          end.changes === 'none'
            ? 'on the primary: launchpmd, and launchrefresh if it asks for it'
            : 'on the primary: launchbackfresh brings it home, launchrefresh overwrites it',
        ],
      };
    });
  }

  /**
   * Asks the primary for a checkpoint, or for its end, and waits until it is done (MD 28, 45).
   * @throws TDMF_CHECKPOINT_NO_SESSION, and what the primary or this side refuses it with
   */
  async checkpoint(group: number, on: boolean): Promise<void> {
    await this.#groups.configOf(group);
    const asked = await this.#groups.askSession(group, { kind: 'rmd.checkpoint', on });
    if (asked === undefined) throw new TdmfError('TDMF_CHECKPOINT_NO_SESSION', { group });
  }

  async #handOut(config: GroupConfig, force: boolean): Promise<RecoOutcome> {
    try {
      return await this.#ask<RecoOutcome>(config, { kind: 'reco.run', force });
    } finally {
      await this.#groups.lookAtMirror(config.group);
    }
  }

  async #isUnderCheckpoint(config: GroupConfig): Promise<boolean> {
    const { io } = this.#options;
    const journal = this.#journal(config);
    const { record } = await readRecord(atomicFiles, io.digest, journal, config.group);
    return record.checkpoint === 'on';
  }

  /** An actor of its own for as long as the question takes: its devices are closed with it. */
  async #ask<Answer>(config: GroupConfig, question: RecoQuestion): Promise<Answer> {
    const { system, home } = this.#options;
    const { group, devices } = config;
    const id = `reco${group}`;
    const options: RecoOptions = {
      group,
      loopback: isLoopback(config),
      journal: this.#journal(config),
      home: home.directory,
      devices: devices.map(({ name, mirror, cache }) => ({
        name,
        mirror,
        ...(cache !== undefined && { cache }),
      })),
    };
    await system.stopSet(id);
    await system.spawn({ id, kind: 'reco', host: group % system.hosts, options });
    try {
      return await system.ask<Answer>(id, question);
    } finally {
      await system.stopSet(id);
    }
  }

  #journal(config: GroupConfig): string {
    return this.#options.home.resolve(config.secondary.journal);
  }
}

const forcedLoss =
  'nobody knows that the mirror is a state the primary was ever in; what is there may be damaged';

function changedInWords({ changes, bytes, since }: RecoEnd): string {
  if (changes === 'none') return 'nothing was changed on the mirror';
  const when = since === 0 ? '' : ` since ${timeInWords(since)}`;
  return changes === 'known'
    ? `${bytesInWords(bytes)} were changed on the mirror${when}`
    : `the mirror was changed${when}, nobody knows where`;
}
