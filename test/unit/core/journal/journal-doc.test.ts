/** docs/journal.md and the code say the same: byte tables, versions, the table of Rule 25. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { chainTable } from '../../../../src/core/journal/chain.js';
import {
  imagePageLayout,
  imageRecordLayout,
  imageVersion,
} from '../../../../src/core/journal/image.js';
import {
  ownDeviceLayout,
  ownPageLayout,
  ownVersion,
} from '../../../../src/core/journal/own-map.js';
import { recordTable } from '../../../../src/core/journal/recovery.js';
import { segmentLayout, segmentVersion } from '../../../../src/core/journal/segment.js';
import { layoutTable } from '../../../../src/core/layout.js';
import { metaLayout, metaVersion, mirrorStampLayout } from '../../../../src/core/meta.js';
import { positionPageLayout, positionSlotLayout } from '../../../../src/core/position-page.js';

const lines = readFileSync(join(process.cwd(), 'docs/journal.md'), 'utf8').split('\n');
const layouts = [
  metaLayout,
  mirrorStampLayout,
  positionPageLayout,
  positionSlotLayout,
  segmentLayout,
  ownPageLayout,
  ownDeviceLayout,
  imagePageLayout,
  imageRecordLayout,
];

/** The rows of the markdown table after the line `<!-- table: id -->`. */
function table(id: string): string[] {
  const start = lines.indexOf(`<!-- table: ${id} -->`);
  const end = lines.findIndex((line, at) => at > start && !line.startsWith('|'));
  return start < 0 ? [] : lines.slice(start + 1, end);
}

for (const declared of layouts) {
  test(`the table ${declared.id} of docs/journal.md equals the layout in the code`, (t) => {
    t.deepEqual(table(declared.id), layoutTable(declared));
  });
}

test('every byte table of docs/journal.md belongs to a layout in the code', (t) => {
  const named = lines.flatMap((line) => /^<!-- table: (.+) -->$/.exec(line)?.[1] ?? []);
  const versions = ['versions-meta', 'versions-segment', 'versions-own', 'versions-image'];
  const known = [...layouts.map(({ id }) => id), ...versions];
  t.deepEqual(named.toSorted(), known.toSorted());
});

test('the version logs end with the versions of the code', (t) => {
  const last = (id: string) => Number(table(id).at(-1)?.split('|')[1]);
  t.is(last('versions-meta'), metaVersion);
  t.is(last('versions-segment'), segmentVersion);
  t.is(last('versions-own'), ownVersion);
  t.is(last('versions-image'), imageVersion);
});

test('docs/journal.md lists every row of Rule 25 with its verdict, in order', (t) => {
  const start = lines.findIndex((line) => line.startsWith('| case | valid |'));
  const rows = lines
    .slice(start + 2, start + 2 + recordTable.length)
    .map((line) => line.split('|').map((cell) => cell.trim()));
  t.deepEqual(
    rows.map((cells) => [cells[1], cells[8]]),
    recordTable.map(({ id, verdict }) => [id, verdict]),
  );
});

test('docs/journal.md lists every row of Rule 15d with its verdict, in order', (t) => {
  const start = lines.indexOf('| case | verdict |');
  const rows = lines
    .slice(start + 2, start + 2 + chainTable.length)
    .map((line) => line.split('|').map((cell) => cell.trim()));
  t.deepEqual(
    rows.map((cells) => [cells[1], cells[2]]),
    chainTable.map(({ id, verdict }) => [id, verdict]),
  );
});
