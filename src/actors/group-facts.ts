/**
 * What the neighbours of a group tell it, matched with what was asked: an answer to an older question,
 * another refresh or another era never reaches the mode machine (H6, H7).
 */

import { withLease } from '../core/pstore/record.js';
import type { GroupModeEvent } from '../machines/group-mode.js';
import { refusalOf } from '../machines/refusals.js';
import type { Question } from './group-commands.js';
import type { GroupHands } from './group-hands.js';
import type { GroupMachine } from './group-machine.js';
import type { GroupTunables } from './group-tunables.js';
import type { GroupMessage } from './messages.js';

type Message<Type extends GroupMessage['type']> = Extract<GroupMessage, { type: Type }>;

export class GroupFacts {
  readonly #hands: GroupHands;
  readonly #machine: GroupMachine;
  readonly #tunables: GroupTunables;

  constructor(hands: GroupHands, machine: GroupMachine, tunables: GroupTunables) {
    this.#hands = hands;
    this.#machine = machine;
    this.#tunables = tunables;
  }

  receive(message: GroupMessage): void {
    const { news, commands } = this.#hands;
    switch (message.type) {
      case 'driver.overflowed':
        this.#machine.send({ type: 'driver.overflowed', sequence: message.sequence });
        break;
      case 'driver.graced':
        this.#answered('graced', message.token, { type: 'driver.graced' });
        break;
      case 'driver.markedAll':
        this.#answered('markedAll', message.token, { type: 'driver.markedAll' });
        break;
      case 'driver.cleared':
        this.#answered('cleared', message.token, { type: 'driver.cleared' });
        break;
      case 'driver.marked': {
        const { token, sequence } = message;
        this.#answered('marked', token, { type: 'driver.marked', sequence });
        break;
      }
      case 'driver.committed': {
        const type = message.cleared ? 'driver.committed' : 'driver.commitKept';
        this.#answered('committed', message.token, { type });
        break;
      }
      case 'driver.door': {
        const type = message.open ? 'driver.doorBusy' : 'driver.doorShut';
        this.#answered('door', message.token, { type });
        break;
      }
      case 'driver.markerStamped':
        this.#markerStamped(message);
        break;
      case 'pmd.dropped':
        this.#answered('dropped', message.token, { type: 'pmd.dropped' });
        break;
      case 'driver.leaseLow':
        this.#extendLease(message.sequence);
        break;
      case 'driver.heatFailed': {
        const { code, message: what } = message;
        news.pstoreFailed({ code, message: what });
        break;
      }
      case 'driver.ioFailed': {
        const { device, operation, errno } = message;
        news.publish('device.failed', { device, operation, errno });
        break;
      }
      case 'driver.syncDegraded':
        this.#tunables.syncDegraded(message.degraded, message.waited);
        break;
      case 'link.connecting':
      case 'pmd.stopped':
        this.#machine.judgedBy(undefined);
        this.#machine.send({ type: message.type });
        break;
      case 'link.connected':
        this.#machine.judgedBy(undefined);
        news.connected(message.peer, message.mirrorState);
        this.#machine.send({ type: 'link.connected' });
        this.#machine.send({
          type: message.checkpoint === 'on' ? 'checkpoint.isOn' : 'checkpoint.isOff',
        });
        break;
      case 'lineage.diverged': {
        const { code, hereBytes, thereBytes, since } = message;
        news.divergence = { code, hereBytes, thereBytes, since };
        break;
      }
      case 'link.decided':
        if (message.action !== 'wait') news.divergence = undefined;
        news.decided(message);
        // The PMD offers the era; whether both sides are equal is known now, not when it is taken.
        this.#hands.adopts = message.action === 'era' && message.code !== undefined;
        this.#machine.judgedBy(message);
        break;
      case 'link.lost':
      case 'link.refused':
        this.#linkEnded(message);
        break;
      case 'mirror.stateChanged':
        news.heardMirror(message.mirrorState);
        break;
      case 'pmd.drained':
        // Looked at again: something may have been appended since.
        if (this.#hands.control.pending === 0) this.#machine.send({ type: 'pmd.drained' });
        break;
      case 'pmd.poisoned': {
        const { era, sequence } = message;
        if (era === commands.babEra?.era) {
          this.#machine.send({ type: 'pmd.poisoned', position: { era, sequence } });
        }
        break;
      }
      case 'pmd.eraTaken':
        if (message.era === this.#hands.keeper.record.era) {
          this.#machine.send({ type: 'pmd.eraTaken' });
        }
        break;
      case 'driver.flushed':
      case 'pmd.devicesClosed':
        // Answers to what main may have asked for; nothing of the mode depends on them.
        break;
      case 'refresh.progressed':
      case 'refresh.converged':
      case 'refresh.frozenRead':
      case 'refresh.committed':
      case 'refresh.phaseBLost':
      case 'refresh.notConverging':
      case 'refresh.failed':
        if (this.#isOpen(message.refreshId)) this.#refreshFact(message);
        break;
      case 'backfresh.progressed':
      case 'backfresh.finished':
      case 'backfresh.failed':
      case 'backfresh.ended':
        if (this.#isOpen(message.refreshId)) this.#backfreshFact(message);
        break;
      case 'checkpoint.changed':
        this.#checkpointChanged(message);
        break;
      case 'checkpoint.wanted':
        this.#checkpointWanted(message.on);
        break;
    }
  }

  #isOpen(refreshId: string): boolean {
    return refreshId === this.#hands.keeper.record.refresh?.id;
  }

  /** An answer counts only when it is the one that is waited for. */
  #answered(question: Question, token: number, event: GroupModeEvent): void {
    if (this.#hands.commands.answers(question, token)) this.#machine.send(event);
  }

  #linkEnded(message: Message<'link.lost' | 'link.refused'>): void {
    const { link } = this.#machine.situation;
    this.#hands.news.disconnected(message, link === 'connected');
    this.#machine.judgedBy(undefined);
    if (message.type === 'link.lost') this.#machine.send({ type: 'link.lost' });
    else {
      const type = message.retryInMs > 0 ? 'link.refused' : 'link.refusedForGood';
      this.#machine.send({ type });
      const { code } = message;
      if (code.startsWith('TDMF_LINEAGE_')) this.#machine.send({ type: 'lineage.refused', code });
    }
  }

  #refreshFact(message: Message<`refresh.${string}` & GroupMessage['type']>): void {
    const { news, commands, context } = this.#hands;
    const send = (event: GroupModeEvent) => this.#machine.send(event);
    switch (message.type) {
      case 'refresh.progressed': {
        const { refreshId, doneBytes, totalBytes } = message;
        news.meter?.progressed(doneBytes, totalBytes, context.clock.now());
        news.publish('refresh.progressed', { refreshId, doneBytes, totalBytes });
        break;
      }
      case 'refresh.notConverging': {
        const { type: _, ...payload } = message;
        news.publish('refresh.notConverging', payload);
        break;
      }
      case 'refresh.committed':
        // The commit of an attempt that was given up meanwhile proves nothing about this one (H6).
        if (message.position.era !== commands.babEra?.era) return;
        send({ type: 'refresh.committed', position: message.position });
        break;
      case 'refresh.failed':
        send({ type: 'refresh.failed', code: message.code });
        break;
      case 'refresh.frozenRead':
        // Said late by an attempt that was given up, it would take the mark too early (R6).
        if (message.era !== commands.babEra?.era) return;
        send({ type: 'refresh.frozenRead' });
        break;
      case 'refresh.converged':
      case 'refresh.phaseBLost':
        send({ type: message.type });
        break;
    }
  }

  #backfreshFact(message: Message<`backfresh.${string}` & GroupMessage['type']>): void {
    const { news, keeper, context } = this.#hands;
    switch (message.type) {
      case 'backfresh.progressed': {
        const { refreshId, doneBytes, totalBytes, cursor } = message;
        news.meter?.progressed(doneBytes, totalBytes, context.clock.now());
        news.publish('backfresh.progressed', { refreshId, doneBytes, totalBytes });
        // Everything before the cursor is flushed: a restart goes on from here (MD 19).
        keeper.change((record) =>
          record.backfresh === undefined
            ? record
            : { ...record, backfresh: { ...record.backfresh, cursor } },
        );
        keeper.persist();
        break;
      }
      case 'backfresh.finished':
        this.#machine.send({ type: 'backfresh.finished', position: message.position });
        break;
      case 'backfresh.failed':
        this.#machine.send({ type: 'backfresh.failed', code: message.code });
        break;
      case 'backfresh.ended': {
        const untouched = message.writtenBytes === 0 && !this.#hands.touched;
        this.#machine.send({ type: untouched ? 'backfresh.endedUntouched' : 'backfresh.ended' });
        break;
      }
    }
  }

  #markerStamped({ token, sequence }: Message<'driver.markerStamped'>): void {
    const era = this.#hands.commands.babEra?.era;
    const stamped = sequence > 0 && era !== undefined;
    if (stamped) this.#hands.marker = { era, sequence };
    const type = stamped ? 'driver.markerStamped' : 'driver.markerRefused';
    this.#answered('marker', token, { type });
  }

  #checkpointChanged({ state, code }: Message<'checkpoint.changed'>): void {
    if (state === 'failed') {
      this.#machine.send({ type: 'checkpoint.failed', code: code ?? 'TDMF_RMD_FAILED' });
    } else {
      this.#machine.send({ type: state === 'on' ? 'checkpoint.isOn' : 'checkpoint.isOff' });
    }
  }

  /** The operator of the secondary asks; the rules are the same as here. */
  #checkpointWanted(on: boolean): void {
    const request = on ? 'operator.checkpointOn' : 'operator.checkpointOff';
    const { leaf, link, checkpoint } = this.#machine.situation;
    const refusal = refusalOf(leaf, link, checkpoint, request);
    if (refusal === undefined) this.#machine.send({ type: request });
    else this.#hands.commands.refuseCheckpoint(on, refusal.code);
  }

  #extendLease(sequence: number): void {
    const { keeper, commands } = this.#hands;
    // The record may be ahead, in an era that the driver has not begun: then append ends anyway.
    if (keeper.record.era !== commands.babEra?.era) return;
    keeper.change((current) => withLease(current, sequence));
    keeper.persist();
  }
}
