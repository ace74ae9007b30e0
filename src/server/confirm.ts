/**
 * What a verb would destroy, in words, before it is done: data that exists on one side only (I19).
 * `must`: nothing is done without --yes. Otherwise it is asked for at a terminal only, so that the
 * manual's batch files run as they are written. Pure.
 */
import { TdmfError } from '../core/errors.js';
import { bytesInWords, timeInWords } from '../core/words.js';
import type { PrimaryInfo } from '../info.js';

export interface Loss {
  readonly loss: string;
  readonly must: boolean;
}

/** @throws TDMF_CONFIRM when something would be lost and the operator has not said that it may */
export function mustBeMeant(
  verb: string,
  args: Readonly<Record<string, unknown>>,
  info: PrimaryInfo,
): void {
  const loss = lossOf(verb, args, info);
  if (loss !== undefined) refuseUnless(loss, args['yes'] === true, args['terminal'] === true);
}

/** @throws TDMF_CONFIRM */
export function refuseUnless({ loss, must }: Loss, yes: boolean, terminal: boolean): void {
  if (!yes && (must || terminal)) throw new TdmfError('TDMF_CONFIRM', { loss });
}

/** What the verb would lose in this state of the group. */
export function lossOf(
  verb: string,
  args: Readonly<Record<string, unknown>>,
  info: PrimaryInfo,
): Loss | undefined {
  const dirty = info.devices.reduce((sum, device) => sum + device.dirtyBytes, 0);
  if (verb === 'launchbackfresh') {
    if (dirty === 0 && info.bab.bytes === 0) return undefined;
    const changed = bytesInWords(Math.max(dirty, info.bab.bytes));
    return {
      loss: `${changed} changed here that the mirror does not have; the backfresh overwrites them`,
      must: false,
    };
  }
  if (verb === 'launchrefresh') return overwritten(info);
  if (verb === 'override' && args['state'] === 'normal' && dirty > 0) {
    return {
      loss: `${bytesInWords(dirty)} are known to differ from the mirror; NORMAL would not send them`,
      must: true,
    };
  }
  return undefined;
}

/** What a refresh would take away from the mirror; as far as the last handshake told. */
function overwritten({ divergence }: PrimaryInfo): Loss | undefined {
  if (divergence === null || divergence.thereBytes === 0) return undefined;
  const { thereBytes, since } = divergence;
  const what = thereBytes === null ? 'nobody knows how much' : bytesInWords(thereBytes);
  const when = since === null ? '' : ` since ${timeInWords(Date.parse(since))}`;
  const loss = `${what} was changed on the mirror${when}; the refresh overwrites it`;
  // What was written under a checkpoint was never meant to stay: the manual's launchrefresh -c.
  return { loss, must: divergence.code !== 'TDMF_LINEAGE_UNVERIFIED' };
}
