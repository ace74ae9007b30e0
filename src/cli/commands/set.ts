/**
 * `set` (manual: tdmfset): `-g N` prints every tunable of a group, `-g N NAME` one, `-g N NAME=VALUE`
 * sets it. Names and values are judged by tdmfd, which answers with what is in force.
 */
import { TdmfError } from '../../core/errors.js';
import {
  formatTunable,
  parseTunableName,
  type TunableName,
  type Tunables,
} from '../../core/tunables.js';
import { client } from '../client.js';
import { endOf, type GroupResult } from '../outcome.js';
import { chosenGroups, type GroupOptions } from './group-options.js';

export interface Wish {
  readonly groups: readonly string[];
  readonly values: Readonly<Record<string, string>>;
  readonly names: readonly TunableName[];
}

/** @throws TDMF_TUNABLE_INVALID */
export function wishOf(words: readonly string[]): Wish {
  const groups: string[] = [];
  const names: TunableName[] = [];
  const values: Record<string, string> = {};
  for (const word of words) {
    const equals = word.indexOf('=');
    if (equals < 0 && /^[\d,-]+$/.test(word)) {
      groups.push(word);
      continue;
    }
    const name = parseTunableName(equals < 0 ? word : word.slice(0, equals));
    if ('problem' in name) throw new TdmfError('TDMF_TUNABLE_INVALID', { problem: name.problem });
    names.push(name.value);
    if (equals >= 0) values[name.value] = word.slice(equals + 1);
  }
  return { groups, values, names };
}

export async function set(
  home: string,
  words: readonly string[],
  options: GroupOptions & { json?: true },
): Promise<number> {
  const { groups: bare, values, names } = wishOf(words);
  const groups = chosenGroups(bare, options);
  const { results } = await client(home).post<{ results: GroupResult[] }>('/v1/verbs/set', {
    groups,
    args: { values },
  });
  const good = results.flatMap((result) =>
    result.ok ? [{ group: result.group, tunables: result.value as Tunables }] : [],
  );
  const shown = good.map(({ group, tunables }) => ({ group, tunables: only(tunables, names) }));
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ schema: 'tdmf.tunables/1', groups: shown })}\n`);
  } else if (Object.keys(values).length === 0) {
    process.stdout.write(shown.map((one) => textOf(one, results.length > 1)).join('\n'));
  }
  return endOf(results);
}

function only(tunables: Tunables, names: readonly TunableName[]): Partial<Tunables> {
  if (names.length === 0) return tunables;
  return Object.fromEntries(names.map((name) => [name, tunables[name]]));
}

function textOf(
  { group, tunables }: { readonly group: number; readonly tunables: Partial<Tunables> },
  several: boolean,
): string {
  const lines = Object.entries(tunables).map(([name, value]) => `${name}=${formatTunable(value)}`);
  return `${(several ? [`group ${group}:`, ...lines] : lines).join('\n')}\n`;
}
