/**
 * `override -g N state MODE | clear BAB`: forces a mode, or gives the BAB's entries to the map. The
 * manual writes bare words, with a dash of its own here and there; `--state` and `--clear` are the
 * same (manual decision 24).
 */
import { TdmfError } from '../../core/errors.js';
import type { ConfirmOptions } from '../confirm.js';
import type { GroupOptions } from './group-options.js';
import { groupVerb } from './group-verb.js';

export const overrideModes = ['passthru', 'normal', 'tracking', 'refresh', 'backfresh'] as const;

export interface OverrideOptions extends GroupOptions, ConfirmOptions {
  readonly state?: string;
  readonly clear?: string;
}

export interface Override {
  readonly groups: readonly string[];
  readonly args: { readonly state: string } | { readonly clear: 'BAB' };
}

export function override(
  home: string,
  words: readonly string[],
  options: OverrideOptions,
): Promise<number> {
  const { groups, args } = overrideOf(words, options);
  return groupVerb(home, 'override', groups, options, args);
}

/** What the words and options mean together. @throws TDMF_USAGE */
export function overrideOf(
  words: readonly string[],
  options: Pick<OverrideOptions, 'state' | 'clear'>,
): Override {
  const groups: string[] = [];
  const wanted: Override['args'][] = [];
  if (options.state !== undefined) wanted.push({ state: modeOf(options.state) });
  if (options.clear !== undefined) wanted.push(babOf(options.clear));
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!.toLowerCase();
    if (word === 'state') wanted.push({ state: modeOf(words[++at]) });
    else if (word === 'clear') wanted.push(babOf(words[++at]));
    else if (word !== '-') groups.push(words[at]!);
  }
  const [args, ...more] = wanted;
  if (args !== undefined && more.length === 0) return { groups, args };
  throw usage('say one of: state MODE, clear BAB');
}

function modeOf(word: string | undefined): string {
  const mode = word?.toLowerCase();
  if (overrideModes.some((one) => one === mode)) return mode!;
  throw usage(`state is one of ${overrideModes.join(', ')}`);
}

function babOf(word: string | undefined): { readonly clear: 'BAB' } {
  if (word?.toUpperCase() === 'BAB') return { clear: 'BAB' };
  throw usage('clear BAB is the only thing that can be cleared');
}

function usage(problem: string): TdmfError {
  return new TdmfError('TDMF_USAGE', { problem });
}
