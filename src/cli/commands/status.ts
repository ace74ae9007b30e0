/** `status`: one line per group, and for each trouble what it is and what to type. */
import { styleText } from 'node:util';
import { errorTable, type TdmfErrorCode } from '../../core/errors.js';
import type { GroupInfo, RefreshInfo, TdmfInfo } from '../../info.js';
import { client } from '../client.js';
import { exitCodes } from '../outcome.js';
import { amount, columns, duration, progressBar } from '../render.js';
import { chosenGroups, type GroupOptions, groupQuery } from './group-options.js';

export async function status(
  home: string,
  bare: readonly string[],
  options: GroupOptions & { json?: true },
): Promise<number> {
  const groups = chosenGroups(bare, options, 'all');
  const info = await client(home).get<TdmfInfo>(`/v1/info${groupQuery(groups)}`);
  const text = options.json
    ? `${JSON.stringify({ ...info, schema: 'tdmf.status/1' })}\n`
    : statusText(info, process.stdout.isTTY && process.env['NO_COLOR'] === undefined);
  process.stdout.write(text);
  return exitCodes.done;
}

export function statusText(info: TdmfInfo, colour = false): string {
  if (info.groups.length === 0) return 'No groups. Make one with tdmfctl config add-group.\n';
  const header = ['GROUP', 'MODE', 'LINK', 'BAB', 'LAG', 'OUT-OF-SYNC', 'PEER', 'NOTE'];
  const table = columns([header, ...info.groups.map(row)]);
  const lines = table.flatMap((line, index) => {
    const group = info.groups[index - 1];
    if (group === undefined) return [line];
    return [colour ? paint(line, group) : line, ...details(group)];
  });
  return `${lines.join('\n')}\n`;
}

function row(group: GroupInfo): string[] {
  if (group.role === 'secondary') {
    return [
      String(group.group),
      group.rmd,
      group.connection,
      '-',
      '-',
      group.mirrorState,
      group.primary,
      group.note,
    ];
  }
  const dirty = group.devices.reduce((sum, device) => sum + device.dirtyBytes, 0);
  return [
    String(group.group),
    group.started ? group.mode : 'stopped',
    group.connection,
    `${group.bab.percent}% ${amount(group.bab.bytes)}`,
    group.mode === 'NORMAL' ? `${group.lag.seconds.toFixed(1)}s` : '-',
    amount(dirty),
    group.secondary,
    group.note,
  ];
}

function details(group: GroupInfo): string[] {
  const lines: string[] = [];
  if (group.role === 'primary' && group.refresh) lines.push(`       ${refreshLine(group.refresh)}`);
  if (group.problem) {
    lines.push(`       status: ${group.problem.message}`);
    const code = group.problem.code as TdmfErrorCode;
    if (code in errorTable) lines.push(`       action: ${errorTable[code].remedy}`);
  }
  return lines;
}

export function refreshLine(refresh: RefreshInfo): string {
  const share = refresh.totalBytes === 0 ? 1 : refresh.doneBytes / refresh.totalBytes;
  const eta = refresh.etaSeconds === null ? '' : ` ETA ${duration(refresh.etaSeconds)}`;
  return (
    `${refresh.kind} ${progressBar(share)} ${(share * 100).toFixed(1)}% ` +
    `${amount(refresh.doneBytes)}/${amount(refresh.totalBytes)} ` +
    `${amount(refresh.bytesPerSecond)}/s${eta}`
  );
}

function paint(line: string, group: GroupInfo): string {
  if (group.role === 'secondary') return line;
  if (group.problem !== null) return styleText('red', line);
  const well = group.mode === 'NORMAL' && group.connection === 'CONNECTED';
  return styleText(well ? 'green' : 'yellow', line);
}
