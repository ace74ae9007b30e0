/**
 * The driver of one logical group: owner of the local devices, first to see every write of an
 * application, and the only one who decides what of it the mirror will get (T1, T2). One object for
 * one driver domain (Rule 13).
 *
 *   connections ─► reads ──────────────► local devices
 *        └───────► writes ─ tracker ───►       │
 *                             ├─► BAB ◄── pmd  └─► maps ◄── pmd (refresh)
 *   group ──duties, era──►────┘
 *
 * Messages change the duties of writes that start from then on; facts go back to the group when
 * fences have passed. It never waits for the PMD, the network or the group (I15, Rule 47). When it
 * fails, writes in flight stay in their slots for its successor (H23).
 */
import { assert, unreachable } from '../core/assert.js';
import { duty } from '../core/bab/layout.js';
import { BabPool } from '../core/bab/pool.js';
import { BabWriter } from '../core/bab/writer.js';
import { DeviceMap } from '../core/bitmap/device-map.js';
import { nbdRequestMax, sequenceLeaseStep } from '../core/constants.js';
import type { Fence } from '../core/engine/fences.js';
import { WriteTracker } from '../core/engine/write-tracker.js';
import { TdmfError } from '../core/errors.js';
import type { ArenaMemory, SharedDevice } from '../ports/block-device.js';
import type { TimerHandle } from '../ports/clock.js';
import type { Actor, ActorContext, StartActor } from './actor.js';
import { DriverConnection } from './driver-connection.js';
import { DriverDevice } from './driver-device.js';
import { DriverFacts } from './driver-facts.js';
import { DriverHeat } from './driver-heat.js';
import { DriverReads } from './driver-reads.js';
import { recoverWritesInFlight } from './driver-recovery.js';
import { DriverSync } from './driver-sync.js';
import { DriverWrites } from './driver-writes.js';
import type { HeatAnswer, HeatOpen } from './heat-messages.js';
import type {
  DriverMessage,
  GroupDevice,
  GroupMessage,
  GroupShared,
  PmdMessage,
} from './messages.js';
import { NbdSession } from './nbd-session.js';

export interface DriverOptions {
  readonly shared: GroupShared;
  readonly devices: readonly GroupDevice[];
  readonly groupActor: string;
  readonly pmdActor: string;
  /** A driver of this start was here before and died; its I/O has ended. */
  readonly recovering: boolean;
  readonly pstore?: string;
  /** Smallest size of a region, and how many stay hot; smaller in tests. */
  readonly regionMin?: number;
  readonly hotTarget?: number;
}

/** What the driver answers: handles for refresh reads (H22), and how many clients there are. */
export type DriverQuestion =
  | { kind: 'driver.share' }
  | { kind: 'driver.connections' }
  /**
   * Answered when everything written until now is durable on the local devices. `last`: before a clean
   * stop, which needs that no flush of this boot has failed (H21).
   */
  | { kind: 'driver.flush'; last?: boolean };

type Connection = Extract<DriverMessage, { type: 'driver.connection' }>;

const EIO = 5;
/** While entries are held, what the secondary has is collected this often. */
const collectMs = 250;
/** And at the end of a turn, when this many are waiting for it. */
const collectEntries = 64;

export const startDriver: StartActor<DriverOptions, DriverMessage> = async (context, options) => {
  const { devices: opener } = context.ports;
  const opened: DriverDevice[] = [];
  try {
    for (const { data, cache } of options.devices) {
      const access = { path: data, access: 'readwrite' } as const;
      const device = await opener.open(cache === undefined ? access : { ...access, cache });
      opened.push(new DriverDevice(device, opener));
    }
    const heat = await openHeat(context, options, opened);
    const boot = numberOf(await context.ports.files.bootId());
    const driver = new Driver(context, options, opened, heat, boot);
    if (options.recovering) await driver.recover();
    return driver;
  } catch (error) {
    for (const { device } of opened) await device.close();
    throw error;
  }
};

/** What the pstore says is hot; whatever a driver before this one still asks for counts no more. */
function openHeat(
  context: ActorContext,
  { shared, devices, pstore = 'pstore', regionMin }: DriverOptions,
  opened: readonly DriverDevice[],
): Promise<HeatAnswer> {
  const question: HeatOpen = {
    kind: 'pstore.heat.open',
    group: shared.group,
    devices: opened.map(({ device: { sizeBytes } }, index) => {
      return { name: devices[index]!.name, sizeBytes };
    }),
    regionMin,
  };
  return context.address<never>(pstore).ask<HeatAnswer>(question);
}

/** A name as a number that is not 0; two boots of one host hardly ever have the same. */
function numberOf(name: string): number {
  let hash = 0x811c9dc5;
  for (const letter of name) hash = Math.imul(hash ^ letter.charCodeAt(0), 0x01000193) >>> 0;
  return hash || 1;
}

class Driver implements Actor<DriverMessage> {
  readonly #context: ActorContext;
  readonly #names: readonly string[];
  readonly #devices: readonly DriverDevice[];
  readonly #arenas: readonly ArenaMemory[];
  readonly #writer: BabWriter;
  readonly #tracker: WriteTracker;
  readonly #facts: DriverFacts;
  readonly #heat: DriverHeat;
  readonly #reads: DriverReads;
  readonly #sync: DriverSync;
  readonly #writes: DriverWrites;
  readonly #sessions = new Map<NbdSession, DriverConnection>();
  #connectionCount = 0;
  /** Whoever came before it was known what a write has to leave behind. */
  readonly #early: Connection[] = [];
  #dutiesKnown: boolean;
  /** Something may have been written that is neither hot nor on the disk; counts how often. */
  #untracked = 1;
  #flushedUntracked = 0;
  /** BACKFRESH: no client comes in. */
  #shut = false;
  #failed = false;
  #stopping = false;
  #turnAsked = false;
  #collecting: TimerHandle | undefined;
  /** The lease of which the group was told that it runs low. */
  #lowLease = 0;
  #leaseFrom = 0;

  constructor(
    context: ActorContext,
    options: DriverOptions,
    devices: readonly DriverDevice[],
    heat: HeatAnswer,
    boot: number,
  ) {
    const { shared } = options;
    this.#context = context;
    this.#names = options.devices.map(({ name }) => name);
    this.#devices = devices;
    this.#arenas = shared.babMemories.map((memory, index) =>
      context.ports.devices.attach(memory, index),
    );
    const pool = BabPool.attach(shared.pool, shared.babMemories);
    for (const [index, { arena, bytes }] of this.#arenas.entries()) {
      const same = arena === index && bytes.byteOffset === pool.bytes[index]!.byteOffset;
      assert(same, 'the I/O core and the BAB mean the same bytes by (arena, offset)');
    }
    this.#writer = new BabWriter({
      pool,
      poolSlot: shared.poolSlot,
      control: shared.control,
      recovering: options.recovering,
    });
    const maps = devices.map(
      ({ device }, index) => new DeviceMap(shared.maps[index]!, device.sizeBytes),
    );
    this.#tracker = new WriteTracker(this.#writer, maps);
    this.#facts = new DriverFacts(
      context.clock,
      context.address<GroupMessage>(options.groupActor),
      context.address<PmdMessage>(options.pmdActor),
    );
    const shortcuts = {
      names: this.#names,
      devices,
      facts: this.#facts,
      flushFailed: (device: number) => this.#flushFailed(device),
      fail: (error: unknown) => this.#fail(error),
    };
    const { control } = this.#writer;
    const { clock } = context;
    const changed = () => this.#askTurn();
    this.#heat = new DriverHeat({
      ...shortcuts,
      group: shared.group,
      pstore: context.address<never>(options.pstore ?? 'pstore'),
      answer: heat,
      boot,
      maps,
      control,
      clock,
      run: context.guard((run) => this.#run(run)),
      target: options.hotTarget,
    });
    this.#writer.pinWith(this.#heat.pins);
    this.#reads = new DriverReads({ ...shortcuts, control });
    this.#sync = new DriverSync({ ...shortcuts, control, clock, changed });
    this.#writes = new DriverWrites({
      ...shortcuts,
      tracker: this.#tracker,
      heat: this.#heat,
      clock,
      sync: this.#sync,
      changed,
    });
    this.#leaseFrom = control.stamped;
    // Without duties the group is in PASSTHRU, or has not spoken yet: nobody can tell them apart.
    this.#dutiesKnown = control.duties !== duty.none;
  }

  /** H22, H23: before the first connection is accepted. */
  async recover(): Promise<void> {
    const { control } = this.#writer;
    const found = await recoverWritesInFlight({
      tracker: this.#tracker,
      devices: this.#devices,
      digest: this.#context.ports.devices.digest,
      clock: this.#context.clock,
    });
    this.#context.log.write('info', 'the driver has recovered', { writesInFlight: found });
    // The one who overflowed may have died before anybody knew.
    if (control.latched) {
      this.#facts.factOnce({ type: 'driver.overflowed', sequence: control.stamped });
    }
    this.#askTurn();
  }

  receive(message: DriverMessage): void {
    this.#run(() => {
      this.#receive(message);
      // Whatever it was: writers do not wait outside NORMAL.
      this.#sync.review();
    });
  }

  #receive(message: DriverMessage): void {
    switch (message.type) {
      case 'driver.duties':
        this.#changeDuties(message.append, message.mark, message.token);
        break;
      case 'driver.era':
        this.#tracker.beginEra(message.era, message.sequence, message.lease);
        this.#leaseFrom = message.sequence - 1;
        this.#lowLease = 0;
        break;
      case 'driver.lease':
        if (message.lease > this.#writer.control.lease)
          this.#leaseFrom = this.#writer.control.lease;
        this.#tracker.extendLease(message.lease);
        break;
      case 'driver.markAll':
        this.#tracker.markAll(message.compare);
        this.#settlePassthru(message.token);
        break;
      case 'driver.mark':
        this.#writes.fences.put('mark', message.token);
        this.#passFences();
        break;
      case 'driver.commit': {
        const cleared = this.#tracker.commit(message.graceToken);
        if (cleared) this.#heat.committed();
        this.#facts.fact({ type: 'driver.committed', token: message.token, cleared });
        break;
      }
      case 'driver.connection':
        this.#connect(message);
        break;
      case 'driver.flush':
        this.#flush(message.token);
        break;
      case 'driver.marker': {
        const before = this.#tracker.overflows;
        const sequence = this.#tracker.stampMarker(this.#context.clock.wallNow());
        this.#tellOverflow(before);
        this.#facts.fact({ type: 'driver.markerStamped', token: message.token, sequence });
        this.#askTurn();
        break;
      }
      case 'driver.clearBab':
        this.#tracker.clearBab();
        this.#facts.fact({ type: 'driver.cleared', token: message.token });
        break;
      case 'driver.door':
        if (message.open) this.#openDoor();
        else this.#shutDoor(message.token);
        break;
      case 'driver.equal':
        assert(this.#shut, 'a backfresh ends behind a shut door (Rule 30)');
        this.#tracker.equal();
        this.#heat.committed();
        this.#facts.fact({ type: 'driver.committed', token: message.token, cleared: true });
        break;
      case 'driver.sync':
        this.#sync.configure(message.depth, message.timeoutMs);
        break;
      case 'driver.acked':
        // The review behind every message sees it.
        break;
      default:
        unreachable(message);
    }
  }

  ask(question: unknown): Promise<unknown> {
    const asked = question as DriverQuestion;
    switch (asked.kind) {
      case 'driver.share':
        return Promise.resolve(this.#devices.map(({ device }): SharedDevice => device.share()));
      case 'driver.connections':
        return Promise.resolve(this.#connectionCount + this.#early.length);
      case 'driver.flush':
        return this.#flushDevices(asked.last === true);
      default: {
        const what = `question ${JSON.stringify(question).slice(0, 100)}`;
        return Promise.reject(new TdmfError('TDMF_INTERNAL', { what }));
      }
    }
  }

  /** The group's or the PMD's mailbox has room again. */
  writable(): void {
    this.#facts.tell();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#collecting?.cancel();
    for (const { fd } of this.#early.splice(0)) {
      await this.#context.ports.streams.adoptStream(fd).close();
    }
    if (this.#failed) {
      // Completions change nothing any more; what is in flight ends with the devices (H22).
      const sessions = this.#closeSessions();
      this.#sync.stop();
      await this.#closeDevices();
      this.#writes.giveBackAll();
      this.#reads.giveBackAll();
      await sessions;
    } else {
      const sessions = this.#closeSessions();
      // Behind it: who hung up hears nothing any more, least of all that a write is safe.
      this.#sync.stop();
      await sessions;
      this.#heat.close();
      // A failed flush has ended the era in the control block, which the group looks at (H21).
      await this.#flushDevices(false).catch(() => undefined);
      await this.#closeDevices();
      this.#writer.reclaim(true);
    }
    this.#facts.stop();
    for (const arena of this.#arenas) this.#context.ports.devices.release(arena);
  }

  /** A throw anywhere stops everything at once: slots must say what was in flight (H23). */
  #run(run: () => void): void {
    if (this.#failed) return;
    try {
      run();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#failed = true;
    this.#heat.close();
    this.#sync.break();
    this.#writes.break();
    this.#reads.break();
    for (const device of this.#devices) device.break();
    this.#context.fail(error);
  }

  #changeDuties(append: boolean, mark: boolean, token: number): void {
    const before = this.#tracker.overflows;
    if (!append && !mark) this.#untracked++;
    this.#tracker.change(append, mark);
    this.#tellOverflow(before);
    // Answered even when no duty was added: the group may have asked an earlier incarnation.
    this.#writes.fences.put('grace', token);
    this.#passFences();
    this.#dutiesKnown = true;
    for (const connection of this.#early.splice(0)) this.#connect(connection);
  }

  /** Rule 3: facts that wait for the writes in flight. */
  #passFences(): void {
    for (;;) {
      const fence: Fence | undefined = this.#writes.fences.takePassed();
      if (fence === undefined) return;
      const { token } = fence;
      const sequence = this.#writer.control.stamped;
      if (fence.purpose === 'grace') {
        this.#passGrace(token);
      } else if (fence.purpose === 'mark') {
        this.#facts.fact({ type: 'driver.marked', token, sequence });
      } else {
        this.#facts.fact({ type: 'driver.door', token, open: false });
      }
    }
  }

  /**
   * H18: what was written in PASSTHRU, or before this driver, is not hot, and a refresh reads it from the
   * page cache. It must be on the disk before a commit can say that both sides are equal.
   */
  #passGrace(token: number): void {
    const untracked = this.#untracked;
    const graced = () => {
      if (this.#writer.control.duties !== duty.none) this.#flushedUntracked = untracked;
      this.#tracker.graced(token);
      const sequence = this.#writer.control.stamped;
      this.#facts.fact({ type: 'driver.graced', token, sequence });
    };
    const known = this.#flushedUntracked === untracked;
    if (known || this.#writer.control.duties === duty.none) {
      graced();
      return;
    }
    let left = this.#devices.length;
    const flushed = (index: number, result: number) => {
      if (result < 0) {
        this.#facts.ioFailed(this.#names[index]!, 'flush', -result);
        this.#flushFailed(index);
        this.#heat.keep(index, true);
      }
      left--;
      if (left === 0) graced();
    };
    this.#devices.forEach(({ device }, index) => {
      const sink = {
        completed: (_: number, result: number) => this.#run(() => flushed(index, result)),
      };
      device.flush(sink, 0);
    });
  }

  /** Rule 30: a backfresh has the local devices for itself, from the last client's last write on. */
  #shutDoor(token: number): void {
    if (this.#connectionCount > 0) {
      this.#facts.fact({ type: 'driver.door', token, open: true });
      return;
    }
    this.#shut = true;
    // They came before the group had spoken, and wrote nothing.
    for (const connection of this.#early.splice(0)) this.#connect(connection);
    this.#writes.fences.put('drain', token);
    this.#passFences();
  }

  #openDoor(): void {
    this.#shut = false;
  }

  #connect(message: Connection): void {
    if (!this.#shut && !this.#dutiesKnown && !this.#stopping) {
      // A write now would be in no map and in no BAB, whatever the mode of the group is (T1, I5).
      this.#early.push(message);
      return;
    }
    const { ports, clock, log } = this.#context;
    const stream = ports.streams.adoptStream(message.fd);
    const index = this.#names.indexOf(message.device);
    if (index < 0 || this.#stopping || this.#shut) {
      stream.close().catch((error: unknown) => this.#fail(error));
      return;
    }
    const { device } = this.#devices[index]!;
    const connection = new DriverConnection(index, device.alignmentBytes, {
      tracker: this.#tracker,
      reads: this.#reads,
      writes: this.#writes,
      memory: ports.devices,
    });
    const session = new NbdSession(stream, connection, clock, {
      rules: {
        sizeBytes: device.sizeBytes,
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
        this.#sessions.delete(session);
        this.#connectionCount--;
        connection.end();
        log.write('debug', 'an NBD connection ended', { device: message.device, why });
      },
      fail: (error) => this.#fail(error),
    });
    this.#sessions.set(session, connection);
    this.#connectionCount++;
    session.start();
  }

  /**
   * H18b: what was written in PASSTHRU is not hot. If its power were cut after the commit, the mirror
   * would have what the local disk lost, and nobody would know: it is durable before it is read.
   */
  #settlePassthru(token: number): void {
    this.#flushAll((errorCode) => {
      // Without an answer the group undoes the switch.
      if (errorCode === undefined) this.#facts.fact({ type: 'driver.markedAll', token });
    });
  }

  #flush(token: number): void {
    this.#flushAll((errorCode) => this.#facts.fact({ type: 'driver.flushed', token, errorCode }));
  }

  #flushAll(done: (errorCode: string | undefined) => void): void {
    let left = this.#devices.length;
    let errorCode: string | undefined;
    this.#devices.forEach(({ device }, index) => {
      const flushed = (result: number) => {
        if (result < 0) {
          errorCode = 'TDMF_DEVICE_FAILED';
          this.#facts.ioFailed(this.#names[index]!, 'flush', -result);
          this.#flushFailed(index);
        }
        left--;
        if (left === 0) done(errorCode);
      };
      device.flush({ completed: (_, result) => this.#run(() => flushed(result)) }, 0);
    });
  }

  #flushFailed(device: number): void {
    this.#sync.flushFailed();
    this.#heat.keep(device);
    const before = this.#tracker.overflows;
    this.#tracker.flushFailed();
    this.#tellOverflow(before);
  }

  #tellOverflow(before: number): void {
    if (this.#tracker.overflows === before) return;
    const sequence = this.#writer.control.stamped;
    this.#facts.factOnce({ type: 'driver.overflowed', sequence });
    this.#askTurn();
  }

  /** Once per turn of the loop: what many completions have in common. */
  #askTurn(): void {
    if (this.#turnAsked) return;
    this.#turnAsked = true;
    this.#context.clock.endOfTurn(this.#turn);
  }

  readonly #turn = (): void => this.#run(() => this.#endTurn());

  #endTurn(): void {
    this.#turnAsked = false;
    const { control } = this.#writer;
    this.#passFences();
    // Before the PMD is woken: it sends at once when somebody waits.
    this.#sync.review();
    if (this.#writer.publishedAny && control.takeSleeper()) this.#facts.wakePmd();
    this.#writer.publishedAny = false;
    if (control.held - control.pending >= collectEntries) this.#writer.reclaim();
    this.#watchLease();
    this.#collectLater();
  }

  #watchLease(): void {
    const { control } = this.#writer;
    if (!this.#tracker.appending || control.lease === this.#lowLease) return;
    const step = Math.min(sequenceLeaseStep, control.lease - this.#leaseFrom);
    if (control.lease - control.stamped >= step / 2) return;
    this.#lowLease = control.lease;
    this.#facts.factOnce({ type: 'driver.leaseLow', sequence: control.stamped });
  }

  #collectLater(): void {
    if (this.#stopping || !this.#writer.holdsMemory) return;
    this.#collecting ??= this.#context.clock.after(collectMs, this.#collect);
  }

  readonly #collect = (): void =>
    this.#run(() => {
      this.#collecting = undefined;
      this.#writer.reclaim(true);
      this.#collectLater();
    });

  async #closeSessions(): Promise<void> {
    await Promise.all(
      [...this.#sessions.keys()].map((session) => session.close('the group stops')),
    );
    assert(this.#writes.inFlight === 0 || this.#failed, 'a closed session has its requests back');
  }

  async #closeDevices(): Promise<void> {
    await Promise.all(this.#devices.map(({ device }) => device.close()));
    for (const device of this.#devices) device.release();
  }

  async #flushDevices(last: boolean): Promise<void> {
    if (last && this.#heat.doubtful) {
      throw new TdmfError('TDMF_DEVICE_FAILED', {
        path: this.#names.join(' '),
        operation: 'flush',
        errno: EIO,
      });
    }
    await Promise.all(
      this.#devices.map(
        ({ device }, index) =>
          new Promise<void>((resolve, reject) => {
            const completed = (_: number, result: number) => {
              if (result >= 0) return resolve();
              this.#facts.ioFailed(this.#names[index]!, 'flush', -result);
              this.#run(() => this.#flushFailed(index));
              const details = { path: device.path, operation: 'flush', errno: -result };
              reject(new TdmfError('TDMF_DEVICE_FAILED', details));
            };
            device.flush({ completed }, 0);
          }),
      ),
    );
  }
}
