/** Where a group's journal files lie, and what writing them needs: shared by streams and images. */
import type { FrameRing } from '../core/engine/frame-ring.js';
import type { ArenaMemory, DeviceOpener } from '../ports/block-device.js';
import type { FileStore } from '../ports/file-store.js';
import type { ActorContext } from './actor.js';

export interface JournalPlace {
  readonly context: ActorContext;
  readonly opener: DeviceOpener;
  readonly files: FileStore;
  readonly directory: string;
  readonly group: number;
  /** The receive memory frames are appended from. */
  readonly ring: FrameRing;
  readonly memory: ArenaMemory;
  /** Agreed size of each device. */
  readonly sizes: readonly number[];
  /** A file of entries goes on in the next one from here on. */
  readonly segmentBytes: number;
  /** A number that no file of the group bears, nor a higher one. */
  readonly nextSegment: () => Promise<number>;
}
