/**
 * `events [--follow]`: first a line for each group as it is, then `exists -`, then changes as they
 * happen (the model is drbdsetup events2). `--since SEQ` gives what came after SEQ instead.
 */
import { parseGroupList } from '../../config/group-list.js';
import { client } from '../client.js';
import { exitCodes } from '../outcome.js';

interface EventLine {
  readonly seq: number;
  readonly ts: string;
  readonly kind: 'exists' | 'change';
  readonly type: string;
  readonly group?: number;
  readonly [field: string]: unknown;
}

export async function events(
  home: string,
  options: { follow?: true; since?: string; group: string[]; json?: true },
): Promise<number> {
  const query = new URLSearchParams();
  if (options.follow) query.set('follow', '1');
  if (options.since !== undefined) query.set('since', options.since);
  if (options.group.length > 0) query.set('groups', parseGroupList(options.group).join(','));
  await client(home).lines(`/v1/events?${query.toString()}`, (value) => {
    const line = options.json ? JSON.stringify(value) : textOf(value as EventLine);
    return process.stdout.write(`${line}\n`) || true;
  });
  return exitCodes.done;
}

function textOf({ seq, ts, kind, type, ...fields }: EventLine): string {
  const pairs = Object.entries(fields).map(([key, value]) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    return `${key}:${/\s/.test(text) ? JSON.stringify(text) : text}`;
  });
  return [ts, seq, kind, type, ...pairs].join(' ');
}
