/** docs/protocol.md and the code say the same: byte tables, frame kinds, messages, version. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { layoutTable } from '../../../../src/core/layout.js';
import { ackLayout } from '../../../../src/core/wire/ack.js';
import { controlKinds } from '../../../../src/core/wire/codec.js';
import { entryLayout } from '../../../../src/core/wire/entry.js';
import { frameLayout, protocolVersion } from '../../../../src/core/wire/frame.js';
import { frameKinds } from '../../../../src/core/wire/messages.js';

const lines = readFileSync(join(process.cwd(), 'docs/protocol.md'), 'utf8').split('\n');

/** The markdown table after the line `<!-- table: id -->`. */
function table(id: string): string[] {
  const start = lines.indexOf(`<!-- table: ${id} -->`);
  const rows: string[] = [];
  for (const line of start < 0 ? [] : lines.slice(start + 1)) {
    if (line.startsWith('|')) rows.push(line);
    else if (rows.length > 0) break;
  }
  return rows;
}

const cells = (row: string) =>
  row
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());
const body = (id: string) => table(id).slice(2).map(cells);

for (const declared of [frameLayout, entryLayout, ackLayout]) {
  test(`the table ${declared.id} of docs/protocol.md equals the layout in the code`, (t) => {
    const inCode = layoutTable(declared).slice(2).map(cells);
    t.deepEqual(body(declared.id), inCode);
  });
}

test('every byte table of docs/protocol.md belongs to a layout in the code', (t) => {
  const known = ['frame-header', 'wire-entry', 'ack', 'versions', 'frame-kinds', 'messages'];
  const named = lines.flatMap((line) => /^<!-- table: (.+) -->$/.exec(line)?.[1] ?? []);
  t.deepEqual(named.sort(), known.sort());
});

test('docs/protocol.md lists every frame kind with its number', (t) => {
  const documented = body('frame-kinds').map(([number, name]) => [name, Number(number)]);
  t.deepEqual(Object.fromEntries(documented), { ...frameKinds });
});

test('docs/protocol.md lists every control message once, with its direction', (t) => {
  const rows = body('messages');
  const names = rows.map(([name]) => name?.replaceAll('`', ''));
  t.deepEqual(new Set(names), new Set<string | undefined>(controlKinds));
  t.is(names.length, controlKinds.length);
  for (const [name, way] of rows) t.regex(way ?? '', /^(P→S|S→P|both)$/, name);
});

test('the version log of docs/protocol.md ends with the version of the code', (t) => {
  t.is(Number(body('versions').at(-1)?.[0]), protocolVersion);
});
