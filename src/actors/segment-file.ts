/**
 * One file of the journal as a thing that is opened when somebody needs it and closed when nobody
 * does: whoever appends to it and whoever reads it share one handle, and with it one lock (H22).
 */
import { assert } from '../core/assert.js';
import { isTdmfError, TdmfError } from '../core/errors.js';
import type { BlockDevice, DeviceOpener } from '../ports/block-device.js';

export class SegmentFile {
  path: string;
  readonly #opener: DeviceOpener;
  #opening: Promise<BlockDevice> | undefined;
  #holds = 0;
  #closing: Promise<void> = Promise.resolve();

  constructor(opener: DeviceOpener, path: string, device?: BlockDevice) {
    this.#opener = opener;
    this.path = path;
    if (device === undefined) return;
    this.#opening = Promise.resolve(device);
    this.#holds = 1;
  }

  /** The open file; `release` must follow. @throws TDMF_JOURNAL_DAMAGED when it is missing */
  async hold(): Promise<BlockDevice> {
    this.#holds += 1;
    this.#opening ??= this.#open();
    try {
      return await this.#opening;
    } catch (error) {
      this.#holds -= 1;
      this.#opening = undefined;
      throw error;
    }
  }

  async release(): Promise<void> {
    assert(this.#holds > 0, 'a file is given back once');
    this.#holds -= 1;
    if (this.#holds > 0) return;
    const opening = this.#opening;
    this.#opening = undefined;
    this.#closing = (async () => {
      await (await opening)?.close();
    })();
    await this.#closing;
  }

  async #open(): Promise<BlockDevice> {
    await this.#closing;
    try {
      return await this.#opener.open({
        path: this.path,
        access: 'readwrite',
        cache: 'writeback',
        growable: true,
      });
    } catch (error) {
      if (!isTdmfError(error) || error.code !== 'TDMF_DEVICE_MISSING') throw error;
      throw new TdmfError('TDMF_JOURNAL_DAMAGED', { path: this.path, what: 'it is missing' });
    }
  }
}
