/**
 * The PMD's way to its RMD: gives the actions of machines/link.ts their effect (dial, hang up, wait,
 * tell the group) and owns the one session there may be. What is said on a session is the owner's.
 */
import { createActor } from 'xstate';
import { type ErrorDetails, errorTable, isTdmfError, TdmfError } from '../core/errors.js';
import type { EntryTable } from '../core/wire/entry.js';
import type { Ack, ControlMessage } from '../core/wire/messages.js';
import { jitterSteps, type LinkEvent, linkMachine, type TroubleReport } from '../machines/link.js';
import type { TimerHandle } from '../ports/clock.js';
import type { DialTarget, LinkConnection } from '../ports/link.js';
import type { ActorContext } from './actor.js';
import type { GroupMessage } from './messages.js';
import { PmdSession } from './pmd-session.js';

export interface LinkOwner {
  /** A connection is there: say hello. */
  opened(session: PmdSession): void;
  control(message: ControlMessage): void;
  ack(ack: Readonly<Ack>): void;
  blocks(bytes: Uint8Array, table: EntryTable): void;
  writable(): void;
  /** The session that was opened is over, whoever ended it. */
  detached(): void;
  /** The owner has admitted the session. */
  connected(session: PmdSession): void;
}

export class PmdLink {
  session: PmdSession | undefined;
  readonly #context: ActorContext;
  readonly #target: DialTarget;
  readonly #owner: LinkOwner;
  readonly #tell: (message: GroupMessage) => void;
  readonly #machine: ReturnType<PmdLink['makeMachine']>;
  /** Sessions that are over and whose connection is not closed yet. */
  readonly #closing = new Set<Promise<void>>();
  #dialling: AbortController | undefined;
  #retry: TimerHandle | undefined;

  constructor(
    context: ActorContext,
    target: DialTarget,
    owner: LinkOwner,
    tell: (message: GroupMessage) => void,
  ) {
    this.#context = context;
    this.#target = target;
    this.#owner = owner;
    this.#tell = tell;
    this.#machine = this.makeMachine();
    this.#machine.start();
  }

  send(event: LinkEvent): void {
    this.#machine.send(event);
  }

  /** The secondary or the table says no. `peer.barred` only for the code that means it (Rule 50). */
  refuse(code: string, details: ErrorDetails): void {
    const message = describe(code, details);
    const trouble = this.#trouble(code, message);
    if (code === 'TDMF_RMD_BARRED') this.send({ type: 'peer.barred', ...trouble });
    else if (passingCodes.includes(code)) this.session?.drop(code, message);
    else this.send({ type: 'peer.refused', ...trouble });
  }

  async stop(): Promise<void> {
    this.send({ type: 'operator.kill' });
    this.#machine.stop();
    await Promise.all(this.#closing);
  }

  protected makeMachine() {
    const guard = (run: () => void) => this.#context.guard(run);
    const actions = {
      dial: guard(() => this.#dial()),
      sayHello: guard(() => this.#owner.opened(this.session!)),
      hangUp: guard(() => this.#hangUp()),
      scheduleRetry: (_: unknown, params: { delayMs: number }) => {
        const due = guard(() => this.send({ type: 'retry.due' }));
        this.#retry = this.#context.clock.after(params.delayMs, due);
      },
      cancelRetry: () => this.#retry?.cancel(),
      reportConnecting: (_: unknown, params: { first: boolean }) => {
        if (params.first) this.#tell({ type: 'link.connecting' });
      },
      reportConnected: guard(() => this.#owner.connected(this.session!)),
      reportLost: (_: unknown, params: TroubleReport) => this.#report('link.lost', params),
      reportRefused: (_: unknown, params: TroubleReport) => this.#report('link.refused', params),
    };
    return createActor(linkMachine.provide({ actions }), { id: 'link' });
  }

  #dial(): void {
    const context = this.#context;
    const dialling = new AbortController();
    this.#dialling = dialling;
    context.ports.dialer.dial(this.#target, dialling.signal).then(
      context.guard((connection: LinkConnection) => this.#dialled(connection, dialling)),
      context.guard((error: unknown) => {
        if (dialling !== this.#dialling) return;
        this.#dialling = undefined;
        const code = isTdmfError(error) ? error.code : 'TDMF_INTERNAL';
        const message = error instanceof Error ? error.message : String(error);
        this.send({ type: 'link.lost', ...this.#trouble(code, message) });
      }),
    );
  }

  #dialled(connection: LinkConnection, dialling: AbortController): void {
    const session: PmdSession = new PmdSession(this.#context, connection, {
      control: (message) => this.#owner.control(message),
      ack: (ack) => this.#owner.ack(ack),
      blocks: (bytes, table) => this.#owner.blocks(bytes, table),
      writable: () => this.#owner.writable(),
      ended: (code, message) => {
        if (session === this.session) this.#lose(code, message);
      },
    });
    const closed = session.closed.then(() => {
      this.#closing.delete(closed);
    });
    this.#closing.add(closed);
    if (dialling !== this.#dialling) {
      session.drop('TDMF_LINK_CLOSED', 'the connection is not wanted any more');
      return;
    }
    this.#dialling = undefined;
    this.session = session;
    this.send({ type: 'link.dialed' });
  }

  #lose(code: string, message: string): void {
    this.#detach();
    this.send({ type: 'link.lost', ...this.#trouble(code, message) });
  }

  #hangUp(): void {
    this.#dialling?.abort();
    this.#dialling = undefined;
    const { session } = this;
    this.#detach();
    session?.end('TDMF_LINK_CLOSED', new TdmfError('TDMF_LINK_CLOSED').message);
  }

  #detach(): void {
    if (this.session === undefined) return;
    this.session = undefined;
    this.#owner.detached();
  }

  #report(type: 'link.lost' | 'link.refused', report: TroubleReport): void {
    const { code, message, retryInMs, changed } = report;
    if (!changed) return;
    this.#context.log.write('warn', message, { code, retryInMs });
    this.#tell({ type, code, message, retryInMs });
  }

  #trouble(code: string, message: string) {
    return { code, message, jitter: this.#context.random.below(jitterSteps) };
  }
}

/** A newer version of the peer may use codes that this one does not know. */
function describe(code: string, details: ErrorDetails): string {
  return code in errorTable
    ? new TdmfError(code as keyof typeof errorTable, details).message
    : code;
}

/** Trouble that goes away by itself: tried again soon, not at the pace of a refusal. */
const passingCodes: readonly string[] = [
  'TDMF_LINK_FLOOD',
  'TDMF_LINK_LOST',
  'TDMF_LINK_TIMEOUT',
  'TDMF_LINK_PROTOCOL',
  'TDMF_LINK_CLOSED',
  'TDMF_RMD_FAILED',
];
