/**
 * One group actor in the simulated world, between a driver, a PMD and a pstore that a test plays:
 * they answer as the real ones do unless told not to, and write down in one list, in the order in
 * which it happened, what they were told (`log`).
 */
import { startGroup } from '../../src/actors/group.js';
import type { GroupStatus } from '../../src/actors/group-status.js';
import type { HeatDirt } from '../../src/actors/heat-messages.js';
import type {
  DriverMessage,
  GroupMessage,
  MirrorState,
  PmdMessage,
  PrimaryLineage,
} from '../../src/actors/messages.js';
import { GroupControlView } from '../../src/core/bab/control.js';
import { TdmfError } from '../../src/core/errors.js';
import type { GroupRecord } from '../../src/core/pstore/record.js';
import type { Ports } from '../../src/ports/ports.js';
import { SimActors } from '../../src/testing/actors.js';
import { SimWorld } from '../../src/testing/world.js';

const limitMs = 10_000;

export interface GroupWorldOptions {
  readonly record?: GroupRecord;
  readonly restarted?: boolean;
  readonly control?: SharedArrayBuffer;
  /** Where the mirror stands. */
  readonly mirror?: Mirror | undefined;
  readonly checkpointed?: boolean;
}

type Message = DriverMessage | PmdMessage;
type Mirror = { readonly era: string; readonly sequence: number };
type Decided = Extract<GroupMessage, { type: 'link.decided' }>;

export class GroupWorld {
  readonly world = new SimWorld(1);
  readonly control: GroupControlView;
  readonly #memory: SharedArrayBuffer;
  readonly actors: SimActors;
  /** What neighbours were told and the pstore made durable, oldest first. */
  readonly log: string[] = [];
  readonly messages: Message[] = [];
  readonly events: { readonly type: string; readonly [field: string]: unknown }[] = [];
  readonly failures: unknown[] = [];
  /** What the pstore holds. */
  record: GroupRecord | undefined;
  /** Message types that get no answer. */
  readonly silent = new Set<string>();
  /** What the pstore says of the device: hot and dirty; undefined, nothing. */
  dirt: HeatDirt['devices'][number] = {
    sizeBytes: 1 << 20,
    regionBytes: 1 << 22,
    unitBytes: 1 << 16,
    hot: Uint8Array.of(0),
    dirty: Uint8Array.of(0, 0),
  };
  /** Saves fail while set. */
  pstoreBroken = false;
  /** The driver reports that append was interrupted (R8). */
  commitKept = false;
  /** The sequence of the mark (R6). */
  mark = 5;
  /** Where the mirror stands; undefined: never refreshed. */
  mirror: Mirror | undefined;
  /** What the lineage table says, instead of what the positions say. */
  decision: Partial<Decided> | undefined;
  /** Groups that wait for their turn; granted at once unless `crowded`. */
  readonly turns = new Turns(() => this.crowded);
  crowded = false;
  turnsGiven = 0;
  /** Connected to the driver; and how many it says there are, when asked. */
  clients = 0;
  clientsSeen = 0;
  /** Of the checkpoint marker; 0: the driver has none. */
  marker = 6;
  /** Hooks that fail. */
  readonly failingHooks = new Set<string>();
  /** What the secondary says when it is connected. */
  checkpointed: 'off' | 'on' = 'off';
  /** Local bytes written when a backfresh is killed. */
  writtenBytes = 0;
  #lineage: PrimaryLineage | undefined;

  constructor({ record, control, mirror, checkpointed = false }: GroupWorldOptions = {}) {
    this.#memory = control ?? GroupControlView.create(1);
    this.control = new GroupControlView(this.#memory);
    this.record = record;
    this.mirror = mirror;
    if (checkpointed) this.checkpointed = 'on';
    this.actors = new SimActors({
      name: 'a',
      world: this.world,
      ports: {} as Ports,
      onEvent: (type, payload) => {
        this.events.push({ ...payload, type });
        const { to } = payload as { to?: unknown };
        this.log.push(typeof to === 'string' ? `event ${type} ${to}` : `event ${type}`);
      },
      onFailed: (_, error) => this.failures.push(error),
    });
  }

  static async start(options: GroupWorldOptions = {}): Promise<GroupWorld> {
    const group = new GroupWorld(options);
    await group.#start(options.restarted ?? false);
    return group;
  }

  async #start(restarted: boolean): Promise<void> {
    const { actors } = this;
    const stop = () => Promise.resolve();
    const spawn = (id: string, actor: object) =>
      actors.start(id, () => Promise.resolve({ receive: () => {}, stop, ...actor }), {});
    await this.until(spawn('pstore', { ask: (question: unknown) => this.#pstore(question) }));
    await this.until(
      spawn('g0/driver', {
        receive: (message: DriverMessage) => this.#driver(message),
        ask: () => Promise.resolve(this.clientsSeen),
      }),
    );
    await this.until(
      spawn('refresh-turns', {
        ask: () => new Promise((resolve) => this.turns.push(() => resolve(undefined))),
        receive: () => {
          this.turnsGiven++;
        },
      }),
    );
    await this.until(spawn('hooks', { ask: (question: unknown) => this.#hook(question) }));
    await this.until(spawn('g0/pmd', { receive: (message: PmdMessage) => this.#pmd(message) }));
    await this.until(
      actors.start('g0/group', startGroup, {
        group: 0,
        control: this.#memory,
        restarted,
        devices: [{ name: 'd0', sizeBytes: 1 << 20, mtimeMs: 0 }],
        tunables: { CHUNKSIZE: 256 },
      }),
    );
    await this.quiet();
  }

  until<T>(promise: Promise<T>): Promise<T> {
    return this.world.settled(promise, limitMs);
  }

  /** Lets what is under way end; shorter than every time limit. */
  quiet(): Promise<void> {
    return this.world.run(20);
  }

  ask<Answer>(question: unknown): Promise<Answer> {
    return this.until(this.actors.address('g0/group').ask<Answer>(question));
  }

  async operator(verb: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    const answer = await this.ask({ kind: 'operator', verb, args });
    await this.quiet();
    return answer;
  }

  /** Asked, and perhaps not answered yet; `until` waits for it. */
  async begin(verb: string, args: Readonly<Record<string, unknown>> = {}) {
    const asked = this.actors.address('g0/group').ask({ kind: 'operator', verb, args });
    // The test looks at it later.
    asked.catch(() => undefined);
    await this.quiet();
    return { asked };
  }

  status(): Promise<GroupStatus> {
    return this.ask({ kind: 'status' });
  }

  /** The link comes back, and the secondary says where it stands. */
  async reconnect(): Promise<void> {
    this.#connected('coherent');
    await this.quiet();
  }

  async cut(): Promise<void> {
    await this.fact({ type: 'link.lost', code: 'TDMF_LINK_LOST', message: 'cut', retryInMs: 100 });
  }

  /** A fact of the driver or the PMD. */
  async fact(message: GroupMessage): Promise<void> {
    this.actors.address<GroupMessage>('g0/group').tell(message);
    await this.quiet();
  }

  last<Type extends Message['type']>(type: Type): Extract<Message, { type: Type }> {
    const found = this.messages.findLast((message) => message.type === type);
    if (found === undefined) throw new Error(`no ${type} was sent`);
    return found as Extract<Message, { type: Type }>;
  }

  /** From here on `log` is what follows. */
  forget(): void {
    this.log.length = 0;
    this.events.length = 0;
  }

  get refreshId(): string {
    return this.last('pmd.refresh').refreshId;
  }

  /** PASSTHRU to phase a. */
  async toPhaseA(): Promise<void> {
    await this.operator('launchrefresh', { kind: 'full' });
  }

  /** The PMD says that the rest fits: everything up to NORMAL, unless something is silent. */
  async converge(): Promise<void> {
    await this.fact({ type: 'refresh.converged', refreshId: this.refreshId });
  }

  async toNormal(): Promise<void> {
    await this.toPhaseA();
    await this.converge();
  }

  #connected(mirrorState: MirrorState): void {
    const { checkpointed: checkpoint } = this;
    this.#tell({ type: 'link.connected', peer: 'b:575', mirrorState, checkpoint });
    const found = { code: undefined, ownBytes: 0, ownSince: 0, drain: false };
    const decided = { ...found, ...this.#decide(), ...this.decision };
    this.#tell({ type: 'link.decided', ...decided });
    const { era, appending } = this.#lineage!;
    if (decided.action !== 'era' || !appending) return;
    // The PMD offers the era by itself.
    this.mirror = { era, sequence: 0 };
    this.#tell({ type: 'pmd.eraTaken', era });
  }

  /** The rows of the lineage table that a mirror of our own can meet. */
  #decide(): Pick<Decided, 'row' | 'action'> & Partial<Decided> {
    const lineage = this.#lineage!;
    if (lineage.order === 'full') return { row: 'F', action: 'refresh' };
    if (this.mirror === undefined) {
      if (lineage.order === 'normal') {
        return { row: '1n', action: 'era', code: 'TDMF_LINEAGE_UNVERIFIED' };
      }
      return { row: '1', action: 'wait', code: 'TDMF_LINEAGE_NEVER' };
    }
    if (this.mirror.era === lineage.era) {
      return { row: '5', action: 'resume', drain: !lineage.appending };
    }
    return lineage.dirty ? { row: '7', action: 'smart' } : { row: '7e', action: 'era' };
  }

  /** The secondary says how its checkpoint is. */
  checkpoint(state: 'off' | 'on' | 'failed', code?: string): void {
    if (state !== 'failed') this.checkpointed = state;
    this.#tell({ type: 'checkpoint.changed', state, sequence: this.marker, code });
  }

  #hook(question: unknown): Promise<unknown> {
    const { hook, role } = question as { hook: string; role: string };
    this.log.push(`hook ${hook} ${role}`);
    if (!this.failingHooks.has(hook)) return Promise.resolve({ ran: undefined });
    const details = { file: `cp_${hook}_000`, why: 'it ended with exit code 1' };
    return Promise.reject(new TdmfError('TDMF_HOOK_FAILED', details));
  }

  #tell(message: GroupMessage): void {
    this.actors.address<GroupMessage>('g0/group').tell(message);
  }

  #pstore(question: unknown): Promise<unknown> {
    const asked = question as { kind: string; record?: GroupRecord };
    if (asked.kind === 'pstore.node') return Promise.resolve({ nodeId: 'ab'.repeat(16) });
    if (asked.kind === 'pstore.load') return Promise.resolve(this.record);
    if (asked.kind === 'pstore.dirt') {
      return Promise.resolve({ devices: [this.dirt], released: [], damage: [] });
    }
    const { record } = asked;
    if (record === undefined) return Promise.reject(new Error(asked.kind));
    return new Promise((resolve, reject) => {
      this.world.soon(1, 'flush', () => {
        if (this.pstoreBroken) {
          this.log.push('save failed');
          reject(new TdmfError('TDMF_PSTORE_FAILED', { path: 'pstore', errno: 5 }));
          return;
        }
        this.record = record;
        this.log.push(`save ${record.mode}${record.clean ? ' clean' : ''}`);
        resolve(undefined);
      });
    });
  }

  #driver(message: DriverMessage): void {
    this.messages.push(message);
    const duties = message.type === 'driver.duties' ? ` ${dutiesOf(message)}` : '';
    if (message.type !== 'driver.sync') this.log.push(`${message.type}${duties}`);
    if (this.silent.has(message.type)) return;
    switch (message.type) {
      case 'driver.duties':
        this.#tell({ type: 'driver.graced', token: message.token, sequence: 0 });
        break;
      case 'driver.era':
        this.control.beginEra(message.era, message.sequence, message.lease);
        break;
      case 'driver.markAll':
        this.#tell({ type: 'driver.markedAll', token: message.token });
        break;
      case 'driver.door':
        if (!message.open) {
          this.#tell({ type: 'driver.door', token: message.token, open: this.clients > 0 });
        }
        break;
      case 'driver.equal':
        this.#tell({ type: 'driver.committed', token: message.token, cleared: true });
        break;
      case 'driver.marker':
        this.control.stamped = this.mark + 1;
        this.#tell({ type: 'driver.markerStamped', token: message.token, sequence: this.marker });
        break;
      case 'driver.clearBab':
        this.#tell({ type: 'driver.cleared', token: message.token });
        break;
      case 'driver.mark':
        this.control.stamped = this.mark;
        this.#tell({ type: 'driver.marked', token: message.token, sequence: this.mark });
        break;
      case 'driver.commit':
        this.#tell({ type: 'driver.committed', token: message.token, cleared: !this.commitKept });
        break;
      default:
        break;
    }
  }

  #pmd(message: PmdMessage): void {
    this.messages.push(message);
    const said = message.type === 'pmd.lineage' || message.type === 'pmd.tunables';
    if (!said) this.log.push(message.type);
    if (this.silent.has(message.type)) return;
    switch (message.type) {
      case 'pmd.launch':
        this.#tell({ type: 'link.connecting' });
        this.#connected('unknown');
        break;
      case 'pmd.lineage':
        this.#lineage = message.lineage;
        break;
      case 'pmd.kill':
        this.#tell({ type: 'pmd.stopped' });
        break;
      case 'pmd.backfreshEnd': {
        const { refreshId, handOver } = message;
        if (handOver === undefined) {
          this.#tell({ type: 'backfresh.ended', refreshId, writtenBytes: this.writtenBytes });
        } else {
          this.mirror = { era: handOver.era, sequence: handOver.s0 - 1 };
          this.#tell({ type: 'pmd.eraTaken', era: handOver.era });
        }
        break;
      }
      case 'pmd.checkpointOff':
        this.checkpoint('off');
        break;
      case 'pmd.drop':
        this.#tell({ type: 'pmd.dropped', token: message.token });
        break;
      case 'pmd.phaseB': {
        const { refreshId, era } = message;
        this.#tell({ type: 'refresh.frozenRead', refreshId, era });
        break;
      }
      case 'pmd.mark': {
        const { era } = this.last('pmd.phaseB');
        const position = { era, sequence: message.mark };
        this.mirror = position;
        this.#tell({ type: 'refresh.committed', refreshId: message.refreshId, position });
        break;
      }
      default:
        break;
    }
  }
}

/** Answers those who ask for their turn, now or when it is not crowded any more. */
class Turns {
  readonly #crowded: () => boolean;
  #waiting: (() => void)[] = [];

  constructor(crowded: () => boolean) {
    this.#crowded = crowded;
  }

  push(grant: () => void): void {
    if (this.#crowded()) this.#waiting.push(grant);
    else grant();
  }

  grantAll(): void {
    for (const grant of this.#waiting.splice(0)) grant();
  }
}

function dutiesOf({ append, mark }: { readonly append: boolean; readonly mark: boolean }): string {
  return [append ? 'append' : '', mark ? 'mark' : ''].filter((name) => name !== '').join('+');
}
