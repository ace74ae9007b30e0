/**
 * `reco`: on the secondary, applies what the journal holds and hands the mirror to applications;
 * `reco -d` takes it back. Without groups `-d` means all of them, as the manual has it, and says so
 * (manual decision 20).
 */
import type { ConfirmOptions } from '../confirm.js';
import { printable } from '../render.js';
import type { GroupOptions } from './group-options.js';
import { chosenGroups } from './group-options.js';
import { runGroupVerb } from './group-verb.js';

export interface RecoOptions extends GroupOptions, ConfirmOptions {
  readonly deactivate?: true;
  readonly force?: true;
}

/** What tdmfd says of one group that went well. */
interface RecoAnswer {
  /** Sentences for the operator: what was done, what comes next. */
  readonly told?: readonly string[];
}

export async function reco(
  home: string,
  bare: readonly string[],
  options: RecoOptions,
): Promise<number> {
  const { deactivate = false, force = false } = options;
  const unnamed = deactivate && bare.length === 0 && options.group === undefined && !options.all;
  if (unnamed) {
    process.stderr.write('tdmfctl: reco -d without -g: all groups of this secondary\n');
  }
  const groups = unnamed ? 'all' : chosenGroups(bare, options);
  return runGroupVerb(home, 'reco', groups, { deactivate, force }, options, (group, value) => {
    for (const sentence of (value as RecoAnswer | undefined)?.told ?? []) {
      process.stdout.write(`group ${group}: ${printable(sentence)}\n`);
    }
  });
}
