/**
 * The three maps of one device, side by side in one SharedArrayBuffer (correctness.md 4): `persisted`
 * is P, every block that may differ from the mirror's last commit; `todo` is what the refresh has
 * still to read, a part of P; `compare` says of a block that it only *may* differ (Rules 17, 36): a
 * refresh compares it before it sends it. One bit per `mapBlockBytes`.
 *
 * `mark` sets P and todo; only a commit of the other side clears P (I21). A set `compare` bit is never
 * wrong, only slower or faster: what differs is sent either way.
 */
import { mapBlockBytes } from '../constants.js';
import { DirtyBitmap } from './dirty-bitmap.js';

export class DeviceMap {
  readonly persisted: DirtyBitmap;
  readonly todo: DirtyBitmap;
  readonly compare: DirtyBitmap;
  readonly blockCount: number;
  readonly sizeBytes: number;

  static bytesFor(deviceBytes: number): number {
    return 3 * DirtyBitmap.bytesFor(blocksOf(deviceBytes));
  }

  constructor(memory: SharedArrayBuffer, deviceBytes: number) {
    this.sizeBytes = deviceBytes;
    this.blockCount = blocksOf(deviceBytes);
    this.persisted = new DirtyBitmap(memory, this.blockCount);
    const each = DirtyBitmap.bytesFor(this.blockCount);
    this.todo = new DirtyBitmap(memory, this.blockCount, each);
    this.compare = new DirtyBitmap(memory, this.blockCount, 2 * each);
  }

  /**
   * Marks the blocks of a byte range as written: P first, so that todo stays a part of it. `compare`
   * stays as it is: what was written lately is sent, what was unproven before is still compared.
   */
  mark(offset: number, length: number): void {
    if (length === 0) return;
    const first = Math.floor(offset / mapBlockBytes);
    const blocks = Math.floor((offset + length - 1) / mapBlockBytes) - first + 1;
    this.persisted.set(first, blocks);
    this.todo.set(first, blocks);
  }

  /** As `mark`, for a range that may be equal (Rule 36): compared before it is sent. */
  markCompare(offset: number, length: number): void {
    if (length === 0) return;
    const first = Math.floor(offset / mapBlockBytes);
    const blocks = Math.floor((offset + length - 1) / mapBlockBytes) - first + 1;
    // Before todo: a refresh that takes the block sees that it is to be compared.
    this.compare.set(first, blocks);
    this.persisted.set(first, blocks);
    this.todo.set(first, blocks);
  }

  markAll(): void {
    this.persisted.fill();
    this.todo.fill();
  }

  /** Rule 17: nothing is proven equal any more, nothing is known to differ. */
  markAllCompare(): void {
    this.compare.fill();
    this.markAll();
  }

  clearAll(): void {
    this.todo.empty();
    this.persisted.empty();
    this.compare.empty();
  }

  /** An upper bound: whole blocks, but for the last one of the device. */
  get dirtyBytes(): number {
    return Math.min(this.sizeBytes, this.persisted.count * mapBlockBytes);
  }
}

function blocksOf(deviceBytes: number): number {
  return Math.max(1, Math.ceil(deviceBytes / mapBlockBytes));
}
