/** Every verb that asks tdmfd to do one thing to each of some groups. */
import { client } from '../client.js';
import { endOf, type GroupResult } from '../outcome.js';
import { chosenGroups, type GroupOptions } from './group-options.js';

export async function groupVerb(
  home: string,
  verb: string,
  bare: readonly string[],
  options: GroupOptions,
  args: Readonly<Record<string, unknown>>,
): Promise<number> {
  const groups = chosenGroups(bare, options);
  const { results } = await client(home).post<{ results: GroupResult[] }>(`/v1/verbs/${verb}`, {
    groups,
    args,
  });
  return endOf(results);
}
