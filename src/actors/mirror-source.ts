/**
 * The mirror as the source of a backfresh (Rule 30): its journal is on it, it is flushed, and for as long
 * as this lasts nothing writes to it. The primary sends hashes of what it has; blocks that differ go back
 * as BLOCKS, right behind the answer. It ends with `era`, or with the session.
 */
import { babEntryPayloadMax, mapBlockBytes, wireEntryBytes } from '../core/constants.js';
import { TdmfError } from '../core/errors.js';
import { encodeEntry } from '../core/wire/entry.js';
import type { BackfreshBegin, Differs, Hashes } from '../core/wire/messages.js';
import type { ArenaMemory } from '../ports/block-device.js';
import { MirrorCompare } from './mirror-compare.js';
import type { MirrorCore } from './mirror-core.js';
import { dirtOf, type FoundChanges } from './own-changes.js';

/** Sends a frame of `count` blocks; resolves when there is room for another. */
export type SendBlocks = (payload: Uint8Array, count: number) => Promise<void>;

export class MirrorSource {
  readonly #core: MirrorCore;
  readonly #compare: MirrorCompare;
  readonly #send: SendBlocks;
  /** Running number of the last record sent, from 1. */
  #sent = 0;
  /** Answers leave one after the other, each with its blocks right behind it. */
  #order: Promise<void> = Promise.resolve();

  private constructor(core: MirrorCore, send: SendBlocks) {
    this.#core = core;
    this.#send = send;
    this.#compare = new MirrorCompare(core, () => undefined);
  }

  /**
   * The chain is on the mirror and the mirror is flushed. `kept`: it is what it was in the last session of
   * this backfresh. @throws TDMF_CHECKPOINT_ON
   */
  static async begin(
    core: MirrorCore,
    message: BackfreshBegin,
    own: FoundChanges,
    send: SendBlocks,
  ): Promise<{ readonly source: MirrorSource; readonly kept: boolean }> {
    const { record, options, context } = core;
    const before = record.record;
    if (before.checkpoint !== 'off') throw new TdmfError('TDMF_CHECKPOINT_ON');
    await core.flushMirrors();
    const { files } = context.ports;
    const paths = core.mirror!.devices.map(({ path }) => path);
    const marks = await Promise.all(paths.map((path) => files.writeMark(path)));
    const { refreshId: backfreshId } = message;
    const kept =
      before.backfreshId === backfreshId &&
      marks.every((mark, index) => mark !== '' && mark === before.mirrors[index]?.writeMark);
    // Nothing of this side writes until the record says another thing.
    const mirrors = record.mirrors.map((one, index) => ({ ...one, writeMark: marks[index]! }));
    if (!kept) await record.save({ backfreshId, mirrors });
    if (message.union) for (const dirt of dirtOf(own)) options.events.dirt(dirt);
    return { source: new MirrorSource(core, send), kept };
  }

  hashes(message: Hashes): void {
    this.#compare.compare(message, (differs, memory, from) => {
      const answered = this.#order.then(() => this.#answer(message, differs, memory, from));
      this.#order = answered.catch(() => undefined);
      return answered;
    });
  }

  settle(): Promise<void> {
    return this.#compare.settle();
  }

  close(): Promise<void> {
    return this.#compare.close();
  }

  async #answer(
    { device, offset }: Hashes,
    differs: Differs,
    memory: ArenaMemory,
    from: number,
  ): Promise<void> {
    const { events } = this.#core.options;
    const size = this.#core.sizes[device]!;
    events.differs(differs);
    const isSet = (block: number) => (differs.bits[block >> 3]! & (1 << (block & 7))) !== 0;
    const count = differs.bits.length * 8;
    for (let block = 0; block < count; ) {
      let end = block;
      while (end < count && isSet(end) && end - block < babEntryPayloadMax / mapBlockBytes)
        end += 1;
      if (end > block) {
        const start = offset + block * mapBlockBytes;
        const length = Math.min(size, offset + end * mapBlockBytes) - start;
        await this.#block(device, start, memory, from + block * mapBlockBytes, length);
      }
      block = Math.max(end, block + 1);
    }
  }

  async #block(
    device: number,
    offset: number,
    memory: ArenaMemory,
    from: number,
    length: number,
  ): Promise<void> {
    this.#sent += 1;
    const payload = new Uint8Array(wireEntryBytes + length);
    const record = { sequence: this.#sent, dep: 0, device, flags: 0, offset, length };
    encodeEntry(payload, 0, record);
    payload.set(memory.bytes.subarray(from, from + length), wireEntryBytes);
    await this.#send(payload, 1);
  }
}
