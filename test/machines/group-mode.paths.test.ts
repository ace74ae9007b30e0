/**
 * Ways through the machine, generated from its graph and walked with the rules in hand: every state
 * can be reached, and on every step there duties, eras, the door and the dirt are as they must be. The
 * shortest way to every state is then replayed through a running actor.
 */
import test from 'ava';
import { createActor, initialTransition, transition } from 'xstate';
import { leafOf } from '../../src/actors/group-status.js';
import type { GroupMode } from '../../src/core/pstore/record.js';
import {
  type GroupModeEvent,
  groupModeMachine,
  type ModeLeaf,
  modeLeaves,
} from '../../src/machines/group-mode.js';
import { type CheckpointLeaf, checkpointLeaves } from '../../src/machines/group-mode-leaves.js';
import {
  type LinkState,
  linkStates,
  type OperatorRequest,
  operatorRequests,
  refusalOf,
} from '../../src/machines/refusals.js';

const position = { era: 'e', sequence: 1 };
const facts = [
  { type: 'record.saved' },
  { type: 'record.failed' },
  { type: 'driver.overflowed', sequence: 1 },
  { type: 'driver.graced' },
  { type: 'driver.markedAll' },
  { type: 'driver.marked', sequence: 1 },
  { type: 'driver.committed' },
  { type: 'driver.commitKept' },
  { type: 'driver.cleared' },
  { type: 'pmd.dropped' },
  { type: 'pmd.drained' },
  { type: 'turn.taken' },
  { type: 'pmd.poisoned', position },
  { type: 'link.connected' },
  { type: 'link.lost' },
  { type: 'link.refusedForGood' },
  { type: 'lineage.follows' },
  { type: 'lineage.equal' },
  { type: 'lineage.smart' },
  { type: 'lineage.checksum' },
  { type: 'lineage.waits', code: 'TDMF_LINEAGE_NEVER' },
  { type: 'lineage.adopts' },
  { type: 'lineage.refused', code: 'TDMF_LINEAGE_SPLIT' },
  { type: 'refresh.converged' },
  { type: 'refresh.frozenRead' },
  { type: 'refresh.committed', position },
  { type: 'refresh.phaseBLost' },
  { type: 'refresh.failed', code: 'TDMF_RMD_FAILED' },
  { type: 'refresh.timedOut' },
  { type: 'driver.doorShut' },
  { type: 'driver.doorBusy' },
  { type: 'backfresh.finished', position },
  { type: 'backfresh.failed', code: 'TDMF_DEVICE_FAILED' },
  { type: 'backfresh.ended' },
  { type: 'backfresh.endedUntouched' },
  { type: 'pmd.eraTaken' },
  { type: 'xstate.after.backoff.group.mode.refresh.backoff' } as never,
  { type: 'xstate.after.pause.group.mode.tracking.pausing' } as never,
  { type: 'xstate.after.pause.group.mode.backfresh.pausing' } as never,
] as const satisfies readonly GroupModeEvent[];

const ofCheckpoint = [
  { type: 'operator.launchpmd' },
  { type: 'operator.checkpointOn' },
  { type: 'operator.checkpointOff' },
  { type: 'hook.ended' },
  { type: 'hook.failed', code: 'TDMF_HOOK_FAILED' },
  { type: 'driver.markerStamped' },
  { type: 'driver.markerRefused' },
  { type: 'checkpoint.isOn' },
  { type: 'checkpoint.isOff' },
  { type: 'checkpoint.failed', code: 'TDMF_DEVICE_BUSY' },
  { type: 'checkpoint.markerLost' },
  { type: 'record.saved' },
  { type: 'record.failed' },
  { type: 'driver.overflowed', sequence: 1 },
  { type: 'link.connected' },
  { type: 'link.lost' },
  { type: 'lineage.follows' },
] as const satisfies readonly GroupModeEvent[];

const requests: readonly GroupModeEvent[] = operatorRequests
  .filter((type) => !type.startsWith('operator.checkpoint'))
  .map((type) => ({ type }));

const input = {
  pmdLaunched: false,
  tracked: false,
  kind: undefined,
  refreshTimeoutMs: 1000,
  checkpoint: 'off',
} as const;
const inputOf = (mode: GroupMode) => ({ ...input, mode, localOk: mode !== 'backfresh' });

type Snapshot = ReturnType<typeof initialTransition<typeof groupModeMachine>>[0];
const situationOf = ({ value }: Snapshot) => ({
  leaf: leafOf(value.mode) as ModeLeaf,
  link: leafOf(value.link) as LinkState,
  checkpoint: leafOf(value.checkpoint) as CheckpointLeaf,
});

/** A request that is refused never reaches the machine. */
function mayHappen(snapshot: Snapshot, event: GroupModeEvent): boolean {
  const { leaf, link, checkpoint } = situationOf(snapshot);
  if (event.type.startsWith('xstate.after.')) return event.type.endsWith(leaf);
  if (event.type === 'lineage.refused') return link === 'connecting';
  if (event.type.startsWith('lineage.')) return link === 'connected';
  if (!event.type.startsWith('operator.')) return true;
  return refusalOf(leaf, link, checkpoint, event.type as OperatorRequest) === undefined;
}

/** What the neighbours and the pstore make of the actions on one way through the machine. */
class World {
  duties = { append: false, mark: false };
  wrong: string[] = [];
  doorShut = false;
  #doorAsked = false;
  #commitAsked = false;
  #eraBegun = false;
  #eraDurable = true;
  #era: 'none' | 'open' = 'none';
  #backfreshAsked = false;
  #backfreshDurable = false;
  #proof: 'none' | 'commit' | 'backfresh' | 'override' = 'none';
  #dropped = true;
  /** A refresh is in the record, and in the durable one. */
  #refresh = { now: false, durable: false };

  /** The fact happened before the machine hears of it. */
  hear(type: string): void {
    // The driver appends no more after an overflow (T2), and drops the mark itself at a commit (R8).
    if (type === 'driver.overflowed' && this.duties.append) {
      this.duties = { append: false, mark: true };
      this.#era = 'none';
    }
    if (type === 'driver.committed' && this.#commitAsked) {
      this.#commitAsked = false;
      this.duties = { ...this.duties, mark: false };
    }
    if (type === 'driver.doorShut' && this.#doorAsked) this.doorShut = true;
    if (type === 'pmd.dropped') this.#dropped = true;
    if (type === 'refresh.committed') this.#proof = 'commit';
    if (type === 'backfresh.finished') this.#proof = 'backfresh';
    if (type !== 'record.saved') return;
    this.#eraDurable = true;
    this.#backfreshDurable = this.#backfreshAsked;
    this.#refresh = { now: this.#refresh.now, durable: this.#refresh.now };
  }

  act(
    actions: readonly { readonly type: string; readonly params?: unknown }[],
    leaf: string,
  ): void {
    for (const { type, params } of actions) {
      const bad = (what: string) => this.wrong.push(`${leaf}, ${type}: ${what}`);
      switch (type) {
        case 'beginEra':
        case 'recordEqual':
          if (type === 'recordEqual') this.#refresh = { ...this.#refresh, now: false };
          this.#eraBegun = true;
          this.#eraDurable = false;
          break;
        case 'revertRecord':
          this.#eraDurable = true;
          this.#refresh = { now: this.#refresh.durable, durable: this.#refresh.durable };
          break;
        case 'recordRefresh':
        case 'recordUpgrade':
          this.#refresh = { ...this.#refresh, now: true };
          break;
        case 'endRefresh':
        case 'recordIncoherent':
        case 'acceptLocal':
          this.#refresh = { ...this.#refresh, now: false };
          break;
        case 'resumeRecorded':
          if (!this.#refresh.now) bad('no refresh is recorded that could go on');
          break;
        case 'useEra':
          if (!this.#eraDurable) bad('an era is used before it is durable (Rule 8a)');
          if (this.duties.append) bad('an era begins while another one is appended to');
          this.#era = 'open';
          break;
        case 'setDuties': {
          const duties = params as World['duties'];
          if (duties.append && this.#era !== 'open') bad('append without an era (T2)');
          if (!duties.append) this.#era = 'none';
          // The driver does one thing after the other; what it said of the commit is outdated.
          this.#commitAsked = false;
          this.duties = duties;
          break;
        }
        case 'clearMapAll':
        case 'commitDriver':
        case 'equalDriver':
          if (this.#proof === 'none') bad('dirt is cleared without the other side’s word (I21)');
          if (type === 'commitDriver') this.#commitAsked = true;
          break;
        case 'recordOverridden':
          this.#proof = 'override';
          break;
        case 'dropEntries':
          this.#dropped = false;
          break;
        case 'startPhaseA':
          if (!this.#refresh.now) bad('no refresh is recorded');
          if (!this.#dropped) bad('blocks are sent beside entries of before (H12)');
          if (this.doorShut) bad('half-old local devices are copied from (I19)');
          break;
        case 'recordBackfresh':
          this.#backfreshAsked = true;
          this.#backfreshDurable = false;
          this.#refresh = { ...this.#refresh, now: true };
          break;
        case 'forgetBackfresh':
          this.#backfreshAsked = false;
          this.#refresh = { ...this.#refresh, now: false };
          break;
        case 'startBackfresh':
          if (!this.doorShut) bad('local devices are written to beside clients (Rule 30)');
          if (!this.#backfreshDurable) bad('not durable before the first local write (Rule 30)');
          break;
        case 'shutDoor':
          this.#doorAsked = true;
          break;
        case 'openDoor':
          this.#doorAsked = false;
          this.doorShut = false;
          break;
        case 'recordMode': {
          const { mode } = params as { mode: GroupMode };
          if (mode === 'normal' && this.#proof === 'none') bad('NORMAL that nothing proves');
          if (mode === 'tracking') {
            this.#proof = 'none';
            if (!this.#eraBegun) bad('TRACKING goes on in the era of NORMAL (Rule 8a)');
          }
          break;
        }
        default:
          break;
      }
    }
  }

  copy(): World {
    const copy = new World();
    copy.duties = this.duties;
    copy.doorShut = this.doorShut;
    copy.#commitAsked = this.#commitAsked;
    copy.#doorAsked = this.#doorAsked;
    copy.#eraBegun = this.#eraBegun;
    copy.#eraDurable = this.#eraDurable;
    copy.#era = this.#era;
    copy.#backfreshAsked = this.#backfreshAsked;
    copy.#backfreshDurable = this.#backfreshDurable;
    copy.#proof = this.#proof;
    copy.#dropped = this.#dropped;
    copy.#refresh = this.#refresh;
    return copy;
  }

  static startedIn(mode: GroupMode): World {
    const world = new World();
    // The record says so, durably; the driver of before is gone.
    if (mode === 'backfresh') {
      world.#backfreshAsked = true;
      world.#backfreshDurable = true;
    }
    if (mode === 'normal') world.#proof = 'commit';
    const recorded = mode === 'refresh' || mode === 'backfresh';
    world.#refresh = { now: recorded, durable: recorded };
    return world;
  }
}

interface Found {
  readonly start: GroupMode;
  readonly snapshot: Snapshot;
  readonly world: World;
  readonly way: readonly GroupModeEvent[];
}

const starts: readonly GroupMode[] = ['passthru', 'normal', 'tracking', 'refresh', 'backfresh'];

function begun(start: GroupMode): Found {
  const world = World.startedIn(start);
  const [snapshot, actions] = initialTransition(groupModeMachine, inputOf(start));
  world.act(actions, 'start');
  return { start, snapshot, world, way: [] };
}

/** What makes a difference for what may follow; numbers of attempts grow for ever, and do not. */
function keyOf(snapshot: Snapshot): string {
  const { value, context } = snapshot;
  const { leaf } = situationOf(snapshot);
  const { origin, kind, converged, verdict, tracked, quiet, unfinished } = context;
  const ofRefresh = leaf.startsWith('refresh') ? [kind, converged, quiet] : [];
  const ofBeginning = /saving|^backfresh/.test(leaf) ? [origin, tracked] : [];
  return JSON.stringify([value, verdict, unfinished, ofRefresh, ofBeginning]);
}

/** Breadth first over everything that may happen; `look` sees every step, also to known states. */
function walk(
  events: readonly GroupModeEvent[],
  from: readonly GroupMode[],
  look: (found: Found) => void,
): Map<string, Found> {
  const known = new Map<string, Found>();
  const next: Found[] = [];
  const visit = (found: Found) => {
    look(found);
    const key = keyOf(found.snapshot);
    if (known.has(key)) return;
    known.set(key, found);
    next.push(found);
  };
  for (const start of from) visit(begun(start));
  for (let found = next.shift(); found !== undefined; found = next.shift()) {
    const { start, snapshot, way } = found;
    for (const event of events) {
      if (!mayHappen(snapshot, event)) continue;
      const [after, actions] = transition(groupModeMachine, snapshot, event);
      const world = found.world.copy();
      world.hear(event.type);
      world.act(actions, `${situationOf(snapshot).leaf} × ${event.type}`);
      visit({ start, snapshot: after, world, way: [...way, event] });
    }
  }
  return known;
}

const told = ({ start, way, snapshot }: Found) =>
  `${situationOf(snapshot).leaf} from ${start}: ${way.map(({ type }) => type).join(' ')}`;

test('on every way the duties are those of the state, eras are durable, and dirt is kept', (t) => {
  let steps = 0;
  const all = walk([...facts, ...requests], starts, (found) => {
    steps++;
    const { snapshot, world } = found;
    if (world.wrong.length > 0) t.fail(`${world.wrong.join('; ')}: ${told(found)}`);
    const { leaf } = situationOf(snapshot);
    const shut = leaf.startsWith('backfresh.') || leaf === 'passthru.incoherent';
    if (world.doorShut && !shut) t.fail(`clients are kept out (Rule 30): ${told(found)}`);
    // While the record is being saved they are still those of before; and of an overflow the group
    // hears behind it, so only states that react to it can be compared.
    const late = found.way.some(({ type }) => type === 'driver.overflowed');
    if (late || snapshot.hasTag('as-before') || leaf === 'refresh.committing.clearing') return;
    const { append, mark } = world.duties;
    const wanted = [snapshot.hasTag('append'), snapshot.hasTag('mark')];
    if (append !== wanted[0] || mark !== wanted[1])
      t.fail(`append ${append}, mark ${mark}: ${told(found)}`);
  });
  t.log(`${all.size} states, ${steps} steps`);
  const reached = new Set<string>();
  for (const { snapshot } of all.values()) {
    const { leaf, link } = situationOf(snapshot);
    reached.add(leaf).add(`link ${link}`);
  }
  t.deepEqual(
    [...reached].toSorted(),
    [...modeLeaves, ...linkStates.map((link) => `link ${link}`)].toSorted(),
    'every mode, every part of a refresh and every state of the link is reachable',
  );

  const shortest = new Map<string, Found>();
  for (const found of all.values()) {
    const { leaf } = situationOf(found.snapshot);
    if (!shortest.has(leaf)) shortest.set(leaf, found);
  }
  for (const found of shortest.values()) {
    const actor = createActor(groupModeMachine, { input: inputOf(found.start) });
    actor.start();
    for (const event of found.way) {
      if (event.type.startsWith('xstate.')) actor.send({ ...event });
      else actor.send(event);
    }
    t.deepEqual(actor.getSnapshot().value, found.snapshot.value, told(found));
    actor.stop();
  }
});

test('a checkpoint is reachable in all its states, and changes no mode', (t) => {
  const all = walk(ofCheckpoint, ['normal'], (found) => {
    t.deepEqual(found.world.wrong, []);
    t.regex(situationOf(found.snapshot).leaf, /^(?:normal|tracking)/);
  });
  t.deepEqual(
    [
      ...new Set([...all.values()].map(({ snapshot }) => situationOf(snapshot).checkpoint)),
    ].toSorted(),
    [...checkpointLeaves].toSorted(),
  );
});
