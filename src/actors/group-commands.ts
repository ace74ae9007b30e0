/**
 * What a group says to its driver and its PMD, and which answer it waits for. Knows which era the
 * entries in the BAB belong to, and what of the sequence lease the driver may use: both are told
 * only after they are durable (Rules 8a, 8c). Decides nothing about modes.
 */

import { assert } from '../core/assert.js';
import { mapToldOf } from '../core/engine/handshake.js';
import type { GroupRecord, RecordedBackfresh } from '../core/pstore/record.js';
import type { ActorContext } from './actor.js';
import type {
  DriverMessage,
  EraHandOver,
  PmdMessage,
  PrimaryLineage,
  RefreshKind,
  WireDetails,
} from './messages.js';
import { Outbox } from './outbox.js';
import type { ChunkTunables } from './pmd-options.js';

/** Questions to the neighbours; each has at most one answer that counts, the newest. */
export type Question =
  | 'graced'
  | 'markedAll'
  | 'marked'
  | 'committed'
  | 'cleared'
  | 'dropped'
  | 'door'
  | 'marker';

export interface BabEra {
  readonly era: string;
  /** Number of its first entry. */
  readonly first: number;
}

export interface Neighbours {
  readonly driver: string;
  readonly pmd: string;
}

export class GroupCommands {
  readonly #driver: Outbox<DriverMessage>;
  readonly #pmd: Outbox<PmdMessage>;
  readonly #nodeId: string;
  readonly #expected = new Map<Question, number>();
  #nextToken = 1;
  #graceToken = 0;
  #appending = false;
  #babEra: BabEra | undefined;
  /** The era belongs to a phase b that the secondary has not committed. */
  #attempt = false;
  #dropping = false;
  #lease = 0;
  #lineage = '';
  constructor(context: ActorContext, neighbours: Neighbours, nodeId: string) {
    const { clock } = context;
    const guarded = (run: () => void) => context.guard(run);
    this.#driver = new Outbox(context.address<DriverMessage>(neighbours.driver), clock, guarded);
    this.#pmd = new Outbox(context.address<PmdMessage>(neighbours.pmd), clock, guarded);
    this.#nodeId = nodeId;
  }

  /** The era whose entries are in the BAB, or were last; undefined when there are none. */
  get babEra(): BabEra | undefined {
    return this.#babEra;
  }

  /** What is in the BAB is being forgotten, not drained: its cursors prove nothing (Rule 26). */
  get dropping(): boolean {
    return this.#dropping;
  }

  /** Whether this is the answer that is waited for; an older one is dropped. */
  answers(question: Question, token: number): boolean {
    if (this.#expected.get(question) !== token) return false;
    this.#expected.delete(question);
    if (question === 'dropped') {
      this.#babEra = undefined;
      this.#dropping = false;
    }
    return true;
  }

  useEra({ era, sequence, lease }: GroupRecord, attempt: boolean): void {
    assert(!this.#appending, 'the era changes while nothing is appended');
    this.#babEra = { era, first: sequence + 1 };
    this.#attempt = attempt;
    this.#lease = lease;
    this.#driver.tell({ type: 'driver.era', era, sequence: sequence + 1, lease });
  }

  /** After a restart of the actors: the driver has this era already, or the BAB still has it. */
  keepEra(era: BabEra, lease: number): void {
    this.#babEra = era;
    this.#lease = lease;
  }

  setDuties(append: boolean, mark: boolean): void {
    const token = this.#token('graced');
    if (append) this.#graceToken = token;
    this.#appending = append;
    this.#driver.tell({ type: 'driver.duties', append, mark, token });
  }

  markAll(compare: boolean): void {
    this.#driver.tell({ type: 'driver.markAll', compare, token: this.#token('markedAll') });
  }

  clearBab(): void {
    this.#driver.tell({ type: 'driver.clearBab', token: this.#token('cleared') });
  }

  shutDoor(): void {
    this.#driver.tell({ type: 'driver.door', open: false, token: this.#token('door') });
  }

  openDoor(): void {
    // An answer to a shut door that is still on its way says nothing any more.
    this.#driver.tell({ type: 'driver.door', open: true, token: this.#token('door') });
  }

  equal(): void {
    this.#driver.tell({ type: 'driver.equal', token: this.#token('committed') });
  }

  takeMarker(): void {
    this.#driver.tell({ type: 'driver.marker', token: this.#token('marker') });
  }

  takeMark(): void {
    this.#driver.tell({ type: 'driver.mark', token: this.#token('marked') });
  }

  commit(): void {
    const token = this.#token('committed');
    this.#driver.tell({ type: 'driver.commit', token, graceToken: this.#graceToken });
  }

  launch(nonce: string): void {
    this.#pmd.tell({ type: 'pmd.launch', nonce });
  }

  kill(): void {
    this.#pmd.tell({ type: 'pmd.kill' });
  }

  drop(): void {
    this.#dropping = true;
    this.#pmd.tell({ type: 'pmd.drop', token: this.#token('dropped') });
  }

  refresh(refreshId: string, kind: RefreshKind, union: boolean): void {
    this.#pmd.tell({ type: 'pmd.refresh', refreshId, kind, union });
  }

  phaseB(refreshId: string): void {
    assert(this.#babEra !== undefined && this.#attempt, 'phase b has an era of its own (R4)');
    const { era, first: s0 } = this.#babEra;
    this.#pmd.tell({ type: 'pmd.phaseB', refreshId, era, s0 });
  }

  mark(refreshId: string, mark: number): void {
    this.#pmd.tell({ type: 'pmd.mark', refreshId, mark });
  }

  /** The secondary has committed: what is in the BAB follows the commit, and stays. */
  committed(): void {
    this.#attempt = false;
  }

  abort(refreshId: string, again: boolean): void {
    if (this.#attempt) this.#babEra = undefined;
    this.#attempt = false;
    this.#pmd.tell({ type: 'pmd.abort', refreshId, again });
  }

  backfresh(refreshId: string, { compareAll, cursor }: RecordedBackfresh): void {
    this.#pmd.tell({ type: 'pmd.backfresh', refreshId, compareAll, cursor });
  }

  backfreshEnd(refreshId: string, handOver: EraHandOver | undefined): void {
    this.#pmd.tell({ type: 'pmd.backfreshEnd', refreshId, handOver });
  }

  checkpointOff(): void {
    this.#pmd.tell({ type: 'pmd.checkpointOff' });
  }

  refuseCheckpoint(on: boolean, code: string, details: WireDetails): void {
    this.#pmd.tell({ type: 'pmd.checkpointRefused', on, code, details });
  }

  /** I2, I3; depth 0 is async. */
  sync(depth: number, timeoutMs: number): void {
    this.#driver.tell({ type: 'driver.sync', depth, timeoutMs });
  }

  tuneLink(tunables: ChunkTunables): void {
    this.#pmd.tell({ type: 'pmd.tunables', ...tunables });
  }

  flush(): void {
    this.#pmd.tell({ type: 'pmd.flush' });
  }

  /** A longer lease became durable; it may be used now. */
  leaseSaved(durable: GroupRecord): void {
    if (durable.era !== this.#babEra?.era || durable.lease <= this.#lease) return;
    this.#lease = durable.lease;
    this.#driver.tell({ type: 'driver.lease', lease: durable.lease });
  }

  /** Tells the PMD what a handshake may say, when that has changed: only what is durable. */
  tellLineage(durable: GroupRecord): void {
    const lineage = this.#lineageOf(durable);
    const text = JSON.stringify(lineage);
    if (text === this.#lineage) return;
    this.#lineage = text;
    this.#pmd.tell({ type: 'pmd.lineage', lineage });
  }

  /** There is room in a mailbox again. */
  writable(): void {
    this.#driver.flush();
    this.#pmd.flush();
  }

  close(): void {
    this.#driver.close();
    this.#pmd.close();
  }

  /** The era is that of the entries in the BAB as long as there may be any: they are drained. */
  #lineageOf(durable: GroupRecord): PrimaryLineage {
    const bab = this.#babEra;
    return {
      nodeId: this.#nodeId,
      era: bab?.era ?? durable.era,
      s0: bab?.first ?? durable.sequence + 1,
      lease: bab === undefined ? durable.lease : this.#lease,
      base: durable.base,
      chain: durable.chain,
      history: durable.history,
      map: mapToldOf(durable, orderOf(durable)),
      dirty: durable.mapAll || durable.mode === 'tracking',
      appending: this.#appending,
      past: durable.past,
      refreshId: durable.refresh?.id,
      refreshKind: durable.refresh?.kind,
      order: orderOf(durable),
    };
  }

  #token(question: Question): number {
    const token = this.#nextToken++;
    this.#expected.set(question, token);
    return token;
  }
}

function orderOf(record: GroupRecord): PrimaryLineage['order'] {
  const { refresh, adopting, unverified, mode } = record;
  if (refresh?.ordered === true) return refresh.kind;
  // Also after it was taken: nobody has proven this mirror, and only that word lets it follow.
  return adopting || (unverified && mode === 'normal') ? 'normal' : undefined;
}
