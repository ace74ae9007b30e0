/** `version`: of tdmfctl, and of the tdmfd that answers, with the I/O core it uses. */

import { packageVersion } from '../../config/package-version.js';
import { client } from '../client.js';
import { exitCodes } from '../outcome.js';

interface DaemonVersion {
  readonly version: string;
  readonly node: string;
  readonly io: string;
}

export async function version(home: string, options: { json?: true }): Promise<number> {
  const daemon = await client(home)
    .get<DaemonVersion>('/v1/version')
    .catch(() => undefined);
  const own = { version: packageVersion(), node: process.versions.node };
  if (options.json) {
    process.stdout.write(
      `${JSON.stringify({ schema: 'tdmf.version/1', tdmfctl: own, tdmfd: daemon ?? null })}\n`,
    );
  } else {
    process.stdout.write(`tdmfctl ${own.version} (Node ${own.node})\n`);
    process.stdout.write(
      daemon === undefined
        ? 'tdmfd   not running\n'
        : `tdmfd   ${daemon.version} (Node ${daemon.node}, I/O core: ${daemon.io})\n`,
    );
  }
  return exitCodes.done;
}
