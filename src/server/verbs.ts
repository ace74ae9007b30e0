/**
 * The verbs of the control API: which side of a group each is for, and whom it asks. What is asked
 * here was typed by an operator (or sent by the console); what may be done is decided by the group's
 * actors and by secondary-groups.ts.
 */
import { access } from 'node:fs/promises';
import { z } from 'zod';
import { listGroups } from '../config/files.js';
import type { Home } from '../config/home.js';
import { TdmfError } from '../core/errors.js';
import type { TunableValues } from '../core/tunables.js';
import { mustBeMeant } from './confirm.js';
import type { PrimaryGroups } from './primary-groups.js';
import type { SecondaryVerbs } from './secondary-verbs.js';

export type VerbArgs = Readonly<Record<string, unknown>>;

interface Verb {
  /** Whose groups `-a` means. */
  readonly side: 'primary' | 'secondary' | 'either';
  readonly run: (group: number, args: VerbArgs) => Promise<unknown>;
}

export interface Verbs {
  /** @throws the group's TdmfError; TDMF_CONFIRM when data would be lost and nobody said --yes */
  run(verb: string, group: number, args: VerbArgs): Promise<unknown>;
  /** The groups that `-a` means. */
  groupsOf(verb: string, args: VerbArgs): Promise<number[]>;
}

export function verbsOf(home: Home, primary: PrimaryGroups, secondary: SecondaryVerbs): Verbs {
  const operator = (verb: string): Verb => ({
    side: 'primary',
    run: (group, args) => primary.operator(group, verb, args),
  });
  const confirmed = (verb: string): Verb => ({
    side: 'primary',
    run: async (group, args) => {
      mustBeMeant(verb, args, await primary.infoOf(group));
      return primary.operator(group, verb, args);
    },
  });
  const table: Readonly<Record<string, Verb>> = {
    start: { side: 'primary', run: (group) => primary.start(group) },
    stop: {
      side: 'primary',
      run: (group, { force, restart }) =>
        primary.stop(group, { force: force === true, restart: restart === true }),
    },
    launchpmd: operator('launchpmd'),
    killpmd: operator('killpmd'),
    launchrefresh: confirmed('launchrefresh'),
    killrefresh: operator('killrefresh'),
    launchbackfresh: confirmed('launchbackfresh'),
    killbackfresh: operator('killbackfresh'),
    override: confirmed('override'),
    sync: { side: 'primary', run: (group) => primary.sync(group) },
    set: {
      side: 'primary',
      run: (group, { values = {} }) => primary.tunables(group, givenTunables(values)),
    },
    checkpoint: {
      side: 'either',
      run: async (group, args) => {
        const asPrimary =
          args['role'] === 'primary' ||
          (args['role'] !== 'secondary' && (await exists(home.groupFile('p.cfg', group))));
        return asPrimary
          ? primary.operator(group, 'checkpoint', args)
          : secondary.checkpoint(group, args['on'] === true);
      },
    },
    adopt: { side: 'secondary', run: (group) => secondary.adopt(group) },
    killrmd: { side: 'secondary', run: (group) => secondary.killRmd(group) },
    reco: {
      side: 'secondary',
      run: (group, { deactivate, force, yes, terminal }) =>
        deactivate === true
          ? secondary.endReco(group, { yes: yes === true, terminal: terminal === true })
          : secondary.reco(group, { force: force === true, yes: yes === true }),
    },
  };
  const find = (verb: string): Verb => {
    if (Object.hasOwn(table, verb)) return table[verb]!;
    throw new TdmfError('TDMF_USAGE', { problem: `there is no verb ${verb}` });
  };
  return {
    run: async (verb, group, args) => find(verb).run(group, args),
    async groupsOf(verb, args) {
      if (verb === 'start' && args['boot'] === true) return primary.wanted();
      const { side } = find(verb);
      const wanted = side === 'either' ? (args['role'] ?? 'either') : side;
      const files = [
        ...(wanted === 'secondary' ? [] : await listGroups(home, 'p.cfg')),
        ...(wanted === 'primary' ? [] : await listGroups(home, 's.cfg')),
      ];
      return [...new Set(files)].toSorted((a, b) => a - b);
    },
  };
}

function givenTunables(values: unknown): TunableValues {
  const result = z
    .record(z.string(), z.union([z.string().max(200), z.number(), z.boolean()]))
    .safeParse(values);
  if (result.success) return result.data;
  throw new TdmfError('TDMF_USAGE', { problem: 'values are names with a text or number each' });
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
