/**
 * The tunables of a group, as the manual names them (tdmfset): default, range, meaning, and how a
 * value is written. One table for everything: the configuration file, the `set` verb, the record in
 * the pstore and docs/configuration.md, which a test compares with it.
 *
 * Initial values come from the group's file; from the first start on the record has the word (I6).
 * A bad value is refused by name, with what would be good. What a value *does* is not said here.
 */
import { assert } from './assert.js';

export type TunableValue = string | number | boolean;

interface TunableRow {
  readonly unit: 'KB' | 'ms' | 's' | 'KB/s' | 'writes' | 'Y/N';
  readonly default: number | boolean;
  readonly min: number;
  readonly max: number;
  readonly meaning: string;
}

const flag = (meaning: string) =>
  ({ unit: 'Y/N', default: false as boolean, min: 0, max: 1, meaning }) as const;

// biome-ignore format: one tunable a line reads as a table
export const tunables = {
  CHUNKSIZE: { unit: 'KB', default: 256, min: 1, max: 1024, meaning: 'data that one frame on the link carries at most; a larger write is cut' },
  CHUNKDELAY: { unit: 'ms', default: 0, min: 0, max: 60_000, meaning: 'pause of the PMD after each frame of data' },
  COMPRESSION: flag('LZ4 on the link; a frame that does not get smaller goes as it is'),
  REFRESHRATE: { unit: 'KB/s', default: 0, min: 0, max: 16_777_216, meaning: 'what a refresh may read and send; 0: no limit, but 100 MB/s, or twice what they write, while applications work' },
  REFRESHTIMEOUT: { unit: 's', default: 1, min: -1, max: 86_400, meaning: 'how long a refresh that overflows the BAB tries again; then it ends, and the group tracks; −1 for ever' },
  SYNCMODE: flag('a write is answered when it is durable on both sides'),
  SYNCMODEDEPTH: { unit: 'writes', default: 1, min: 1, max: 65_536, meaning: 'with SYNCMODE: a write waits while so many, itself included, are not durable on the secondary; 1 is full sync' },
  SYNCMODETIMEOUT: { unit: 's', default: 30, min: 1, max: 3_600, meaning: 'a write that waited so long is answered, and none waits until the secondary has caught up; less than the client\'s own limit' },
  WRITEAHEAD: flag('the secondary writes a journal first, then the mirror'),
} as const satisfies Record<string, TunableRow>;

export type TunableName = keyof typeof tunables;
export const tunableNames = Object.keys(tunables) as TunableName[];

/** Other spellings of the manual (lines 447 and 1018). */
const aliases: Readonly<Record<string, TunableName>> = {
  SYNCHMODE: 'SYNCMODE',
  SYNCHMODEDEPTH: 'SYNCMODEDEPTH',
  SYNCHMODETIMEOUT: 'SYNCMODETIMEOUT',
  'SYNCMODETIME-OUT': 'SYNCMODETIMEOUT',
};

/** What a group was told, by name; names that are not there have their default. */
export type TunableValues = Readonly<Record<string, TunableValue>>;

/** The values in force, one for every name. */
export type Tunables = {
  readonly [Name in TunableName]: (typeof tunables)[Name]['default'] extends boolean
    ? boolean
    : number;
};

export type Parsed<T> = { readonly value: T } | { readonly problem: string };

/** The tunable of this name, or what is wrong with the name. Names are case-sensitive. */
export function parseTunableName(text: string): Parsed<TunableName> {
  const name = nameOf(text);
  if (name !== undefined) return { value: name };
  const meant = nameOf(text.toUpperCase());
  const hint =
    meant === undefined
      ? `the tunables are ${tunableNames.join(', ')}`
      : `names are case-sensitive: ${meant}`;
  return { problem: `there is no tunable ${text}; ${hint}` };
}

function nameOf(text: string): TunableName | undefined {
  if (Object.hasOwn(tunables, text)) return text as TunableName;
  return Object.hasOwn(aliases, text) ? aliases[text] : undefined;
}

/** The value as it is kept, or what is wrong with it, with what would be good. */
export function parseTunable(
  name: TunableName,
  given: TunableValue,
): Parsed<Tunables[TunableName]> {
  const { unit, min, max } = tunables[name];
  const text = String(given).trim();
  if (unit === 'Y/N') {
    if (/^(?:y|yes|1|on|true)$/i.test(text)) return { value: true };
    if (/^(?:n|no|0|off|false)$/i.test(text)) return { value: false };
  } else {
    // The manual writes CHUNKSIZE as 256K.
    const digits = unit === 'KB' ? text.replace(/k$/i, '') : text;
    const number = /^-?\d{1,10}$/.test(digits) ? Number(digits) : Number.NaN;
    if (number >= min && number <= max) return { value: number };
  }
  return { problem: `${name}=${text.slice(0, 40)}: must be ${rangeOf(name)}` };
}

/** What is good for this tunable, in words. */
export function rangeOf(name: TunableName): string {
  const { unit, min, max } = tunables[name];
  return unit === 'Y/N'
    ? 'Y or N (1, 0, on, off)'
    : `a whole number from ${min} to ${max} (${unit})`;
}

/** As it is printed: Y or N, or the number. */
export function formatTunable(value: TunableValue): string {
  return typeof value === 'boolean' ? (value ? 'Y' : 'N') : String(value);
}

/** Everything in force. What the record has of an older version, or not at all, is the default. */
export function tunablesOf(told: TunableValues): Tunables {
  const all = tunableNames.map((name) => {
    const parsed = Object.hasOwn(told, name) ? parseTunable(name, told[name]!) : undefined;
    const good = parsed !== undefined && 'value' in parsed;
    return [name, good ? parsed.value : tunables[name].default] as const;
  });
  return Object.fromEntries(all) as Tunables;
}

/** Values by name as a file or an operator gave them, checked and under their proper names. */
export function parseTunables(given: TunableValues): Parsed<TunableValues> {
  const values: Record<string, TunableValue> = {};
  for (const [text, one] of Object.entries(given)) {
    const name = parseTunableName(text);
    if ('problem' in name) return name;
    const parsed = parseTunable(name.value, one);
    if ('problem' in parsed) return parsed;
    values[name.value] = parsed.value;
  }
  return { value: values };
}

for (const name of tunableNames) {
  assert('value' in parseTunable(name, tunables[name].default), `${name} allows its default`);
}
