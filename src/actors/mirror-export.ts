/**
 * Serves the mirrors of one group to applications while they are handed out: during a checkpoint, and
 * after reco (Rule 15c, Rule 29). A mirror is opened and locked when its first client comes and let go
 * when the last one leaves, so that whoever wants it for himself (the RMD at checkpoint -off, reco -d)
 * is refused exactly while somebody uses it (Rule 22). What is written is tracked in jGGG.own.
 *
 *   client ─► NbdSession ─► reads ───────────────────────► mirror
 *                       └─► writes ─► jGGG.own (durable) ─►
 *
 * It is no part of a primary's data path: no BAB, no modes, no link.
 */
import { nbdRequestMax } from '../core/constants.js';
import { isTdmfError, TdmfError, toPlainError } from '../core/errors.js';
import type { MirrorRecord } from '../core/meta.js';
import type { Actor, ActorContext } from './actor.js';
import { deviceCall } from './device-call.js';
import { DriverDevice } from './driver-device.js';
import { DriverReads } from './driver-reads.js';
import { ExportConnection } from './export-connection.js';
import { ExportWrites } from './export-writes.js';
import { deviceFailed } from './mirror.js';
import { NbdSession } from './nbd-session.js';
import { OwnMapFile } from './own-map-file.js';
import { type MirrorDevice, openMirror } from './rmd-admission.js';
import { readRecord } from './rmd-record.js';

export interface MirrorExportOptions {
  readonly group: number;
  /** The journal directory. */
  readonly journal: string;
  readonly devices: readonly MirrorDevice[];
}

/** A client negotiated; the descriptor belongs to this actor from now on. */
export interface MirrorExportMessage {
  readonly type: 'export.connection';
  readonly fd: number;
  readonly device: string;
  readonly structuredReplies: boolean;
  readonly baseAllocation: boolean;
  readonly leftover: Uint8Array;
}

/** Answered with the number of clients. */
export interface MirrorExportQuestion {
  readonly kind: 'export.clients';
}

/** A mirror that somebody uses. */
interface HeldMirror {
  readonly device: DriverDevice;
  readonly reads: DriverReads;
  readonly writes: ExportWrites;
  readonly sizeBytes: number;
}

export const startMirrorExport = async (
  context: ActorContext,
  options: MirrorExportOptions,
): Promise<Actor<MirrorExportMessage>> => new MirrorExport(context, options);

class MirrorExport implements Actor<MirrorExportMessage> {
  readonly #context: ActorContext;
  readonly #options: MirrorExportOptions;
  readonly #held = new Map<number, HeldMirror>();
  readonly #clients = new Map<NbdSession, number>();
  #own: OwnMapFile | undefined;
  /** Opening and letting go, one after another. */
  #turn: Promise<void> = Promise.resolve();
  #coming = 0;
  #stopping = false;

  constructor(context: ActorContext, options: MirrorExportOptions) {
    this.#context = context;
    this.#options = options;
  }

  receive(message: MirrorExportMessage): void {
    this.#coming++;
    this.#inTurn(async () => {
      try {
        await this.#serve(message);
      } finally {
        this.#coming--;
      }
    });
  }

  async ask(question: unknown): Promise<number> {
    const { kind } = question as MirrorExportQuestion;
    if (kind !== 'export.clients') throw new TdmfError('TDMF_INTERNAL', { what: kind });
    return this.#clients.size + this.#coming;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#turn;
    await Promise.all([...this.#clients.keys()].map((client) => client.close('it is taken back')));
    this.#inTurn(() => this.#letGoUnused());
    await this.#turn;
  }

  async #serve(message: MirrorExportMessage): Promise<void> {
    const { ports, clock, log } = this.#context;
    const stream = ports.streams.adoptStream(message.fd);
    const index = this.#options.devices.findIndex(({ name }) => name === message.device);
    try {
      if (index < 0 || this.#stopping) throw new TdmfError('TDMF_MIRROR_NOT_OUT');
      const mirror = this.#held.get(index) ?? (await this.#hold(index));
      const { sizeBytes } = mirror;
      const connection = new ExportConnection(mirror, ports.devices);
      const session: NbdSession = new NbdSession(stream, connection, clock, {
        rules: {
          sizeBytes,
          readOnly: false,
          canTrim: true,
          blockMin: 1,
          blockMax: nbdRequestMax,
          structuredReplies: message.structuredReplies,
          allocationContext: message.baseAllocation,
        },
        leftover: message.leftover,
        memory: ports.devices,
        ended: (why) => {
          this.#clients.delete(session);
          connection.end();
          log.write('debug', 'a client of a mirror has gone', { device: message.device, why });
          this.#inTurn(() => this.#letGoUnused());
        },
        fail: (error) => this.#context.fail(error),
      });
      this.#clients.set(session, index);
      session.start();
    } catch (error) {
      await stream.close();
      const why = toPlainError(error).message;
      log.write('warn', 'a client of a mirror was turned away', { device: message.device, why });
      if (!isTdmfError(error)) throw error;
    }
  }

  /** @throws TDMF_MIRROR_NOT_OUT, TDMF_RMD_MIRROR, TDMF_DEVICE_* */
  async #hold(index: number): Promise<HeldMirror> {
    const { ports, log } = this.#context;
    const { group, journal, devices } = this.#options;
    const { name, mirror, cache } = devices[index]!;
    const opened = await openMirror(ports.devices, mirror, cache);
    try {
      // Looked at under the lock: an RMD that took it back has it, or has let go of it again.
      const { record } = await readRecord(ports.files, ports.devices.digest, journal, group);
      const sizeBytes = record.mirrors[index]?.sizeBytes ?? 0;
      if (!isHandedOut(record) || sizeBytes === 0 || sizeBytes > opened.sizeBytes) {
        throw new TdmfError('TDMF_MIRROR_NOT_OUT');
      }
      const mark = await ports.files.writeMark(mirror);
      this.#own ??= await this.#openOwn(record);
      await this.#own.hold(index, mark);
      const device = new DriverDevice(opened, ports.devices);
      const failed = (operation: string, errno: number) => {
        log.write('error', deviceFailed(mirror, operation, errno).message, { group });
        this.#context.publish('device.failed', { group, device: name, operation, errno });
      };
      const own = this.#own;
      const held: HeldMirror = {
        device,
        sizeBytes,
        reads: new DriverReads({
          names: [name],
          devices: [device],
          control: { countRead: () => undefined },
          facts: { ioFailed: (_, operation, errno) => failed(operation, errno) },
          flushFailed: () => undefined,
          fail: (error) => this.#context.fail(error),
        }),
        writes: new ExportWrites({
          device,
          cover: (offset, length, then) =>
            own.cover(index, offset, length, (errno) => this.#context.guard(then)(errno)),
          failed,
          fail: (error) => this.#context.fail(error),
        }),
      };
      this.#held.set(index, held);
      return held;
    } catch (error) {
      await opened.close();
      await this.#closeOwnUnused();
      throw error;
    }
  }

  #openOwn({ ownSince: since, mirrors }: MirrorRecord): Promise<OwnMapFile> {
    const { group, journal: directory } = this.#options;
    const { devices: opener } = this.#context.ports;
    const sizes = mirrors.map(({ sizeBytes }) => sizeBytes);
    const marks = mirrors.map(({ writeMark }) => writeMark);
    return OwnMapFile.open({ opener, directory, group, since, sizes }, marks);
  }

  async #letGoUnused(): Promise<void> {
    const used = new Set(this.#clients.values());
    for (const [index, mirror] of this.#held) {
      if (used.has(index)) continue;
      this.#held.delete(index);
      await this.#letGo(index, mirror);
    }
    await this.#closeOwnUnused();
  }

  async #letGo(index: number, { device }: HeldMirror): Promise<void> {
    const { ports, log } = this.#context;
    const { path } = device.device;
    const { mirror } = this.#options.devices[index]!;
    try {
      const flushed = await deviceCall((sink) => device.device.flush(sink, 0));
      if (flushed < 0) throw deviceFailed(path, 'flush', -flushed);
      await this.#own!.release(index, await ports.files.writeMark(mirror));
    } catch (error) {
      // Without a mark the regions that were marked before each write count: more, never less.
      log.write('error', 'what a mirror was written is known in regions only', {
        path,
        error: toPlainError(error),
      });
    } finally {
      await device.device.close();
      device.release();
    }
  }

  async #closeOwnUnused(): Promise<void> {
    if (this.#held.size > 0) return;
    const own = this.#own;
    this.#own = undefined;
    await own?.close();
  }

  #inTurn(run: () => Promise<void>): void {
    this.#turn = this.#turn.then(run).catch((error: unknown) => this.#context.fail(error));
  }
}

function isHandedOut({ reco, checkpoint }: MirrorRecord): boolean {
  return reco === 'done' || checkpoint === 'on';
}
