/**
 * Why a request of the operator is refused in a mode: one total table, mode × request, and a second
 * one for the PMD, link state × request. `undefined` means accepted. A new mode, link state or
 * request does not compile until every cell is decided.
 *
 * Used by actors/group.ts before a request reaches the machine (which has no transition for what is
 * refused here; test/machines/group-mode.test.ts compares the two), by tdmfctl to say why, and by
 * docs/modes.md. A refusal is a value, never a throw (house rule on errors).
 */
import type { TdmfErrorCode } from '../core/errors.js';
import type { GroupMode } from '../core/pstore/record.js';
import type { ModeLeaf } from './group-mode-leaves.js';

/** States of the machine's link region; see `connectionOf`. */
export const linkStates = ['stopped', 'connecting', 'connected', 'refused'] as const;
export type LinkState = (typeof linkStates)[number];

/** Requests. Each is an event of the machine of the same name. */
export const operatorRequests = [
  'operator.start',
  'operator.stop',
  'operator.launchpmd',
  'operator.killpmd',
  'operator.refreshFull',
  'operator.refreshSmart',
  'operator.refreshChecksum',
  'operator.killrefresh',
  'operator.backfresh',
  'operator.killbackfresh',
  'operator.overrideClearBab',
  'operator.overridePassthru',
  'operator.overrideNormal',
  'operator.overrideTracking',
  'operator.overrideRefresh',
  'operator.overrideBackfresh',
  'operator.checkpointOn',
  'operator.checkpointOff',
  'operator.reco',
] as const;
export type OperatorRequest = (typeof operatorRequests)[number];

export interface Refusal {
  readonly code: TdmfErrorCode;
  /** A sentence for the operator: why here, why now. */
  readonly reason: string;
  /** What is not built yet; fills the hole of TDMF_MODE_NOT_YET. */
  readonly what?: string;
}

type Row = Readonly<Record<OperatorRequest, Refusal | undefined>>;

/** The manual's word for the connection of a group. */
export type Connection = 'CONNECTED' | 'NOT_CONNECTED' | 'ACCUMULATE';

/** ACCUMULATE: no PMD runs (or it gave up for good). NOT_CONNECTED: it runs and tries. */
export function connectionOf(link: LinkState): Connection {
  if (link === 'connected') return 'CONNECTED';
  return link === 'connecting' ? 'NOT_CONNECTED' : 'ACCUMULATE';
}

/** The reason why `request` is refused now, or undefined when it is accepted. */
export function refusalOf(
  leaf: ModeLeaf,
  link: LinkState,
  request: OperatorRequest,
): Refusal | undefined {
  const special = leafRefusals[leaf];
  const refusal =
    special !== undefined && request in special
      ? special[request]
      : modeRefusals[leaf.split('.')[0] as GroupMode][request];
  return refusal ?? linkRefusals[link][request];
}

const notYet = (what: string): Refusal => ({
  code: 'TDMF_MODE_NOT_YET',
  what,
  reason: `${what} comes with a later version`,
});

const alreadyStarted: Refusal = {
  code: 'TDMF_GROUP_STARTED',
  reason: 'a group that answers is a started group',
};
const refreshRunning: Refusal = {
  code: 'TDMF_REFRESH_RUNNING',
  reason: 'one refresh at a time: two would clear the same map bits',
};
const noRefresh: Refusal = {
  code: 'TDMF_REFRESH_NOT_RUNNING',
  reason: 'there is no refresh to kill in this mode',
};
const noBackfresh: Refusal = {
  code: 'TDMF_MODE_REFUSED',
  reason: 'there is no backfresh to kill in this mode',
};
const backfreshOwnsLocal: Refusal = {
  code: 'TDMF_MODE_REFUSED',
  reason: 'while BACKFRESH writes the local devices they are no source for a refresh (H30)',
};
const pmdRunning: Refusal = {
  code: 'TDMF_PMD_RUNNING',
  reason: 'there is one PMD for a group',
};
const pmdNotRunning: Refusal = {
  code: 'TDMF_PMD_NOT_RUNNING',
  reason: 'there is no PMD to kill',
};

/** The same in every mode, until they are built. */
const unbuilt = {
  'operator.overrideClearBab': notYet('override clear BAB'),
  'operator.overridePassthru': notYet('override state passthru'),
  'operator.overrideNormal': notYet('override state normal'),
  'operator.overrideTracking': notYet('override state tracking'),
  'operator.overrideRefresh': notYet('override state refresh'),
  'operator.overrideBackfresh': notYet('override state backfresh'),
  'operator.checkpointOn': notYet('checkpoint -on'),
  'operator.checkpointOff': notYet('checkpoint -off'),
  'operator.reco': notYet('reco'),
} as const;

/** What every mode says alike: the group runs, the PMD is the link region's business. */
const anyMode = {
  'operator.start': alreadyStarted,
  'operator.stop': undefined,
  'operator.launchpmd': undefined,
  'operator.killpmd': undefined,
  ...unbuilt,
} as const;

/** Modes from which a refresh may begin. */
const restingMode: Row = {
  ...anyMode,
  'operator.refreshFull': undefined,
  'operator.refreshSmart': undefined,
  'operator.refreshChecksum': undefined,
  'operator.killrefresh': noRefresh,
  'operator.backfresh': notYet('backfresh'),
  'operator.killbackfresh': noBackfresh,
};

export const modeRefusals: Readonly<Record<GroupMode, Row>> = {
  passthru: restingMode,
  normal: restingMode,
  tracking: restingMode,
  refresh: {
    ...anyMode,
    'operator.refreshFull': refreshRunning,
    'operator.refreshSmart': refreshRunning,
    'operator.refreshChecksum': refreshRunning,
    'operator.killrefresh': undefined,
    'operator.backfresh': refreshRunning,
    'operator.killbackfresh': noBackfresh,
  },
  backfresh: {
    ...anyMode,
    'operator.refreshFull': backfreshOwnsLocal,
    'operator.refreshSmart': backfreshOwnsLocal,
    'operator.refreshChecksum': backfreshOwnsLocal,
    'operator.killrefresh': noRefresh,
    'operator.backfresh': notYet('backfresh'),
    'operator.killbackfresh': notYet('killbackfresh'),
  },
};

/** States in which more, or less, is possible than in the rest of their mode. */
export const leafRefusals: Readonly<Partial<Record<ModeLeaf, Partial<Row>>>> = {
  // What would go on by itself can be given up.
  'tracking.pausing': { 'operator.killrefresh': undefined },
};

/** The link has a say only in the PMD's own verbs. */
const anyLink: Row = {
  'operator.start': undefined,
  'operator.stop': undefined,
  'operator.launchpmd': undefined,
  'operator.killpmd': undefined,
  'operator.refreshFull': undefined,
  'operator.refreshSmart': undefined,
  'operator.refreshChecksum': undefined,
  'operator.killrefresh': undefined,
  'operator.backfresh': undefined,
  'operator.killbackfresh': undefined,
  'operator.overrideClearBab': undefined,
  'operator.overridePassthru': undefined,
  'operator.overrideNormal': undefined,
  'operator.overrideTracking': undefined,
  'operator.overrideRefresh': undefined,
  'operator.overrideBackfresh': undefined,
  'operator.checkpointOn': undefined,
  'operator.checkpointOff': undefined,
  'operator.reco': undefined,
};

export const linkRefusals: Readonly<Record<LinkState, Row>> = {
  stopped: { ...anyLink, 'operator.killpmd': pmdNotRunning },
  connecting: { ...anyLink, 'operator.launchpmd': pmdRunning },
  connected: { ...anyLink, 'operator.launchpmd': pmdRunning },
  // The PMD gave up (Rule 50: a barred launch): both verbs make sense, a new launch is a new nonce.
  refused: anyLink,
};
