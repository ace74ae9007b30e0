/**
 * Entries of an era, in sequence order, to where they belong now: straight to the mirror, or to the
 * tail of the chain, while that is on its way to the mirror, under a checkpoint, or because entries
 * shall be journaled first. It begins with `resume`, with `era`, and after a commit, and hears when the
 * chain is over. A checkpoint's marker is found here, and stops the stream until it is effective.
 */
import { getU16 } from '../core/bytes.js';
import { wireEntryBytes } from '../core/constants.js';
import type { Standing } from '../core/journal/recovery.js';
import { historyMax } from '../core/meta.js';
import { entryLayout } from '../core/wire/entry.js';
import {
  type EraHandOver,
  entryFlags,
  type Resume,
  type WirePosition,
} from '../core/wire/messages.js';
import type { MirrorCore } from './mirror-core.js';
import { broken, gap } from './mirror-errors.js';

const flagsAt = entryLayout.at.flags;

export class MirrorStream {
  /** Last sequence taken, wherever it is now; it never goes back (docs/link-session.md). */
  received = 0;
  readonly #core: MirrorCore;
  /** Frames that the journal gave back: the mirror takes them before anything else. */
  #returned: number[] = [];

  constructor(core: MirrorCore) {
    this.#core = core;
    core.onDrained = (position, frames) => {
      core.beginDirect(position, position.sequence);
      this.#returned = [...frames];
      this.#takeReturned();
    };
  }

  /** Says where to go on (Rules 7a, 8b, 7b). @throws TDMF_LINK_PROTOCOL */
  async resume(message: Resume, standing: Standing): Promise<void> {
    const core = this.#core;
    const { record, chain } = core;
    const { hello, events } = core.options;
    const { era, refreshId, state } = record.record;
    const { position, durable, rewound } = standing;
    const fits =
      position !== undefined &&
      durable !== undefined &&
      era === message.era &&
      refreshId === '' &&
      message.from === position + 1;
    if (!fits) throw broken(`resume of ${message.era} from ${message.from} does not fit`);
    const sent = hello.era === era ? hello.sentMax : 0;
    const ahead = rewound || state === 'incoherent';
    const reach = Math.max(message.sentMax, ahead ? Math.max(record.record.reach, sent) : 0);
    const window = chain.empty && reach > position;
    const whole = state === 'coherent' || state === 'incoherent' ? 'coherent' : state;
    const now = window ? 'incoherent' : whole;
    // Blocks that an unfinished refresh compared were compared with a mirror that goes on now.
    await core.claim({ reach: window ? reach : 0, state: now, image: undefined });
    if (now !== standing.state) events.stateChanged(now);
    await core.settle();
    await this.#begin({ era, sequence: position }, durable);
  }

  /** The mirror goes on in another era (Rule 8b). @throws TDMF_LINK_PROTOCOL */
  async handOver(message: EraHandOver, standing: Standing): Promise<void> {
    const core = this.#core;
    const { record, chain } = core;
    const { era: before, history, state } = record.record;
    const { from, era, s0, adopt } = message;
    const exact =
      from !== undefined &&
      before === from.era &&
      standing.position === from.sequence &&
      !standing.rewound &&
      (state === 'coherent' || state === 'recoverable');
    if (!exact && !adopt) throw broken(`the mirror does not stand at ${from?.sequence}`);
    await core.settle();
    if (chain.tail !== undefined) {
      const error = await core.flushTail();
      if (error !== undefined) throw error;
      await chain.closeTail();
    }
    const known = adopt && !exact ? ({ state: 'unknown' } as const) : {};
    const eras = before === undefined || before === era ? history : [before, ...history];
    await core.claim({
      ...known,
      era,
      durable: s0 - 1,
      base: { era, sequence: s0 - 1 },
      history: eras.slice(0, historyMax),
      refreshId: '',
      reach: 0,
      image: undefined,
    });
    if (adopt && !exact && state !== 'unknown') core.options.events.stateChanged('unknown');
    await this.#begin({ era, sequence: s0 - 1 }, s0 - 1);
  }

  /** After a commit: the tail of the chain is the refresh's own journal. */
  adopted(era: string, durable: number): void {
    this.#core.era = era;
    // Entries behind the mark may be durable already: what was acknowledged never goes back.
    this.#core.durable = Math.max(this.#core.durable, durable);
    this.#core.direct = false;
    this.received = this.#core.chain.tail!.received;
  }

  /**
   * Takes a validated frame of entries, with the caller's hold. False: no room now. A number: the
   * sequence of a checkpoint's marker that must be effective before the rest (`takeRest`).
   */
  take(frame: number, first: number, last: number): boolean | number {
    const core = this.#core;
    if (core.held || !this.#takeReturned()) return false;
    if (first !== this.received + 1) throw gap(first, this.received);
    const marker = core.checkpointed ? 0 : this.#markerOf(frame, first, last);
    if (core.direct) {
      const { entries } = core;
      const { ring } = core.options;
      if (entries!.apply.room < last - first + 1) return false;
      const upTo = marker > 0 ? marker - 1 : last;
      const problem = entries!.accept(frame, upTo);
      if (problem !== undefined) throw broken(problem, first);
      this.received = upTo;
      entries!.pump();
      if (marker > 0) return marker;
      ring.release(frame);
      return true;
    }
    // The chain must be over before a checkpoint begins: it ends while nothing more is taken.
    if (marker > 0) {
      this.#core.applier.keep = false;
      this.#core.applier.notify();
      return false;
    }
    core.chain.tail!.append(frame, last);
    this.received = last;
    return true;
  }

  /** The marker is effective: what follows it in its frame goes to the journal. */
  takeRest(frame: number, marker: number, last: number): void {
    const { chain, options, direct, entries } = this.#core;
    this.received = last;
    if (last > marker && !direct) {
      chain.tail!.append(frame, last);
      return;
    }
    // It became no checkpoint: the rest goes where what was before it went.
    if (last > marker) entries!.accept(frame, last);
    options.ring.release(frame);
    entries?.pump();
  }

  get applied(): number {
    const { direct, entries, durable } = this.#core;
    return direct ? Math.max(entries!.apply.applied, durable) : durable;
  }

  close(): void {
    for (const frame of this.#returned.splice(0)) this.#core.options.ring.release(frame);
  }

  async #begin(position: WirePosition, durable: number): Promise<void> {
    const core = this.#core;
    this.received = position.sequence;
    if (core.chain.empty && !core.checkpointed && !core.writeAhead) {
      core.beginDirect(position, durable);
      return;
    }
    await core.chain.openTail(core.checkpointed ? 'p' : 'c', position);
    core.beginJournal(position);
    if (!core.checkpointed) core.tell('writeAhead.begun');
    core.startApplier();
  }

  /** True when none is left. */
  #takeReturned(): boolean {
    const { ring } = this.#core.options;
    while (this.#returned.length > 0) {
      const { entries } = this.#core;
      const frame = this.#returned[0]!;
      if (entries!.apply.room < ring.entriesOf(frame)) return false;
      const problem = entries!.accept(frame, Number.MAX_SAFE_INTEGER);
      if (problem !== undefined) throw broken(problem);
      ring.release(frame);
      this.#returned.shift();
      entries!.pump();
    }
    return true;
  }

  /** Sequence of the first marker in the frame, or 0. */
  #markerOf(frame: number, first: number, last: number): number {
    const { ring, memory } = this.#core.options;
    let at = ring.tableOf(frame) + flagsAt;
    for (let sequence = first; sequence <= last; sequence += 1, at += wireEntryBytes) {
      if (getU16(memory.bytes, at) & entryFlags.checkpoint) return sequence;
    }
    return 0;
  }
}
