/**
 * `init [-b MB] [-p PSTORE] [--port PORT]`: makes the home, the pstore and tdmf.cfg. The settings are
 * read when tdmfd starts; a running tdmfd keeps its own until its next start, and init says so.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { parseDocument } from 'yaml';
import { type Home, home } from '../../config/home.js';
import { babMbMax, type HostConfig, parseHostConfig } from '../../config/host-config.js';
import { makeHome } from '../../config/make-home.js';
import { isTdmfError, TdmfError } from '../../core/errors.js';
import { client } from '../client.js';
import { exitCodes } from '../outcome.js';
import { columns } from '../render.js';

export interface InitOptions {
  readonly bab?: string;
  readonly pstore?: string;
  readonly port?: string;
}

export async function init(homeDirectory: string, options: InitOptions): Promise<number> {
  const files = home(homeDirectory);
  const bab = wholeNumber('--bab', options.bab, 1, babMbMax(totalmem()), 'MB, half of the memory');
  const port = wholeNumber('--port', options.port, 1, 65535, '');
  await makeHome(files);
  const before = await readFile(files.hostConfig, 'utf8').catch(() => '');
  // What is there must be right before anything is added to it.
  parseHostConfig(before, 'tdmf.cfg');
  const document = parseDocument(before);
  if (bab !== undefined) document.set('bab', bab);
  if (port !== undefined) document.set('port', port);
  if (options.pstore !== undefined) document.set('pstore', options.pstore);
  const text = document.contents === null ? emptyConfig : String(document);
  const config = parseHostConfig(text, 'tdmf.cfg');
  const made = await pstoreOf(files, config);
  await writeFile(files.hostConfig, text, { mode: 0o600 });
  const rows = [
    ['home', files.directory],
    ['BAB', `${config.bab} MB`],
    ['pstore', `${files.resolve(config.pstore)}${made ? ' (made)' : ''}`],
    ['port', String(config.port)],
  ];
  process.stdout.write(`${columns(rows).join('\n')}\n`);
  if (text !== before && (await tdmfdRuns(homeDirectory))) {
    process.stdout.write('tdmfd is running: what has changed is used from its next start.\n');
  }
  return exitCodes.done;
}

/** True when it was made. A pstore that a running tdmfd holds is there and needs nothing. */
async function pstoreOf(files: Home, config: HostConfig): Promise<boolean> {
  const { makePstore } = await import('../../server/offline-init.js');
  try {
    return await makePstore(files.resolve(config.pstore));
  } catch (error) {
    if (!isTdmfError(error)) throw error;
    if (error.code === 'TDMF_DEVICE_BUSY' && (await tdmfdRuns(files.directory))) return false;
    if (error.code !== 'TDMF_DEVICE_MISSING') throw error;
    throw new TdmfError('TDMF_PSTORE_PLACE', { path: files.resolve(config.pstore) });
  }
}

function tdmfdRuns(homeDirectory: string): Promise<boolean> {
  return client(homeDirectory)
    .get('/v1/version')
    .then(
      () => true,
      () => false,
    );
}

function wholeNumber(
  option: string,
  text: string | undefined,
  min: number,
  max: number,
  unit: string,
): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  const range = `${min} to ${max}${unit === '' ? '' : ` ${unit}`}`;
  throw new TdmfError('TDMF_USAGE', { problem: `${option} ${text} is not in range: ${range}` });
}

const emptyConfig = '# TDMF host settings; docs/configuration.md names them\n';
