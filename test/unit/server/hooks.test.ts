/** The checkpoint hooks: which file runs, with what, and how each way of failing is told (MD 29). */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { isTdmfError } from '../../../src/core/errors.js';
import type { Log } from '../../../src/ports/log.js';
import { type HookQuestion, runHook, startHooks } from '../../../src/server/hooks.js';
import { LoopClock } from '../../helpers/loop-clock.js';
import { makeScratch, type Scratch } from '../../helpers/scratch.js';

const preOn: HookQuestion = { kind: 'hook.run', group: 7, hook: 'pre_on', role: 'primary' };
const signal = new AbortController().signal;

async function world(limitMs = 20_000) {
  const scratch: Scratch = await makeScratch();
  const told: Record<string, unknown>[] = [];
  const lines: Record<string, unknown>[] = [];
  const log: Log = { write: (_, __, fields = {}) => lines.push(fields), with: () => log };
  const directory = scratch.path('.');
  const options = {
    ...{ directory, limitMs, clock: new LoopClock(), log },
    publish: (type: string, payload: object) => told.push({ type, ...payload }),
  };
  const hook = (name: string, script: string, mode = 0o755) => {
    writeFileSync(scratch.path(name), `#!/bin/sh\n${script}\n`);
    chmodSync(scratch.path(name), mode);
  };
  return { scratch, told, lines, options, hook };
}

test('no hook is fine, and nothing is told', async (t) => {
  const { scratch, options, told } = await world();
  t.teardown(() => scratch.remove());
  t.deepEqual(await runHook(options, preOn, signal), { ran: undefined });
  t.deepEqual(told, []);
});

test('the file with the side comes first, then the common one, then with .sh', async (t) => {
  const { scratch, options, hook } = await world();
  t.teardown(() => scratch.remove());
  const ran = async (question: HookQuestion) => (await runHook(options, question, signal)).ran;
  hook('cp_pre_on_007.sh', 'true');
  t.is(await ran(preOn), 'cp_pre_on_007.sh');
  hook('cp_pre_on_007', 'true');
  t.is(await ran(preOn), 'cp_pre_on_007');
  hook('cp_pre_on_s007', 'true');
  t.is(await ran(preOn), 'cp_pre_on_007', 'the one of the other side is not ours');
  t.is(await ran({ ...preOn, role: 'secondary' }), 'cp_pre_on_s007');
  hook('cp_pre_on_p007.sh', 'true');
  t.is(await ran(preOn), 'cp_pre_on_p007.sh');
  t.is(await ran({ ...preOn, group: 8 }), undefined);
  t.is(await ran({ ...preOn, hook: 'pre_off' }), undefined);
});

test('it knows group, role and home, and its output is in the log', async (t) => {
  const { scratch, options, hook, lines, told } = await world();
  t.teardown(() => scratch.remove());
  hook('cp_pre_on_007', 'echo "$TDMF_GROUP $TDMF_ROLE" > "$TDMF_HOME/seen"; pwd; echo oops >&2');
  await runHook(options, preOn, signal);
  t.is(readFileSync(scratch.path('seen'), 'utf8'), '7 primary\n');
  t.regex(String(lines[0]?.['output']), /tdmf-test-.*\noops/);
  t.like(told[0], { type: 'hook.ended', group: 7, role: 'primary', file: 'cp_pre_on_007' });
});

const failures: readonly (readonly [string, string, RegExp])[] = [
  ['an exit code', 'echo first; echo "disk is busy"; exit 3', /exit code 3, saying: disk is busy/],
  ['a signal', 'kill -9 $$', /ended with SIGKILL/],
];
for (const [name, script, why] of failures) {
  test(`${name} is a failure that says so, as an event too`, async (t) => {
    const { scratch, options, hook, told } = await world();
    t.teardown(() => scratch.remove());
    hook('cp_pre_on_007', script);
    const error = await t.throwsAsync(runHook(options, preOn, signal), { message: why });
    t.true(isTdmfError(error) && error.code === 'TDMF_HOOK_FAILED');
    t.like(told[0], { type: 'hook.failed', code: 'TDMF_HOOK_FAILED' });
  });
}

test('one that hangs is killed with all it started', async (t) => {
  const { scratch, options, hook } = await world(300);
  t.teardown(() => scratch.remove());
  hook('cp_pre_on_007', 'sleep 600 & echo $! > child; wait');
  await t.throwsAsync(runHook(options, preOn, signal), { message: /did not end within 0.3 s/ });
  const child = Number(readFileSync(scratch.path('child'), 'utf8'));
  const state = () => {
    try {
      return readFileSync(`/proc/${child}/stat`, 'utf8').split(') ')[1]?.[0];
    } catch {
      return 'gone';
    }
  };
  t.true(['gone', 'Z', 'X'].includes(state() ?? ''), 'it is killed, though perhaps not reaped');
});

test('a program that it leaves running is not waited for', async (t) => {
  const { scratch, options, hook } = await world();
  t.teardown(() => scratch.remove());
  hook('cp_pre_on_007', 'sleep 30 & echo $! > child');
  t.is((await runHook(options, preOn, signal)).ran, 'cp_pre_on_007');
  process.kill(Number(readFileSync(scratch.path('child'), 'utf8')), 'SIGKILL');
});

test('one that may not be executed is a clear error, and so is one that is no program', async (t) => {
  const { scratch, options, hook } = await world();
  t.teardown(() => scratch.remove());
  hook('cp_pre_on_007', 'true', 0o644);
  await t.throwsAsync(runHook(options, preOn, signal), { code: 'TDMF_HOOK_DENIED' });
  writeFileSync(scratch.path('cp_pre_on_007'), '#!/no/such/shell\n');
  chmodSync(scratch.path('cp_pre_on_007'), 0o755);
  await t.throwsAsync(runHook(options, preOn, signal), { message: /could not be started/ });
});

test('output without end is kept to a bound', async (t) => {
  const { scratch, options, hook, lines } = await world();
  t.teardown(() => scratch.remove());
  hook('cp_pre_on_007', 'yes | head -c 3000000; echo the end');
  await runHook(options, preOn, signal);
  const output = String(lines[0]?.['output']);
  t.true(output.length <= 16 * 1024);
  t.true(output.endsWith('the end\n'));
});

test('a tdmfd that stops ends the hooks that run', async (t) => {
  const { scratch, options, hook } = await world();
  t.teardown(() => scratch.remove());
  hook('cp_pre_on_007', 'echo > started; sleep 600');
  const actor = startHooks(options);
  const failed = t.throwsAsync(actor.ask!(preOn), { message: /SIGKILL/ });
  for (;;) {
    try {
      readFileSync(scratch.path('started'));
      break;
    } catch {
      await new Promise(setImmediate);
    }
  }
  await actor.stop();
  await failed;
});
