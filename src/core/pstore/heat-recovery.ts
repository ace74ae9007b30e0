/**
 * What the log and the two images of a device mean after a restart (H28, Rule 28a). A bad last record
 * of the log was torn and never acknowledged; any other bad record, or a number that is missing, is
 * damage: then nobody knows what the devices of this host have hot, and every block of them may
 * differ. An older image is never taken for the truth unless the log has everything since.
 *
 * Why a bad image beside a good one needs the next batch: images are written only when the log holds
 * a batch for the device that is not in the good one, and the log goes on elsewhere only after they
 * are durable. So a torn image always has its successor in the log; one that rotted later has not.
 */
import { assert } from '../assert.js';
import type { DecodedImage, HeatImage } from './heat-image.js';
import { fitsGeometry } from './heat-image.js';
import type { FoundRecord, HeatBatch } from './heat-log.js';

/** What the next record will be. */
export interface LogEnd {
  readonly cycle: number;
  readonly page: number;
  readonly number: number;
}

export interface RecoveredLog {
  readonly end: LogEnd;
  /** Of the last cycle, in order. */
  readonly batches: readonly HeatBatch[];
  readonly damage: string | undefined;
}

/** `halves`: the records found in each. `acknowledged`: the number known to have been durable. */
export function recoverLog(
  halves: readonly (readonly FoundRecord[])[],
  acknowledged: number,
): RecoveredLog {
  const all = halves.flatMap((records, half) =>
    records.filter(({ cycle }) => cycle % 2 === half && cycle > 0),
  );
  const cycle = all.reduce((newest, record) => Math.max(newest, record.cycle), 0);
  const records = all.filter((record) => record.cycle === cycle);
  const batches: HeatBatch[] = [];
  let page = 0;
  let number = 0;
  for (const record of records) {
    const follows = record.page === page && (number === 0 || record.number === number + 1);
    if (!follows) break;
    page = record.page + record.pages;
    number = record.number;
    batches.push(...record.batches);
  }
  const highest = records.reduce((newest, record) => Math.max(newest, record.number), acknowledged);
  const end = { cycle: Math.max(1, cycle), page, number: number + 1 };
  if (highest <= number) return { end, batches, damage: undefined };
  const damage =
    acknowledged > number
      ? `record ${number + 1} of the log was acknowledged and is gone`
      : `record ${number + 1} of the log is bad, and record ${highest} follows it`;
  return { end: { ...end, number: highest + 1 }, batches: [], damage };
}

/** G good, B bad; the order of the two does not matter. */
export type Images = 'GG' | 'GB' | 'BB';
/** Whether the batches of the device in the log go on where the good image ends. */
export type Batches = 'none' | 'follow' | 'gap';
export type HeatDecision = 'newest' | 'damaged';

export interface HeatFacts {
  readonly log: 'whole' | 'damaged';
  readonly images: Images;
  readonly batches: Batches;
}

export interface HeatRow {
  readonly id: string;
  readonly log?: HeatFacts['log'];
  readonly images?: Images;
  readonly batches?: Batches;
  readonly decision: HeatDecision;
  readonly why: string;
}

// biome-ignore format: one row a line reads as a table
export const heatTable: readonly HeatRow[] = [
  { id: 'quiet', log: 'whole', images: 'GG', batches: 'none', decision: 'newest', why: 'nothing has changed since the image was written' },
  { id: 'changed', log: 'whole', images: 'GG', batches: 'follow', decision: 'newest', why: 'the image, and what the log says since' },
  { id: 'image-torn', log: 'whole', images: 'GB', batches: 'follow', decision: 'newest', why: 'the log still has everything that the bad image had' },
  { id: 'image-rotten', log: 'whole', images: 'GB', batches: 'none', decision: 'damaged', why: 'a torn image has its successor in the log: this one was whole once' },
  { id: 'gap', log: 'whole', images: 'GG', batches: 'gap', decision: 'damaged', why: 'a change is missing between the image and the log' },
  { id: 'rotten-gap', log: 'whole', images: 'GB', batches: 'gap', decision: 'damaged', why: 'the bad image had what is missing' },
  { id: 'no-image', log: 'whole', images: 'BB', decision: 'damaged', why: 'a crash tears only one' },
  { id: 'log-damaged', log: 'damaged', decision: 'damaged', why: 'nobody knows what the missing record said' },
];

export function matchHeatRow(facts: HeatFacts): HeatRow {
  const rows = heatTable.filter(
    (row) =>
      (row.log ?? facts.log) === facts.log &&
      (row.images ?? facts.images) === facts.images &&
      (row.batches ?? facts.batches) === facts.batches,
  );
  assert(rows.length === 1, `one row of the heat recovery fits ${JSON.stringify(facts)}`);
  return rows[0]!;
}

export type HeatState =
  | {
      readonly decision: 'newest';
      readonly row: string;
      readonly image: HeatImage;
      /** Which of the two images it was, and what that one holds without the log. */
      readonly index: number;
      readonly saved: number;
    }
  | { readonly decision: 'damaged'; readonly row: string; readonly image: HeatImage | undefined };

/** `batches`: those of this device and allocation, in order; they are applied to the image. */
export function recoverHeat(
  images: readonly DecodedImage[],
  batches: readonly HeatBatch[],
  logDamaged: boolean,
): HeatState {
  const good = images.flatMap((decoded, index) =>
    decoded.state === 'good' ? [{ image: decoded.image, index }] : [],
  );
  const newest = good.toSorted((a, b) => b.image.sequence - a.image.sequence)[0];
  const later = batches.filter(({ sequence }) => sequence > (newest?.image.sequence ?? 0));
  const { id, decision } = matchHeatRow({
    log: logDamaged ? 'damaged' : 'whole',
    images: good.length === 2 ? 'GG' : good.length === 1 ? 'GB' : 'BB',
    batches: newest === undefined ? 'none' : judge(newest.image, later),
  });
  if (decision === 'damaged' || newest === undefined) {
    return { decision: 'damaged', row: id, image: newest?.image };
  }
  const saved = newest.image.sequence;
  for (const { sequence, changes, released } of later) {
    newest.image.apply(changes);
    newest.image.sequence = sequence;
    newest.image.released = released ?? newest.image.released;
  }
  return { decision, row: id, ...newest, saved };
}

function judge({ sequence, geometry }: HeatImage, later: readonly HeatBatch[]): Batches {
  if (later.length === 0) return 'none';
  const whole = later.every(
    (batch, index) =>
      batch.sequence === sequence + 1 + index &&
      batch.changes.every((change) => fitsGeometry(change, geometry)),
  );
  return whole ? 'follow' : 'gap';
}
