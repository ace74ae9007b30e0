import test from 'ava';
import { type Field, layout, layoutTable } from '../../../src/core/layout.js';

const field = (offset: number, size: number, type: Field['type'], name: string): Field => ({
  offset,
  size,
  type,
  name,
  meaning: 'm',
});

test('a layout gives the offsets of its fields', (t) => {
  const declared = layout({
    id: 'x',
    sizeBytes: 6,
    fields: [field(0, 4, 'u32', 'a'), field(4, 2, 'reserved', 'b')],
  });
  t.deepEqual(declared.at, { a: 0, b: 4 });
  t.is(layoutTable(declared)[2], '| 0 | 4 | u32 | a | m |');
});

const refuses = test.macro({
  exec(t, sizeBytes: number, fields: Field[], what: RegExp) {
    t.throws(() => layout({ id: 'x', sizeBytes, fields }), { message: what });
  },
  title: (name) => `refuses ${name}`,
});
test('a gap', refuses, 6, [field(0, 4, 'u32', 'a'), field(5, 1, 'u8', 'b')], /begins where/);
test(
  'an overlap',
  refuses,
  6,
  [field(0, 4, 'u32', 'a'), field(3, 3, 'bytes', 'b')],
  /begins where/,
);
test('a wrong size', refuses, 8, [field(0, 4, 'u32', 'a')], /as long as it says/);
test('a width that is not the type', refuses, 4, [field(0, 4, 'u16', 'a')], /as wide as its type/);
test('a name twice', refuses, 2, [field(0, 1, 'u8', 'a'), field(1, 1, 'u8', 'a')], /declared once/);
test('an empty field', refuses, 0, [field(0, 0, 'bytes', 'a')], /not empty/);
