/** docs/bab.md and the code say the same about bytes. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import {
  accountLayout,
  controlLayout,
  descriptorLayout,
  deviceCounterLayout,
  slotLayout,
} from '../../../src/core/bab/layout.js';
import { layoutTable } from '../../../src/core/layout.js';

const lines = readFileSync(join(process.cwd(), 'docs/bab.md'), 'utf8').split('\n');

function table(id: string): string[] {
  const start = lines.indexOf(`<!-- table: ${id} -->`);
  if (start < 0) return [];
  const first = lines.findIndex((line, index) => index > start && line.startsWith('|'));
  const end = lines.findIndex((line, index) => index > first && !line.startsWith('|'));
  return lines.slice(first, end).map(unaligned);
}

/** The formatter may align columns; what counts is in the cells. */
function unaligned(row: string): string {
  const cells = row.split('|').slice(1, -1);
  return `|${cells.map((cell) => (/^\s*-+\s*$/.test(cell) ? '---' : ` ${cell.trim()} `)).join('|')}|`;
}

for (const declared of [
  accountLayout,
  controlLayout,
  deviceCounterLayout,
  slotLayout,
  descriptorLayout,
]) {
  test(`the table ${declared.id} of docs/bab.md equals the layout in the code`, (t) => {
    t.deepEqual(table(declared.id), layoutTable(declared));
  });
}
