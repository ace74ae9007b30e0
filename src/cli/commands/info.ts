/** `info`: the manual's figure 3.12 as text, or the whole structure as JSON. */
import type { PrimaryInfo, SecondaryInfo, TdmfInfo } from '../../info.js';
import { client } from '../client.js';
import { exitCodes } from '../outcome.js';
import { chosenGroups, type GroupOptions, groupQuery } from './group-options.js';

export async function info(
  home: string,
  bare: readonly string[],
  options: GroupOptions & { json?: true },
): Promise<number> {
  const groups = chosenGroups(bare, options, 'all');
  const value = await client(home).get<TdmfInfo>(`/v1/info${groupQuery(groups)}`);
  process.stdout.write(options.json ? `${JSON.stringify(value)}\n` : infoText(value));
  return exitCodes.done;
}

export function infoText({ bab, groups }: TdmfInfo): string {
  const lines = [
    `Requested BAB size ..... ${bab.requestedBytes} (~ ${megabytes(bab.requestedBytes)} MB)`,
    `Actual BAB size ........ ${bab.actualBytes} (~ ${megabytes(bab.actualBytes)} MB)`,
    ...groups.flatMap((group) =>
      group.role === 'primary' ? primaryLines(group) : secondaryLines(group),
    ),
  ];
  return `${lines.join('\n')}\n`;
}

function primaryLines(group: PrimaryInfo): string[] {
  return [
    `Logical Group ${group.group} <${group.primary} -> ${group.secondary}>`,
    `  Mode of operations..... ${group.started ? title(group.mode) : 'Not started'}`,
    `  Connection............. ${group.connection}`,
    `  Mirror state........... ${group.mirrorState}`,
    `  Entries in the BAB..... ${group.bab.entries}`,
    `  Sectors in the BAB..... ${group.bab.sectors}`,
    `  Sync/Async mode........ ${group.sync.mode === 'async' ? 'Async' : 'Sync'}`,
    ...(group.sync.mode === 'async'
      ? []
      : [
          `  Sync mode target depth. ${group.sync.depth}`,
          `  Sync mode timeout...... ${group.sync.timeoutSeconds}`,
        ]),
    `  Persistent Store....... ${group.pstore}`,
    `  Checkpoint State....... ${group.checkpoint ? 'On' : 'Off'}`,
    ...(group.problem ? [`  Problem................ ${group.problem.message}`] : []),
    ...group.devices.flatMap((device, index) => [
      `Device ${device.name}:`,
      `  Local disk device number..... 0x${(index + 1).toString(16)}`,
      `  Local disk size (sectors).... ${device.sizeSectors}`,
      `  Local disk name.............. ${device.data}`,
      `  Remote mirror disk........... ${device.mirror}`,
      `  Read I/O count............... ${device.reads}`,
      `  Total # of sectors read...... ${device.sectorsRead}`,
      `  Write I/O count.............. ${device.writes}`,
      `  Total # of sectors written... ${device.sectorsWritten}`,
      `  Entries in the BAB........... ${device.babEntries}`,
      `  Sectors in the BAB........... ${device.babSectors}`,
    ]),
  ];
}

function secondaryLines(group: SecondaryInfo): string[] {
  return [
    `Logical Group ${group.group} <${group.primary} -> ${group.secondary}> (secondary)`,
    `  RMD.................... ${group.rmd}`,
    `  Connection............. ${group.connection}`,
    `  Mirror state........... ${group.mirrorState}`,
    `  Journal directory...... ${group.journal}`,
    ...(group.problem ? [`  Problem................ ${group.problem.message}`] : []),
    ...group.devices.map((device) => `  Mirror of ${device.name}: ${device.mirror}`),
  ];
}

function title(mode: string): string {
  return mode[0] + mode.slice(1).toLowerCase();
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}
