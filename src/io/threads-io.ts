/**
 * The I/O of one thread where io_uring is not allowed: devices over node:fs, streams over node:net.
 * Slower, and just as correct. Libuv's pool is one per process, so a device may use less than half of
 * it: a hung one leaves room for the others (Rule 45).
 */
import type {
  ArenaMemory,
  BlockDevice,
  Digest,
  OpenOptions,
  SharedDevice,
} from '../ports/block-device.js';
import type { ByteStream } from '../ports/byte-stream.js';
import { Arenas } from './arenas.js';
import { FileDevice } from './file-device.js';
import { native } from './native.js';
import { NetStream } from './net-stream.js';
import { openFacts } from './open-facts.js';
import type { Io } from './open-io.js';

export class ThreadsIo implements Io {
  readonly kind = 'threads';
  readonly digest: Digest = native;
  readonly #arenas = new Arenas();
  readonly #open = new Set<BlockDevice | ByteStream>();

  async open(options: OpenOptions): Promise<BlockDevice> {
    return this.#device(await openFacts(options));
  }

  adopt(shared: SharedDevice): BlockDevice {
    native.adoptFd(shared.fd);
    return this.#device(shared);
  }

  adoptStream(fd: number): ByteStream {
    const stream: ByteStream = new NetStream(fd, this.#arenas, () => this.#open.delete(stream));
    this.#open.add(stream);
    return stream;
  }

  allocate(byteCount: number): ArenaMemory {
    return this.#arenas.allocate(byteCount);
  }

  attach(memory: SharedArrayBuffer, arena: number): ArenaMemory {
    return this.#arenas.attach(memory, arena);
  }

  release(memory: ArenaMemory): void {
    this.#arenas.release(memory);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open].map((handle) => handle.close()));
  }

  #device(facts: SharedDevice): BlockDevice {
    const device: BlockDevice = new FileDevice(facts, this.#arenas, inFlightMax, () =>
      this.#open.delete(device),
    );
    this.#open.add(device);
    return device;
  }
}

// UV_THREADPOOL_SIZE is set at start from the number of devices; libuv's own default is 4.
const poolSize = Number(process.env['UV_THREADPOOL_SIZE']) || 4;
const inFlightMax = Math.max(1, Math.ceil(poolSize / 2) - 1);
