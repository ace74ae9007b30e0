/**
 * `events [--follow]`: first a line for each group as it is, then `exists -`, then changes as they
 * happen (the model is drbdsetup events2). `--since SEQ` gives what came after SEQ instead.
 */
import { parseGroupList } from '../../config/group-list.js';
import { TdmfError } from '../../core/errors.js';
import { client } from '../client.js';
import { exitCodes } from '../outcome.js';
import { printable } from '../render.js';

export interface EventLine {
  readonly seq: number;
  readonly ts: string;
  readonly kind: 'exists' | 'change';
  readonly type: string;
  readonly group?: number;
  readonly [field: string]: unknown;
}

export async function events(
  home: string,
  options: { follow?: true; since?: string; group?: string[]; json?: true },
): Promise<number> {
  const query = new URLSearchParams();
  if (options.follow) query.set('follow', '1');
  if (options.since !== undefined) {
    if (!/^\d{1,15}$/.test(options.since)) {
      const problem = `--since ${options.since} is no sequence number of an event`;
      throw new TdmfError('TDMF_USAGE', { problem });
    }
    query.set('since', options.since);
  }
  if (options.group) query.set('groups', parseGroupList(options.group).join(','));
  await client(home).lines(`/v1/events?${query.toString()}`, (value) => {
    const line = options.json ? JSON.stringify(value) : eventText(value as EventLine);
    return process.stdout.write(`${line}\n`) || true;
  });
  if (options.follow) throw new TdmfError('TDMF_DAEMON_GONE');
  return exitCodes.done;
}

/** `time seq kind type group:N key:value …`; what the line says already is left out. */
export function eventText({ seq, ts, kind, type, group, ...rest }: EventLine): string {
  const { at: _, sequence: __, ...fields } = rest;
  const shown = group === undefined ? fields : { group, ...fields };
  const pairs = Object.entries(shown).map(([key, value]) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value, rounded);
    return `${key}:${/\s/.test(text) || text === '' ? JSON.stringify(text) : text}`;
  });
  return printable([ts, seq, kind, type, ...pairs].join(' '));
}

/** Seconds to the millisecond: more digits are noise for a reader. */
function rounded(_: string, value: unknown): unknown {
  return typeof value === 'number' ? Math.round(value * 1000) / 1000 : value;
}
