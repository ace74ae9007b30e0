/**
 * Reads one file of entries front to back and gives its frames to a lane of the mirror, through memory
 * of the lane's own. It stops where it is told and goes on from there; what it fed is accepted, not
 * applied.
 */
import { frameEntriesMax } from '../core/constants.js';
import { TdmfError } from '../core/errors.js';
import { type SegmentHeader, segmentHeaderBytes } from '../core/journal/segment.js';
import { frameKinds } from '../core/wire/messages.js';
import type { BlockDevice, DeviceOpener } from '../ports/block-device.js';
import { JournalReader } from './journal-reader.js';
import { type Mirror, stoppedError } from './mirror.js';
import type { MirrorLane } from './mirror-lane.js';

export interface FeederPlace {
  readonly opener: DeviceOpener;
  readonly mirror: Mirror;
  readonly lane: MirrorLane;
  /** Agreed size of each device. */
  readonly sizes: readonly number[];
  /** Resolves when something progressed and memory or room may be free. */
  readonly progress: () => Promise<void>;
}

export class JournalFeeder {
  offset = segmentHeaderBytes;
  /** The next entry. */
  next: number;
  /** Bytes fed so far. */
  bytes = 0;
  readonly #place: FeederPlace;
  readonly #reader: JournalReader;
  readonly #path: string;

  constructor(place: FeederPlace, device: BlockDevice, header: SegmentHeader, path: string) {
    this.#place = place;
    this.#reader = new JournalReader(place.opener, device);
    this.#path = path;
    this.next = header.firstSequence;
  }

  /**
   * Feeds frames up to byte `end` of the file, entries above `upTo` excepted. Resolves when all is
   * accepted. @throws TDMF_JOURNAL_DAMAGED
   */
  async feed(end: number, upTo: number): Promise<void> {
    const { mirror, lane, sizes, progress } = this.#place;
    const { ring, memory } = lane.source;
    while (this.offset < end && this.next <= upTo) {
      const frame = await this.#reader.frameAt(
        this.offset,
        end,
        frameKinds.entries,
        this.next,
        sizes,
      );
      if (typeof frame === 'string') throw this.#damaged(`no whole record at ${this.offset}`);
      let placed = -1;
      for (;;) {
        if (mirror.stopped) throw stoppedError();
        placed = lane.apply.room >= frameEntriesMax ? this.#reader.place(ring, memory.bytes) : -1;
        if (placed >= 0) break;
        await progress();
      }
      const problem = lane.accept(placed, upTo);
      ring.release(placed);
      if (problem !== undefined) throw this.#damaged(problem);
      lane.pump();
      this.bytes += frame.bytes;
      this.offset += frame.bytes;
      this.next = frame.last + 1;
    }
  }

  close(): void {
    this.#reader.close();
  }

  #damaged(what: string): TdmfError {
    return new TdmfError('TDMF_JOURNAL_DAMAGED', { path: this.#path, what });
  }
}
