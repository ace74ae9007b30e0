/**
 * A group's record as bytes: msgpack with names, rebuilt field by field when read, so that a record
 * of another version or a damaged one never becomes half a record. Bounds are part of every field.
 */
import { Packr } from 'msgpackr';
import { assert } from '../assert.js';
import { deviceNameMax, devicesPerGroupMax } from '../constants.js';
import {
  bad,
  count,
  type Fields,
  flag,
  isMap,
  list,
  matching,
  oneOf,
  optional,
  type Parse,
  record,
  text,
} from '../wire/parse.js';
import {
  checkpointStates,
  type DeviceStamp,
  erasKeptMax,
  type GroupRecord,
  groupModes,
  localStates,
  mapContinuities,
  type RecordedBackfresh,
  type RecordedEra,
  type RecordedRefresh,
  type RecordPosition,
  recordedKinds,
  type TunableValue,
} from './record.js';
import { recordPayloadMax } from './slot.js';

/** Tunables of one group, and the length of their names and texts. */
const tunablesMax = 64;
const tunableTextMax = 64;

const packr = new Packr({
  useRecords: false,
  mapsAsObjects: true,
  variableMapSize: true,
  moreTypes: false,
  structuredClone: false,
  bundleStrings: false,
  useFloat32: 0,
  int64AsType: 'number',
});

export function encodeGroupRecord(groupRecord: GroupRecord): Uint8Array {
  assert(parseRecord(groupRecord) !== bad, 'a group record fits its description');
  const present = Object.entries(groupRecord).filter(([, value]) => value !== undefined);
  const bytes = packr.pack(Object.fromEntries(present));
  assert(bytes.length <= recordPayloadMax, 'a group record fits its copy');
  return Uint8Array.from(bytes);
}

/** Undefined when the bytes are not a record. */
export function decodeGroupRecord(bytes: Uint8Array): GroupRecord | undefined {
  let value: unknown;
  try {
    value = packr.unpack(bytes);
  } catch {
    return undefined;
  }
  const parsed = parseRecord(value);
  return parsed === bad ? undefined : parsed;
}

/** A record that came in a message from another thread. */
export function parseGroupRecord(value: unknown): GroupRecord | undefined {
  const parsed = parseRecord(value);
  return parsed === bad ? undefined : parsed;
}

/** A ring between threads may turn undefined into null. */
const maybe =
  <T>(parse: Parse<T>): Parse<T | undefined> =>
  (value) =>
    optional(parse)(value ?? undefined);

/** A field that an older version did not write. */
const otherwise =
  <T>(parse: Parse<T>, value: T): Parse<T> =>
  (found) =>
    found === undefined || found === null ? value : parse(found);

const id = matching(/^[0-9a-f]{32}$/);
const pastEra = record<RecordedEra>({ era: id, released: count(), stamped: count() });

const mtime: Parse<number> = (value) =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : bad;

const tunables: Parse<Readonly<Record<string, TunableValue>>> = (value) => {
  if (!isMap(value)) return bad;
  const entries = Object.entries(value);
  const fits = entries.every(
    ([name, one]) =>
      /^[A-Z][A-Z0-9]{0,31}$/.test(name) &&
      (typeof one === 'boolean' ||
        (typeof one === 'number' && Number.isFinite(one)) ||
        (typeof one === 'string' && one.length <= tunableTextMax)),
  );
  if (entries.length > tunablesMax || !fits) return bad;
  return Object.fromEntries(entries) as Record<string, TunableValue>;
};

const fields: Fields<GroupRecord> = {
  group: count(0xffff_ffff),
  mode: oneOf(...groupModes),
  clean: flag,
  pmdLaunched: flag,
  launch: maybe(id),
  era: id,
  sequence: count(),
  lease: count(),
  released: count(),
  base: maybe(record<RecordPosition>({ era: id, sequence: count() })),
  chain: list(id, erasKeptMax),
  history: list(id, erasKeptMax),
  map: oneOf(...mapContinuities),
  mapAll: flag,
  savedMap: maybe(id),
  past: otherwise(list(pastEra, erasKeptMax + 1), []),
  refresh: maybe(
    record<RecordedRefresh>({ id, kind: oneOf(...recordedKinds), ordered: otherwise(flag, true) }),
  ),
  backfresh: maybe(
    record<RecordedBackfresh>({
      cursor: record({ device: count(devicesPerGroupMax), offset: count() }),
      compareAll: flag,
    }),
  ),
  localState: otherwise(oneOf(...localStates), 'ok'),
  checkpoint: otherwise(oneOf(...checkpointStates), 'off'),
  adopting: otherwise(flag, false),
  unverified: flag,
  tunables,
  devices: list(
    record<DeviceStamp>({ name: text(deviceNameMax, 1), sizeBytes: count(), mtimeMs: mtime }),
    devicesPerGroupMax,
  ),
};

const parseRecord = record<GroupRecord>(fields);
