/**
 * What a group has heard and what it tells: events to the operator, the mirror's last known state,
 * why the connection is not there, how far a refresh is. Nothing is decided from it.
 */
import { errorTable, type TdmfErrorCode } from '../core/errors.js';
import type { GroupRecord, RecordedRefresh } from '../core/pstore/record.js';
import type { ActorContext } from './actor.js';
import type { GroupEventPayloads } from './group-events.js';
import type { Problem } from './group-status.js';
import type { Divergence, GroupMessage, MirrorState } from './messages.js';
import { RefreshMeter } from './refresh-meter.js';

type LineageNews = Pick<
  Extract<GroupMessage, { type: 'link.decided' }>,
  'row' | 'code' | 'ownBytes' | 'ownSince'
>;

export class GroupNews {
  readonly #context: ActorContext;
  readonly #group: number;
  #events = 0;
  #heardAt: number | undefined;
  mirrorState: MirrorState = 'unknown';
  peer: string | undefined;
  problem: Problem | undefined;
  #toldProblem = '';
  pstoreProblem: Problem | undefined;
  /** Why the session that is there is not used, or not by itself. */
  lineage: Problem | undefined;
  /** How far the two sides are apart, where the table refused or waits; as last heard. */
  divergence: (Divergence & { readonly code: string }) | undefined;
  /** Why the last refresh ended; until the next one begins. */
  refreshProblem: Problem | undefined;
  /** Why what the operator asks for now does not happen; looked at when it is decided. */
  refused: string | undefined;
  /** The same as an error, where one was caught. */
  refusal: unknown;
  uncleanStart = false;
  meter: RefreshMeter | undefined;

  constructor(context: ActorContext, group: number) {
    this.#context = context;
    this.#group = group;
  }

  publish<Name extends keyof GroupEventPayloads>(
    name: Name,
    payload: GroupEventPayloads[Name],
  ): void {
    this.#events++;
    const at = this.#context.clock.wallNow();
    const stamp = { group: this.#group, at, sequence: this.#events };
    this.#context.publish(name, { ...payload, ...stamp });
  }

  connected(peer: string, state: MirrorState): void {
    this.peer = peer;
    this.problem = undefined;
    this.#toldProblem = '';
    this.heardMirror(state);
  }

  /** While connected, the last word is as old as the connection's end. */
  disconnected({ code, message }: Problem, wasConnected: boolean): void {
    this.problem = { code, message };
    // Told once: it is tried again every few seconds, mostly with the same answer.
    if (this.#toldProblem !== `${code} ${message}`) {
      this.#toldProblem = `${code} ${message}`;
      const remedy = errorTable[code as TdmfErrorCode]?.remedy ?? '';
      this.publish('link.failed', { code, message, remedy, peer: this.peer });
    }
    this.lineage = undefined;
    if (wasConnected) this.#heardAt = this.#context.clock.now();
  }

  heardMirror(to: MirrorState): void {
    const from = this.mirrorState;
    this.mirrorState = to;
    this.#heardAt = this.#context.clock.now();
    if (from !== to) this.publish('mirror.stateChanged', { from, to });
  }

  get mirrorStateAgeSeconds(): number | null {
    return this.#heardAt === undefined ? null : (this.#context.clock.now() - this.#heardAt) / 1000;
  }

  /** The operator ended the PMD: why it had no connection is history. */
  forgetProblem(): void {
    this.problem = undefined;
    this.lineage = undefined;
    this.#toldProblem = '';
  }

  refreshFailed(code: string, refreshId: string): void {
    this.refreshProblem = { code, message: errorTable[code as TdmfErrorCode]?.message ?? code };
    this.publish('refresh.failed', { refreshId, code });
  }

  pstoreFailed(problem: Problem): void {
    if (this.pstoreProblem === undefined) this.publish('pstore.failed', { ...problem });
    this.pstoreProblem = problem;
  }

  startMeter({ id, kind }: RecordedRefresh): void {
    const { clock } = this.#context;
    this.refreshProblem = undefined;
    this.lineage = undefined;
    this.meter = new RefreshMeter(id, kind, clock.now(), clock.wallNow());
  }

  /** What the lineage table says of the session; a code means that something is to be known. */
  decided({ row, code, ownBytes, ownSince }: LineageNews): void {
    this.lineage = undefined;
    if (code === undefined) return;
    const known = errorTable[code as TdmfErrorCode];
    const bytes = ownBytes > 0 ? ` (${ownBytes} bytes were written there)` : '';
    const message = `${known?.message ?? code}${bytes}`;
    this.lineage = { code, message };
    const remedy = known?.remedy ?? '';
    this.publish('lineage.decided', { row, code, message, remedy, ownBytes, ownSince });
  }

  /** What the operator should know, most important first. */
  reasons({ unverified, localState, mode }: GroupRecord): readonly Problem[] {
    const said = (code: TdmfErrorCode) => ({ code, message: errorTable[code].message });
    const killed = localState === 'incoherent' && mode === 'passthru';
    const local = killed ? said('TDMF_LOCAL_INCOHERENT') : undefined;
    const guess = unverified && mode === 'normal' ? said('TDMF_UNVERIFIED') : undefined;
    const told = [local, this.pstoreProblem, this.problem, this.lineage, this.refreshProblem];
    const all = [...told, guess];
    const known = all.filter((one) => one !== undefined);
    if (!this.uncleanStart) return known;
    const { message } = errorTable.TDMF_UNCLEAN_START;
    return [{ code: 'TDMF_UNCLEAN_START', message }, ...known];
  }
}
