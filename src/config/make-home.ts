/**
 * Makes the home of a host with its run directory, 0700. A directory that others may read becomes
 * private only when it is empty or a home already: `--home /etc` must not lock everybody out.
 */
import { chmod, mkdir, readdir, stat } from 'node:fs/promises';
import { TdmfError } from '../core/errors.js';
import type { Home } from './home.js';

/** @throws TDMF_HOME_DENIED */
export async function makeHome(home: Home): Promise<void> {
  try {
    await mkdir(home.directory, { recursive: true, mode: 0o700 });
    const { mode } = await stat(home.directory);
    if ((mode & 0o077) !== 0) {
      const names = await readdir(home.directory);
      if (names.length > 0 && !names.some((name) => ours.test(name))) {
        throw denied(home, 'it has other files, and others may read it');
      }
      await chmod(home.directory, 0o700);
    }
    await mkdir(home.runDirectory, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw error instanceof TdmfError ? error : denied(home, (error as Error).message);
  }
}

function denied(home: Home, why: string): TdmfError {
  return new TdmfError('TDMF_HOME_DENIED', { home: home.directory, why });
}

const ours = /^(?:tdmf\.cfg|pstore|[ps]\d{3}\.cfg)$/;
