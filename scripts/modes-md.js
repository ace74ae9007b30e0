/**
 * Rewrites the tables of docs/modes.md from the code: the states with their duties, the link, the
 * requests, the transitions. Run after a build; test/machines/group-mode.doc.test.ts compares.
 *
 *   npx tsc -p . && node scripts/modes-md.js
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { groupModes } from '../dist/src/core/pstore/record.js';
import { groupModeMachine, modeLeaves } from '../dist/src/machines/group-mode.js';
import * as refusals from '../dist/src/machines/refusals.js';
import { modeTable } from '../dist/test/machines/group-mode.table.js';

const { connectionOf, leafRefusals, linkRefusals, linkStates, modeRefusals, operatorRequests } =
  refusals;
const code = (text) => `\`${text}\``;
const answer = (refusal) => (refusal === undefined ? 'yes' : code(refusal.code));

function stateOf(leaf) {
  let node = groupModeMachine.root.states.mode;
  const tags = [];
  for (const name of leaf.split('.')) {
    node = node.states[name];
    tags.push(...node.tags);
  }
  return { description: node.description, tags };
}

function dutiesOf({ tags }) {
  if (tags.includes('as-before')) return 'as before';
  const duties = ['append', 'mark'].filter((duty) => tags.includes(duty));
  return duties.length === 0 ? 'none' : duties.join(' + ');
}

const tables = {
  states: {
    head: ['state', 'duties', 'what it is'],
    rows: modeLeaves.map((leaf) => [
      code(leaf),
      dutiesOf(stateOf(leaf)),
      stateOf(leaf).description.replaceAll('\n', ' '),
    ]),
  },
  links: {
    head: ['link', 'shown as', 'launchpmd', 'killpmd', 'override'],
    rows: linkStates.map((link) => [
      code(link),
      connectionOf(link),
      ...['launchpmd', 'killpmd', 'overrideNormal'].map((request) =>
        answer(linkRefusals[link][`operator.${request}`]),
      ),
    ]),
  },
  requests: {
    head: ['request', ...groupModes.map((mode) => mode.toUpperCase())],
    rows: operatorRequests.map((request) => [
      code(request.slice('operator.'.length)),
      ...groupModes.map((mode) => answer(modeRefusals[mode][request])),
    ]),
  },
  exceptions: {
    head: ['state', 'request', ''],
    rows: Object.entries(leafRefusals).flatMap(([leaf, row]) =>
      Object.entries(row).map(([request, refusal]) => [
        code(leaf),
        code(request.slice('operator.'.length)),
        answer(refusal),
      ]),
    ),
  },
  events: {
    head: ['state', 'event', 'then'],
    rows: modeLeaves.flatMap((leaf) =>
      Object.entries(modeTable[leaf]).flatMap(([event, cell]) =>
        cell === 'same' || cell.startsWith('TDMF_')
          ? []
          : [[code(leaf), code(event), cell === 'noted' ? 'noted' : code(cell)]],
      ),
    ),
  },
};

function drawn({ head, rows }) {
  const widths = head.map((_, column) =>
    Math.max(3, ...[head, ...rows].map((row) => row[column].length)),
  );
  const line = (cells) => `| ${cells.map((cell, at) => cell.padEnd(widths[at])).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}

const path = 'docs/modes.md';
let text = readFileSync(path, 'utf8');
for (const [id, table] of Object.entries(tables)) {
  const mark = `<!-- table: ${id} -->\n\n`;
  const from = text.indexOf(mark);
  if (from < 0) throw new Error(`docs/modes.md has no table ${id}`);
  const start = from + mark.length;
  const rest = text.slice(start).split('\n');
  const end = rest.findIndex((one) => !one.startsWith('|'));
  text = text.slice(0, start) + [drawn(table), ...rest.slice(end)].join('\n');
}
writeFileSync(path, text);
