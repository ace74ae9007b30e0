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
import { Window } from '../core/engine/window.js';
import type { LineageDecision } from '../core/lineage/decide.js';
import { decodeSecret } from '../core/psk.js';
import type { EntryTable } from '../core/wire/entry.js';
import { protocolVersion } from '../core/wire/frame.js';
import {
  type Ack,
  type ControlMessage,
  type EraHandOver as EraOffer,
  features,
  type Welcome,
} from '../core/wire/messages.js';
import type { ActorContext } from './actor.js';
import { DriverBell } from './driver-bell.js';
import { EntrySender } from './entry-sender.js';
import type { GroupMessage, MirrorState, PrimaryLineage } from './messages.js';
import { PmdHome } from './pmd-home.js';
import { type LinkOwner, PmdLink } from './pmd-link.js';
import type { ChunkTunables, PmdOptions } from './pmd-options.js';
import { PmdPump, type PumpSources } from './pmd-pump.js';
import type { PmdRefresh } from './pmd-refresh.js';
import type { PmdSession } from './pmd-session.js';
import { divergenceInWords, PmdStanding } from './pmd-standing.js';

export class PmdTalk implements LinkOwner, PumpSources {
  readonly link: PmdLink;
  readonly entries: EntrySender;
  readonly bell: DriverBell;
  launch = '';
  tunables: ChunkTunables;
  /** The refresh that is carried out now, if any. */
  run: PmdRefresh | undefined;
  readonly standing: PmdStanding;
  readonly home: PmdHome;
  readonly #context: ActorContext;
  readonly #options: PmdOptions;
  readonly #reader: BabReader;
  readonly #tell: (message: GroupMessage) => void;
  readonly #pump: PmdPump;
  /** The era that was offered to the mirror and not taken yet. */
  #offered: EraOffer | undefined;
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
    this.standing = new PmdStanding(this.entries, reader, maps, options.loopback);
    this.home = new PmdHome(context, this.standing, {
      link: this.link,
      tell,
      offer: (session, { from, era, s0 }) => this.#offer(session, { from, era, s0, adopt: false }),
    });
  }

  async stop(): Promise<void> {
    await this.link.stop();
    this.bell.close();
  }

  /** The record says something new. A session that waits for an order may have got it. */
  learn(lineage: PrimaryLineage): void {
    const before = this.standing.lineage?.order;
    this.standing.lineage = lineage;
    if (lineage.appending) this.#toldDrained = false;
    this.home.keepPurpose();
    if (lineage.order !== undefined && lineage.order !== before && this.run === undefined) {
      const session = this.#admitted;
      if (session === undefined) this.link.send({ type: 'retry.hurried' });
      else this.#judgeAgain(session);
    }
    this.#tellDrained();
  }

  /** Begins the refresh on the session there is; otherwise tries to get one. */
  startRun(run: PmdRefresh): void {
    this.run = run;
    const { entries } = this;
    this.standing.streamEnds();
    // Append is off: nothing of before is ever drained (Rule 12.3). The map should have all of it.
    entries.markPending(run.maps);
    entries.dropThrough(entries.generation);
    const session = this.#admitted;
    if (session === undefined) this.link.send({ type: 'retry.hurried' });
    else if (!this.#attachRun(session)) this.#judgeAgain(session);
  }

  /** Everything published is in the map: it is forgotten, not drained (Rule 12.3). */
  drop(): void {
    this.standing.streamEnds();
    this.entries.dropAll();
  }

  /** The operator overrode the mode: the mirror is looked at again, with what he said. */
  judgeAnew(): void {
    if (this.link.session !== undefined) this.link.send({ type: 'session.renew' });
    else this.link.send({ type: 'retry.hurried' });
  }

  /** To a secondary that has admitted us; without one nobody needs to hear it. */
  say(message: ControlMessage): void {
    this.#admitted?.control(message);
  }

  wantFlush(): void {
    this.#pump.wantFlush();
  }

  opened(session: PmdSession): void {
    const { nodeId, loopback, version, deviceList } = this.#options;
    const side = this.standing.side(this.run);
    const { era, s0, stamped, released, sentMax, lease, refreshId, refreshKind } = side;
    this.home.purpose = this.home.wanted;
    session.control({
      kind: 'hello',
      protocol: protocolVersion,
      features: features.lz4,
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
      purpose: this.home.purpose,
    });
  }

  connected(session: PmdSession): void {
    const { state, checkpoint } = this.standing.welcome!;
    const mirrorState = mirrorStateOf(state);
    this.#tell({ type: 'link.connected', peer: session.peer, mirrorState, checkpoint });
  }

  detached(): void {
    this.#pump.detach();
    this.standing.sessionEnded();
    this.#offered = undefined;
    this.#toldDrained = false;
    this.#settled = false;
    this.entries.drain.end();
    this.run?.linkLost();
    this.home.back?.linkLost();
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
        // What was asked before this word is answered, or never will be.
        session.hashesUnderWay = 0;
        if (this.run?.ready(message.refreshId, message.kept)) this.#settle();
        if (this.home.back?.ready(message.refreshId, message.kept)) this.#settle();
        break;
      case 'dirt':
        this.#breachIf(session, (this.home.back ?? this.run)?.dirt(message));
        break;
      case 'differs':
        session.hashesUnderWay = Math.max(0, session.hashesUnderWay - 1);
        if (message.batch > session.hashBatches) session.breach('an answer without a question');
        else this.#breachIf(session, (this.home.back ?? this.run)?.compared(message));
        break;
      case 'committed':
        if (this.run?.committed(message.refreshId, message.era, message.mark)) {
          this.#committed(this.run);
        }
        break;
      case 'stateChanged':
        this.standing.stateChanged(message.state);
        this.#tell({ type: 'mirror.stateChanged', mirrorState: mirrorStateOf(message.state) });
        break;
      case 'checkpointState': {
        const { state, sequence, code, details } = message;
        if (state !== 'failed') this.standing.checkpointChanged(state);
        this.#tell({ type: 'checkpoint.changed', state, sequence, code, details });
        // Others wrote to the mirror meanwhile: a new session says what, and the table what may follow.
        if (state === 'off' && this.standing.welcome?.state === 'unknown') this.judgeAnew();
        break;
      }
      case 'checkpointWanted':
        this.#tell({ type: 'checkpoint.wanted', on: message.on });
        break;
      case 'eraTaken':
        this.#eraTaken(session, message.era);
        break;
      default:
        session.breach(`a secondary does not send ${message.kind}`);
    }
  }

  /** Blocks of the mirror, in a backfresh. */
  blocks(bytes: Uint8Array, table: EntryTable): void {
    this.#breachIf(this.link.session!, this.home.back?.blocks(bytes, table));
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

  /** tdmfset: holds from the next frame on. */
  tune(tunables: ChunkTunables): void {
    this.tunables = tunables;
    this.#agree();
    this.#pump.tuned();
  }

  /** Compressed is what both sides can, and the operator wants. */
  #agree(): void {
    const { session } = this.link;
    const { welcome } = this.standing;
    if (session === undefined || welcome === undefined) return;
    const able = (welcome.features & features.lz4) !== 0;
    session.compressor.enabled = able && this.tunables.compression;
  }

  #welcomed(session: PmdSession, welcome: Welcome): void {
    if (this.standing.welcome !== undefined) {
      session.breach('a second welcome');
      return;
    }
    if (welcome.windowBytes < windowBytesMin) {
      session.breach('a window that holds no frame');
      return;
    }
    this.standing.welcome = welcome;
    this.#agree();
    this.#pump.attach(session, new Window(welcome.windowBytes));
    const { run } = this;
    if (run?.awaitsVerdict === true && run.committedMeanwhile(welcome)) this.#committed(run);
    if (this.home.handsOver) {
      this.link.send({ type: 'peer.welcomed' });
      this.home.offer(session);
      return;
    }
    const decision = this.standing.judge(this.run);
    this.#context.log.write('info', 'handshake', { row: decision.row, action: decision.action });
    this.#follow(session, decision);
  }

  #follow(session: PmdSession, decision: LineageDecision): void {
    const { action, code, era, from, sentMax, drain, row } = decision;
    if (code !== undefined && (action === 'refuse' || action === 'wait')) {
      this.#tell({ type: 'lineage.diverged', row, code, ...this.standing.divergence });
    }
    if (action === 'refuse') {
      const { divergence } = this.standing;
      this.link.refuse(code ?? 'TDMF_LINK_PROTOCOL', {
        what: row,
        ...divergenceInWords(divergence),
      });
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
    this.#offerIfAppending(session, decision);
    if (this.home.purpose === 'backfresh') this.home.attach(session);
    else this.#attachRun(session);
    this.#tellDrained();
    this.schedule();
  }

  /** Something was ordered while the session is there; what the mirror has by now is known. */
  #judgeAgain(session: PmdSession): void {
    const before = this.standing.decision;
    const decision = this.standing.judge(this.run);
    if (decision.action === 'refuse') {
      this.#follow(session, decision);
      return;
    }
    if (decision.row !== before?.row) this.#tellDecided(decision);
    this.#offerIfAppending(session, decision);
    this.#attachRun(session);
  }

  /** The refresh there is, if the table allows it for this mirror. */
  #attachRun(session: PmdSession): boolean {
    const { run, standing } = this;
    if (run === undefined || !standing.permits(run.kind)) return false;
    run.attach(session, standing.welcome!, standing.decision!.union);
    return true;
  }

  /** Rule 8b: the mirror goes on in the era that is appended, exactly where it stands. */
  #offerIfAppending(session: PmdSession, { action, era, from, adopt }: LineageDecision): void {
    const { lineage, position } = this.standing;
    if (action !== 'era' || !lineage!.appending) return;
    this.#offer(session, { from: position, era, s0: from, adopt });
  }

  #offer(session: PmdSession, offer: Omit<EraOffer, 'kind'>): void {
    this.#offered = { kind: 'era', ...offer };
    session.control(this.#offered);
  }

  #eraTaken(session: PmdSession, era: string): void {
    const offered = this.#offered;
    if (offered === undefined || offered.era !== era) {
      session.breach('an era was taken that was not offered');
      return;
    }
    this.#offered = undefined;
    this.standing.eraTaken(era, offered.s0, offered.adopt);
    this.#settle();
    if (this.home.taken()) return;
    if (!this.entries.begin(era, offered.s0)) {
      this.link.refuse('TDMF_LINEAGE_MIRROR_BEHIND', {});
      return;
    }
    this.#tell({ type: 'pmd.eraTaken', era });
    this.schedule();
  }

  get #admitted(): PmdSession | undefined {
    return this.standing.decision === undefined ? undefined : this.link.session;
  }

  #tellDecided({ row, action, drain, code }: LineageDecision): void {
    if (action === 'refuse' || action === 'back') return;
    const { own } = this.standing.welcome!;
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
    if (this.#toldDrained || this.run !== undefined) return;
    if (this.#admitted === undefined || this.standing.lineage!.appending) return;
    if (drain.era === undefined || this.#reader.pending > 0) return;
    this.#toldDrained = true;
    this.#tell({ type: 'pmd.drained' });
  }

  #breachIf(session: PmdSession, problem: string | undefined): void {
    if (problem !== undefined) session.breach(problem);
  }

  #committed(run: PmdRefresh): void {
    const { refreshId } = run;
    const position = { era: run.era!, sequence: run.mark! };
    this.run = undefined;
    this.standing.committed(refreshId, position);
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
