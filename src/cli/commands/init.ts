/**
 * `init [-b MB] [-p PSTORE]`: makes the home and writes tdmf.cfg. The settings are read when tdmfd
 * starts; a running tdmfd keeps its BAB until its next start, and init says so.
 */
import { access, chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { parseDocument } from 'yaml';
import { home } from '../../config/home.js';
import { parseHostConfig } from '../../config/host-config.js';
import { TdmfError } from '../../core/errors.js';
import { client } from '../client.js';
import { exitCodes } from '../outcome.js';

export async function init(
  homeDirectory: string,
  options: { bab?: string; pstore?: string; port?: string },
): Promise<number> {
  const files = home(homeDirectory);
  await mkdir(files.runDirectory, { recursive: true, mode: 0o700 });
  await chmod(files.directory, 0o700);
  const before = await readFile(files.hostConfig, 'utf8').catch(() => '');
  const document = parseDocument(before);
  for (const [key, text] of [['bab', options.bab] as const, ['port', options.port] as const]) {
    if (text === undefined) continue;
    if (!/^\d+$/.test(text)) {
      throw new TdmfError('TDMF_USAGE', { problem: `--${key} ${text} is no whole number` });
    }
    document.set(key, Number(text));
  }
  if (options.pstore !== undefined) document.set('pstore', options.pstore);
  const text =
    document.contents === null
      ? '# TDMF host settings; see docs/configuration.md\n'
      : String(document);
  const config = parseHostConfig(text, 'tdmf.cfg');
  await writeFile(files.hostConfig, text, { mode: 0o600 });
  const pstore = files.resolve(config.pstore);
  const { makePstore } = await import('../../server/offline-init.js');
  const made = await makePstore(pstore);
  process.stdout.write(
    `home    ${files.directory}\nBAB     ${config.bab} MB\n` +
      `pstore  ${pstore}${made ? ' (made)' : ''}\nport    ${config.port}\n`,
  );
  const running = await access(files.controlSocket)
    .then(() => client(homeDirectory).get('/v1/version'))
    .then(() => true)
    .catch(() => false);
  if (running)
    process.stdout.write('tdmfd is running: the settings are used from its next start.\n');
  return exitCodes.done;
}
