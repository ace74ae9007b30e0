/** What `wait --for` waits for, decided on the same structure that `info` shows. Pure. */
import type { PrimaryInfo } from '../info.js';
import type { WaitCondition } from '../tdmf.js';

export function holds(condition: WaitCondition, group: PrimaryInfo): boolean {
  switch (condition) {
    case 'normal':
      return group.mode === 'NORMAL';
    case 'connected':
      return group.connection === 'CONNECTED';
    case 'drained':
      // Only in NORMAL does an empty BAB mean that the mirror has everything.
      return group.mode === 'NORMAL' && group.connection === 'CONNECTED' && group.bab.entries === 0;
    case 'coherent':
      return group.mirrorState === 'coherent';
  }
}
