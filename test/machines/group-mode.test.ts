/** The table of the group's modes, run through the machine; and the link region beside it. */
import test from 'ava';
import { type AnyMachineSnapshot, initialTransition, transition } from 'xstate';
import { leafOf } from '../../src/actors/group-status.js';
import type { GroupMode } from '../../src/core/pstore/record.js';
import {
  backoffMs,
  type GroupModeContext,
  type GroupModeEvent,
  groupModeMachine,
  type ModeLeaf,
  modeLeaves,
} from '../../src/machines/group-mode.js';
import { type CheckpointLeaf, checkpointLeaves } from '../../src/machines/group-mode-leaves.js';
import {
  connectionOf,
  type LinkState,
  linkStates,
  operatorRequests,
  refusalOf,
} from '../../src/machines/refusals.js';
import { checkpointTable, type Fact, modeTable } from './group-mode.table.js';

const position = { era: 'e'.repeat(32), sequence: 7 };
const samples = {
  'record.saved': { type: 'record.saved' },
  'record.failed': { type: 'record.failed' },
  'driver.overflowed': { type: 'driver.overflowed', sequence: 3 },
  'driver.graced': { type: 'driver.graced' },
  'driver.markedAll': { type: 'driver.markedAll' },
  'driver.marked': { type: 'driver.marked', sequence: 7 },
  'driver.committed': { type: 'driver.committed' },
  'driver.commitKept': { type: 'driver.commitKept' },
  'driver.cleared': { type: 'driver.cleared' },
  'pmd.dropped': { type: 'pmd.dropped' },
  'pmd.drained': { type: 'pmd.drained' },
  'pmd.wanted': { type: 'pmd.wanted' },
  'pmd.stopped': { type: 'pmd.stopped' },
  'pmd.poisoned': { type: 'pmd.poisoned', position },
  'link.connecting': { type: 'link.connecting' },
  'link.connected': { type: 'link.connected' },
  'link.lost': { type: 'link.lost' },
  'link.refused': { type: 'link.refused' },
  'link.refusedForGood': { type: 'link.refusedForGood' },
  'lineage.follows': { type: 'lineage.follows' },
  'lineage.equal': { type: 'lineage.equal' },
  'lineage.smart': { type: 'lineage.smart' },
  'lineage.checksum': { type: 'lineage.checksum' },
  'lineage.waits': { type: 'lineage.waits', code: 'TDMF_LINEAGE_NEVER' },
  'refresh.converged': { type: 'refresh.converged' },
  'refresh.frozenRead': { type: 'refresh.frozenRead' },
  'refresh.committed': { type: 'refresh.committed', position },
  'refresh.phaseBLost': { type: 'refresh.phaseBLost' },
  'refresh.failed': { type: 'refresh.failed', code: 'TDMF_JOURNAL_FULL' },
  'refresh.timedOut': { type: 'refresh.timedOut' },
  'driver.doorShut': { type: 'driver.doorShut' },
  'driver.doorBusy': { type: 'driver.doorBusy' },
  'backfresh.finished': { type: 'backfresh.finished', position },
  'backfresh.failed': { type: 'backfresh.failed', code: 'TDMF_DEVICE_FAILED' },
  'backfresh.ended': { type: 'backfresh.ended' },
  'backfresh.endedUntouched': { type: 'backfresh.endedUntouched' },
  'pmd.eraTaken': { type: 'pmd.eraTaken' },
  'lineage.adopts': { type: 'lineage.adopts' },
  'lineage.refused': { type: 'lineage.refused', code: 'TDMF_LINEAGE_SPLIT' },
  'turn.taken': { type: 'turn.taken' },
  'hook.ended': { type: 'hook.ended' },
  'hook.failed': { type: 'hook.failed', code: 'TDMF_HOOK_FAILED' },
  'driver.markerStamped': { type: 'driver.markerStamped' },
  'driver.markerRefused': { type: 'driver.markerRefused' },
  'checkpoint.isOn': { type: 'checkpoint.isOn' },
  'checkpoint.isOff': { type: 'checkpoint.isOff' },
  'checkpoint.failed': { type: 'checkpoint.failed', code: 'TDMF_DEVICE_BUSY' },
  'checkpoint.markerLost': { type: 'checkpoint.markerLost' },
  'tunables.set': { type: 'tunables.set', refreshTimeoutMs: 5 },
  'drain.expired': { type: 'drain.expired' },
} as const satisfies { [Name in Fact]: Extract<GroupModeEvent, { type: Name }> };

const events: readonly GroupModeEvent[] = [
  ...Object.values(samples),
  ...operatorRequests.map((type) => ({ type })),
];

const resting: GroupModeContext = {
  mode: 'passthru',
  pmdLaunched: true,
  tracked: false,
  kind: 'smart',
  refreshTimeoutMs: 1000,
  origin: 'passthru',
  attempt: 0,
  failures: 0,
  unfinished: false,
  converged: false,
  timing: false,
  timedOut: false,
  verdict: 'unknown',
  localOk: true,
  checkpoint: 'off',
  normal: false,
  quiet: false,
};

const input = {
  mode: 'passthru',
  pmdLaunched: false,
  tracked: false,
  kind: undefined,
  refreshTimeoutMs: 1000,
  localOk: true,
  checkpoint: 'off',
} as const;

function at(
  leaf: ModeLeaf,
  link: LinkState = 'connected',
  context: Partial<GroupModeContext> = {},
  checkpoint: CheckpointLeaf = 'off',
) {
  const mode = leaf
    .split('.')
    .toReversed()
    .reduce<object | string>((inner, name) => (inner === '' ? name : { [name]: inner }), '');
  return groupModeMachine.resolveState({
    value: { mode, link, checkpoint } as never,
    // Only a mirror that follows is drained to.
    context: {
      ...resting,
      ...(/draining|queueing/.test(leaf) && { verdict: 'follows' }),
      ...context,
    },
  });
}

const leafIn = (snapshot: AnyMachineSnapshot) => leafOf((snapshot.value as { mode: unknown }).mode);
const linkIn = (snapshot: AnyMachineSnapshot) => leafOf((snapshot.value as { link: unknown }).link);
const modeOf = (leaf: ModeLeaf) => leaf.split('.')[0] as GroupMode;
/** Names with what matters of their parameters, for instance `recordMode tracking`. */
const named = (actions: readonly { readonly type: string; readonly params?: unknown }[]) =>
  actions.map(({ type, params }) => {
    const { mode } = (params ?? {}) as { mode?: string };
    return mode === undefined ? type : `${type} ${mode}`;
  });

const isRequest = (type: string) => type.startsWith('operator.');
/** What also moves the link region, so that "nothing happens" is said of the mode only. */
const ofOthers = /^(?:link|lineage|pmd|checkpoint)\.|^operator\.(?:killpmd|checkpoint)/;

for (const leaf of modeLeaves) {
  test(`${leaf} does with every event what the table says`, (t) => {
    for (const event of events) {
      const cell = modeTable[leaf][event.type];
      // Overrides need a PMD that does not run.
      const link = event.type.startsWith('operator.override') ? 'stopped' : 'connected';
      // Draining without a session is over at the next step, whatever the event is.
      if (link === 'stopped' && /draining|queueing/.test(leaf)) continue;
      const before = at(leaf, link);
      const [after, actions] = transition(groupModeMachine, before, event);
      const what = `${leaf} × ${event.type}`;
      const refusal = isRequest(event.type)
        ? refusalOf(leaf, link, 'off', event.type as never)
        : undefined;
      if (cell.startsWith('TDMF_')) {
        t.is(refusal?.code, cell as never, `${what} is refused`);
        t.true((refusal?.reason.length ?? 0) > 10, `${what} is refused for a reason`);
        t.deepEqual(after.value, before.value, `${what} changes nothing`);
        t.deepEqual(named(actions), [], `${what} does nothing`);
        continue;
      }
      t.is(refusal, undefined, `${what} is accepted`);
      t.is(leafIn(after), cell === 'same' || cell === 'noted' ? leaf : cell, what);
      const quiet =
        actions.length === 0 && JSON.stringify(after.context) === JSON.stringify(before.context);
      if (cell === 'same' && !ofOthers.test(event.type)) t.true(quiet, `${what} does nothing`);
      if (cell === 'noted') t.false(quiet, `${what} is noted`);
      if (leafIn(after).startsWith('tracking.') && !leaf.startsWith('tracking.')) {
        const does = named(actions);
        t.false(does.includes('clearMapAll'), `${what} keeps the dirt (I5)`);
        t.true(does.includes('beginEra'), `${what} begins a new era (Rule 8a)`);
        t.true(does.indexOf('persist') > does.indexOf('recordMode tracking'), `${what}: I6`);
      }
    }
  });
}

test('nothing but a durable commit leads to NORMAL (I21, R8)', (t) => {
  const ways = modeLeaves.flatMap((leaf) =>
    Object.entries(modeTable[leaf]).flatMap(([event, cell]) =>
      cell === 'normal' ? [`${leaf} × ${event}`] : [],
    ),
  );
  t.deepEqual(ways, [
    // Row 11: an operator's word, unverified, in a new era that was durable first.
    'tracking.entering.saving × record.saved',
    'refresh.committing.recording × record.saved',
    'backfresh.entering × record.saved',
  ]);
});

test('killrefresh ends in TRACKING from every part of a refresh, never elsewhere (4.3)', (t) => {
  for (const leaf of modeLeaves.filter((name) => modeOf(name) === 'refresh')) {
    const [after, actions] = transition(groupModeMachine, at(leaf), {
      type: 'operator.killrefresh',
    });
    t.is(leafIn(after), 'tracking.held');
    t.true(named(actions).includes('restoreMap'), `${leaf}: a superset stays marked`);
  }
});

test('a refresh whose record could not be saved goes back to where it was ordered', (t) => {
  const failed = (origin: 'passthru' | 'normal' | 'tracking') => {
    const saving = at('refresh.preparing.saving', 'connected', { origin });
    return transition(groupModeMachine, saving, { type: 'record.failed' });
  };
  for (const origin of ['passthru', 'normal', 'tracking'] as const) {
    const [after, actions] = failed(origin);
    const back = { passthru: 'passthru.untracked', normal: 'normal', tracking: 'tracking.pausing' };
    t.is(leafIn(after), back[origin]);
    t.true(named(actions).includes('revertRecord'));
    t.false(named(actions).includes('setDuties'), 'the duties had not been touched');
  }
});

test('a BAB that overflows while the refresh is recorded bars the way back to NORMAL (T2)', (t) => {
  const saving = at('refresh.preparing.saving', 'connected', { origin: 'normal' });
  const [overflowed] = transition(groupModeMachine, saving, samples['driver.overflowed']);
  const [after] = transition(groupModeMachine, overflowed, { type: 'record.failed' });
  t.is(leafIn(after), 'tracking.pausing');
});

test('append goes off before the PMD forgets an attempt (R9)', (t) => {
  const [, actions] = transition(groupModeMachine, at('refresh.phaseB.sending'), {
    type: 'link.lost',
  });
  const does = named(actions);
  t.true(does.indexOf('setDuties') < does.indexOf('abortPhaseB'));
  t.true(does.includes('beginEra') && does.includes('persist'));
});

test('the back-off grows with each abandoned phase b, up to its limit (Rule 43b)', (t) => {
  t.deepEqual([1, 2, 3, 4].map(backoffMs), [1000, 2000, 4000, 8000]);
  t.is(backoffMs(40), 60_000);
});

test('a new refresh forgets how often the last one was abandoned', (t) => {
  const tired = at('tracking.waiting', 'connected', { attempt: 5, converged: true });
  const [after] = transition(groupModeMachine, tired, { type: 'operator.refreshFull' });
  t.like(after.context, { attempt: 0, converged: false, origin: 'tracking' });
});

test('what converged during the back-off goes to phase b without being told twice', (t) => {
  const [waiting] = transition(groupModeMachine, at('refresh.backoff'), {
    type: 'refresh.converged',
  });
  t.true(waiting.context.converged);
  const [after, actions] = transition(groupModeMachine, waiting, {
    type: 'xstate.after.backoff.group.mode.refresh.backoff',
  } as never);
  t.is(leafIn(after), 'refresh.freezing.recording');
  t.false(after.context.converged);
  t.true(named(actions).includes('startPhaseA'));
});

for (const [mode, leaf] of [
  ['passthru', 'passthru.untracked'],
  ['normal', 'normal'],
  ['tracking', 'tracking.waiting'],
  ['refresh', 'refresh.preparing.gracing'],
  ['backfresh', 'backfresh.reclosing'],
] as const) {
  test(`a group that was left in ${mode} starts in ${leaf}`, (t) => {
    const [snapshot] = initialTransition(groupModeMachine, {
      ...input,
      mode,
      localOk: mode !== 'backfresh',
    });
    t.is(leafIn(snapshot), leaf);
    t.is(linkIn(snapshot), 'stopped');
    const [launched, actions] = initialTransition(groupModeMachine, {
      ...input,
      mode,
      pmdLaunched: true,
      localOk: mode !== 'backfresh',
    });
    t.is(linkIn(launched), 'connecting');
    t.true(named(actions).includes('launchPmd'), 'the PMD that ran runs again (MD 34)');
  });
}

// biome-ignore format: one row a line reads as a table
const linkTable: Readonly<Record<LinkState, Readonly<Record<string, LinkState>>>> = {
  stopped: { 'operator.launchpmd': 'connecting', 'pmd.wanted': 'connecting', 'operator.killpmd': 'stopped', 'link.connecting': 'stopped', 'link.connected': 'stopped', 'link.lost': 'stopped', 'link.refused': 'stopped', 'link.refusedForGood': 'stopped', 'pmd.stopped': 'stopped' },
  connecting: { 'operator.launchpmd': 'connecting', 'pmd.wanted': 'connecting', 'operator.killpmd': 'stopped', 'link.connecting': 'connecting', 'link.connected': 'connected', 'link.lost': 'connecting', 'link.refused': 'connecting', 'link.refusedForGood': 'refused', 'pmd.stopped': 'connecting' },
  connected: { 'operator.launchpmd': 'connected', 'pmd.wanted': 'connected', 'operator.killpmd': 'stopped', 'link.connecting': 'connecting', 'link.connected': 'connected', 'link.lost': 'connecting', 'link.refused': 'connecting', 'link.refusedForGood': 'refused', 'pmd.stopped': 'connecting' },
  refused: { 'operator.launchpmd': 'connecting', 'pmd.wanted': 'connecting', 'operator.killpmd': 'stopped', 'link.connecting': 'connecting', 'link.connected': 'connected', 'link.lost': 'refused', 'link.refused': 'refused', 'link.refusedForGood': 'refused', 'pmd.stopped': 'refused' },
};

for (const link of linkStates) {
  test(`a link that is ${link} does with every event what the table says`, (t) => {
    for (const [type, next] of Object.entries(linkTable[link])) {
      const [after] = transition(groupModeMachine, at('normal', link), { type } as GroupModeEvent);
      t.is(linkIn(after), next, `${link} × ${type}`);
      t.is(leafIn(after), 'normal', 'NORMAL stays NORMAL: the BAB accumulates (I15)');
    }
  });
}

test('launchpmd and killpmd are refused exactly when they would do nothing', (t) => {
  for (const link of linkStates) {
    for (const type of ['operator.launchpmd', 'operator.killpmd'] as const) {
      const before = at('normal', link);
      const [after, actions] = transition(groupModeMachine, before, { type });
      const moved = linkIn(after) !== link || actions.length > 0;
      t.is(refusalOf('normal', link, 'off', type) === undefined, moved, `${link} × ${type}`);
    }
  }
});

test('the three words of the manual for a connection come from the link', (t) => {
  t.deepEqual(linkStates.map(connectionOf), [
    'ACCUMULATE',
    'NOT_CONNECTED',
    'CONNECTED',
    'ACCUMULATE',
  ]);
});

test('launchrefresh starts the PMD only when the refresh is recorded (MD 34)', (t) => {
  const stopped = at('passthru.untracked', 'stopped');
  const [saving] = transition(groupModeMachine, stopped, { type: 'operator.refreshFull' });
  t.is(linkIn(saving), 'stopped');
  const [after, actions] = transition(groupModeMachine, saving, { type: 'record.saved' });
  t.is(linkIn(after), 'connecting');
  t.true(named(actions).includes('launchPmd'));
});

test('every state says what it is', (t) => {
  for (const leaf of modeLeaves) {
    const node = groupModeMachine.getStateNodeById(
      `group.mode.${leaf}`.replace(/\.phaseA$/, '.phaseA'),
    );
    t.true((node.description?.length ?? 0) > 10, leaf);
  }
});

const checkpointIn = (snapshot: AnyMachineSnapshot) =>
  leafOf((snapshot.value as { checkpoint: unknown }).checkpoint);

for (const leaf of checkpointLeaves) {
  test(`a checkpoint that is ${leaf} does with every event what the table says`, (t) => {
    for (const event of events) {
      const cell = checkpointTable[leaf][event.type] ?? 'same';
      const before = at('tracking.held', 'connected', {}, leaf);
      const [after] = transition(groupModeMachine, before, event);
      const what = `${leaf} × ${event.type}`;
      t.is(checkpointIn(after), cell === 'same' || cell === 'noted' ? leaf : cell, what);
      if (!event.type.startsWith('operator.checkpoint')) continue;
      const refusal = refusalOf('tracking.held', 'connected', leaf, event.type as never);
      t.is(refusal === undefined, cell !== 'same', `${what} is accepted when it does something`);
    }
  });
}

test('a checkpoint that waits for NORMAL goes on there, and only there (Rule 37, MD 45)', (t) => {
  for (const [leaf, next] of [
    ['queued', 'quiescing'],
    ['ready', 'recording'],
    ['closing', 'releasing'],
  ] as const) {
    const saving = at('refresh.committing.recording', 'connected', { verdict: 'follows' }, leaf);
    const [waiting] = transition(groupModeMachine, saving, samples['driver.graced']);
    t.is(checkpointIn(waiting), leaf);
    const [after] = transition(groupModeMachine, waiting, { type: 'record.saved' });
    t.is(leafIn(after), 'normal');
    t.is(checkpointIn(after), next);
  }
});

test('an overflow behind the marker does not cancel the checkpoint (H37)', (t) => {
  const pending = at('normal', 'connected', { normal: true }, 'pending');
  const [after] = transition(groupModeMachine, pending, samples['driver.overflowed']);
  t.is(leafIn(after), 'tracking.waiting');
  t.is(checkpointIn(after), 'pending');
});

test('under a checkpoint nothing is compared by itself (Rule 15d)', (t) => {
  const on = at('tracking.waiting', 'connected', { checkpoint: 'on' }, 'on');
  const [waiting] = transition(groupModeMachine, on, samples['lineage.checksum']);
  t.is(leafIn(waiting), 'tracking.waiting');
  const [after] = transition(groupModeMachine, waiting, { type: 'checkpoint.isOff' });
  t.is(leafIn(after), 'tracking.queueing');
});

test('no override makes half-old local devices a source, whatever the link is (I19)', (t) => {
  for (const link of linkStates) {
    for (const leaf of modeLeaves.filter((name) => /^backfresh|incoherent/.test(name))) {
      for (const state of ['Normal', 'Tracking', 'Refresh'] as const) {
        t.not(refusalOf(leaf, link, 'off', `operator.override${state}`), undefined);
      }
    }
  }
});
