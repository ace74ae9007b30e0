/**
 * What the PMD says around a backfresh (Rule 30): a session is for one thing, as its `hello` said, so it
 * is renewed when that changes; and when the local devices are equal to the mirror, durably, the mirror is
 * told to go on in their era, over as many sessions as it takes. The comparison itself is
 * pmd-backfresh.ts's.
 */
import { TdmfError } from '../core/errors.js';
import type { ActorContext } from './actor.js';
import type { EraHandOver, GroupMessage } from './messages.js';
import type { PmdBackfresh } from './pmd-backfresh.js';
import type { PmdLink } from './pmd-link.js';
import type { PmdSession } from './pmd-session.js';
import type { PmdStanding } from './pmd-standing.js';

export interface HomeHooks {
  readonly link: PmdLink;
  readonly tell: (message: GroupMessage) => void;
  /** Offers the era to the mirror; `taken` follows. */
  readonly offer: (session: PmdSession, handOver: EraHandOver) => void;
}

export class PmdHome {
  /** The backfresh that is carried out now, if any. */
  back: PmdBackfresh | undefined;
  /** What the session there is was opened for. */
  purpose: 'mirror' | 'backfresh' = 'mirror';
  readonly #context: ActorContext;
  readonly #standing: PmdStanding;
  readonly #hooks: HomeHooks;
  /** The group has recorded the end: the mirror is to go on in this era. */
  #handOver: EraHandOver | undefined;

  constructor(context: ActorContext, standing: PmdStanding, hooks: HomeHooks) {
    this.#context = context;
    this.#standing = standing;
    this.#hooks = hooks;
  }

  /** What the next `hello` says. */
  get wanted(): 'mirror' | 'backfresh' {
    const back = this.back !== undefined || this.#standing.lineage?.refreshKind === 'back';
    return back ? 'backfresh' : 'mirror';
  }

  /** Begins on the session there is if that is what it is for; otherwise tries to get one. */
  start(back: PmdBackfresh): void {
    this.back = back;
    this.#handOver = undefined;
    const { session } = this.#hooks.link;
    if (this.purpose === 'backfresh' && session !== undefined) this.attach(session);
    this.keepPurpose();
    this.#hooks.link.send({ type: 'retry.hurried' });
  }

  /** The group has recorded the end of it, or killed it (`handOver` undefined). */
  end(handOver: EraHandOver | undefined): void {
    if (this.back === undefined) return;
    this.#handOver = handOver;
    const { link } = this.#hooks;
    if (handOver === undefined) this.#leave();
    else if (this.#standing.welcome === undefined) link.send({ type: 'retry.hurried' });
    else this.offer(link.session!);
  }

  /** A session that the table allows it on. */
  attach(session: PmdSession): void {
    const { decision, welcome } = this.#standing;
    if (decision?.action !== 'back') return;
    this.back?.attach(session, welcome!, decision.union);
  }

  /** Only the hand-over is still wanted of a session. */
  get handsOver(): boolean {
    return this.back !== undefined && this.#handOver !== undefined;
  }

  /** The mirror goes on in our era. False: no backfresh is at its end. */
  taken(): boolean {
    if (!this.handsOver) return false;
    const { era } = this.#handOver!;
    this.#hooks.tell({ type: 'pmd.eraTaken', era });
    this.#leave();
    return true;
  }

  keepPurpose(): void {
    const { link } = this.#hooks;
    if (link.session === undefined || this.purpose === this.wanted) return;
    link.send({ type: 'session.renew' });
  }

  async stop(): Promise<void> {
    const { back } = this;
    this.back = undefined;
    await back?.end();
  }

  offer(session: PmdSession): void {
    const handOver = this.#handOver!;
    const { position } = this.#standing.welcome!;
    const { from, era } = handOver;
    if (position?.era === era) {
      this.taken();
    } else if (position?.era === from.era && position.sequence === from.sequence) {
      this.#hooks.offer(session, handOver);
    } else {
      // Somebody wrote there meanwhile: the table says what is what.
      const { code, message } = new TdmfError('TDMF_LINEAGE_OLD');
      const { refreshId } = this.back!;
      this.#hooks.tell({ type: 'backfresh.failed', refreshId, code, message });
      this.#leave();
    }
  }

  /** Nothing of it is in flight any more when the group hears that it was killed. */
  #leave(): void {
    const back = this.back!;
    const killed = this.#handOver === undefined;
    this.back = undefined;
    this.#handOver = undefined;
    const { refreshId } = back;
    const ended = this.#context.guard((writtenBytes: number) => {
      if (killed) this.#hooks.tell({ type: 'backfresh.ended', refreshId, writtenBytes });
    });
    void back.end().then(ended);
    this.keepPurpose();
  }
}
