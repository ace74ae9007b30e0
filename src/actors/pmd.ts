/**
 * The PMD of a logical group: drains the BAB over the link, carries out refreshes, and publishes in
 * the cursors of the BAB what the secondary has, which lets the driver release it (I4). It owns the
 * primary's end of the link (pmd-link, pmd-session, pmd-talk) and second handles on the local
 * devices, for the reads of a refresh (pmd-refresh, refresh-sender).
 *
 * It decides nothing about modes: it does what the group says and reports facts. This file is its
 * mailbox, and the coming and going of the local devices.
 */
import { BabPool } from '../core/bab/pool.js';
import { BabReader } from '../core/bab/reader.js';
import { DeviceMap } from '../core/bitmap/device-map.js';
import type { BlockDevice } from '../ports/block-device.js';
import type { TimerHandle } from '../ports/clock.js';
import type { Actor, ActorContext, StartActor } from './actor.js';
import type { GroupMessage, PmdMessage, SharedDevices } from './messages.js';
import { Outbox } from './outbox.js';
import { PmdBackfresh } from './pmd-backfresh.js';
import type { PmdOptions } from './pmd-options.js';
import { PmdRefresh } from './pmd-refresh.js';
import { PmdTalk } from './pmd-talk.js';

export const startPmd: StartActor<PmdOptions, PmdMessage> = async (context, options) =>
  new Pmd(context, options);

class Pmd implements Actor<PmdMessage> {
  readonly #context: ActorContext;
  readonly #options: PmdOptions;
  readonly #outbox: Outbox<GroupMessage>;
  readonly #reader: BabReader;
  readonly #maps: readonly DeviceMap[];
  readonly #talk: PmdTalk;
  #devices: readonly BlockDevice[] | undefined;
  /** Devices change one step after the other. */
  #devicesJob: Promise<void> = Promise.resolve();
  #launchWaits = false;
  #tick: TimerHandle | undefined;

  constructor(context: ActorContext, options: PmdOptions) {
    this.#context = context;
    this.#options = options;
    const { shared, deviceList } = options;
    const group = context.address<GroupMessage>(options.groupActor);
    this.#outbox = new Outbox(group, context.clock, (run) => context.guard(run));
    this.#reader = new BabReader(BabPool.attach(shared.pool, shared.babMemories), shared.control);
    this.#maps = shared.maps.map(
      (memory, index) => new DeviceMap(memory, deviceList[index]!.sizeBytes),
    );
    this.#adopt(options.devices);
    const tell = (message: GroupMessage) => this.#tell(message);
    this.#talk = new PmdTalk(context, options, this.#reader, this.#maps, tell);
  }

  receive(message: PmdMessage): void {
    const talk = this.#talk;
    switch (message.type) {
      case 'pmd.launch':
        talk.launch = message.nonce;
        this.#launchWaits = true;
        this.#launchIfReady();
        break;
      case 'pmd.kill':
        this.#launchWaits = false;
        talk.link.send({ type: 'operator.kill' });
        this.#tell({ type: 'pmd.stopped' });
        break;
      case 'pmd.lineage':
        talk.learn(message.lineage);
        this.#launchIfReady();
        break;
      case 'pmd.wake':
        talk.wake();
        break;
      case 'pmd.drop':
        talk.drop();
        this.#tell({ type: 'pmd.dropped', token: message.token });
        break;
      case 'pmd.refresh':
        this.#refresh(message);
        break;
      case 'pmd.phaseB':
        this.#phaseB(message.refreshId, message.era, message.s0);
        break;
      case 'pmd.mark': {
        const run = this.#runOf(message.refreshId);
        if (run === undefined) this.#tellLost(message.refreshId);
        run?.setMark(message.mark);
        talk.schedule();
        break;
      }
      case 'pmd.abort': {
        const run = this.#runOf(message.refreshId);
        if (run !== undefined) this.#abort(run, message.again);
        // The abort has crossed the commit: for the group there was none (H6).
        else talk.standing.committedId = undefined;
        break;
      }
      case 'pmd.flush':
        talk.wantFlush();
        break;
      case 'pmd.devices':
        this.#changeDevices(message.devices);
        break;
      case 'pmd.backfresh': {
        const { refreshId, compareAll } = message;
        this.#backfresh(refreshId, compareAll);
        break;
      }
      case 'pmd.backfreshEnd':
        if (talk.home.back?.refreshId === message.refreshId) talk.home.end(message.handOver);
        break;
      case 'pmd.adoptMirror':
        talk.judgeAnew();
        break;
      case 'pmd.checkpointOff':
        talk.say({ kind: 'checkpointOff' });
        break;
      case 'pmd.checkpointRefused': {
        const { on, code, details } = message;
        talk.say({ kind: 'checkpointRefused', on, code, details });
        break;
      }
      case 'pmd.tunables':
        talk.tune(message);
        break;
    }
  }

  writable(): void {
    this.#outbox.flush();
    this.#talk.bell.writable();
  }

  async stop(): Promise<void> {
    this.#tick?.cancel();
    await this.#talk.stop();
    await this.#devicesJob;
    const { run } = this.#talk;
    this.#talk.run = undefined;
    await run?.end(false);
    await this.#talk.home.stop();
    await this.#closeDevices();
    this.#outbox.close();
  }

  #tell(message: GroupMessage): void {
    this.#outbox.tell(message);
  }

  #tellLost(refreshId: string): void {
    this.#tell({ type: 'refresh.phaseBLost', refreshId });
  }

  /** Hello says what the record says: no launch before the record is known. */
  #launchIfReady(): void {
    if (!this.#launchWaits || this.#talk.standing.lineage === undefined) return;
    this.#launchWaits = false;
    this.#talk.link.send({ type: 'operator.launch' });
  }

  #runOf(refreshId: string): PmdRefresh | undefined {
    const { run } = this.#talk;
    return run?.refreshId === refreshId ? run : undefined;
  }

  #refresh({ refreshId, kind, union }: Extract<PmdMessage, { type: 'pmd.refresh' }>): void {
    // Said again after a pause between attempts: phase a goes on all the time.
    if (this.#runOf(refreshId) !== undefined) return;
    void this.#talk.run?.end(false);
    const run = new PmdRefresh(this.#context, {
      refreshId,
      kind,
      union,
      maps: this.#maps,
      reader: this.#reader,
      poolSlot: this.#options.shared.poolSlot,
      chunkBytes: () => this.#talk.tunables.chunkSizeKb * 1024,
      rateKb: () => this.#talk.tunables.refreshRateKb,
      tell: (message) => this.#tell(message),
      changed: () => this.#talk.schedule(),
    });
    void run.useDevices(this.#devices);
    this.#talk.startRun(run);
    this.#tick?.cancel();
    this.#tellProgress();
  }

  #backfresh(refreshId: string, compareAll: boolean): void {
    const { home } = this.#talk;
    if (home.back?.refreshId === refreshId) return;
    void home.back?.end();
    const tell = (message: GroupMessage) => this.#tell(message);
    const back = new PmdBackfresh(this.#context, { refreshId, compareAll, maps: this.#maps, tell });
    void back.useDevices(this.#devices);
    home.start(back);
  }

  #tellProgress(): void {
    const { run } = this.#talk;
    if (run === undefined) return;
    run.sampleWrites();
    this.#tell(run.progress());
    const again = this.#context.guard(() => this.#tellProgress());
    this.#tick = this.#context.clock.after(progressMs, again);
  }

  #phaseB(refreshId: string, era: string, s0: number): void {
    const run = this.#runOf(refreshId);
    if (run === undefined) {
      this.#tellLost(refreshId);
      return;
    }
    if (!run.freeze(era, s0)) return;
    const { entries } = this.#talk;
    entries.beginAttempt(era, s0);
    this.#talk.schedule();
  }

  /** R9, or killrefresh. Entries of the attempt are in the map; they are dropped, not drained. */
  #abort(run: PmdRefresh, again: boolean): void {
    const { entries } = this.#talk;
    if (again) {
      run.abort();
    } else {
      this.#talk.run = undefined;
      this.#tick?.cancel();
      void run.end(false);
    }
    this.#talk.schedule();
    entries.drain.end();
    const { generation } = entries;
    entries.dropThrough(generation);
    // Writes that were in flight when append went off may still have published a moment later.
    const late = this.#context.guard(() => entries.dropThrough(generation));
    this.#context.clock.after(lateMs, late);
  }

  #adopt(devices: SharedDevices): void {
    if (devices.length === 0) return;
    this.#devices = devices.map((device) => this.#context.ports.devices.adopt(device));
  }

  #changeDevices(devices: SharedDevices): void {
    this.#devicesJob = this.#devicesJob
      .then(async () => {
        await this.#talk.run?.useDevices(undefined);
        await this.#talk.home.back?.useDevices(undefined);
        await this.#closeDevices();
        this.#adopt(devices);
        await this.#talk.run?.useDevices(this.#devices);
        await this.#talk.home.back?.useDevices(this.#devices);
        this.#tell({ type: 'pmd.devicesClosed' });
        this.#talk.schedule();
      })
      .catch((error: unknown) => this.#context.fail(error));
  }

  async #closeDevices(): Promise<void> {
    const devices = this.#devices ?? [];
    this.#devices = undefined;
    await Promise.all(devices.map((device) => device.close()));
  }
}

const progressMs = 1_000;
const lateMs = 1_000;
