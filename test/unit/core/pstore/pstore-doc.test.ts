/** docs/pstore.md and the code say the same: byte tables and the recovery table. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { layoutTable } from '../../../../src/core/layout.js';
import { heatTable } from '../../../../src/core/pstore/heat-recovery.js';
import { pstoreLayouts } from '../../../../src/core/pstore/layout.js';
import { recoveryTable } from '../../../../src/core/pstore/recovery.js';

const lines = readFileSync(join(process.cwd(), 'docs/pstore.md'), 'utf8').split('\n');

function table(id: string): string[] {
  const start = lines.indexOf(`<!-- table: ${id} -->`);
  const rows = lines.slice(start + 1);
  const first = rows.findIndex((line) => line.startsWith('|'));
  const length = rows.slice(first).findIndex((line) => !line.startsWith('|'));
  return start < 0 ? [] : rows.slice(first, first + length).map(unaligned);
}

/** The formatter aligns columns; what counts is in the cells. */
function unaligned(row: string): string {
  const cells = row.split('|').slice(1, -1);
  return `|${cells.map((cell) => (/^\s*-+\s*$/.test(cell) ? '---' : ` ${cell.trim()} `)).join('|')}|`;
}

for (const declared of pstoreLayouts) {
  test(`the table ${declared.id} of docs/pstore.md equals the layout in the code`, (t) => {
    t.deepEqual(table(declared.id), layoutTable(declared));
  });
}

test('docs/pstore.md shows the recovery table row by row', (t) => {
  t.deepEqual(
    table('recovery').slice(2),
    recoveryTable.map(
      ({ id, copies, order = '–', acknowledged = '–', decision, why }) =>
        `| ${id} | ${copies} | ${order} | ${acknowledged} | ${decision} | ${why} |`,
    ),
  );
});

test('docs/pstore.md shows the recovery of heat row by row (Rule 28a)', (t) => {
  t.deepEqual(
    table('heat').slice(2),
    heatTable.map(
      ({ id, log = '–', images = '–', batches = '–', decision, why }) =>
        `| ${id} | ${log} | ${images} | ${batches} | ${decision} | ${why} |`,
    ),
  );
});
