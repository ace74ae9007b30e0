/** Every verb that asks tdmfd to do one thing to each of some groups. */
import { client } from '../client.js';
import { agreed, type ConfirmOptions, isTerminal } from '../confirm.js';
import { endOf, type GroupResult } from '../outcome.js';
import { chosenGroups, type GroupOptions } from './group-options.js';

/** Shows what a group that went well has answered. */
export type ShowAnswer = (group: number, value: unknown) => void;

export async function groupVerb(
  home: string,
  verb: string,
  bare: readonly string[],
  options: GroupOptions & ConfirmOptions,
  args: Readonly<Record<string, unknown>>,
): Promise<number> {
  return runGroupVerb(home, verb, chosenGroups(bare, options), args, options);
}

/**
 * tdmfd answers what would be lost with TDMF_CONFIRM and does nothing; at a terminal the operator is
 * asked, group by group, and what is agreed to is asked for again.
 */
export async function runGroupVerb(
  home: string,
  verb: string,
  groups: readonly number[] | 'all',
  args: Readonly<Record<string, unknown>>,
  options: ConfirmOptions = {},
  show: ShowAnswer = () => undefined,
): Promise<number> {
  const terminal = isTerminal();
  const post = async (chosen: readonly number[] | 'all', yes: boolean): Promise<GroupResult[]> => {
    const body = { groups: chosen, args: { ...args, yes, terminal } };
    return (await client(home).post<{ results: GroupResult[] }>(`/v1/verbs/${verb}`, body)).results;
  };
  const results: GroupResult[] = [];
  for (const result of await post(groups, options.yes === true)) {
    const asked = terminal && !result.ok && result.error.code === 'TDMF_CONFIRM';
    if (asked && (await agreed(result.group, result.error.message))) {
      results.push(...(await post([result.group], true)));
    } else results.push(result);
  }
  for (const result of results) {
    if (result.ok) show(result.group, result.value);
  }
  return endOf(results);
}
