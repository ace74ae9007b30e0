/** `info`: the manual's figure 3.12 as text, or the whole structure as JSON. */
import type { GroupInfo, PrimaryInfo, SecondaryInfo, TdmfInfo } from '../../info.js';
import { client } from '../client.js';
import { exitCodes } from '../outcome.js';
import { amount, printable } from '../render.js';
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
    `Actual BAB size ..... ${bab.actualBytes} (~ ${megabytes(bab.actualBytes)} MB)`,
    ...groups.flatMap((group) =>
      group.role === 'primary' ? primaryLines(group) : secondaryLines(group),
    ),
  ];
  return `${lines.map(printable).join('\n')}\n`;
}

/** The figure's lines as the manual has them; what the manual does not know comes behind them. */
function primaryLines(group: PrimaryInfo): string[] {
  const { sync } = group;
  return [
    heading(group),
    `  Mode of operations..... ${group.started ? title(group.mode) : 'Not started'}`,
    `  Entries in the BAB..... ${group.bab.entries}`,
    `  Sectors in the BAB..... ${group.bab.sectors}`,
    `  Sync/Async mode..... ${sync.mode === 'async' ? 'Async' : 'Sync'}`,
    ...(sync.mode === 'async'
      ? []
      : [
          `  Sync mode target depth..... ${sync.depth}`,
          `  Sync mode timeout..... ${sync.timeoutSeconds}`,
        ]),
    `  Persistent Store..... ${group.pstore}`,
    `  Checkpoint State..... ${group.checkpoint ? 'On' : 'Off'}`,
    `  Connection..... ${group.connection} (${group.secondary})`,
    `  Mirror state..... ${group.mirrorState}`,
    ...problemLines(group),
    ...group.devices.flatMap((device, index) => [
      `Device ${device.name}:`,
      `  Local disk device number..... 0x${(index + 1).toString(16)}`,
      `  Local disk size (sectors)..... ${device.sizeSectors}`,
      `  Local disk name..... ${device.data}`,
      `  Remote mirror disk..... ${device.mirror}`,
      `  Read I/O count..... ${device.reads}`,
      `  Total # of sectors read..... ${device.sectorsRead}`,
      `  Write I/O count..... ${device.writes}`,
      `  Total # of sectors written..... ${device.sectorsWritten}`,
      `  Entries in the BAB..... ${device.babEntries}`,
      `  Sectors in the BAB..... ${device.babSectors}`,
    ]),
  ];
}

function secondaryLines(group: SecondaryInfo): string[] {
  return [
    `${heading(group)} (secondary)`,
    `  RMD..... ${group.rmd}`,
    `  Connection..... ${group.connection}`,
    `  Mirror state..... ${group.mirrorState}`,
    `  Checkpoint State..... ${group.checkpoint ? 'On' : 'Off'}`,
    ...(group.reco === 'none' ? [] : [`  Handed over (reco)..... ${recoWords[group.reco]}`]),
    ...ownLines(group),
    `  Journal directory..... ${group.journal}`,
    ...problemLines(group),
    ...group.devices.flatMap((device) => [
      `Device ${device.name}:`,
      `  Mirror disk..... ${device.mirror}`,
      ...(device.uri === null ? [] : [`  Export..... ${device.uri}`]),
    ]),
  ];
}

const recoWords = { pending: 'Begun, repeat it', done: 'Yes' } as const;

function ownLines({ ownChanges }: SecondaryInfo): string[] {
  if (ownChanges === null) return [];
  const { changes, bytes, since } = ownChanges;
  const what = { none: 'None', known: amount(bytes), unknown: 'Unknown, made around the export' };
  return [`  Changes on the mirror..... ${what[changes]} (since ${since})`];
}

function heading({ group, primary, secondary }: GroupInfo): string {
  return `Logical Group ${group} <${primary} -> ${secondary.replace(/:\d+$/, '')}>`;
}

function problemLines({ problem }: GroupInfo): string[] {
  if (problem === null) return [];
  return [`  Problem..... ${problem.message}`, `  What to do..... ${problem.remedy}`];
}

function title(mode: string): string {
  return mode[0] + mode.slice(1).toLowerCase();
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}
