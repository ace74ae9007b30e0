/** The BAB of the host as main owns it: allocated once, slots and shares given to started groups. */
import { BabPool } from '../core/bab/pool.js';
import { babShareMinBytes, groupsMax } from '../core/constants.js';
import { TdmfError } from '../core/errors.js';
import type { DeviceOpener } from '../ports/block-device.js';

export class SharedPool {
  readonly pool: BabPool;
  readonly requestedBytes: number;
  readonly #slots = new Set<number>();

  constructor(babMb: number, io: DeviceOpener) {
    this.requestedBytes = babMb * 2 ** 20;
    this.pool = BabPool.create({
      bytes: this.requestedBytes,
      start: (memory, index) => io.attach(memory, index).bytes.byteOffset,
    });
  }

  /**
   * A slot with a promised share (Rule 42a). With few groups configured a share is more than the
   * least, but never more than a quarter of what can still be promised: a group that comes later
   * must find its own.
   * @throws TDMF_BAB_SHARE
   */
  admit(group: number, configuredGroups: number): number {
    let slot = 0;
    while (this.#slots.has(slot)) slot++;
    const { promisableBytes, actualBytes } = this.pool;
    const fair = Math.min(promisableBytes / 4, actualBytes / 4 / Math.max(1, configuredGroups));
    const share = Math.max(babShareMinBytes, Math.floor(fair));
    if (slot >= groupsMax || !this.pool.promiseShare(slot, share)) {
      throw new TdmfError('TDMF_BAB_SHARE', { group, available: promisableBytes, needed: share });
    }
    this.#slots.add(slot);
    return slot;
  }

  /** The group's driver and PMD have ended. */
  withdraw(slot: number): void {
    this.pool.withdraw(slot);
    this.#slots.delete(slot);
  }

  info(): { requestedBytes: number; actualBytes: number; usedBytes: number } {
    return {
      requestedBytes: this.requestedBytes,
      actualBytes: this.pool.actualBytes,
      usedBytes: this.pool.usedBytes,
    };
  }
}
