/** `-g 1,3-5 -g 7` as numbers: lists and ranges, as often as given (design.md 2.3). */
import { groupsMax } from '../core/constants.js';
import { TdmfError } from '../core/errors.js';

/** @throws TDMF_USAGE */
export function parseGroupList(texts: readonly string[]): number[] {
  const groups = new Set<number>();
  for (const part of texts.flatMap((text) => text.split(','))) {
    const match = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(part.trim());
    const from = Number(match?.[1]);
    const to = Number(match?.[2] ?? match?.[1]);
    if (!match || from > to || to >= groupsMax) {
      throw new TdmfError('TDMF_USAGE', {
        problem: `'${part}' is no group, list or range of groups (0 to ${groupsMax - 1})`,
      });
    }
    for (let group = from; group <= to; group++) groups.add(group);
  }
  return [...groups].toSorted((a, b) => a - b);
}
