/**
 * What an operator may ask of the secondary side of a group: killrmd, adopt, reco and its end, and a
 * checkpoint from this side. Each works beside no session of the group (Rules 22, 34), leaves what it
 * did in jGGG.meta before it answers, and may be repeated.
 */
import { barLastLaunch, releaseOwner } from '../actors/rmd-record.js';
import type { GroupConfig } from '../config/group-config.js';
import type { Home } from '../config/home.js';
import { TdmfError } from '../core/errors.js';
import { atomicFiles } from '../io/atomic-files.js';
import type { DeviceOpener } from '../ports/block-device.js';
import type { SecondaryGroups } from './secondary-groups.js';

export interface SecondaryVerbsOptions {
  readonly home: Home;
  readonly io: Pick<DeviceOpener, 'digest'>;
  readonly publish: (type: string, payload: Readonly<Record<string, unknown>>) => void;
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

  async reco(group: number, _options: { force: boolean; yes: boolean }): Promise<unknown> {
    await this.#groups.configOf(group);
    throw new TdmfError('TDMF_MODE_NOT_YET', { group, what: 'reco' });
  }

  async endReco(group: number, _options: { yes: boolean; terminal: boolean }): Promise<unknown> {
    await this.#groups.configOf(group);
    throw new TdmfError('TDMF_MODE_NOT_YET', { group, what: 'reco -d' });
  }

  async checkpoint(group: number, _on: boolean): Promise<unknown> {
    await this.#groups.configOf(group);
    throw new TdmfError('TDMF_MODE_NOT_YET', { group, what: 'checkpoint on the secondary' });
  }

  #journal(config: GroupConfig): string {
    return this.#options.home.resolve(config.secondary.journal);
  }
}
