/** The house keeps itself: each rule runs over the tree, and over a snippet that breaks it. */
import test from 'ava';
import { errorTable } from '../src/core/errors.js';
import {
  bannedProblems,
  headerProblems,
  importProblems,
  type Problem,
  purityProblems,
} from './helpers/house-rules.js';
import { sourceFiles } from './helpers/source-tree.js';

const files = sourceFiles();
const sources = files.filter(({ path }) => /^src\/.*\.ts$/.test(path) && !path.endsWith('.d.ts'));
const show = (problems: readonly Problem[]) =>
  problems.map(({ path, line, rule }) => `${path}:${line}: ${rule}`);

test('the tree is read', (t) => {
  t.true(sources.length > 30);
});

test('folders import only what the import table allows', (t) => {
  t.deepEqual(show(sources.flatMap(importProblems)), []);
});

test('pure folders name no time, chance, I/O or waiting', (t) => {
  const pure = sources.filter(({ path }) => /^src\/(?:core|machines)\//.test(path));
  t.deepEqual(show(pure.flatMap(purityProblems)), []);
});

test('nothing banned is in the sources', (t) => {
  t.deepEqual(show(sources.flatMap(bannedProblems)), []);
});

test('every source file begins by saying what it is', (t) => {
  t.deepEqual(show(sources.flatMap(headerProblems)), []);
});

const snippet = (path: string, text: string) => ({ path, text });

test('an import against the direction is found', (t) => {
  const bad = snippet('src/core/x.ts', "/** x */\nimport { y } from '../io/y.js';\n");
  t.deepEqual(show(importProblems(bad)), ["src/core/x.ts:2: may not import '../io/y.js'"]);
  t.is(importProblems(snippet('src/actors/x.ts', "import fs from 'node:fs';")).length, 1);
  t.is(
    importProblems(snippet('src/actors/x.ts', "import type { A } from '../core/a.js';")).length,
    0,
  );
});

test('waiting and clocks in pure code are found, words in comments are not', (t) => {
  t.is(purityProblems(snippet('src/core/x.ts', 'const a = async () => 1;')).length, 1);
  t.is(purityProblems(snippet('src/core/x.ts', 'const a = Date.now();')).length, 1);
  t.is(purityProblems(snippet('src/core/x.ts', '// we await nothing')).length, 0);
});

test('banned words are found', (t) => {
  t.is(bannedProblems(snippet('src/core/x.ts', '// TODO later')).length, 1);
  t.is(bannedProblems(snippet('src/actors/x.ts', 'const a = b as any;')).length, 1);
  t.is(bannedProblems(snippet('src/actors/x.ts', 'setTimeout(run, 1);')).length, 1);
});

test('docs/errors.md lists exactly the codes of the error table', (t) => {
  const text = files.find(({ path }) => path === 'docs/errors.md')?.text ?? '';
  const documented = [...text.matchAll(/^\| `(TDMF_[A-Z_]+)` \|/gm)].map((match) => match[1]!);
  const codes = Object.keys(errorTable).toSorted();
  t.deepEqual(documented.toSorted(), codes);
  for (const [code, row] of Object.entries(errorTable)) {
    const line =
      text.split('\n').find((candidate) => candidate.startsWith(`| \`${code}\` |`)) ?? '';
    t.true(line.includes(row.message.replaceAll('|', '\\|')), `${code}: the message is documented`);
    t.true(line.includes(row.remedy), `${code}: the remedy is documented`);
    t.true(line.includes(`| ${row.kind} |`), `${code}: the kind is documented`);
  }
});
