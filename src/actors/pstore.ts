/**
 * Owns the pstore, the one place of the host that remembers groups over a crash (I6). Groups ask;
 * a save is answered only when it is durable, and all saves that wait share one flush. Keeps: the
 * record before a save stays whole until the save is acknowledged, a failed write or flush
 * acknowledges nothing (H21), and an acknowledged record that cannot be read is damage, never an
 * excuse for an older one (H28). Bytes and recovery: core/pstore, docs/pstore.md.
 */
import { assert } from '../core/assert.js';
import type { Crc32c } from '../core/checksum.js';
import { TdmfError } from '../core/errors.js';
import { decodeGroupRecord, encodeGroupRecord, parseGroupRecord } from '../core/pstore/codec.js';
import {
  ackAt,
  copyAt,
  copyOf,
  pstorePageBytes,
  recordCopyBytes,
  slotAt,
  slotBytes,
} from '../core/pstore/layout.js';
import type { GroupRecord } from '../core/pstore/record.js';
import { recoverSlot } from '../core/pstore/recovery.js';
import {
  decodeAck,
  decodeCopy,
  encodeAck,
  encodeCopy,
  type RecordCopy,
} from '../core/pstore/slot.js';
import { decodeSlotPayload, encodeSlotPayload } from '../core/pstore/slot-payload.js';
import type { Superblock } from '../core/pstore/superblock.js';
import type { Actor, ActorContext } from './actor.js';
import { DeviceCalls } from './device-calls.js';
import type { HeatChanges, HeatOpen, HeatQuestion } from './heat-messages.js';
import { checksumOf, type PstorePlace, pstoreFailed, readSuperblock } from './pstore-format.js';
import { type HeatSlot, PstoreHeat } from './pstore-heat.js';

export type PstoreQuestion =
  | { readonly kind: 'pstore.load'; readonly group: number }
  | { readonly kind: 'pstore.save'; readonly record: GroupRecord }
  | { readonly kind: 'pstore.remove'; readonly group: number }
  | { readonly kind: 'pstore.list' }
  | { readonly kind: 'pstore.node' }
  | HeatOpen
  | HeatChanges
  | HeatQuestion;

export interface PstoreList {
  readonly groups: readonly number[];
  readonly slots: number;
  /** Sentences about slots that cannot be read. */
  readonly damage: readonly string[];
}

interface Slot extends HeatSlot {
  /** Of the newest acknowledged copy. */
  sequence: number;
  record: GroupRecord | undefined;
}

interface Written {
  readonly save: Save;
  readonly slot: Slot;
  readonly sequence: number;
}

interface Damage {
  readonly group: number | undefined;
  readonly what: string;
}

interface Save {
  readonly group: number;
  /** Undefined removes the group. */
  readonly record: GroupRecord | undefined;
  readonly done: (() => void)[];
  readonly failed: ((error: TdmfError) => void)[];
}

/** @throws TDMF_PSTORE_DAMAGED, TDMF_PSTORE_VERSION, TDMF_PSTORE_FAILED; the device stays open */
export async function startPstore(
  context: ActorContext,
  place: PstorePlace,
): Promise<Actor<never>> {
  const calls = new DeviceCalls(place.device, place.opener);
  const superblock = await readSuperblock(calls, checksumOf(place.opener.digest));
  const pstore = new Pstore(context, place, calls, superblock);
  await pstore.load();
  return pstore;
}

class Pstore implements Actor<never> {
  readonly #context: ActorContext;
  readonly #place: PstorePlace;
  readonly #calls: DeviceCalls;
  readonly #superblock: Superblock;
  readonly #crc32c: Crc32c;
  readonly #groups = new Map<number, Slot>();
  #free: Slot[] = [];
  readonly #damage: Damage[] = [];
  /** Waiting for the next flush, at most one per group: a later save replaces an earlier one. */
  #queue = new Map<number, Save>();
  readonly #heat: PstoreHeat;
  #writing: Promise<void> | undefined;
  /** The flush that is under way, and what leads to it. */
  #round: Promise<void> | undefined;

  constructor(
    context: ActorContext,
    place: PstorePlace,
    calls: DeviceCalls,
    superblock: Superblock,
  ) {
    this.#context = context;
    this.#place = place;
    this.#calls = calls;
    this.#superblock = superblock;
    this.#crc32c = checksumOf(place.opener.digest);
    this.#heat = new PstoreHeat(place, calls, superblock, this.#crc32c, this.#groups);
  }

  receive(): void {
    assert(false, 'the pstore is asked, never told');
  }

  async ask(question: unknown): Promise<unknown> {
    const asked = question as PstoreQuestion;
    switch (asked.kind) {
      case 'pstore.load':
        return this.#recordOf(asked.group);
      case 'pstore.save': {
        const record = parseGroupRecord(asked.record);
        assert(record !== undefined, 'what is saved is a group record');
        return this.#save(record.group, record);
      }
      case 'pstore.remove':
        return this.#groups.has(asked.group) ? this.#save(asked.group, undefined) : undefined;
      case 'pstore.list':
        return this.#list();
      case 'pstore.node':
        return { nodeId: this.#superblock.nodeId, sequence: this.#superblock.sequence };
      case 'pstore.heat.open': {
        const answer = this.#heat.open(asked);
        // What the driver before it has on the way counts, or does not, when this is answered.
        if (this.#round === undefined) return answer;
        await this.#round;
        return this.#heat.open(asked);
      }
      case 'pstore.heat.change': {
        const changed = this.#heat.change(asked);
        this.#start();
        return changed;
      }
      case 'pstore.dirt':
        return this.#heat.dirtOf(asked.group, asked.devices);
      default:
        throw new TdmfError('TDMF_INTERNAL', {
          what: `the pstore was asked ${describe(question)}`,
        });
    }
  }

  async stop(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
    // Makes the last ack pages durable. Nothing depends on it; a failure was told with the saves.
    await this.#calls.flush();
    await this.#place.device.close();
  }

  async load(): Promise<void> {
    const { path } = this.#place.device;
    for (let slot = 0; slot < this.#superblock.slots; slot += 1) {
      const bytes = await this.#calls.read(slotAt(slot), slotBytes);
      if (typeof bytes === 'number') throw pstoreFailed(path, bytes);
      this.#loadSlot(slot, bytes);
    }
    await this.#heat.load();
    for (const what of this.#heat.damage) this.#damage.push({ group: noGroup, what });
    for (const { what } of this.#damage) {
      this.#context.log.write('error', `the pstore is damaged: ${what}`, { path });
    }
  }

  #loadSlot(slot: number, found: Uint8Array): void {
    // A file that was grown but not written is short: what is missing reads as blank.
    const bytes = new Uint8Array(slotBytes);
    bytes.set(found);
    const crc32c = this.#crc32c;
    const place = { nodeId: this.#superblock.nodeId, slot };
    const copies = [0, 1].map((copy) =>
      decodeCopy(
        bytes.subarray(copy * recordCopyBytes, (copy + 1) * recordCopyBytes),
        place,
        copy,
        crc32c,
      ),
    );
    for (const copy of copies) {
      if (copy.state !== 'newer') continue;
      const { path } = this.#place.device;
      throw new TdmfError('TDMF_PSTORE_VERSION', { path, version: copy.version });
    }
    const acknowledged = decodeAck(bytes.subarray(slotBytes - pstorePageBytes), place, crc32c);
    const state = recoverSlot(copies[0]!, copies[1]!, acknowledged);
    if (state.decision === 'damaged') this.#addDamage(slot, state.group, state.row);
    else if (state.decision === 'free') this.#free.push(newSlot(slot, 0));
    else this.#loadCopy(slot, state.newest);
  }

  #loadCopy(slot: number, copy: RecordCopy): void {
    const { group, sequence } = copy;
    if (copy.kind === 'removed') {
      this.#free.push(newSlot(slot, sequence));
      return;
    }
    const payload = decodeSlotPayload(copy.payload);
    const record = payload && decodeGroupRecord(payload.record);
    if (record === undefined || record.group !== group) {
      this.#addDamage(slot, group, 'the record is not as described');
    } else if (this.#groups.has(group) || this.#damage.some((damage) => damage.group === group)) {
      // Rule 54b: two records that both claim a group, and nobody knows which one was used last.
      this.#groups.delete(group);
      this.#addDamage(slot, group, 'two slots claim this group');
    } else {
      const { extents } = payload!;
      this.#groups.set(group, { slot, sequence, record, extents, extentsSaved: true });
    }
  }

  #addDamage(slot: number, group: number | undefined, why: string): void {
    const whose = group === undefined ? 'of an unknown group' : `of group ${group}`;
    this.#damage.push({ group, what: `slot ${slot} ${whose}: ${why}` });
  }

  /** A slot that cannot be told whose it is may be this group's: then "never stored" is a guess. */
  #recordOf(group: number): GroupRecord | undefined {
    const slot = this.#groups.get(group);
    const damage = this.#damage.find(
      (one) => one.group === group || (one.group === undefined && slot === undefined),
    );
    if (damage !== undefined) {
      const { path } = this.#place.device;
      throw new TdmfError('TDMF_PSTORE_DAMAGED', { path, what: damage.what });
    }
    return slot?.record;
  }

  #list(): PstoreList {
    return {
      groups: [...this.#groups]
        .flatMap(([group, { record }]) => (record === undefined ? [] : [group]))
        .toSorted((a, b) => a - b),
      slots: this.#superblock.slots,
      damage: this.#damage.map(({ what }) => what),
    };
  }

  #save(group: number, record: GroupRecord | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const before = this.#queue.get(group);
      const done = [...(before?.done ?? []), resolve];
      this.#queue.set(group, { group, record, done, failed: [...(before?.failed ?? []), reject] });
      this.#start();
    });
  }

  #start(): void {
    this.#writing ??= this.#write().catch((error: unknown) => this.#context.fail(error));
  }

  async #write(): Promise<void> {
    // Let the others of this turn join: they share the flush.
    const { clock } = this.#context;
    await new Promise<void>((resolve) => clock.endOfTurn(resolve));
    while (this.#queue.size > 0 || this.#heat.waits) {
      const saves = this.#queue;
      this.#queue = new Map();
      this.#round = this.#writeTogether(saves);
      await this.#round;
    }
    this.#round = undefined;
    this.#writing = undefined;
  }

  /** Records and heat of all groups that wait, made durable by one flush. */
  async #writeTogether(saves: Map<number, Save>): Promise<void> {
    const { path } = this.#place.device;
    const heat = await this.#heat.write();
    for (const group of heat.moved) {
      // The slot says where the images lie; it is saved as it is when nobody asked for it.
      const { record } = this.#groups.get(group)!;
      if (!saves.has(group)) saves.set(group, { group, record, done: [], failed: [] });
    }
    const written: Written[] = [];
    await Promise.all([...saves.values()].map((save) => this.#writeSave(save, written)));
    const refused = new Set([...heat.moved].filter((group) => !has(written, group)));
    const wrote = written.length > 0 || heat.result > 0;
    const flushed = wrote ? await this.#calls.flush() : 0;
    this.#heat.settle(heat.result < 0 ? heat.result : flushed, refused);
    if (flushed < 0) {
      for (const { save } of written) fail(save, pstoreFailed(path, flushed));
      return;
    }
    for (const { save, slot, sequence } of written) {
      slot.sequence = sequence;
      slot.record = save.record;
      slot.extentsSaved = true;
      if (save.record === undefined) {
        this.#heat.remove(save.group);
        this.#groups.delete(save.group);
        this.#free.push(newSlot(slot.slot, sequence));
      }
      for (const done of save.done) done();
    }
    if (wrote) await this.#acknowledge(written, heat.result > 0);
  }

  async #writeSave(save: Save, written: Written[]): Promise<void> {
    const { path } = this.#place.device;
    const slot = this.#groups.get(save.group) ?? this.#free.pop();
    if (slot === undefined) {
      fail(save, new TdmfError('TDMF_PSTORE_FULL', { path }));
      return;
    }
    // The slot is the group's from now on, even if this write fails: its idle copy is touched.
    this.#groups.set(save.group, slot);
    const sequence = slot.sequence + 1;
    const bytes = this.#encode(save, slot, sequence);
    const result = await this.#calls.write(bytes, copyAt(slot.slot, copyOf(sequence)));
    if (result < 0) fail(save, pstoreFailed(path, result));
    else written.push({ save, slot, sequence });
  }

  #encode(save: Save, { slot, extents }: Slot, sequence: number): Uint8Array {
    const { nodeId } = this.#superblock;
    const { record } = save;
    const payload =
      record === undefined
        ? new Uint8Array(0)
        : encodeSlotPayload({ record: encodeGroupRecord(record), extents });
    const kind = record === undefined ? 'removed' : 'record';
    const savedAt = this.#context.clock.wallNow();
    const copy: RecordCopy = { kind, group: save.group, sequence, savedAt, payload };
    return encodeCopy({ nodeId, slot }, copy, this.#crc32c);
  }

  /** Says on disk, after the fact, that these saves were durable; the next flush takes it along. */
  async #acknowledge(written: readonly Written[], heat: boolean): Promise<void> {
    const { nodeId } = this.#superblock;
    const crc32c = this.#crc32c;
    const results = await Promise.all([
      ...(heat ? [this.#heat.acknowledge()] : []),
      ...written.map(({ slot: { slot }, sequence }) =>
        this.#calls.write(encodeAck({ nodeId, slot }, sequence, crc32c), ackAt(slot)),
      ),
    ]);
    if (results.every((result) => result >= 0)) return;
    // Only the telling of torn from rotten suffers; the records themselves are durable.
    const { path } = this.#place.device;
    this.#context.log.write('warn', 'an acknowledgement could not be noted in the pstore', {
      path,
    });
  }
}

/** Damage that bars no group: what it concerns is treated as if it may all differ. */
const noGroup = -1;

function newSlot(slot: number, sequence: number): Slot {
  return { slot, sequence, record: undefined, extents: [], extentsSaved: true };
}

function has(written: readonly Written[], group: number): boolean {
  return written.some(({ save }) => save.group === group);
}

function describe(question: unknown): string {
  return JSON.stringify(question).slice(0, 100);
}

function fail(save: Save, error: TdmfError): void {
  for (const failed of save.failed) failed(error);
}
