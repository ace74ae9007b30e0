/** Which groups a command line means: `-g`, bare numbers, or `-a`. */
import { parseGroupList } from '../../config/group-list.js';
import { TdmfError } from '../../core/errors.js';

export interface GroupOptions {
  readonly group?: readonly string[];
  readonly all?: true;
}

/** `all`, or the numbers; a reporting verb without any means all, others must say. */
export function chosenGroups(
  bare: readonly string[],
  options: GroupOptions,
  otherwise?: 'all',
): number[] | 'all' {
  if (options.all) return 'all';
  const texts = [...(options.group ?? []), ...bare];
  if (texts.length > 0) return parseGroupList(texts);
  if (otherwise === 'all') return 'all';
  throw new TdmfError('TDMF_USAGE', { problem: 'name the groups with -g, or -a for all' });
}

/** As a query string for the reporting verbs. */
export function groupQuery(groups: number[] | 'all'): string {
  return groups === 'all' ? '' : `?groups=${groups.join(',')}`;
}
