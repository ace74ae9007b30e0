/** The I/O of one thread over its own io_uring: opens devices and streams, owns the arenas. */
import { IoVector } from '../core/io-vector.js';
import type {
  ArenaMemory,
  BlockDevice,
  Digest,
  OpenOptions,
  SharedDevice,
} from '../ports/block-device.js';
import type { ByteStream } from '../ports/byte-stream.js';
import { Arenas } from './arenas.js';
import { native } from './native.js';
import { openFacts } from './open-facts.js';
import type { Io } from './open-io.js';
import type { Turn } from './turn.js';
import { Uring } from './uring.js';
import { UringDevice } from './uring-device.js';
import { UringStream } from './uring-stream.js';

export class UringIo implements Io {
  readonly kind = 'uring';
  readonly digest: Digest = native;
  readonly #ring: Uring;
  readonly #arenas: Arenas;
  readonly #zeroes = new IoVector(1);
  readonly #open = new Set<BlockDevice | ByteStream>();

  constructor(turn: Turn) {
    this.#ring = new Uring(turn);
    this.#arenas = new Arenas(this.#ring);
    const { arena, bytes } = this.#arenas.zeroes();
    this.#zeroes.single(arena, 0, bytes.length);
  }

  async open(options: OpenOptions): Promise<BlockDevice> {
    return this.#device(await openFacts(options));
  }

  adopt(shared: SharedDevice): BlockDevice {
    native.adoptFd(shared.fd);
    return this.#device(shared);
  }

  adoptStream(fd: number): ByteStream {
    const stream: ByteStream = new UringStream(this.#ring, fd, () => this.#open.delete(stream));
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
    this.#ring.close();
  }

  #device(facts: SharedDevice): BlockDevice {
    const device: BlockDevice = new UringDevice(this.#ring, facts, this.#zeroes, () =>
      this.#open.delete(device),
    );
    this.#open.add(device);
    return device;
  }
}
