/** Reading a host's configuration files. A missing tdmf.cfg means defaults; a missing group, an error. */
import { readdir, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { TdmfError } from '../core/errors.js';
import { type GroupConfig, parseGroupConfig } from './group-config.js';
import { type GroupFileKind, groupOfFileName, type Home } from './home.js';
import { type HostConfig, parseHostConfig } from './host-config.js';

export async function readHostConfig(home: Home): Promise<HostConfig> {
  return parseHostConfig((await readText(home.hostConfig)) ?? '', basename(home.hostConfig));
}

/** @throws TDMF_CONFIG_MISSING, TDMF_CONFIG_INVALID */
export async function readGroupConfig(
  home: Home,
  kind: GroupFileKind,
  group: number,
): Promise<GroupConfig> {
  const path = home.groupFile(kind, group);
  const file = basename(path);
  const text = await readText(path);
  if (text === undefined) throw new TdmfError('TDMF_CONFIG_MISSING', { file, group });
  const config = parseGroupConfig(text, file);
  if (config.group !== group) {
    throw new TdmfError('TDMF_CONFIG_INVALID', {
      file,
      group,
      problem: `it describes group ${config.group}, its name says ${group}`,
    });
  }
  return config;
}

/** The groups that have a file of this kind. */
export async function listGroups(home: Home, kind: GroupFileKind): Promise<number[]> {
  const names = await readdir(home.directory).catch((error: unknown) => {
    // A directory that cannot be read now says nothing about the groups in it.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  });
  return names
    .map((name) => groupOfFileName(kind, name))
    .filter((group) => group !== undefined)
    .toSorted((a, b) => a - b);
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
