/** Every state of the group's machine can be reached, and on every way there the duties are right. */
import test from 'ava';
import { initialTransition, transition } from 'xstate';
import { getShortestPaths } from 'xstate/graph';
import { leafOf } from '../../src/actors/group-status.js';
import type { GroupMode } from '../../src/core/pstore/record.js';
import {
  type GroupModeEvent,
  groupModeMachine,
  modeLeaves,
} from '../../src/machines/group-mode.js';
import { linkStates } from '../../src/machines/refusals.js';

const events = [
  { type: 'operator.refreshFull' },
  { type: 'operator.refreshSmart' },
  { type: 'operator.refreshChecksum' },
  { type: 'lineage.follows' },
  { type: 'lineage.equal' },
  { type: 'lineage.smart' },
  { type: 'lineage.checksum' },
  { type: 'lineage.waits', code: 'TDMF_LINEAGE_NEVER' },
  { type: 'driver.cleared' },
  { type: 'pmd.drained' },
  { type: 'operator.killrefresh' },
  { type: 'operator.launchpmd' },
  { type: 'operator.killpmd' },
  { type: 'record.saved' },
  { type: 'record.failed' },
  { type: 'driver.overflowed', sequence: 1 },
  { type: 'driver.graced' },
  { type: 'driver.markedAll' },
  { type: 'driver.marked', sequence: 1 },
  { type: 'driver.committed' },
  { type: 'driver.commitKept' },
  { type: 'pmd.dropped' },
  { type: 'pmd.stopped' },
  { type: 'link.connected' },
  { type: 'link.lost' },
  { type: 'link.refusedForGood' },
  { type: 'refresh.converged' },
  { type: 'refresh.frozenRead' },
  { type: 'refresh.committed', position: { era: 'e', sequence: 1 } },
  { type: 'refresh.phaseBLost' },
  { type: 'refresh.failed', code: 'TDMF_RMD_FAILED' },
  { type: 'xstate.after.backoff.group.mode.refresh.backoff' } as never,
  { type: 'xstate.after.pause.group.mode.tracking.pausing' } as never,
] as const satisfies readonly GroupModeEvent[];

const input = {
  pmdLaunched: false,
  tracked: false,
  kind: undefined,
  refreshTimeoutMs: 1000,
} as const;

const starts: readonly GroupMode[] = ['passthru', 'normal', 'tracking', 'refresh', 'backfresh'];

function pathsFrom(mode: GroupMode) {
  return getShortestPaths(groupModeMachine, {
    events: [...events],
    input: { ...input, mode },
    // The number of attempts grows for ever; that there was one is all that matters here.
    serializeState: ({ value, context }) =>
      JSON.stringify([value, context.origin, context.kind, context.converged, context.verdict]),
  });
}

test('every mode, every part of a refresh and every state of the link is reachable', (t) => {
  const reached = new Set<string>();
  for (const mode of starts) {
    for (const { state } of pathsFrom(mode)) {
      reached.add(leafOf(state.value.mode));
      reached.add(`link ${leafOf(state.value.link)}`);
    }
  }
  const wanted = [...modeLeaves, ...linkStates.map((link) => `link ${link}`)];
  t.deepEqual(
    wanted.filter((name) => !reached.has(name)),
    [],
  );
  t.deepEqual(
    [...reached].filter((name) => !wanted.includes(name)),
    [],
  );
});

interface Duties {
  append: boolean;
  mark: boolean;
}

/** Follows one path, and what the actions and the driver do to the duties on the way. */
function replay(
  mode: GroupMode,
  steps: readonly { readonly event: GroupModeEvent | { readonly type: 'xstate.init' } }[],
) {
  let [snapshot, actions] = initialTransition(groupModeMachine, { ...input, mode });
  let duties: Duties = { append: false, mark: false };
  let eraDurable = true;
  const wrong: string[] = [];
  const look = (event: string) => {
    for (const { type, params } of actions) {
      if (type === 'setDuties') duties = params as unknown as Duties;
      if (type === 'beginEra') eraDurable = false;
      if (type === 'useEra' && !eraDurable) wrong.push(`${event}: an era is used undurable`);
      if (type === 'useEra' && duties.append) wrong.push(`${event}: an era begins in the middle`);
    }
  };
  look('start');
  for (const { event } of steps) {
    if (event.type === 'xstate.init') continue;
    // The driver drops the mark duty itself when it clears the maps (R8), and appends no more after
    // an overflow (T2).
    if (event.type === 'driver.committed') duties = { ...duties, mark: false };
    if (event.type === 'driver.overflowed' && duties.append) duties = { append: false, mark: true };
    if (event.type === 'record.saved') eraDurable = true;
    [snapshot, actions] = transition(groupModeMachine, snapshot, event);
    look(event.type);
  }
  return { snapshot, duties, wrong };
}

for (const mode of starts) {
  test(`on every way from ${mode} the duties are those of the state, and eras are durable`, (t) => {
    const paths = pathsFrom(mode);
    t.true(paths.length > 0);
    for (const { steps } of paths) {
      const { snapshot, duties, wrong } = replay(mode, steps);
      const where = `${leafOf(snapshot.value.mode)} after ${steps.map(({ event }) => event.type).join(' ')}`;
      t.deepEqual(wrong, [], where);
      // While the record is being saved the duties are still those of before; and an overflow is
      // reported after it happened, so only states that hear of it can be compared.
      if (/saving|clearing|overflowed/.test(where)) continue;
      t.is(snapshot.hasTag('append'), duties.append, `append: ${where}`);
      t.is(snapshot.hasTag('mark'), duties.mark, `mark: ${where}`);
    }
  });
}
