/**
 * `init [-b MB] [-p PSTORE] [--port PORT]`: makes the home, the pstore and tdmf.cfg; with another
 * PSTORE than before it moves the pstore there, with all it knows, while no tdmfd runs. The settings are
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
  const old = parseHostConfig(before, 'tdmf.cfg');
  const document = parseDocument(before);
  if (bab !== undefined) document.set('bab', bab);
  if (port !== undefined) document.set('port', port);
  if (options.pstore !== undefined) document.set('pstore', options.pstore);
  const text = document.contents === null ? emptyConfig : String(document);
  const config = parseHostConfig(text, 'tdmf.cfg');
  const runs = await tdmfdRuns(homeDirectory);
  // The pstore of a tdmfd that runs is there, and locked.
  const same = files.resolve(config.pstore) === files.resolve(old.pstore);
  if (runs && same) await writeFile(files.hostConfig, text, { mode: 0o600 });
  const outcome = runs && same ? 'kept' : await placePstore(files, old, config, text);
  const rows = [
    ['home', files.directory],
    ['BAB', `${config.bab} MB`],
    ['pstore', `${files.resolve(config.pstore)}${outcome === 'kept' ? '' : ` (${outcome})`}`],
    ['port', String(config.port)],
  ];
  process.stdout.write(`${columns(rows).join('\n')}\n`);
  if (text !== before && runs) {
    process.stdout.write('tdmfd is running: what has changed is used from its next start.\n');
  }
  return exitCodes.done;
}

async function placePstore(
  files: Home,
  old: HostConfig,
  config: HostConfig,
  text: string,
): Promise<'made' | 'moved' | 'kept'> {
  const { initHost } = await import('../../server/offline-init.js');
  const pstore = files.resolve(config.pstore);
  const pstoreNow = files.resolve(old.pstore);
  try {
    const configFile = files.hostConfig;
    return await initHost({ pstore, pstoreNow, configFile, configText: text });
  } catch (error) {
    const missing = ['TDMF_DEVICE_MISSING', 'TDMF_PSTORE_MISSING'];
    if (!isTdmfError(error) || !missing.includes(error.code)) throw error;
    throw new TdmfError('TDMF_PSTORE_PLACE', { path: pstore });
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
