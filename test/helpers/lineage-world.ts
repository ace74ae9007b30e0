/**
 * A little world for the lineage table: one primary and its mirror, two blocks each, with crashes, lost
 * links, reco, a checkpoint that was written to, backfresh, overrides, and disks that are rolled back.
 * A block holds a token; every write makes a new one. The world applies what decideLineage says, and
 * `Broken` says which promise an action has broken. Positions are exact: a lease that is ahead of what
 * was stamped hides a rollback within it, which no number of the handshake can show (Rule 8c).
 */

import { mapToldOf } from '../../src/core/engine/handshake.js';
import { decideLineage, type LineageDecision } from '../../src/core/lineage/decide.js';
import type { PrimarySide, SecondarySide } from '../../src/core/lineage/facts.js';
import {
  firstRecord,
  type GroupRecord,
  withCommit,
  withNewEra,
  withPast,
} from '../../src/core/pstore/record.js';

export const blockCount = 2;

interface Entry {
  readonly sequence: number;
  readonly block: number;
  readonly token: number;
}

interface Position {
  readonly era: string;
  readonly sequence: number;
}

export interface Primary {
  readonly record: GroupRecord;
  readonly blocks: readonly number[];
  readonly dirt: readonly boolean[];
  /** The era whose entries the BAB has or had last, with its numbers. */
  readonly bab:
    | {
        readonly era: string;
        readonly s0: number;
        readonly stamped: number;
        readonly released: number;
      }
    | undefined;
  readonly entries: readonly Entry[];
  readonly mode: 'passthru' | 'normal' | 'tracking';
  /** Every token this disk has ever held. */
  readonly seen: readonly number[];
}

export interface Mirror {
  readonly state: 'never' | 'coherent' | 'unknown' | 'incoherent';
  readonly position: Position | undefined;
  readonly durable: number;
  readonly base: Position | undefined;
  readonly history: readonly string[];
  readonly blocks: readonly number[];
  /** What a power cut may take back: blocks as they were before, oldest first. */
  readonly unflushed: readonly { readonly block: number; readonly before: number }[];
  readonly own: 'unknown' | readonly boolean[];
  readonly reco: boolean;
  /** Given up by an operator: written under a checkpoint that is off again (MD 27), or adopted. */
  readonly scrap: readonly number[];
}

export interface World {
  readonly a: Primary;
  readonly b: Mirror;
  /** Images of either disk, of an earlier moment. */
  readonly oldA: Primary | undefined;
  readonly oldB: Mirror | undefined;
  readonly tokens: number;
  readonly eras: number;
}

export type Order = PrimarySide['order'];

export class Broken extends Error {}

const none: readonly boolean[] = [false, false];

export function firstWorld(): World {
  const record = { ...firstRecord(0, 'e0', [], {}), map: 'continuous', lease: 0 } as const;
  const a: Primary = {
    record,
    blocks: [1, 2],
    dirt: [true, true],
    bab: undefined,
    entries: [],
    mode: 'tracking',
    seen: [1, 2],
  };
  const b: Mirror = {
    state: 'never',
    position: undefined,
    durable: 0,
    base: undefined,
    history: [],
    blocks: [0, 0],
    unflushed: [],
    own: none,
    reco: false,
    scrap: [],
  };
  return { a, b, oldA: undefined, oldB: undefined, tokens: 3, eras: 1 };
}

// The primary

function newEra(world: World, a: Primary): { a: Primary; world: World } {
  const era = `e${world.eras}`;
  const { bab } = a;
  let record = a.record;
  if (bab !== undefined && bab.era === record.era) {
    record = { ...record, sequence: bab.stamped, lease: bab.stamped, released: bab.released };
  } else record = { ...record, lease: record.sequence };
  record = { ...withNewEra(record, era), lease: 0 };
  return { a: { ...a, record }, world: { ...world, eras: world.eras + 1 } };
}

/** The driver appends in the era of the record from here on. */
function append(a: Primary): Primary {
  const { era } = a.record;
  return { ...a, mode: 'normal', bab: { era, s0: 1, stamped: 0, released: 0 }, entries: [] };
}

/** The BAB becomes marks (H11); how far its era came stays known. */
function clearBab(a: Primary): Primary {
  const dirt = a.dirt.map((bit, block) => bit || a.entries.some((entry) => entry.block === block));
  return { ...keepPast(a), dirt, entries: [], bab: undefined };
}

function keepPast(a: Primary): Primary {
  const { bab, record } = a;
  if (bab === undefined || bab.era === record.era) return a;
  const { era, released, stamped } = bab;
  return { ...a, record: { ...record, past: withPast(record.past, { era, released, stamped }) } };
}

export function writeA(world: World, block: number): World {
  let { a } = world;
  const token = world.tokens;
  let next: World = { ...world, tokens: token + 1 };
  if (a.mode === 'passthru' && a.record.map !== 'broken') {
    ({ a, world: next } = newEra(next, a));
    a = { ...a, record: { ...a.record, map: 'broken' } };
  }
  const blocks = a.blocks.with(block, token);
  const seen = [...a.seen, token];
  if (a.mode === 'normal') {
    const bab = { ...a.bab!, stamped: a.bab!.stamped + 1 };
    const entries = [...a.entries, { sequence: bab.stamped, block, token }];
    return { ...next, a: { ...a, blocks, seen, bab, entries } };
  }
  const dirt = a.mode === 'tracking' ? a.dirt.with(block, true) : a.dirt;
  return { ...next, a: { ...a, blocks, seen, dirt } };
}

export function overflow(world: World): World {
  const { a, world: next } = newEra(world, world.a);
  return { ...next, a: { ...a, mode: 'tracking' } };
}

/** tdmfd ends without a word and starts again: hot regions and the map are the dirt (H8, Rule 36). */
export function crashA(world: World): World {
  if (world.a.mode === 'passthru') return world;
  const { a, world: next } = newEra(world, world.a);
  return { ...next, a: { ...clearBab(a), mode: 'tracking' } };
}

export function passthru(world: World): World {
  const { a, world: next } = newEra(world, world.a);
  return { ...next, a: { ...clearBab(a), mode: 'passthru' } };
}

/** override state normal: the next connection may take the mirror as it is (row 11). */
export function overrideNormal(world: World): World {
  const { a, world: next } = newEra(world, clearBab(world.a));
  const record = { ...a.record, adopting: true, unverified: true };
  return { ...next, a: { ...append(a), record } };
}

/** The disk of the primary is what it was; whoever restored it starts what runs on it. */
export function rollBackA(world: World): World {
  return crashA({ ...world, a: world.oldA!, oldA: world.a });
}

// The mirror

export function powerCutB(world: World, torn: boolean): World {
  const { b } = world;
  const blocks = [...b.blocks];
  for (const { block, before } of b.unflushed.slice(torn ? 1 : 0).toReversed()) {
    blocks[block] = before;
  }
  const ahead = b.position !== undefined && b.position.sequence > b.durable;
  const position = b.position && { ...b.position, sequence: b.durable };
  const state = ahead && b.state !== 'unknown' ? 'incoherent' : b.state;
  return { ...world, b: { ...b, blocks, position, state, unflushed: [] } };
}

export function recoB(world: World): World {
  const { b } = world;
  const era = `e${world.eras}`;
  const history = [b.position!.era, ...b.history];
  const gone = { position: { era, sequence: 0 }, durable: 0, base: b.position, history };
  return {
    ...world,
    b: { ...b, ...gone, reco: true, unflushed: [] },
    eras: world.eras + 1,
  };
}

/** An application writes there: after reco, or under a checkpoint that is off again. */
export function writeB(world: World, block: number, tracked: boolean): World {
  const { b } = world;
  const blocks = b.blocks.with(block, world.tokens);
  const own = !tracked || b.own === 'unknown' ? 'unknown' : b.own.with(block, true);
  const state = b.reco ? b.state : 'unknown';
  const scrap = tracked && !b.reco ? [...b.scrap, world.tokens] : b.scrap;
  return { ...world, tokens: world.tokens + 1, b: { ...b, blocks, own, state, scrap } };
}

export function recoEnds(world: World): World {
  return { ...world, b: { ...world.b, reco: false } };
}

export function rollBackB(world: World): World {
  return { ...world, b: { ...world.oldB!, unflushed: [] }, oldB: world.b };
}

// A connection

export function decisionOf({ a, b }: World, order: Order): LineageDecision {
  return decideLineage(primarySideOf(a, order), secondarySideOf(b));
}

/**
 * One session: what the table says, carried out. `count` of the entries that are streamed arrive, and
 * the last of them are on disk or not; then the link breaks.
 */
export function connect(world: World, order: Order, count: number, flushed: boolean): World {
  const decision = decisionOf(world, order);
  const { action } = decision;
  const before = world.b.blocks;
  let next = world;
  if (action === 'resume' || decision.drain) next = stream(next, decision.from, count, flushed);
  const drained = decision.drain && next.a.entries.length > 0;
  if (!drained) next = carryOut(next, decision);
  if (action === 'era' && next.a.mode === 'normal') next = stream(next, 1, count, flushed);
  if (order === undefined && !world.a.record.unverified)
    judgeConsent(world, before, next.b, decision);
  judgeHonesty(next, decision);
  return next;
}

/**
 * The same, but the last word of the secondary is lost, and the primary dies: of a refresh it has begun
 * the era, of a stream it keeps what it had heard (R10).
 */
export function connectDeaf(world: World, order: Order): World {
  const after = connect(world, order, 99, true);
  const { action } = decisionOf(world, order);
  if (action === 'resume' || action === 'era') return { ...after, a: world.a };
  const attempt = newEra({ ...world, eras: world.eras }, clearBab(world.a));
  const { era } = attempt.a.record;
  if (after.b.position?.era !== era) return after;
  const bab = { era, s0: 1, stamped: 0, released: 0 };
  return crashA({ ...attempt.world, a: { ...attempt.a, bab, mode: 'tracking' }, b: after.b });
}

function carryOut(world: World, { action, union, adopt, row }: LineageDecision): World {
  switch (action) {
    case 'smart':
      return refreshed(world, row, (block) => {
        const { dirt, entries } = world.a;
        const theirs = world.b.own !== 'unknown' && world.b.own[block]!;
        const mine = dirt[block]! || entries.some((entry) => entry.block === block);
        return mine || (union && theirs);
      });
    case 'checksum':
    case 'refresh':
    case 'refresh-resume':
      return refreshed(world, row, () => true);
    case 'back':
      return broughtHome(world, row, union);
    case 'era':
      // In TRACKING an equal mirror is refreshed with whatever is in the map.
      if (world.a.mode !== 'normal') return refreshed(world, row, (block) => world.a.dirt[block]!);
      return handedOver(world, adopt);
    case 'resume':
    case 'wait':
    case 'refuse':
      return world;
  }
}

/** R1–R8 as one step. */
function refreshed(world: World, row: string, sends: (block: number) => boolean): World {
  const { a, world: next } = newEra(world, clearBab(world.a));
  const { b } = world;
  const blocks = b.blocks.map((token, block) => (sends(block) ? a.blocks[block]! : token));
  mustBeEqual(a.blocks, blocks, row);
  const position = { era: a.record.era, sequence: 0 };
  return {
    ...next,
    a: { ...append(a), record: committed(a.record, position), dirt: none },
    b: follows(b, position, blocks, 'coherent'),
  };
}

function committed(record: GroupRecord, position: Position): GroupRecord {
  return withCommit(record, position);
}

function follows(
  b: Mirror,
  position: Position,
  blocks: readonly number[],
  state: Mirror['state'],
): Mirror {
  const before = b.position === undefined ? [] : [b.position.era];
  const history = [...before, ...b.history].filter((era) => era !== position.era);
  const durable = position.sequence;
  return {
    ...b,
    state,
    position,
    durable,
    base: undefined,
    history,
    blocks,
    own: none,
    unflushed: [],
  };
}

function broughtHome(world: World, row: string, union: boolean): World {
  const cleared = clearBab(world.a);
  const { b } = world;
  const blocks = cleared.blocks.map((token, block) => {
    const theirs = b.own !== 'unknown' && b.own[block]!;
    return !union || cleared.dirt[block]! || theirs ? b.blocks[block]! : token;
  });
  mustBeEqual(blocks, b.blocks, row);
  const { a, world: next } = newEra(world, { ...cleared, blocks });
  const record = committed(a.record, b.position!);
  const seen = [...a.seen, ...blocks];
  const home = append({ ...a, record, seen, dirt: none });
  return handedOver({ ...next, a: home }, false);
}

function handedOver(world: World, adopt: boolean): World {
  const { a, b } = world;
  const { era, released } = a.bab!;
  const position = { era, sequence: released };
  const state = adopt ? 'unknown' : b.state;
  // From here on this is the point where both are equal. What came before names nothing any more: the
  // mirror may have changed at its old position without moving from it.
  const equal = adopt ? a.record : committed(a.record, position);
  const record = { ...equal, adopting: false };
  const own = adopt ? b.own : none;
  // Taken as it is, it is the operator's word that what is there may go.
  const scrap = adopt ? [...b.scrap, ...b.blocks] : b.scrap;
  return {
    ...world,
    a: { ...a, record },
    b: { ...follows({ ...b, scrap }, position, b.blocks, state), own },
  };
}

function stream(world: World, from: number, count: number, flushed: boolean): World {
  const { a, b } = world;
  const waiting = a.entries.filter((entry) => entry.sequence >= from);
  const sent = waiting.slice(0, count);
  let { blocks, unflushed } = b;
  for (const { block, token } of sent) {
    unflushed = [...unflushed, { block, before: blocks[block]! }];
    blocks = blocks.with(block, token);
  }
  const sequence = sent.at(-1)?.sequence ?? from - 1;
  const durable = flushed ? sequence : b.durable;
  // What closes a window is having everything that was ever sent; here all of it was.
  const closed = b.state === 'incoherent' && sent.length === waiting.length;
  const state = closed ? 'coherent' : b.state;
  const bab = { ...a.bab!, released: Math.max(a.bab!.released, durable) };
  const entries = a.entries.filter((entry) => entry.sequence > bab.released);
  return {
    ...world,
    a: keepPast({ ...a, bab, entries }),
    b: {
      ...b,
      blocks,
      state,
      position: { era: bab.era, sequence },
      durable,
      unflushed: flushed ? [] : unflushed,
    },
  };
}

// The promises

/** I19: nothing automatic overwrites data that exists only on the other side. */
function judgeConsent(
  { a, b: { scrap } }: World,
  before: readonly number[],
  b: Mirror,
  { row }: LineageDecision,
): void {
  for (const [block, token] of before.entries()) {
    if (b.blocks[block] === token || a.seen.includes(token) || token === 0) continue;
    if (scrap.includes(token)) continue;
    throw new Broken(`row ${row} overwrote what only the mirror had in block ${block} (I19)`);
  }
}

/** I5, I8: NORMAL and coherent, and nothing under way, means equal. */
function judgeHonesty({ a, b }: World, { row }: LineageDecision): void {
  if (a.mode !== 'normal' || b.state !== 'coherent') return;
  if (b.position?.era !== a.bab!.era || b.position.sequence !== a.bab!.stamped) return;
  mustBeEqual(a.blocks, b.blocks, row);
}

function mustBeEqual(left: readonly number[], right: readonly number[], row: string): void {
  if (left.every((token, block) => token === right[block])) return;
  throw new Broken(`row ${row} calls ${left.join()} and ${right.join()} equal (I5)`);
}

export function isNormal({ a, b }: World): boolean {
  const equal = a.blocks.every((token, block) => token === b.blocks[block]);
  return a.mode === 'normal' && b.state === 'coherent' && equal;
}

// The two sides of a handshake

function primarySideOf(a: Primary, order: Order): PrimarySide {
  const { record, bab, mode } = a;
  const numbers = bab ?? { era: record.era, s0: 1, stamped: 0, released: 0 };
  const { adopting, unverified } = record;
  const overridden = adopting || (unverified && mode === 'normal');
  const word = order ?? (overridden ? 'normal' : undefined);
  const kind = order === 'normal' ? undefined : order;
  return {
    nodeId: 'a',
    loopback: false,
    era: numbers.era,
    s0: numbers.s0,
    stamped: numbers.stamped,
    released: numbers.released,
    sentMax: numbers.stamped,
    lease: numbers.stamped,
    base: record.base,
    chain: record.chain,
    history: record.history,
    past: record.past,
    map: mapToldOf(record, word),
    dirty: a.dirt.some(Boolean) || mode === 'tracking',
    appending: mode === 'normal',
    refreshId: kind === undefined ? undefined : 'r',
    refreshKind: kind,
    running: false,
    order: word,
  };
}

function secondarySideOf(b: Mirror): SecondarySide {
  const known = b.own !== 'unknown' && b.own.some(Boolean);
  const changes = b.own === 'unknown' ? 'unknown' : known ? 'known' : 'none';
  return {
    protocol: 1,
    nodeId: 'b',
    state: b.state,
    refreshId: undefined,
    position: b.position,
    durable: b.position && { ...b.position, sequence: b.durable },
    base: b.base,
    history: b.history,
    checkpoint: 'off',
    own: { changes, bytes: 0, since: 0 },
  };
}

// Worlds that differ in nothing but names are one.

export function nameless(world: World): string {
  const tokens = new Map<number, number>();
  const eras = new Map<string, string>();
  const tokenName = (token: number) => {
    if (!tokens.has(token)) tokens.set(token, tokens.size);
    return tokens.get(token)!;
  };
  const live = new Set<number>();
  for (const one of [world.a, world.oldA]) {
    for (const token of one?.blocks ?? []) live.add(token);
    for (const { token } of one?.entries ?? []) live.add(token);
  }
  for (const one of [world.b, world.oldB]) {
    for (const token of one?.blocks ?? []) live.add(token);
    for (const { before } of one?.unflushed ?? []) live.add(before);
  }
  return JSON.stringify([world.a, world.b, world.oldA, world.oldB], (key, value: unknown) => {
    if (key === 'seen')
      return (value as number[])
        .filter((one) => live.has(one))
        .map(tokenName)
        .toSorted((one, other) => (one < other ? -1 : 1));
    if (key === 'blocks') return (value as number[]).map(tokenName);
    if (key === 'token' || key === 'before') return tokenName(value as number);
    if (typeof value === 'string' && /^e\d+$/.test(value)) {
      if (!eras.has(value)) eras.set(value, `x${eras.size}`);
      return eras.get(value);
    }
    return value;
  });
}
