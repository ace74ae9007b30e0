/**
 * Whether the PMD of a group is connected, and when it tries again.
 *
 *   offline ─operator.launch─► connecting ─link.dialed─► handshaking ─peer.welcomed─► online
 *      ▲                          ▲  └───────link.lost───────┴──────────────┬─────────┘
 *      │                          └──retry.due, retry.hurried── backoff ◄───┘
 *  operator.kill (from anywhere)  └──retry.due, retry.hurried── refused ◄── peer.refused (slow)
 *                                                               barred  ◄── peer.barred (never)
 *
 * A lost link is tried again after reconnectFirstMs·2^n, at most reconnectMaxMs, with jitter. A
 * refusal is tried again at the slowest pace: only the other side or the operator can mend it. A
 * launch that the operator barred on the secondary stays away until the next launch (Rule 50).
 * What went wrong is reported once per change (I14), so that a long outage is one event, not
 * thousands. Actions are declared here and given their effect by actors/pmd.ts.
 */
import { assign, setup } from 'xstate';
import { reconnectFirstMs, reconnectMaxMs } from '../core/constants.js';

/** An integer in [0, jitterSteps): randomness is an argument. */
export const jitterSteps = 256;

export interface LinkTrouble {
  readonly code: string;
  readonly message: string;
  readonly jitter: number;
}

export type LinkEvent =
  | { type: 'operator.launch' }
  | { type: 'operator.kill' }
  | { type: 'link.dialed' }
  | { type: 'peer.welcomed' }
  /** What the session is for has changed: another one is wanted, now. */
  | { type: 'session.renew' }
  /** The session made progress: the next loss begins with the shortest pause again. */
  | { type: 'link.settled' }
  | ({ type: 'link.lost' } & LinkTrouble)
  | ({ type: 'peer.refused' } & LinkTrouble)
  | ({ type: 'peer.barred' } & LinkTrouble)
  | { type: 'retry.due' }
  /** The group changed something that may make the next try succeed. */
  | { type: 'retry.hurried' };

export interface LinkContext {
  /** Losses since the last session that made progress. */
  readonly losses: number;
  readonly retryInMs: number;
  /** What was last reported; empty while nothing is wrong. */
  readonly trouble: string;
  readonly message: string;
  /** Whether the last trouble differs from what was reported before it. */
  readonly changed: boolean;
}

export interface TroubleReport {
  readonly code: string;
  readonly message: string;
  readonly retryInMs: number;
  /** False when the same trouble was reported already. */
  readonly changed: boolean;
}

export type LinkTag = 'connected' | 'retries' | 'wants-session';

/** The pause after the `losses`-th loss in a row: half of it fixed, half left to chance. */
export function backoffMs(losses: number, jitter: number): number {
  const full = Math.min(reconnectMaxMs, reconnectFirstMs * 2 ** Math.min(losses, 20));
  return Math.round(full / 2 + (full / 2) * (jitter / jitterSteps));
}

const trouble = ({ event }: { event: LinkTrouble }): LinkTrouble => event;

const retry = ({ context }: { context: LinkContext }) => ({ delayMs: context.retryInMs });

const quietness = ({ context }: { context: LinkContext }) => ({ first: context.trouble === '' });

const report = ({ context }: { context: LinkContext }): TroubleReport => ({
  code: context.trouble,
  message: context.message,
  retryInMs: context.retryInMs,
  changed: context.changed,
});

export const linkMachine = setup({
  types: {} as { context: LinkContext; events: LinkEvent; tags: LinkTag },
  actions: {
    dial: () => {},
    sayHello: () => {},
    /** Ends the session and the dialling, whichever there is. */
    hangUp: () => {},
    scheduleRetry: (_args, _params: { delayMs: number }) => {},
    cancelRetry: () => {},
    /** `first` is false while an earlier trouble lasts: then nothing new is to be told. */
    reportConnecting: (_args, _params: { first: boolean }) => {},
    reportConnected: () => {},
    reportLost: (_args, _params: TroubleReport) => {},
    reportRefused: (_args, _params: TroubleReport) => {},
    forget: assign({ losses: 0, retryInMs: 0, trouble: '', message: '', changed: false }),
    forgetTrouble: assign({ trouble: '', message: '', changed: false }),
    forgetLosses: assign({ losses: 0 }),
    countLoss: assign(({ context }, params: LinkTrouble) => ({
      losses: context.losses + 1,
      retryInMs: backoffMs(context.losses, params.jitter),
      changed: context.trouble !== params.code,
      trouble: params.code,
      message: params.message,
    })),
    countRefusal: assign(({ context }, params: LinkTrouble) => ({
      retryInMs: reconnectMaxMs,
      changed: context.trouble !== params.code,
      trouble: params.code,
      message: params.message,
    })),
    countBar: assign(({ context }, params: LinkTrouble) => ({
      retryInMs: 0,
      changed: context.trouble !== params.code,
      trouble: params.code,
      message: params.message,
    })),
  },
}).createMachine({
  id: 'link',
  initial: 'offline',
  context: { losses: 0, retryInMs: 0, trouble: '', message: '', changed: false },
  on: {
    'operator.kill': { target: '.offline', actions: ['cancelRetry', 'hangUp'] },
    'operator.launch': { target: '.connecting', actions: ['cancelRetry', 'hangUp', 'forget'] },
  },
  states: {
    offline: {
      description: 'The PMD is not launched; nothing is sent.',
      entry: 'forget',
    },
    connecting: {
      description: 'The PMD dials the secondary.',
      tags: 'wants-session',
      entry: [{ type: 'reportConnecting', params: quietness }, 'dial'],
      on: {
        'link.dialed': 'handshaking',
        'link.lost': { target: 'backoff', actions: { type: 'countLoss', params: trouble } },
      },
    },
    handshaking: {
      description: 'Both sides say who they are and what they know.',
      tags: 'wants-session',
      entry: 'sayHello',
      on: {
        'session.renew': { target: 'connecting', actions: 'hangUp' },
        'peer.welcomed': 'online',
        'link.lost': { target: 'backoff', actions: { type: 'countLoss', params: trouble } },
        'peer.refused': { target: 'refused', actions: { type: 'countRefusal', params: trouble } },
        'peer.barred': { target: 'barred', actions: { type: 'countBar', params: trouble } },
      },
    },
    online: {
      description: 'The secondary admitted this group.',
      tags: ['connected', 'wants-session'],
      entry: ['forgetTrouble', 'reportConnected'],
      on: {
        'session.renew': { target: 'connecting', actions: 'hangUp' },
        'link.settled': { actions: 'forgetLosses' },
        'link.lost': { target: 'backoff', actions: { type: 'countLoss', params: trouble } },
        'peer.refused': { target: 'refused', actions: { type: 'countRefusal', params: trouble } },
        'peer.barred': { target: 'barred', actions: { type: 'countBar', params: trouble } },
      },
    },
    backoff: {
      description: 'The link is down; it is tried again after a growing pause.',
      tags: 'retries',
      entry: [
        'hangUp',
        { type: 'scheduleRetry', params: retry },
        { type: 'reportLost', params: report },
      ],
      exit: 'cancelRetry',
      on: {
        'retry.due': 'connecting',
        'retry.hurried': 'connecting',
        'session.renew': 'connecting',
      },
    },
    refused: {
      description: 'The secondary or the lineage refuses; it is tried again slowly.',
      tags: 'retries',
      entry: [
        'hangUp',
        { type: 'scheduleRetry', params: retry },
        { type: 'reportRefused', params: report },
      ],
      exit: 'cancelRetry',
      on: {
        'retry.due': 'connecting',
        'retry.hurried': 'connecting',
        'session.renew': 'connecting',
      },
    },
    barred: {
      description: 'The operator killed the RMD; only a new launch brings the link back.',
      entry: ['hangUp', { type: 'reportRefused', params: report }],
    },
  },
});
