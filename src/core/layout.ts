/**
 * Declares the bytes of a record once: where each field lies, how wide it is and what it means. Code
 * takes its offsets from here, docs tables are compared with it by a test, and a declaration that
 * overlaps, is out of order, misaligned or too long does not load.
 */
import { assert } from './assert.js';

export type FieldType = 'u8' | 'u16' | 'u32' | 'i32' | 'u64' | 'f64' | 'bytes';

export interface LayoutField {
  readonly offset: number;
  readonly size: number;
  readonly type: FieldType;
  readonly name: string;
  readonly meaning: string;
}

export interface LayoutOptions<Fields extends readonly LayoutField[]> {
  readonly id: string;
  readonly sizeBytes: number;
  readonly fields: Fields;
}

export interface Layout<Fields extends readonly LayoutField[] = readonly LayoutField[]>
  extends LayoutOptions<Fields> {
  /** Byte offset of each field by name. */
  readonly at: { readonly [Name in Fields[number]['name']]: number };
}

const widths: Readonly<Record<Exclude<FieldType, 'bytes'>, number>> = {
  u8: 1,
  u16: 2,
  u32: 4,
  i32: 4,
  u64: 8,
  f64: 8,
};

/** Fields are listed in ascending order; gaps are reserved and zero. */
export function layout<const Fields extends readonly LayoutField[]>(
  options: LayoutOptions<Fields>,
): Layout<Fields> {
  const at: Record<string, number> = {};
  let end = 0;
  for (const field of options.fields) {
    const what = `${options.id}.${field.name}`;
    assert(!(field.name in at), `${what} is declared once`);
    assert(field.offset >= end, `${what} begins behind the field before it`);
    if (field.type !== 'bytes') {
      const width = widths[field.type];
      assert(field.size % width === 0, `${what} is a whole number of ${field.type}`);
      assert(field.offset % width === 0, `${what} is aligned`);
    }
    end = field.offset + field.size;
    at[field.name] = field.offset;
  }
  assert(end <= options.sizeBytes, `${options.id} holds its fields`);
  return { ...options, at: at as Layout<Fields>['at'] };
}
