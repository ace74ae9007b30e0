/**
 * Small parsers for decoded control messages: each takes an unknown value and returns it with its
 * type, or `bad`. Nothing throws, nothing unknown is passed on: a record is rebuilt from the fields
 * that it may have. Bounds are part of every type (I12).
 */

export const bad: unique symbol = Symbol('bad');
export type Parse<T> = (value: unknown) => T | typeof bad;

/** One parser per field: the compiler asks for a decision about every field of the type. */
export type Fields<T> = { readonly [Name in keyof T]-?: Parse<T[Name]> };

export const text =
  (lengthMax: number, lengthMin = 0): Parse<string> =>
  (value) =>
    typeof value === 'string' && value.length >= lengthMin && value.length <= lengthMax
      ? value
      : bad;

export const matching =
  (pattern: RegExp): Parse<string> =>
  (value) =>
    typeof value === 'string' && pattern.test(value) ? value : bad;

/** An integer from 0 on that a number holds exactly. */
export const count =
  (max: number = Number.MAX_SAFE_INTEGER): Parse<number> =>
  (value) =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= max
      ? value
      : bad;

/** Memory of its own: a decoded message must not keep the receive buffer. */
export const binary =
  (lengthMax: number): Parse<Uint8Array> =>
  (value) =>
    value instanceof Uint8Array && value.length >= 1 && value.length <= lengthMax
      ? Uint8Array.from(value)
      : bad;

export const flag: Parse<boolean> = (value) => (typeof value === 'boolean' ? value : bad);

export const oneOf =
  <const T extends string>(...values: readonly T[]): Parse<T> =>
  (value) =>
    values.find((known) => known === value) ?? bad;

export const optional =
  <T>(parse: Parse<T>): Parse<T | undefined> =>
  (value) =>
    value === undefined ? undefined : parse(value);

export const list =
  <T>(parse: Parse<T>, countMax: number): Parse<readonly T[]> =>
  (value) => {
    if (!Array.isArray(value) || value.length > countMax) return bad;
    const parsed: T[] = [];
    for (const item of value) {
      const one = parse(item);
      if (one === bad) return bad;
      parsed.push(one);
    }
    return parsed;
  };

export const record =
  <T>(fields: Fields<T>): Parse<T> =>
  (value) => {
    if (!isMap(value)) return bad;
    const parsed: Record<string, unknown> = {};
    for (const name of Object.keys(value)) if (!Object.hasOwn(fields, name)) return bad;
    for (const [name, parse] of Object.entries<Parse<unknown>>(fields)) {
      const one = parse(Object.hasOwn(value, name) ? value[name] : undefined);
      if (one === bad) return bad;
      parsed[name] = one;
    }
    return parsed as T;
  };

/** Free-form facts for an error message: few, short, plain. */
export const details: Parse<Readonly<Record<string, string | number>>> = (value) => {
  if (!isMap(value)) return bad;
  const names = Object.keys(value);
  if (names.length > 16) return bad;
  const parsed: Record<string, string | number> = {};
  for (const name of names) {
    const one = value[name];
    if (name.length > 32 || !/^[a-z]\w*$/i.test(name)) return bad;
    if (typeof one === 'string' ? one.length > 256 : !Number.isFinite(one)) return bad;
    parsed[name] = one as string | number;
  }
  return parsed;
};

export function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
