/**
 * Why a request of the operator is refused: one total table, mode × request, a second one for the PMD,
 * link state × request, and a third for the checkpoint; a few states answer otherwise than their mode.
 * `undefined` means accepted. A new mode, link state or request does not compile until every cell is
 * decided.
 *
 * Used by actors/group.ts before a request reaches the machine (which has no transition for what is
 * refused here; test/machines/group-mode.test.ts compares the two), by tdmfctl to say why, and by
 * docs/modes.md. A refusal is a value, never a throw (house rule on errors).
 */
import type { TdmfErrorCode } from '../core/errors.js';
import type { GroupMode } from '../core/pstore/record.js';
import type { CheckpointLeaf, ModeLeaf } from './group-mode-leaves.js';

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
  checkpoint: CheckpointLeaf,
  request: OperatorRequest,
): Refusal | undefined {
  const special = leafRefusals[leaf];
  const ofMode =
    special !== undefined && request in special
      ? special[request]
      : modeRefusals[leaf.split('.')[0] as GroupMode][request];
  return ofMode ?? linkRefusals[link][request] ?? checkpointRefusals[checkpoint][request];
}

const refusal = (code: TdmfErrorCode, reason: string): Refusal => ({ code, reason });

const alreadyStarted = refusal('TDMF_GROUP_STARTED', 'a group that answers is a started group');
const refreshRunning = refusal(
  'TDMF_REFRESH_RUNNING',
  'one refresh at a time: two would clear the same map bits',
);
const noRefresh = refusal('TDMF_REFRESH_NOT_RUNNING', 'there is no refresh to kill in this mode');
const noBackfresh = refusal(
  'TDMF_BACKFRESH_NOT_RUNNING',
  'there is no backfresh to kill in this mode',
);
const backfreshRunning = refusal(
  'TDMF_BACKFRESH_RUNNING',
  'it goes on by itself whenever the PMD is connected',
);
const backfreshOwnsLocal = refusal(
  'TDMF_BACKFRESH_RUNNING',
  'while BACKFRESH writes the local devices they are no source for a refresh (H30)',
);
const halfOld = refusal(
  'TDMF_LOCAL_INCOHERENT',
  'the local devices are neither old nor new, so nothing may be copied from them (MD 18)',
);
const pmdRunning = refusal('TDMF_PMD_RUNNING', 'there is one PMD for a group');
const pmdNotRunning = refusal('TDMF_PMD_NOT_RUNNING', 'there is no PMD to kill');
const pmdInTheWay = refusal(
  'TDMF_OVERRIDE_PMD',
  'a mode is not exchanged under a PMD that carries it out (MD 24)',
);
const noMirror = refusal('TDMF_MODE_REFUSED', 'reco is a command of the secondary');
const noStream = refusal(
  'TDMF_MODE_REFUSED',
  'a checkpoint is a mark in the stream of NORMAL, and nothing here leads to NORMAL by itself',
);
const babIsOwn = refusal(
  'TDMF_MODE_REFUSED',
  'what is in the BAB belongs to the refresh; killrefresh makes it dirt',
);
const checkpointIsOn = refusal(
  'TDMF_CHECKPOINT_ON',
  'the mirror belongs to others until the checkpoint is off (Rule 15d)',
);
const checkpointUnderWay = refusal(
  'TDMF_CHECKPOINT_BUSY',
  'it is being turned on or off; info says when that is done',
);
const checkpointIsOff = refusal('TDMF_CHECKPOINT_OFF', 'there is none to take off');

/** What every mode says alike: the group runs, the PMD is the link region's business. */
const anyMode = {
  'operator.start': alreadyStarted,
  'operator.stop': undefined,
  'operator.launchpmd': undefined,
  'operator.killpmd': undefined,
  'operator.reco': noMirror,
} as const;

/** Modes from which a refresh or a backfresh may begin. */
const restingMode = {
  ...anyMode,
  'operator.refreshFull': undefined,
  'operator.refreshSmart': undefined,
  'operator.refreshChecksum': undefined,
  'operator.killrefresh': noRefresh,
  'operator.backfresh': undefined,
  'operator.killbackfresh': noBackfresh,
  'operator.overrideClearBab': undefined,
  'operator.overridePassthru': undefined,
  'operator.overrideNormal': undefined,
  'operator.overrideTracking': undefined,
  'operator.overrideRefresh': undefined,
  'operator.overrideBackfresh': undefined,
} as const;

const checkpointable = {
  'operator.checkpointOn': undefined,
  'operator.checkpointOff': undefined,
} as const;

export const modeRefusals: Readonly<Record<GroupMode, Row>> = {
  passthru: {
    ...restingMode,
    'operator.checkpointOn': noStream,
    'operator.checkpointOff': undefined,
  },
  normal: { ...restingMode, ...checkpointable },
  tracking: { ...restingMode, ...checkpointable },
  refresh: {
    ...restingMode,
    ...checkpointable,
    'operator.refreshFull': refreshRunning,
    'operator.refreshSmart': refreshRunning,
    'operator.refreshChecksum': refreshRunning,
    'operator.killrefresh': undefined,
    'operator.backfresh': refreshRunning,
    'operator.overrideClearBab': babIsOwn,
    'operator.overrideRefresh': refreshRunning,
    'operator.overrideBackfresh': refreshRunning,
  },
  backfresh: {
    ...restingMode,
    'operator.checkpointOn': noStream,
    'operator.checkpointOff': undefined,
    'operator.refreshFull': backfreshOwnsLocal,
    'operator.refreshSmart': backfreshOwnsLocal,
    'operator.refreshChecksum': backfreshOwnsLocal,
    'operator.backfresh': backfreshRunning,
    'operator.killbackfresh': undefined,
    'operator.overrideClearBab': backfreshOwnsLocal,
    'operator.overrideNormal': backfreshOwnsLocal,
    'operator.overrideTracking': backfreshOwnsLocal,
    'operator.overrideRefresh': backfreshOwnsLocal,
    'operator.overrideBackfresh': backfreshRunning,
  },
};

/** States in which more, or less, is possible than in the rest of their mode. */
export const leafRefusals: Readonly<Partial<Record<ModeLeaf, Partial<Row>>>> = {
  'passthru.incoherent': {
    'operator.refreshFull': halfOld,
    'operator.refreshSmart': halfOld,
    'operator.refreshChecksum': halfOld,
    'operator.overrideNormal': halfOld,
    'operator.overrideTracking': halfOld,
    'operator.overrideRefresh': halfOld,
  },
  // Nothing was done yet, and perhaps the secondary refuses what was ordered.
  'refresh.preparing.awaiting': {
    'operator.refreshFull': undefined,
    'operator.refreshChecksum': undefined,
  },
  // What would go on by itself can be given up.
  'tracking.pausing': { 'operator.killrefresh': undefined },
};

/** The link has a say in the PMD's own verbs, and override waits until there is no PMD. */
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

const pmdRuns: Row = {
  ...anyLink,
  'operator.launchpmd': pmdRunning,
  'operator.overrideClearBab': pmdInTheWay,
  'operator.overridePassthru': pmdInTheWay,
  'operator.overrideNormal': pmdInTheWay,
  'operator.overrideTracking': pmdInTheWay,
  'operator.overrideRefresh': pmdInTheWay,
  'operator.overrideBackfresh': pmdInTheWay,
};

export const linkRefusals: Readonly<Record<LinkState, Row>> = {
  stopped: { ...anyLink, 'operator.killpmd': pmdNotRunning },
  connecting: pmdRuns,
  connected: pmdRuns,
  // The PMD gave up (Rule 50: a barred launch): both verbs make sense, a new launch is a new nonce.
  refused: { ...pmdRuns, 'operator.launchpmd': undefined },
};

const underCheckpoint: Row = {
  ...anyLink,
  'operator.refreshFull': checkpointIsOn,
  'operator.refreshChecksum': checkpointIsOn,
  'operator.backfresh': checkpointIsOn,
  'operator.overrideBackfresh': checkpointIsOn,
  'operator.checkpointOn': checkpointIsOn,
};
const settling: Row = { ...underCheckpoint, 'operator.checkpointOff': checkpointUnderWay };

export const checkpointRefusals: Readonly<Record<CheckpointLeaf, Row>> = {
  off: { ...anyLink, 'operator.checkpointOff': checkpointIsOff },
  queued: underCheckpoint,
  quiescing: settling,
  ready: underCheckpoint,
  recording: settling,
  marking: settling,
  pending: settling,
  on: underCheckpoint,
  closing: settling,
  releasing: settling,
};
