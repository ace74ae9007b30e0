/**
 * What the PMD says on a session and what it makes of the answers: hello and the lineage table,
 * acknowledgements, the answers of a refresh, refusals. Data goes out through pmd-pump.ts.
 *
 *   BAB ──EntrySender───┐                      ┌──► frames ──► RMD
 *                       ├── pump ── session ───┤
 *   devices ──PmdRefresh┘                      └◄── welcome, acks, committed
 *
 * Where the stream goes on after a break is decided by the lineage table with what both sides know
 * (core/lineage), never by a position alone (H8).
 */

import { assert } from '../core/assert.js';
import type { BabReader } from '../core/bab/reader.js';
import { babEntryPayloadMax, heartbeatMs } from '../core/constants.js';
import { FrameBuffers } from '../core/engine/frame-buffers.js';
import { primarySide } from '../core/engine/handshake.js';
import { Window } from '../core/engine/window.js';
import { decideLineage, type LineageDecision } from '../core/lineage/decide.js';
import { decodeSecret } from '../core/psk.js';
import { protocolVersion } from '../core/wire/frame.js';
import type { Ack, ControlMessage, Welcome } from '../core/wire/messages.js';
import type { ActorContext } from './actor.js';
import { DriverBell } from './driver-bell.js';
import { EntrySender } from './entry-sender.js';
import type { GroupMessage, MirrorState, PrimaryLineage } from './messages.js';
import { type LinkOwner, PmdLink } from './pmd-link.js';
import type { ChunkTunables, PmdOptions } from './pmd-options.js';
import { PmdPump, type PumpSources } from './pmd-pump.js';
import type { PmdRefresh } from './pmd-refresh.js';
import type { PmdSession } from './pmd-session.js';

export class PmdTalk implements LinkOwner, PumpSources {
  readonly link: PmdLink;
  readonly entries: EntrySender;
  readonly bell: DriverBell;
  lineage: PrimaryLineage | undefined;
  launch = '';
  tunables: ChunkTunables;
  /** The refresh that is carried out now, if any. */
  run: PmdRefresh | undefined;
  /** A refresh that was committed; the lineage goes on naming it until the group has recorded that. */
  committedId: string | undefined;
  readonly #context: ActorContext;
  readonly #options: PmdOptions;
  readonly #reader: BabReader;
  readonly #tell: (message: GroupMessage) => void;
  readonly #pump: PmdPump;
  #welcome: Welcome | undefined;
  #settled = false;

  constructor(
    context: ActorContext,
    options: PmdOptions,
    reader: BabReader,
    tell: (message: GroupMessage) => void,
  ) {
    this.#context = context;
    this.#options = options;
    this.#reader = reader;
    this.#tell = tell;
    this.tunables = options.tunables;
    this.entries = new EntrySender(reader, new FrameBuffers());
    this.bell = new DriverBell(context, reader.control, options.driverActor);
    this.#pump = new PmdPump(context, reader, this);
    const { host, port, secret } = options.target;
    const key = decodeSecret(secret);
    assert(key !== undefined, 'a group file with this key was read');
    const { tcpWindowBytes } = options.tunables;
    this.link = new PmdLink(context, { host, port, key, tcpWindowBytes }, this, tell);
  }

  async stop(): Promise<void> {
    await this.link.stop();
    this.bell.close();
  }

  /** Begins the refresh on the session there is; otherwise tries to get one. */
  startRun(run: PmdRefresh): void {
    this.run = run;
    const { entries } = this;
    entries.drain.end();
    // Append is off: nothing of before is ever drained (Rule 12.3). The map should have all of it.
    entries.markPending(run.maps);
    entries.dropThrough(entries.generation);
    const { session } = this.link;
    if (session !== undefined && this.#welcome !== undefined) run.attach(session, this.#welcome);
    else this.link.send({ type: 'retry.hurried' });
  }

  wantFlush(): void {
    this.#pump.wantFlush();
  }

  opened(session: PmdSession): void {
    const { nodeId, loopback, version, deviceList } = this.#options;
    const side = this.#side(this.#openRefresh());
    const { era, s0, stamped, released, sentMax, lease, refreshId } = side;
    session.control({
      kind: 'hello',
      protocol: protocolVersion,
      features: 0,
      version,
      role: 'primary',
      nodeId,
      loopback,
      launch: this.launch,
      heartbeatMs,
      devices: deviceList,
      era,
      s0,
      stamped,
      released,
      sentMax,
      lease,
      refreshId,
      refreshKind: refreshId === undefined ? undefined : (this.run?.kind ?? 'full'),
      purpose: 'mirror',
    });
  }

  connected(session: PmdSession): void {
    const mirrorState = mirrorStateOf(this.#welcome!.state);
    this.#tell({ type: 'link.connected', peer: session.peer, mirrorState });
  }

  detached(): void {
    this.#pump.detach();
    this.#welcome = undefined;
    this.#settled = false;
    this.entries.drain.end();
    this.run?.linkLost();
    // Until the next session says otherwise, everything that is not durable is to be sent again.
    this.#reader.setSent(this.#reader.durable);
    this.#reader.awake();
  }

  control(message: ControlMessage): void {
    const session = this.link.session!;
    switch (message.kind) {
      case 'welcome':
        this.#welcomed(session, message);
        break;
      case 'refused':
        this.link.refuse(message.code, message.details);
        break;
      case 'bye':
        this.#poison(message.details['sequence']);
        this.link.refuse(message.code, message.details);
        break;
      case 'refreshReady':
        // An answer to a refresh that was killed meanwhile says nothing.
        if (this.run?.ready(message.refreshId, message.kept)) this.#settle();
        break;
      case 'dirt':
        this.#breachIf(session, this.run?.dirt(message));
        break;
      case 'differs':
        if (message.batch > session.hashBatches) session.breach('an answer without a question');
        else this.#breachIf(session, this.run?.compared(message));
        break;
      case 'committed':
        if (this.run?.committed(message.refreshId, message.era, message.mark)) {
          this.#committed(this.run);
        }
        break;
      case 'stateChanged':
        this.#tell({ type: 'mirror.stateChanged', mirrorState: mirrorStateOf(message.state) });
        break;
      default:
        session.breach(`a secondary does not send ${message.kind}`);
    }
  }

  ack(ack: Readonly<Ack>): void {
    const session = this.link.session!;
    const { window } = this.#pump;
    if (window === undefined) {
      session.breach('ack before welcome');
      return;
    }
    if (!window.freed(ack.freedBytes)) {
      session.breach('ack frees what was never sent');
      return;
    }
    const problem = this.entries.drain.acknowledged(ack);
    if (problem !== undefined) {
      session.breach(problem);
      return;
    }
    if (this.run?.acknowledged(ack.blocks) === false) {
      session.breach('ack of a block that was never sent');
      return;
    }
    this.entries.publishPositions();
    this.bell.durableMoved();
    if (ack.freedBytes > 0) this.#settle();
    this.schedule();
  }

  writable(): void {
    this.schedule();
  }

  /** There are new entries: sends them in a moment. */
  wake(): void {
    this.#pump.wake();
  }

  /** Sends what can be sent at the end of this turn. */
  schedule(): void {
    this.#pump.schedule();
  }

  #welcomed(session: PmdSession, welcome: Welcome): void {
    if (this.#welcome !== undefined) {
      session.breach('a second welcome');
      return;
    }
    if (welcome.windowBytes < windowBytesMin) {
      session.breach('a window that holds no frame');
      return;
    }
    this.#welcome = welcome;
    this.#pump.attach(session, new Window(welcome.windowBytes));
    const { run } = this;
    if (run?.awaitsVerdict === true && run.committedMeanwhile(welcome)) this.#committed(run);
    const decision = decideLineage(this.#side(this.#openRefresh()), welcome);
    this.#context.log.write('info', 'handshake', { row: decision.row, action: decision.action });
    this.#follow(session, welcome, decision);
  }

  #follow(session: PmdSession, welcome: Welcome, decision: LineageDecision): void {
    const { action, code, era, from, sentMax } = decision;
    switch (action) {
      case 'resume':
        if (!this.entries.begin(era, from)) {
          this.link.refuse('TDMF_LINEAGE_MIRROR_BEHIND', {});
          return;
        }
        session.control({ kind: 'resume', era, from, sentMax });
        this.link.send({ type: 'peer.welcomed' });
        this.schedule();
        break;
      case 'refresh':
      case 'refresh-resume':
        this.link.send({ type: 'peer.welcomed' });
        // Without a run the group has yet to say `pmd.refresh`.
        this.run?.attach(session, welcome);
        break;
      case 'wait':
        this.link.send({ type: 'peer.welcomed' });
        break;
      case 'refuse':
        this.link.refuse(code ?? 'TDMF_LINK_PROTOCOL', { what: decision.row });
        break;
      case 'smart':
      case 'checksum':
      case 'era':
        this.link.refuse(code ?? 'TDMF_MODE_NOT_YET', { what: `a refresh of kind ${action}` });
        break;
    }
  }

  #breachIf(session: PmdSession, problem: string | undefined): void {
    if (problem !== undefined) session.breach(problem);
  }

  #openRefresh(): string | undefined {
    if (this.run !== undefined) return this.run.refreshId;
    const ordered = this.lineage?.refreshId;
    return ordered === this.committedId ? undefined : ordered;
  }

  #side(refreshId: string | undefined) {
    return primarySide(this.lineage!, this.entries.babSide(), this.#options.loopback, refreshId);
  }

  #committed(run: PmdRefresh): void {
    const { refreshId } = run;
    const position = { era: run.era!, sequence: run.mark! };
    this.run = undefined;
    this.committedId = refreshId;
    void run.end(true);
    this.#tell({ type: 'refresh.committed', refreshId, position });
  }

  /** The session made progress: the next loss begins with the shortest pause again. */
  #settle(): void {
    if (this.#settled) return;
    this.#settled = true;
    this.link.send({ type: 'link.settled' });
  }

  #poison(sequence: string | number | undefined): void {
    const { drain } = this.entries;
    if (typeof sequence !== 'number' || drain.era === undefined) return;
    const { era } = drain;
    if (drain.refused(era, sequence)) this.#tell({ type: 'pmd.poisoned', era, sequence });
  }
}

function mirrorStateOf(state: Welcome['state']): MirrorState {
  return state === 'never' ? 'unknown' : state;
}

/** Two of the largest frames a refresh sends: half of the window must hold one. */
const windowBytesMin = 4 * babEntryPayloadMax;
