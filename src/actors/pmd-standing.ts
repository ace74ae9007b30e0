/**
 * Where the two sides stand: what the record of the primary says, what the secondary said in its
 * welcome and what has become of the mirror in this session since, and what the lineage table makes of
 * both (core/lineage). No message is sent here, and nothing is decided that the table does not say (I8).
 */
import type { BabReader } from '../core/bab/reader.js';
import type { DeviceMap } from '../core/bitmap/device-map.js';
import { type OpenRefresh, primarySide } from '../core/engine/handshake.js';
import type { ErrorDetails } from '../core/errors.js';
import { decideLineage, type LineageDecision } from '../core/lineage/decide.js';
import type { PrimarySide } from '../core/lineage/facts.js';
import type { OwnChanges, Welcome } from '../core/wire/messages.js';
import { bytesInWords, timeInWords } from '../core/words.js';
import type { EntrySender } from './entry-sender.js';
import type { Divergence, Position, PrimaryLineage, RefreshKind } from './messages.js';

/** The refresh that is carried out. */
export interface RunningRefresh {
  readonly refreshId: string;
  readonly kind: RefreshKind;
}

export class PmdStanding {
  lineage: PrimaryLineage | undefined;
  /** What the secondary said, and what is known to have changed since. */
  welcome: Welcome | undefined;
  /** What the table said last of this session; undefined while it is not admitted. */
  decision: LineageDecision | undefined;
  /** A refresh that was committed; the lineage goes on naming it until the group has recorded that. */
  committedId: string | undefined;
  readonly #entries: EntrySender;
  readonly #reader: BabReader;
  readonly #maps: readonly DeviceMap[];
  readonly #loopback: boolean;

  constructor(
    entries: EntrySender,
    reader: BabReader,
    maps: readonly DeviceMap[],
    loopback: boolean,
  ) {
    this.#entries = entries;
    this.#reader = reader;
    this.#maps = maps;
    this.#loopback = loopback;
  }

  /** What the primary says of itself. */
  side(run: RunningRefresh | undefined): PrimarySide {
    const bab = this.#entries.babSide();
    return primarySide(this.lineage!, bab, this.#loopback, this.#openRefresh(run));
  }

  judge(run: RunningRefresh | undefined): LineageDecision {
    this.decision = decideLineage(this.side(run), this.#mirrorNow());
    return this.decision;
  }

  /** Whether the table allows a refresh of this kind; it may do more than is needed. */
  permits(kind: RefreshKind): boolean {
    const { decision } = this;
    if (decision === undefined) return false;
    switch (decision.action) {
      case 'refresh':
        return kind === 'full';
      case 'refresh-resume':
        return true;
      case 'resume':
      case 'era':
        // What others wrote there is asked about first: the table may say more than our map.
        return kind !== 'full' && !decision.drain && !this.#foreign;
      case 'smart':
        return kind !== 'full' && !decision.drain;
      case 'checksum':
        return kind === 'checksum' && !decision.drain;
      case 'back':
      case 'wait':
      case 'refuse':
        return false;
    }
  }

  /** Where the mirror is by now, for an offer to go on from there (Rule 8b). */
  get position(): Position | undefined {
    return this.#mirrorNow().position;
  }

  /** The stream of entries ends: what the mirror has of it stays. */
  streamEnds(): void {
    if (this.welcome !== undefined) this.welcome = this.#mirrorNow();
    this.#entries.drain.end();
  }

  /** A refresh was committed: nothing but our history is on the mirror (R8). */
  committed(refreshId: string, position: Position): void {
    this.committedId = refreshId;
    this.#follows();
    this.#became({ state: 'coherent', position, durable: position, own: nothing });
  }

  eraTaken(era: string, s0: number, adopted: boolean): void {
    const position = { era, sequence: s0 - 1 };
    this.#follows();
    if (adopted) this.#became({ state: 'unknown', position, durable: position });
    else this.#became({ position, durable: position, own: nothing });
  }

  stateChanged(state: Welcome['state']): void {
    this.#became({ state });
  }

  checkpointChanged(checkpoint: Welcome['checkpoint']): void {
    this.#became({ checkpoint });
  }

  sessionEnded(): void {
    this.welcome = undefined;
    this.decision = undefined;
  }

  /** What both sides have that the other has not, for whoever must decide. */
  get divergence(): Divergence {
    const { changes, bytes, since } = this.welcome!.own;
    const marked = this.#maps.reduce((sum, map) => sum + map.dirtyBytes, 0);
    return {
      hereBytes: marked + this.#reader.control.snapshot().bytes,
      thereBytes: changes === 'unknown' ? null : bytes,
      since,
    };
  }

  /** Others wrote to the mirror, or nobody has verified it. */
  get #foreign(): boolean {
    const { own, state } = this.welcome!;
    return own.changes !== 'none' || state === 'unknown';
  }

  /** As row 5 says of a mirror that takes what comes next. */
  #follows(): void {
    const { decision } = this;
    if (decision === undefined) return;
    this.decision = { ...decision, row: '5', action: 'resume', drain: false, union: false };
  }

  #became(change: Partial<Welcome>): void {
    if (this.welcome !== undefined) this.welcome = { ...this.welcome, ...change };
  }

  #mirrorNow(): Welcome {
    const welcome = this.welcome!;
    const { era, applied, durable } = this.#entries.drain;
    if (era === undefined) return welcome;
    const position = { era, sequence: Math.max(applied, durable) };
    return { ...welcome, position, durable: { era, sequence: durable } };
  }

  #openRefresh(run: RunningRefresh | undefined): OpenRefresh {
    const { refreshId, refreshKind, order } = this.lineage!;
    if (run !== undefined) {
      // Only an operator begins a full one.
      const own = run.kind === 'full' ? 'full' : undefined;
      const ordered = refreshId === run.refreshId ? order : own;
      return { refreshId: run.refreshId, refreshKind: run.kind, order: ordered, running: true };
    }
    if (refreshId === undefined || refreshId !== this.committedId) {
      return { refreshId, refreshKind, order, running: false };
    }
    return { refreshId: undefined, refreshKind: undefined, order: undefined, running: false };
  }
}

const nothing: OwnChanges = { changes: 'none', bytes: 0, since: 0 };

/** The same, as the holes of an error's message. */
export function divergenceInWords({ hereBytes, thereBytes, since }: Divergence): ErrorDetails {
  const amount = thereBytes === null ? 'nobody knows how much' : bytesInWords(thereBytes);
  const when = since === 0 ? '' : ` since ${timeInWords(since)}`;
  return { here: bytesInWords(hereBytes), there: `${amount}${when}` };
}
