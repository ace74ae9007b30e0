/** docs/modes.md and the code say the same; every invariant names a test that exists. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { groupModes } from '../../src/core/pstore/record.js';
import { modeLeaves } from '../../src/machines/group-mode.js';
import {
  connectionOf,
  leafRefusals,
  linkRefusals,
  linkStates,
  modeRefusals,
  operatorRequests,
} from '../../src/machines/refusals.js';
import { modeTable } from './group-mode.table.js';

const text = readFileSync(join(process.cwd(), 'docs/modes.md'), 'utf8');
const lines = text.split('\n');

/** Cells of the body rows of the table after `<!-- table: id -->`, without back-quotes. */
function table(id: string): string[][] {
  const rows = lines.slice(lines.indexOf(`<!-- table: ${id} -->`) + 1);
  const first = rows.findIndex((line) => line.startsWith('|'));
  const end = rows.findIndex((line, index) => index > first && !line.startsWith('|'));
  return rows.slice(first + 2, end).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll('`', '')),
  );
}

test('docs/modes.md lists every state', (t) => {
  t.deepEqual(
    table('states').map(([leaf]) => leaf),
    [...modeLeaves],
  );
});

test('docs/modes.md shows which request every mode accepts, and how it refuses', (t) => {
  t.deepEqual(
    table('requests'),
    operatorRequests.map((request) => [
      request.slice('operator.'.length),
      ...groupModes.map((mode) => modeRefusals[mode][request]?.code ?? 'yes'),
    ]),
  );
});

test('docs/modes.md lists the states that answer otherwise than their mode', (t) => {
  t.deepEqual(
    table('exceptions'),
    Object.entries(leafRefusals).flatMap(([leaf, row]) =>
      Object.entries(row).map(([request, refusal]) => [
        leaf,
        request.slice('operator.'.length),
        refusal?.code ?? 'yes',
      ]),
    ),
  );
});

test('docs/modes.md shows the link as it is', (t) => {
  t.deepEqual(
    table('links'),
    linkStates.map((link) => [
      link,
      connectionOf(link),
      linkRefusals[link]['operator.launchpmd']?.code ?? 'yes',
      linkRefusals[link]['operator.killpmd']?.code ?? 'yes',
      linkRefusals[link]['operator.overrideNormal']?.code ?? 'yes',
    ]),
  );
});

test('docs/modes.md lists exactly the transitions of the table', (t) => {
  const expected = modeLeaves.flatMap((leaf) =>
    Object.entries(modeTable[leaf]).flatMap(([event, cell]) =>
      cell === 'same' || cell.startsWith('TDMF_') ? [] : [[leaf, event, cell]],
    ),
  );
  t.deepEqual(table('events'), expected);
});

test('every invariant of docs/modes.md names tests that exist', (t) => {
  const folders = ['test/machines', 'test/unit/actors', 'test/unit/core/pstore'];
  const sources = folders
    .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
    .filter((path) => path.endsWith('.test.ts'))
    .map((path) => readFileSync(path, 'utf8').replace(/\$\{mode\}/g, 'normal'))
    .join('\n');
  const invariants = text
    .slice(text.indexOf('## Invariants'))
    .split(/^- \*\*M/m)
    .slice(1);
  t.is(invariants.length, 18);
  for (const [index, invariant] of invariants.entries()) {
    t.true(invariant.startsWith(`${index + 1}**`), 'invariants are numbered without gaps');
    const named = [...invariant.replace(/\s+/g, ' ').matchAll(/"([^"]+)"/g)].map(
      (found) => found[1]!,
    );
    t.true(named.length > 0, `M${index + 1} has an enforcement`);
    for (const title of named) t.true(sources.includes(title), `M${index + 1}: ${title}`);
  }
});
