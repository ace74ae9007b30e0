/**
 * A block device for callers that may wait: each call is a promise, its bytes pass through memory
 * of this object. For the control plane only (the pstore); the data path uses the sinks directly.
 * Results are as the port gives them: ≥ 0, or −errno.
 */
import { IoVector } from '../core/io-vector.js';
import type { ArenaMemory, BlockDevice, DeviceOpener } from '../ports/block-device.js';
import type { CompletionSink } from '../ports/completion.js';

export class DeviceCalls implements CompletionSink {
  readonly device: BlockDevice;
  readonly #opener: DeviceOpener;
  readonly #waiting = new Map<number, (result: number) => void>();
  #nextTag = 1;

  constructor(device: BlockDevice, opener: DeviceOpener) {
    this.device = device;
    this.#opener = opener;
  }

  completed(tag: number, result: number): void {
    const resolve = this.#waiting.get(tag);
    this.#waiting.delete(tag);
    resolve?.(result);
  }

  /** The bytes that are there: shorter at the end of a growable file. */
  async read(offset: number, length: number): Promise<Uint8Array | number> {
    const memory = this.#opener.allocate(length);
    const result = await this.#call((tag) =>
      this.device.read(whole(memory, length), offset, this, tag),
    );
    const bytes = result < 0 ? result : memory.bytes.slice(0, result);
    this.#opener.release(memory);
    return bytes;
  }

  async write(bytes: Uint8Array, offset: number): Promise<number> {
    const memory = this.#opener.allocate(bytes.length);
    memory.bytes.set(bytes);
    const result = await this.#call((tag) =>
      this.device.write(whole(memory, bytes.length), offset, false, this, tag),
    );
    this.#opener.release(memory);
    return result;
  }

  zero(offset: number, length: number): Promise<number> {
    const options = { mayUnmap: false, fua: false };
    return this.#call((tag) => this.device.zero(offset, length, options, this, tag));
  }

  flush(): Promise<number> {
    return this.#call((tag) => this.device.flush(this, tag));
  }

  #call(start: (tag: number) => void): Promise<number> {
    const tag = this.#nextTag++;
    return new Promise((resolve) => {
      this.#waiting.set(tag, resolve);
      start(tag);
    });
  }
}

function whole(memory: ArenaMemory, length: number): IoVector {
  return new IoVector(1).single(memory.arena, 0, length);
}
