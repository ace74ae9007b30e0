/** `launchrefresh [-f|-c]`: full, checksum, or (neither) smart. */
import { TdmfError } from '../../core/errors.js';
import type { ConfirmOptions } from '../confirm.js';
import { exitCodes } from '../outcome.js';
import type { GroupOptions } from './group-options.js';
import { groupVerb } from './group-verb.js';
import { wait } from './wait.js';

export async function launchRefresh(
  home: string,
  bare: readonly string[],
  options: GroupOptions & ConfirmOptions & { full?: true; checksum?: true; wait?: true },
): Promise<number> {
  if (options.full && options.checksum) {
    throw new TdmfError('TDMF_USAGE', { problem: '-f and -c exclude each other' });
  }
  const kind = options.full ? 'full' : options.checksum ? 'checksum' : 'smart';
  const code = await groupVerb(home, 'launchrefresh', bare, options, { kind });
  if (code !== exitCodes.done || !options.wait) return code;
  return wait(home, bare, { ...options, for: 'normal' });
}
