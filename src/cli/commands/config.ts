/** `config add-group | show | check | export-secondary`: the Configuration Tool for scripts. */
import { randomBytes } from 'node:crypto';
import { access, readFile, stat, writeFile } from 'node:fs/promises';
import { basename, isAbsolute } from 'node:path';
import { stringify } from 'yaml';
import { listGroups, readGroupConfig, readHostConfig } from '../../config/files.js';
import { type GroupConfig, isLoopback, parseGroupConfig } from '../../config/group-config.js';
import { parseGroupList } from '../../config/group-list.js';
import { type GroupFileKind, home } from '../../config/home.js';
import { makeHome } from '../../config/make-home.js';
import { isTdmfError, TdmfError, toPlainError } from '../../core/errors.js';
import { endOf, exitCodes, type GroupResult, printError } from '../outcome.js';
import { columns } from '../render.js';

export interface AddGroupOptions {
  readonly primary: string;
  readonly secondary: string;
  readonly journal: string;
  readonly device?: readonly string[];
  readonly note: string;
  readonly chaining: boolean;
  readonly cache?: string;
}

export async function addGroup(
  homeDirectory: string,
  groupText: string,
  options: AddGroupOptions,
): Promise<number> {
  const [group, ...more] = parseGroupList([groupText]);
  if (group === undefined || more.length > 0) {
    throw new TdmfError('TDMF_USAGE', { problem: 'add-group makes one group at a time' });
  }
  const files = home(homeDirectory);
  const { host, port } = secondaryOf(options.secondary);
  if (!isAbsolute(options.journal)) {
    const problem = `--journal ${options.journal} is no absolute path`;
    throw new TdmfError('TDMF_USAGE', { problem });
  }
  if (options.cache !== undefined && !['direct', 'writeback'].includes(options.cache)) {
    throw new TdmfError('TDMF_USAGE', { problem: '--cache is direct or writeback' });
  }
  const text = stringify({
    group,
    note: options.note,
    primary: { host: options.primary, pstore: (await readHostConfig(files)).pstore },
    secondary: { host, port, journal: options.journal, chaining: options.chaining },
    secret: randomBytes(32).toString('base64'),
    devices: (options.device ?? []).map((pair) => deviceOf(pair, options.cache)),
  });
  const path = files.groupFile('p.cfg', group);
  const config = checked(text, basename(path));
  await makeHome(files);
  const written: GroupFileKind[] = isLoopback(config) ? ['p.cfg', 's.cfg'] : ['p.cfg'];
  for (const kind of written) {
    const file = files.groupFile(kind, group);
    if (await exists(file))
      throw new TdmfError('TDMF_GROUP_EXISTS', { file: basename(file), group });
  }
  for (const kind of written) {
    await writeFile(files.groupFile(kind, group), text, { mode: 0o600, flag: 'wx' });
  }
  return exitCodes.done;
}

export async function show(
  homeDirectory: string,
  options: { group?: string[]; json?: true },
): Promise<number> {
  const files = home(homeDirectory);
  const wanted = options.group ? parseGroupList(options.group) : undefined;
  const found: { role: string; config: Omit<GroupConfig, 'secret'> }[] = [];
  const failed: GroupResult[] = [];
  for (const kind of ['p.cfg', 's.cfg'] as const) {
    for (const group of await listGroups(files, kind)) {
      if (wanted && !wanted.includes(group)) continue;
      try {
        // The secret stays in the file.
        const { secret: _, ...config } = await readGroupConfig(files, kind, group);
        found.push({ role: kind === 'p.cfg' ? 'primary' : 'secondary', config });
      } catch (error) {
        failed.push({ group, ok: false, error: toPlainError(error) });
      }
    }
  }
  for (const group of wanted ?? []) {
    const known = found.some(({ config }) => config.group === group);
    if (!known && !failed.some((one) => one.group === group)) {
      throw new TdmfError('TDMF_GROUP_UNKNOWN', { group });
    }
  }
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ schema: 'tdmf.config/1', groups: found })}\n`);
    return showEnd(found.length, failed);
  }
  if (found.length === 0 && failed.length === 0) {
    process.stdout.write(
      `No groups in ${files.directory}. Make one with tdmfctl config add-group.\n`,
    );
    return exitCodes.done;
  }
  const rows = found.flatMap(({ role, config }) =>
    config.devices.map((device) => [
      String(config.group),
      role,
      `${config.primary.host} -> ${config.secondary.host}:${config.secondary.port}`,
      device.name,
      device.data,
      device.mirror,
      config.note,
    ]),
  );
  const header = ['GROUP', 'ROLE', 'HOSTS', 'DEVICE', 'DATA', 'MIRROR', 'NOTE'];
  if (rows.length > 0) process.stdout.write(`${columns([header, ...rows]).join('\n')}\n`);
  return showEnd(found.length, failed);
}

/** Files that cannot be read are named behind those that can. */
function showEnd(shown: number, failed: readonly GroupResult[]): number {
  return endOf([
    ...Array.from({ length: shown }, () => ({ group: 0, ok: true as const })),
    ...failed,
  ]);
}

export async function check(homeDirectory: string): Promise<number> {
  const files = home(homeDirectory);
  const results: GroupResult[] = [];
  let worst: number = exitCodes.done;
  if (!(await exists(files.directory))) {
    throw new TdmfError('TDMF_HOME_MISSING', { home: files.directory });
  }
  const settings = basename(files.hostConfig);
  try {
    await readHostConfig(files);
    const absent = (await exists(files.hostConfig)) ? '' : ' (absent: the defaults)';
    process.stdout.write(`${settings} ok${absent}\n`);
  } catch (error) {
    worst = printError(error);
  }
  for (const kind of ['p.cfg', 's.cfg'] as const) {
    for (const group of await listGroups(files, kind)) {
      const file = basename(files.groupFile(kind, group));
      try {
        await readGroupConfig(files, kind, group);
        await mustBePrivate(files.groupFile(kind, group), group);
        results.push({ group, ok: true });
        process.stdout.write(`${file} ok\n`);
      } catch (error) {
        results.push({ group, ok: false, error: toPlainError(error) });
      }
    }
  }
  return worst === exitCodes.done ? endOf(results) : worst;
}

export async function exportSecondary(
  homeDirectory: string,
  options: { group?: string[] },
): Promise<number> {
  const [group, ...more] = parseGroupList(options.group ?? []);
  if (group === undefined || more.length > 0) {
    throw new TdmfError('TDMF_USAGE', { problem: 'name one group with -g' });
  }
  const files = home(homeDirectory);
  // Checked first, then the very bytes of the file: the secondary gets the same file, unchanged.
  await readGroupConfig(files, 'p.cfg', group);
  process.stdout.write(await readFile(files.groupFile('p.cfg', group), 'utf8'));
  return exitCodes.done;
}

/** What comes from options is named as such: the file does not exist yet. */
function checked(text: string, file: string): GroupConfig {
  try {
    return parseGroupConfig(text, file);
  } catch (error) {
    if (!isTdmfError(error) || error.code !== 'TDMF_CONFIG_INVALID') throw error;
    const problem = String(error.details['problem']).replace(/line \d+: /g, '');
    throw new TdmfError('TDMF_USAGE', { problem: `${file} was not written: ${problem}` });
  }
}

/** Who can read the secret may be either side of the group. */
async function mustBePrivate(path: string, group: number): Promise<void> {
  const { mode } = await stat(path);
  if ((mode & 0o077) === 0) return;
  const file = basename(path);
  throw new TdmfError('TDMF_CONFIG_OPEN', { file, group, mode: (mode & 0o777).toString(8) });
}

function secondaryOf(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9A-Fa-f:]+)\]|([^:]+))(?::(\d+))?$/.exec(text);
  if (!match) throw new TdmfError('TDMF_USAGE', { problem: `--secondary ${text} is no host:port` });
  return { host: match[1] ?? match[2] ?? '', port: Number(match[3] ?? 575) };
}

function deviceOf(text: string, cache: string | undefined): Record<string, string> {
  const match = /^([^=]+)=(.+):([^:]+)$/.exec(text);
  const [, name, data, mirror] = match ?? [];
  if (name === undefined || data === undefined || mirror === undefined) {
    throw new TdmfError('TDMF_USAGE', { problem: `--device ${text} is no name=data:mirror` });
  }
  for (const path of [data, mirror]) {
    if (!isAbsolute(path)) {
      throw new TdmfError('TDMF_USAGE', {
        problem: `--device ${text}: ${path} is no absolute path`,
      });
    }
  }
  return { name, data, mirror, ...(cache !== undefined && { cache }) };
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
