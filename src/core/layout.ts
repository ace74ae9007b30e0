/**
 * Fixed binary records, declared once: where each field lies, how wide it is, what it means. The
 * declaration is checked when the module loads (no gap, no overlap, exact size), the code takes its
 * offsets from it, and a test compares it with the tables of the documents, so that code, document
 * and golden bytes cannot drift apart. It does not read or write bytes; core/bytes.ts does.
 */
import { assert } from './assert.js';

/** All integers are little endian; a `u64` holds at most 2^53 − 1. i32 and f64 never leave memory. */
export type FieldType = 'u8' | 'u16' | 'u32' | 'u64' | 'i32' | 'f64' | 'bytes' | 'reserved';

export interface Field<Name extends string = string> {
  readonly offset: number;
  readonly size: number;
  readonly type: FieldType;
  readonly name: Name;
  readonly meaning: string;
}

export interface Layout<Name extends string = string> {
  readonly id: string;
  readonly sizeBytes: number;
  /**
   * A record in shared memory: fields are aligned and may be arrays, and gaps, which keep words of
   * different threads on different cache lines, need not be declared.
   */
  readonly shared?: boolean;
  readonly fields: readonly Field<Name>[];
  /** Offset of each field from the start of the record. */
  readonly at: Readonly<Record<Name, number>>;
}

const widths = { u8: 1, u16: 2, u32: 4, u64: 8, i32: 4, f64: 8 } as const;

export function layout<const Name extends string>(declared: {
  readonly id: string;
  readonly sizeBytes: number;
  readonly shared?: boolean;
  readonly fields: readonly Field<Name>[];
}): Layout<Name> {
  const at: Record<string, number> = {};
  const shared = declared.shared === true;
  let end = 0;
  for (const { name, offset, size, type } of declared.fields) {
    const where = `layout ${declared.id}.${name}`;
    assert(!(name in at), `${where} is declared once`);
    assert(shared ? offset >= end : offset === end, `${where} begins where the one before it ends`);
    assert(size > 0, `${where} is not empty`);
    if (type !== 'bytes' && type !== 'reserved') {
      const width = widths[type];
      assert(shared ? size % width === 0 : size === width, `${where} is as wide as its type`);
      assert(!shared || offset % width === 0, `${where} is aligned`);
    }
    at[name] = offset;
    end = offset + size;
  }
  assert(
    shared ? end <= declared.sizeBytes : end === declared.sizeBytes,
    `layout ${declared.id} is as long as it says`,
  );
  return Object.freeze({ ...declared, at: Object.freeze(at) as Readonly<Record<Name, number>> });
}

/** The rows of a layout as the documents show them: `offset | size | type | name | meaning`. */
export function layoutTable(declared: Layout): string[] {
  return [
    '| offset | size | type | name | meaning |',
    '|---|---|---|---|---|',
    ...declared.fields.map(
      (field) =>
        `| ${field.offset} | ${field.size} | ${field.type} | ${field.name} | ${field.meaning} |`,
    ),
  ];
}
