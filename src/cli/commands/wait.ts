/** `wait --for normal|connected|drained|coherent`: scripts' friend; exit code 124 when timed out. */
import { TdmfError } from '../../core/errors.js';
import { client } from '../client.js';
import { endOf, type GroupResult } from '../outcome.js';
import { chosenGroups, type GroupOptions } from './group-options.js';

const conditions = ['normal', 'connected', 'drained', 'coherent'];

export async function wait(
  home: string,
  bare: readonly string[],
  options: GroupOptions & { for: string; timeout?: string },
): Promise<number> {
  if (!conditions.includes(options.for)) {
    throw new TdmfError('TDMF_USAGE', { problem: `--for is one of ${conditions.join(', ')}` });
  }
  const timeoutSeconds = options.timeout === undefined ? undefined : Number(options.timeout);
  if (timeoutSeconds !== undefined && !(timeoutSeconds >= 0)) {
    throw new TdmfError('TDMF_USAGE', { problem: '--timeout is a number of seconds' });
  }
  const groups = chosenGroups(bare, options);
  const { results } = await client(home).post<{ results: GroupResult[] }>('/v1/wait', {
    groups,
    condition: options.for,
    timeoutSeconds,
  });
  return endOf(results);
}
