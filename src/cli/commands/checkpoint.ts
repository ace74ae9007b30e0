/**
 * `checkpoint -on|-off`: a coherent snapshot on the secondary, readable and writable, until it is
 * taken off again. May be typed on either side; where both sides are one host, `-p` and `-s` say as
 * which of them.
 */
import { TdmfError } from '../../core/errors.js';
import { chosenGroups, type GroupOptions } from './group-options.js';
import { runGroupVerb } from './group-verb.js';

export interface CheckpointOptions extends GroupOptions {
  readonly on?: true;
  readonly off?: true;
  readonly primary?: true;
  readonly secondary?: true;
}

export function checkpoint(
  home: string,
  words: readonly string[],
  options: CheckpointOptions,
): Promise<number> {
  const wanted = new Set<boolean>();
  const groups: string[] = [];
  for (const word of words) {
    if (word === 'on' || word === 'off') wanted.add(word === 'on');
    else groups.push(word);
  }
  if (options.on) wanted.add(true);
  if (options.off) wanted.add(false);
  if (wanted.size !== 1) {
    throw new TdmfError('TDMF_USAGE', { problem: 'say one of -on and -off' });
  }
  if (options.primary && options.secondary) {
    throw new TdmfError('TDMF_USAGE', { problem: '-p and -s exclude each other' });
  }
  const role = options.primary ? 'primary' : options.secondary ? 'secondary' : undefined;
  const args = { on: wanted.has(true), role };
  const chosen = chosenGroups(groups, options);
  return runGroupVerb(home, 'checkpoint', chosen, args, {}, (group, value) => {
    const { checkpoint: where } = (value ?? {}) as { readonly checkpoint?: string };
    const told = underWay[where ?? ''];
    if (told !== undefined) process.stdout.write(`group ${group}: ${told}\n`);
  });
}

/** What has been ordered and is not done yet (MD 45), by the state of the group's machine. */
const underWay: Readonly<Record<string, string>> = {
  queued: 'ordered; it waits until the group is in NORMAL',
  ready: 'ordered; it waits until the group is in NORMAL',
  pending: 'on its way: it is on when everything written before is on the mirror',
  closing: 'ordered; it waits until the group is in NORMAL and connected',
};
