/**
 * The operator's verbs as they come over the control API, turned into requests of the mode machine,
 * and refusals turned into errors that say why (exit code 4).
 */
import { TdmfError } from '../core/errors.js';
import type { GroupMode } from '../core/pstore/record.js';
import type { CheckpointLeaf, ModeLeaf } from '../machines/group-mode-leaves.js';
import {
  type LinkState,
  type OperatorRequest,
  type Refusal,
  refusalOf,
} from '../machines/refusals.js';
import { modeWord } from './group-status.js';

type Args = Readonly<Record<string, unknown>>;

const refreshRequests: Readonly<Record<string, OperatorRequest>> = {
  full: 'operator.refreshFull',
  smart: 'operator.refreshSmart',
  checksum: 'operator.refreshChecksum',
};

const overrideStates: Readonly<Record<string, OperatorRequest>> = {
  passthru: 'operator.overridePassthru',
  normal: 'operator.overrideNormal',
  tracking: 'operator.overrideTracking',
  refresh: 'operator.overrideRefresh',
  backfresh: 'operator.overrideBackfresh',
};

const verbs: Readonly<Record<string, (args: Args) => OperatorRequest | undefined>> = {
  start: () => 'operator.start',
  stop: () => 'operator.stop',
  launchpmd: () => 'operator.launchpmd',
  killpmd: () => 'operator.killpmd',
  launchrefresh: ({ kind = 'smart' }) => refreshRequests[String(kind)],
  killrefresh: () => 'operator.killrefresh',
  launchbackfresh: () => 'operator.backfresh',
  killbackfresh: () => 'operator.killbackfresh',
  checkpoint: ({ on }) => {
    if (typeof on !== 'boolean') return undefined;
    return on ? 'operator.checkpointOn' : 'operator.checkpointOff';
  },
  override: ({ state, clear }) =>
    clear === undefined ? overrideStates[String(state)] : 'operator.overrideClearBab',
  reco: () => 'operator.reco',
};

/** @throws TDMF_USAGE */
export function requestOf(verb: string, args: Args): OperatorRequest {
  const request = Object.hasOwn(verbs, verb) ? verbs[verb]!(args) : undefined;
  if (request !== undefined) return request;
  throw new TdmfError('TDMF_USAGE', { problem: `a group knows no '${verb}' with these arguments` });
}

/** Where the machine is, in all its regions. */
export interface Situation {
  readonly leaf: ModeLeaf;
  readonly link: LinkState;
  readonly checkpoint: CheckpointLeaf;
}

/** @throws the refusal's code, when there is one */
export function mustBeAccepted(
  { leaf, link, checkpoint }: Situation,
  request: OperatorRequest,
): void {
  const refusal = refusalOf(leaf, link, checkpoint, request);
  if (refusal !== undefined) throw refusalError(refusal, leaf.split('.')[0] as GroupMode, request);
}

function refusalError(refusal: Refusal, mode: GroupMode, request: OperatorRequest): TdmfError {
  return new TdmfError(refusal.code, {
    event: request.slice('operator.'.length),
    mode: modeWord(mode),
    reason: refusal.reason,
  });
}
