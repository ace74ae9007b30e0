/** What a group actor is started with, what it may be asked, and how it answers a stop. */
import type { DeviceStamp, GroupMode, TunableValue } from '../core/pstore/record.js';
import type { GroupShared } from './messages.js';

export interface GroupOptions {
  readonly group: number;
  /** The group's control block; only read here. */
  readonly control: SharedArrayBuffer;
  /** BAB and maps: what differs is put into the maps before the driver begins, and after it ended. */
  readonly shared?: GroupShared;
  /** Where a clean stop leaves the map; without it only the pstore remembers it. */
  readonly mapFile?: string;
  /** The group ran on this home before: then the pstore should know it (Rule 54c). */
  readonly known?: boolean;
  /** Actors of this start were here before and failed; the shared memory is theirs (H23). */
  readonly restarted?: boolean;
  /** The local devices as they are now, in the order of the configuration (Rule 33). */
  readonly devices: readonly DeviceStamp[];
  /** Of the configuration; the record has the word once there is one. */
  readonly tunables: Readonly<Record<string, TunableValue>>;
  readonly driver?: string;
  readonly pmd?: string;
  readonly pstore?: string;
  readonly hooks?: string;
  readonly turns?: string;
}

export type GroupQuestion =
  | {
      readonly kind: 'operator';
      readonly verb: string;
      readonly args?: Readonly<Record<string, unknown>>;
    }
  | { readonly kind: 'status' }
  | { readonly kind: 'set'; readonly tunables: Readonly<Record<string, TunableValue>> }
  /**
   * The driver has been stopped: no write is in flight, the local devices are flushed. Drains for at
   * most `drainMs`, then saves the clean record. Nothing may be asked of the group afterwards.
   */
  | {
      readonly kind: 'prepareStop';
      readonly drainMs: number;
      /** The devices as the driver left them. */
      readonly devices: readonly DeviceStamp[];
    };

export interface StopOutcome {
  readonly mode: GroupMode;
  /** The secondary has everything. */
  readonly drained: boolean;
  /** False when the driver still lived or had crashed: the next start is an unclean one. */
  readonly clean: boolean;
}
