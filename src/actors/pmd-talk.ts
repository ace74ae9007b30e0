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
import type { DeviceMap } from '../core/bitmap/device-map.js';
import { babEntryPayloadMax, heartbeatMs } from '../core/constants.js';
import { FrameBuffers } from '../core/engine/frame-buffers.js';
import { type OpenRefresh, primarySide } from '../core/engine/handshake.js';
import { Window } from '../core/engine/window.js';
import type { ErrorDetails } from '../core/errors.js';
import { decideLineage, type LineageDecision } from '../core/lineage/decide.js';
import { decodeSecret } from '../core/psk.js';
import { protocolVersion } from '../core/wire/frame.js';
import type { Ack, ControlMessage, EraHandOver, Welcome } from '../core/wire/messages.js';
import { bytesInWords, timeInWords } from '../core/words.js';
import type { ActorContext } from './actor.js';
import { EntrySender } from './entry-sender.js';
import type {
  Divergence,
  GroupMessage,
  MirrorState,
  PrimaryLineage,
  RefreshKind,
} from './messages.js';
import { type LinkOwner, PmdLink } from './pmd-link.js';
import type { ChunkTunables, PmdOptions } from './pmd-options.js';
import { PmdPump, type PumpSources } from './pmd-pump.js';
import type { PmdRefresh } from './pmd-refresh.js';
import type { PmdSession } from './pmd-session.js';

export class PmdTalk implements LinkOwner, PumpSources {
  readonly link: PmdLink;
  readonly entries: EntrySender;
  launch = '';
  tunables: ChunkTunables;
  /** The refresh that is carried out now, if any. */
  run: PmdRefresh | undefined;
  /** A refresh that was committed; the lineage goes on naming it until the group has recorded that. */
  committedId: string | undefined;
  readonly #context: ActorContext;
  readonly #options: PmdOptions;
  readonly #reader: BabReader;
  readonly #maps: readonly DeviceMap[];
  readonly #tell: (message: GroupMessage) => void;
  readonly #pump: PmdPump;
  #lineage: PrimaryLineage | undefined;
  #welcome: Welcome | undefined;
  /** What the table said last of this session. */
  #decision: LineageDecision | undefined;
  /** The era that was offered to the mirror and not taken yet. */
  #offered: EraHandOver | undefined;
  #toldDrained = false;
  #settled = false;

  constructor(
    context: ActorContext,
    options: PmdOptions,
    reader: BabReader,
    maps: readonly DeviceMap[],
    tell: (message: GroupMessage) => void,
  ) {
    this.#context = context;
    this.#options = options;
    this.#reader = reader;
    this.#maps = maps;
    this.#tell = tell;
    this.tunables = options.tunables;
    this.entries = new EntrySender(reader, new FrameBuffers());
    this.#pump = new PmdPump(context, reader, this);
    const { host, port, secret } = options.target;
    const key = decodeSecret(secret);
    assert(key !== undefined, 'a group file with this key was read');
    const { tcpWindowBytes } = options.tunables;
    this.link = new PmdLink(context, { host, port, key, tcpWindowBytes }, this, tell);
  }

  async stop(): Promise<void> {
    await this.link.stop();
  }

  get lineage(): PrimaryLineage | undefined {
    return this.#lineage;
  }

  /** The record says something new. A session that waits for an order may have got it. */
  learn(lineage: PrimaryLineage): void {
    const before = this.#lineage?.order;
    this.#lineage = lineage;
    if (lineage.appending) this.#toldDrained = false;
    const session = this.#admitted;
    if (session === undefined) return;
    if (lineage.order !== undefined && lineage.order !== before && this.run === undefined) {
      this.#judgeAgain(session);
    }
    this.#tellDrained();
  }

  /** Begins the refresh on the session there is; otherwise tries to get one. */
  startRun(run: PmdRefresh): void {
    this.run = run;
    const { entries } = this;
    entries.drain.end();
    // Append is off: nothing of before is ever drained (Rule 12.3). The map should have all of it.
    entries.markPending(run.maps);
    entries.dropThrough(entries.generation);
    const session = this.#admitted;
    if (session === undefined) this.link.send({ type: 'retry.hurried' });
    else if (!this.#attachRun(session)) this.#judgeAgain(session);
  }

  wantFlush(): void {
    this.#pump.wantFlush();
  }

  opened(session: PmdSession): void {
    const { nodeId, loopback, version, deviceList } = this.#options;
    const side = this.#side();
    const { era, s0, stamped, released, sentMax, lease, refreshId, refreshKind } = side;
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
      refreshKind,
      purpose: refreshKind === 'back' ? 'backfresh' : 'mirror',
    });
  }

  connected(session: PmdSession): void {
    const mirrorState = mirrorStateOf(this.#welcome!.state);
    this.#tell({ type: 'link.connected', peer: session.peer, mirrorState });
  }

  detached(): void {
    this.#pump.detach();
    this.#welcome = undefined;
    this.#decision = undefined;
    this.#offered = undefined;
    this.#toldDrained = false;
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
        if (this.#welcome !== undefined) {
          this.#welcome = { ...this.#welcome, state: message.state };
        }
        this.#tell({ type: 'mirror.stateChanged', mirrorState: mirrorStateOf(message.state) });
        break;
      case 'eraTaken':
        this.#eraTaken(session, message.era);
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
    if (ack.freedBytes > 0) this.#settle();
    this.#tellDrained();
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
    const decision = decideLineage(this.#side(), welcome);
    this.#context.log.write('info', 'handshake', { row: decision.row, action: decision.action });
    this.#decision = decision;
    this.#follow(session, decision);
  }

  #follow(session: PmdSession, decision: LineageDecision): void {
    const { action, code, era, from, sentMax, drain, row } = decision;
    if (code !== undefined && (action === 'refuse' || action === 'wait')) {
      this.#tell({ type: 'lineage.diverged', row, code, ...this.#divergence() });
    }
    if (action === 'refuse') {
      this.link.refuse(code ?? 'TDMF_LINK_PROTOCOL', { what: row, ...inWords(this.#divergence()) });
      return;
    }
    if (action === 'resume' || drain) {
      if (!this.entries.begin(era, from)) {
        this.link.refuse('TDMF_LINEAGE_MIRROR_BEHIND', {});
        return;
      }
      session.control({ kind: 'resume', era, from, sentMax });
    }
    this.link.send({ type: 'peer.welcomed' });
    this.#tellDecided(decision);
    if (action === 'era' && this.#lineage!.appending) this.#offer(session, decision);
    this.#attachRun(session);
    this.#tellDrained();
    this.schedule();
  }

  /** Something was ordered while the session is there; what the mirror has by now is known. */
  #judgeAgain(session: PmdSession): void {
    const decision = decideLineage(this.#side(), this.#mirrorNow());
    const before = this.#decision;
    this.#decision = decision;
    if (decision.action === 'refuse') {
      this.#follow(session, decision);
      return;
    }
    if (decision.row !== before?.row) this.#tellDecided(decision);
    if (decision.action === 'era' && this.#lineage!.appending) this.#offer(session, decision);
    this.#attachRun(session);
  }

  /** The refresh there is, if the table allows it for this mirror. */
  #attachRun(session: PmdSession): boolean {
    const { run } = this;
    if (run === undefined || this.#decision === undefined) return false;
    if (!permits(this.#decision, run.kind)) return false;
    run.attach(session, this.#welcome!, this.#decision.union);
    return true;
  }

  /** Rule 8b: the mirror goes on in the era that is appended, exactly where it stands. */
  #offer(session: PmdSession, { era, from, adopt }: LineageDecision): void {
    const { position } = this.#mirrorNow();
    this.#offered = { kind: 'era', from: position, era, s0: from, adopt };
    session.control(this.#offered);
  }

  #eraTaken(session: PmdSession, era: string): void {
    const offered = this.#offered;
    if (offered === undefined || offered.era !== era) {
      session.breach('an era was taken that was not offered');
      return;
    }
    this.#offered = undefined;
    if (!this.entries.begin(era, offered.s0)) {
      this.link.refuse('TDMF_LINEAGE_MIRROR_BEHIND', {});
      return;
    }
    this.#settle();
    this.#tell({ type: 'pmd.eraTaken', era });
    this.schedule();
  }

  /** The welcome, with what was streamed since. */
  #mirrorNow(): Welcome {
    const welcome = this.#welcome!;
    const { era, applied, durable } = this.entries.drain;
    if (era === undefined) return welcome;
    return {
      ...welcome,
      position: { era, sequence: Math.max(applied, durable) },
      durable: { era, sequence: durable },
    };
  }

  get #admitted(): PmdSession | undefined {
    return this.#decision === undefined ? undefined : this.link.session;
  }

  #tellDecided({ row, action, drain, code }: LineageDecision): void {
    if (action === 'refuse' || action === 'back') return;
    const { own } = this.#welcome!;
    this.#tell({
      type: 'link.decided',
      row,
      action: action === 'refresh-resume' ? 'refresh' : action,
      drain,
      code,
      ownBytes: own.bytes,
      ownSince: own.since,
    });
  }

  /** R1: everything that was appended before is durable over there. */
  #tellDrained(): void {
    const { drain } = this.entries;
    if (this.#toldDrained || this.run !== undefined || this.#lineage!.appending) return;
    if (drain.era === undefined || this.#reader.pending > 0) return;
    this.#toldDrained = true;
    this.#tell({ type: 'pmd.drained' });
  }

  /** What both sides have that the other has not, for whoever must decide. */
  #divergence(): Divergence {
    const { changes, bytes, since } = this.#welcome!.own;
    const here = this.#maps.reduce((sum, map) => sum + map.dirtyBytes, 0);
    return {
      hereBytes: here + this.#reader.control.snapshot().bytes,
      thereBytes: changes === 'unknown' ? null : bytes,
      since,
    };
  }

  #breachIf(session: PmdSession, problem: string | undefined): void {
    if (problem !== undefined) session.breach(problem);
  }

  #openRefresh(): OpenRefresh {
    const { run } = this;
    const { refreshId, refreshKind, order } = this.#lineage!;
    if (run !== undefined) {
      // Only an operator begins a full one.
      const own = run.kind === 'full' ? 'full' : undefined;
      const ordered = refreshId === run.refreshId ? order : own;
      return { refreshId: run.refreshId, refreshKind: run.kind, order: ordered, running: true };
    }
    if (refreshId === undefined || refreshId !== this.committedId) {
      return { refreshId, refreshKind, order, running: false };
    }
    return { refreshId: undefined, refreshKind: undefined, order: undefined, running: false };
  }

  #side() {
    const { loopback } = this.#options;
    return primarySide(this.#lineage!, this.entries.babSide(), loopback, this.#openRefresh());
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

/** Whether what the table says allows a refresh of this kind: it may do more than is needed. */
function permits({ action, drain }: LineageDecision, kind: RefreshKind): boolean {
  switch (action) {
    case 'refresh':
      return kind === 'full';
    case 'refresh-resume':
      return true;
    case 'resume':
    case 'smart':
    case 'era':
      return kind !== 'full' && !drain;
    case 'checksum':
      return kind === 'checksum' && !drain;
    case 'back':
    case 'wait':
    case 'refuse':
      return false;
  }
}

function mirrorStateOf(state: Welcome['state']): MirrorState {
  return state === 'never' ? 'unknown' : state;
}

/** Two of the largest frames a refresh sends: half of the window must hold one. */
const windowBytesMin = 4 * babEntryPayloadMax;

/** For the holes of TDMF_LINEAGE_*. */
function inWords({ hereBytes, thereBytes, since }: Divergence): ErrorDetails {
  const amount = thereBytes === null ? 'nobody knows how much' : bytesInWords(thereBytes);
  const when = since === 0 ? '' : ` since ${timeInWords(since)}`;
  return { here: bytesInWords(hereBytes), there: `${amount}${when}` };
}
