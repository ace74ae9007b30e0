/**
 * The numbers of the BAB as the record keeps them (Rules 8c, 26): how far its era was stamped, and how
 * far the secondary has it durably. Looked at before every save; what cannot be known stays as it was.
 */
import type { GroupControlView } from '../core/bab/control.js';
import { duty } from '../core/bab/layout.js';
import { type GroupRecord, withPast } from '../core/pstore/record.js';
import type { GroupCommands } from './group-commands.js';

export function withPositions(
  record: GroupRecord,
  control: GroupControlView,
  commands: GroupCommands,
): GroupRecord {
  const bab = commands.babEra;
  if (bab === undefined) return record;
  const { era, stamped, first } = control.readEra();
  if (era !== bab.era) return record;
  const appending = (control.duties & duty.append) !== 0;
  // Looked at after `stamped`: nothing pending now means that all of it is durable over there.
  const drained = control.pending === 0 && !commands.dropping;
  const known = Math.max(first - 1, control.releasedSequence);
  const upTo = (before: number) => (drained ? stamped : Math.min(Math.max(before, known), stamped));
  if (record.era === era) {
    return { ...record, sequence: stamped, released: upTo(record.released) };
  }
  const ended = record.past.find((one) => one.era === era);
  if (ended === undefined) return record;
  // While the driver may still stamp in it the lease is the bound.
  const bound = appending ? ended.stamped : stamped;
  const past = withPast(record.past, { era, released: upTo(ended.released), stamped: bound });
  return { ...record, past };
}
