/**
 * The two maps of one device, side by side in one SharedArrayBuffer (correctness.md 4): `persisted`
 * is P, every block that may differ from the mirror's last commit; `todo` is what the refresh has
 * still to read, a part of P. One bit per `mapBlockBytes`.
 *
 * `mark` sets both; only a commit of the other side clears P (I21).
 */
import { mapBlockBytes } from '../constants.js';
import { DirtyBitmap } from './dirty-bitmap.js';

export class DeviceMap {
  readonly persisted: DirtyBitmap;
  readonly todo: DirtyBitmap;
  readonly blockCount: number;
  readonly sizeBytes: number;

  static bytesFor(deviceBytes: number): number {
    return 2 * DirtyBitmap.bytesFor(blocksOf(deviceBytes));
  }

  constructor(memory: SharedArrayBuffer, deviceBytes: number) {
    this.sizeBytes = deviceBytes;
    this.blockCount = blocksOf(deviceBytes);
    this.persisted = new DirtyBitmap(memory, this.blockCount);
    const second = DirtyBitmap.bytesFor(this.blockCount);
    this.todo = new DirtyBitmap(memory, this.blockCount, second);
  }

  /** Marks the blocks of a byte range in both maps; P first, so that todo stays a part of it. */
  mark(offset: number, length: number): void {
    if (length === 0) return;
    const first = Math.floor(offset / mapBlockBytes);
    const blocks = Math.floor((offset + length - 1) / mapBlockBytes) - first + 1;
    this.persisted.set(first, blocks);
    this.todo.set(first, blocks);
  }

  markAll(): void {
    this.persisted.fill();
    this.todo.fill();
  }

  clearAll(): void {
    this.todo.empty();
    this.persisted.empty();
  }

  /** An upper bound: whole blocks, but for the last one of the device. */
  get dirtyBytes(): number {
    return Math.min(this.sizeBytes, this.persisted.count * mapBlockBytes);
  }
}

function blocksOf(deviceBytes: number): number {
  return Math.max(1, Math.ceil(deviceBytes / mapBlockBytes));
}
