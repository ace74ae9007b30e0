/** The modes of the RMD: total, as docs/rmd-modes.md says, and no way round Rule 15a. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { createActor, getNextSnapshot } from 'xstate';
import {
  type RmdMode,
  type RmdModeEvent,
  rmdModeMachine,
  rmdModes,
  rmdWords,
} from '../../src/machines/rmd-mode.js';

const events = [
  'session.opened',
  'session.checkpointed',
  'session.closed',
  'chain.found',
  'chain.over',
  'writeAhead.begun',
  'refresh.journaled',
  'refresh.committed',
  'refresh.ended',
  'checkpoint.effective',
  'checkpoint.released',
] as const satisfies readonly RmdModeEvent['type'][];

/** Each mode in the order of `rmdModes`; `.` is a cell that changes nothing. */
const table: { readonly [Event in RmdModeEvent['type']]: readonly (RmdMode | '.')[] } = {
  'session.opened': ['mirroring', '.', '.', '.', '.', '.'],
  'session.checkpointed': ['checkpointed', '.', '.', '.', '.', '.'],
  'session.closed': ['.', 'off', 'off', 'off', 'off', 'off'],
  'chain.found': ['.', 'replaying', '.', '.', '.', '.'],
  'chain.over': ['.', '.', '.', 'mirroring', '.', '.'],
  'writeAhead.begun': ['.', 'replaying', '.', '.', '.', '.'],
  'refresh.journaled': ['.', 'journaling', '.', '.', 'checkpointedRefresh', '.'],
  'refresh.committed': ['.', '.', 'replaying', '.', '.', 'checkpointed'],
  'refresh.ended': ['.', '.', 'mirroring', '.', '.', 'checkpointed'],
  'checkpoint.effective': ['.', 'checkpointed', '.', '.', '.', '.'],
  'checkpoint.released': ['.', '.', '.', '.', 'replaying', '.'],
};

function next(mode: RmdMode, type: RmdModeEvent['type']): RmdMode {
  const snapshot = rmdModeMachine.resolveState({ value: mode, context: {} });
  return getNextSnapshot(rmdModeMachine, snapshot, { type }).value;
}

for (const type of events) {
  test(`${type} does in every mode what the table says`, (t) => {
    for (const [index, mode] of rmdModes.entries()) {
      const cell = table[type][index]!;
      t.is(next(mode, type), cell === '.' ? mode : cell, mode);
    }
  });
}

test('the table has a row for every event of the machine', (t) => {
  t.deepEqual([...rmdModeMachine.events].toSorted(), [...events].toSorted());
});

test('from a checkpoint the journal reaches the mirror by -off only (Rule 15a)', (t) => {
  const held: readonly RmdMode[] = ['checkpointed', 'checkpointedRefresh'];
  for (const mode of held) {
    for (const type of events) {
      const then = next(mode, type);
      if (held.includes(then) || then === 'off') continue;
      t.is(type, 'checkpoint.released', `${mode} ${type} ${then}`);
    }
  }
});

test('only a mode that replays lets the journal go to the mirror', (t) => {
  const replaying = rmdModes.filter((mode) =>
    rmdModeMachine.resolveState({ value: mode, context: {} }).hasTag('replays'),
  );
  t.deepEqual(replaying, ['replaying']);
});

test('a machine that starts is off', (t) => {
  t.is(createActor(rmdModeMachine).start().getSnapshot().value, 'off');
});

test('docs/rmd-modes.md has the same table and words', (t) => {
  const lines = readFileSync(join(process.cwd(), 'docs/rmd-modes.md'), 'utf8').split('\n');
  const rows = lines
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll('`', '')),
    );
  const said = new Map(rows.map(([name, ...cells]) => [name, cells]));
  for (const type of events) t.deepEqual(said.get(type), [...table[type]], type);
  for (const mode of rmdModes) t.is(said.get(mode)?.[0], rmdWords[mode], mode);
});
