/**
 * An NBD client of our own that comes back: when the connection is lost it connects again and sends
 * every request that was not answered once more, as nbdkit's retry filter does. Written from the
 * NBD protocol's text, with constants of its own, so that it does not believe what the server
 * believes. It tells when a request was answered, and that is all an application knows.
 */
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';

const commands = { read: 0, write: 1, flush: 3, writeZeroes: 6 } as const;
const fuaFlag = 1;
/** The server is shutting down: the request was not done and is sent again to the next server. */
const shutdownError = 108;
const retryMs = 20;

interface Request {
  readonly command: number;
  readonly flags: number;
  readonly offset: number;
  readonly length: number;
  readonly payload: Buffer | undefined;
  readonly done: (data: Buffer) => void;
  readonly failed: (error: Error) => void;
}

export class NbdDevice {
  readonly #path: string;
  readonly #name: string;
  readonly #pending = new Map<number, Request>();
  #socket: Socket | undefined;
  #ready = false;
  #cookie = 0;
  #closed = false;
  #input: Buffer = Buffer.alloc(0);
  #step: (() => boolean) | undefined;
  #opened: (() => void) | undefined;
  /** How often a connection was made. */
  connections = 0;
  sizeBytes = 0;

  private constructor(path: string, name: string) {
    this.#path = path;
    this.#name = name;
  }

  /** `home`: of the tdmfd that serves the export. */
  static open(home: string, name = 'g0/d0'): Promise<NbdDevice> {
    return NbdDevice.at(join(home, 'run/nbd.sock'), name);
  }

  static async at(path: string, name: string): Promise<NbdDevice> {
    const device = new NbdDevice(path, name);
    const opened = new Promise<void>((resolve) => {
      device.#opened = resolve;
    });
    device.#connect();
    await opened;
    return device;
  }

  get inFlight(): number {
    return this.#pending.size;
  }

  write(offset: number, payload: Buffer, { fua = false } = {}): Promise<void> {
    return this.#ask(commands.write, fua ? fuaFlag : 0, offset, payload.length, payload).then(
      () => undefined,
    );
  }

  writeZeroes(offset: number, length: number): Promise<void> {
    return this.#ask(commands.writeZeroes, 0, offset, length, undefined).then(() => undefined);
  }

  flush(): Promise<void> {
    return this.#ask(commands.flush, 0, 0, 0, undefined).then(() => undefined);
  }

  read(offset: number, length: number): Promise<Buffer> {
    return this.#ask(commands.read, 0, offset, length, undefined);
  }

  /** What is not answered stays indeterminate: its promises never settle. */
  close(): void {
    this.#closed = true;
    this.#socket?.destroy();
  }

  #ask(
    command: number,
    flags: number,
    offset: number,
    length: number,
    payload: Buffer | undefined,
  ): Promise<Buffer> {
    return new Promise((done, failed) => {
      const cookie = ++this.#cookie;
      const request = { command, flags, offset, length, payload, done, failed };
      this.#pending.set(cookie, request);
      if (this.#ready) this.#send(cookie, request);
    });
  }

  #send(cookie: number, { command, flags, offset, length, payload }: Request): void {
    const header = Buffer.alloc(28);
    header.writeUInt32BE(0x25609513, 0);
    header.writeUInt16BE(flags, 4);
    header.writeUInt16BE(command, 6);
    header.writeBigUInt64BE(BigInt(cookie), 8);
    header.writeBigUInt64BE(BigInt(offset), 16);
    header.writeUInt32BE(length, 24);
    this.#socket?.write(header);
    if (payload !== undefined) this.#socket?.write(payload);
  }

  #connect(): void {
    this.#ready = false;
    this.#input = Buffer.alloc(0);
    this.#step = () => this.#greeting();
    const socket = connect(this.#path);
    this.#socket = socket;
    socket.on('error', () => undefined);
    socket.once('close', () => {
      if (!this.#closed) setTimeout(() => this.#connect(), retryMs);
    });
    socket.on('data', (chunk: Buffer) => {
      this.#input = this.#input.length === 0 ? chunk : Buffer.concat([this.#input, chunk]);
      while (this.#step?.());
    });
  }

  #take(bytes: number): Buffer | undefined {
    if (this.#input.length < bytes) return undefined;
    const taken = this.#input.subarray(0, bytes);
    this.#input = this.#input.subarray(bytes);
    return taken;
  }

  #greeting(): boolean {
    const greeting = this.#take(18);
    if (greeting === undefined) return false;
    const name = Buffer.from(this.#name);
    const go = Buffer.alloc(4 + 16 + 4 + name.length + 2);
    go.writeUInt32BE(3, 0); // fixed newstyle, no zeroes
    go.write('IHAVEOPT', 4, 'latin1');
    go.writeUInt32BE(7, 12); // GO
    go.writeUInt32BE(4 + name.length + 2, 16);
    go.writeUInt32BE(name.length, 20);
    name.copy(go, 24);
    this.#socket?.write(go);
    this.#step = () => this.#optionReply();
    return true;
  }

  #optionReply(): boolean {
    if (this.#input.length < 20) return false;
    const length = this.#input.readUInt32BE(16);
    const reply = this.#take(20 + length);
    if (reply === undefined) return false;
    const type = reply.readUInt32BE(12);
    if (type === 3 && reply.readUInt16BE(20) === 0) {
      this.sizeBytes = Number(reply.readBigUInt64BE(22));
    } else if (type === 1) {
      this.#step = () => this.#reply();
      this.#ready = true;
      this.connections++;
      // In the order in which they were asked first: maps keep it.
      for (const [cookie, request] of this.#pending) this.#send(cookie, request);
      this.#opened?.();
    } else if (type >= 2 ** 31) {
      // The group is not started yet: the next connection asks again.
      this.#socket?.destroy();
      return false;
    }
    return true;
  }

  #reply(): boolean {
    if (this.#input.length < 16) return false;
    const cookie = Number(this.#input.readBigUInt64BE(8));
    const error = this.#input.readUInt32BE(4);
    const request = this.#pending.get(cookie);
    if (request === undefined) throw new Error(`an answer to no question: cookie ${cookie}`);
    const dataBytes = request.command === commands.read && error === 0 ? request.length : 0;
    const reply = this.#take(16 + dataBytes);
    if (reply === undefined) return false;
    if (error === shutdownError) {
      this.#socket?.destroy();
      return false;
    }
    this.#pending.delete(cookie);
    if (error === 0) request.done(Buffer.from(reply.subarray(16)));
    else request.failed(new Error(`NBD error ${error} at ${request.offset}`));
    return true;
  }
}
