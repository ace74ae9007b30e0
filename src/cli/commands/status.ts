/** `status`: one line per group, and for each trouble what it is and what to type. */
import type { GroupInfo, RefreshInfo, SecondaryInfo, TdmfInfo } from '../../info.js';
import { client } from '../client.js';
import { exitCodes } from '../outcome.js';
import { amount, columns, duration, fitted, printable, progressBar } from '../render.js';
import { chosenGroups, type GroupOptions, groupQuery } from './group-options.js';

export interface StatusStyle {
  readonly colour?: boolean;
  /** Columns of the terminal; lines are not cut without. */
  readonly width?: number | undefined;
}

export async function status(
  home: string,
  bare: readonly string[],
  options: GroupOptions & { json?: true },
): Promise<number> {
  const groups = chosenGroups(bare, options, 'all');
  const info = await client(home).get<TdmfInfo>(`/v1/info${groupQuery(groups)}`);
  // NO_COLOR counts when it is not empty (no-color.org).
  const colour = process.stdout.isTTY && !process.env['NO_COLOR'];
  const text = options.json
    ? `${JSON.stringify({ ...info, schema: 'tdmf.status/1' })}\n`
    : statusText(info, { colour, width: process.stdout.columns });
  process.stdout.write(text);
  return exitCodes.done;
}

export function statusText(info: TdmfInfo, { colour = false, width }: StatusStyle = {}): string {
  if (info.groups.length === 0) return 'No groups. Make one with tdmfctl config add-group.\n';
  const rows = info.groups.map((group) => row(group).map(printable));
  const lines = columns([header, ...rows]).flatMap((line, index) => {
    const group = info.groups[index - 1];
    const shown = fitted(line, width);
    if (group === undefined) return [shown];
    return [colour ? paint(shown, group) : shown, ...details(group)];
  });
  return `${lines.join('\n')}\n`;
}

const header = [
  ...['GROUP', 'ROLE', 'MODE', 'LINK', 'BAB', 'LAG', 'OUT-OF-SYNC', 'MIRROR', 'PEER', 'NOTE'],
];

function row(group: GroupInfo): string[] {
  const { connection, mirrorState, note } = group;
  if (group.role === 'secondary') {
    const none = ['-', '-', '-'];
    return [
      ...[String(group.group), 'secondary', group.rmd, connection, ...none],
      ...[mirrorState, group.primary, note],
    ];
  }
  const dirty = group.devices.reduce((sum, device) => sum + device.dirtyBytes, 0);
  return [
    ...[String(group.group), 'primary', group.started ? group.mode : 'stopped', connection],
    `${group.bab.percent}% ${amount(group.bab.bytes)}`,
    group.mode === 'NORMAL' ? `${group.lag.seconds.toFixed(1)}s` : '-',
    // A group that does not run knows nothing of what it does not see.
    group.started ? amount(dirty) : '-',
    ...[mirrorState, group.secondary, note],
  ];
}

function details(group: GroupInfo): string[] {
  const lines: string[] = [];
  if (group.role === 'primary' && group.refresh) lines.push(refreshLine(group.refresh));
  if (group.checkpoint)
    lines.push('checkpoint: on; the mirror is a snapshot, open to applications');
  if (group.role === 'secondary') lines.push(...ownLines(group));
  if (group.problem) {
    lines.push(`status: ${group.problem.message}`);
    if (group.problem.remedy !== '') lines.push(`action: ${group.problem.remedy}`);
  }
  return lines.map((line) => `       ${printable(line)}`);
}

function ownLines({ ownChanges }: SecondaryInfo): string[] {
  if (ownChanges === null || ownChanges.changes === 'none') return [];
  const { changes, bytes, since } = ownChanges;
  const what = changes === 'known' ? amount(bytes) : 'an unknown amount';
  return [`changed on the mirror: ${what} since ${since.slice(0, 19).replace('T', ' ')} UTC`];
}

export function refreshLine(refresh: RefreshInfo): string {
  const share = refresh.totalBytes === 0 ? 1 : refresh.doneBytes / refresh.totalBytes;
  const rate = refresh.bytesPerSecond > 0 ? ` ${amount(refresh.bytesPerSecond)}/s` : '';
  const eta = refresh.etaSeconds === null ? '' : ` ETA ${duration(refresh.etaSeconds)}`;
  return (
    `${refresh.kind} ${progressBar(share)} ${(share * 100).toFixed(1)}% ` +
    `${amount(refresh.doneBytes)}/${amount(refresh.totalBytes)}${rate}${eta}`
  );
}

/** Whether colour is wanted is the caller's to know; node:util's styleText would ask the stream. */
function paint(line: string, group: GroupInfo): string {
  const inColour = (colour: number) => `\u001b[${colour}m${line}\u001b[39m`;
  if (group.problem !== null) return inColour(red);
  if (group.role === 'secondary') return line;
  const well = group.mode === 'NORMAL' && group.connection === 'CONNECTED';
  return inColour(well ? green : yellow);
}

const red = 31;
const green = 32;
const yellow = 33;
