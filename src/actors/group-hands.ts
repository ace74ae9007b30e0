/** What the actions of the mode machine have in their hands, and a few things that all of them do. */
import type { GroupControlView } from '../core/bab/control.js';
import type { GroupMode, GroupRecord, RecordPosition } from '../core/pstore/record.js';
import { hexOfBytes } from '../core/pstore/superblock.js';
import type { GroupCause } from '../machines/group-mode.js';
import type { Random } from '../ports/random.js';
import type { ActorContext } from './actor.js';
import type { GroupCommands } from './group-commands.js';
import type { GroupNews } from './group-news.js';
import type { RecordKeeper } from './record-keeper.js';

export interface GroupHands {
  readonly context: ActorContext;
  readonly group: number;
  readonly control: GroupControlView;
  readonly keeper: RecordKeeper;
  readonly commands: GroupCommands;
  readonly news: GroupNews;
  /** The actor that runs the checkpoint batch files. */
  readonly hooks: string;
  /** The actor that lets groups refresh by themselves, a few at a time. */
  readonly turns: string;
  /** The record with the positions of this moment. */
  readonly current: (record: GroupRecord) => GroupRecord;
  /** Why the record came to say this mode; for mode.changed. */
  readonly causes: Map<GroupMode, GroupCause>;
  /** An era that was begun and that no entry has: it need not end (Rule 8a). */
  unusedEra: string | undefined;
  /** The backfresh has, or may have, written to the local devices. */
  touched: boolean;
  /** Where the mirror stood when the backfresh ended. */
  equalAt: RecordPosition | undefined;
  /** The era is offered to a mirror that is not proven equal (row 11). */
  adopts: boolean;
  /** When the mirror was last known equal, ms since 1970; 0: this process does not know. */
  cutAt: number;
  /** The checkpoint marker in the BAB. */
  marker: RecordPosition | undefined;
}

/** 128 random bits in hex: eras, refreshes, launches. */
export function randomId(random: Random): string {
  const bytes = new Uint8Array(16);
  return hexOfBytes(random.fill(bytes));
}
