/**
 * Writes docs/rules.md: every rule of replication, and which tests, checkers and assertions hold it.
 * A test holds a rule when a title names it ("H17", "Rule 15a", "I4", "R9"), a checker when its opening
 * comment does, an assertion when its text does. test/rules.test.ts fails when the page is not what
 * this script writes, or when a rule is held by nothing and no reason is given.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rules } from './rules.js';

const root = new URL('..', import.meta.url).pathname;
const holdersMax = 4;
/** The widest look comes first: what holds a rule under every fault says more than one example. */
const weight = (path) =>
  ['src/testing/checkers', 'test/sim', 'test/model', 'test/e2e', 'test/machines'].findIndex((at) =>
    path.startsWith(at),
  ) & 7;

function filesUnder(folder) {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name))
    .toSorted();
}

/** The words in which a file may claim to hold a rule. */
function claims(path) {
  const text = readFileSync(join(root, path), 'utf8');
  if (path.startsWith('src/testing/')) return text.slice(0, text.indexOf('*/'));
  if (path.startsWith('src/')) return [...text.matchAll(/assert\([^;]*;/g)].join('\n');
  const literals = /^\s*(?:test\S*\(|for \(|\[)?\s*(['"`]).*\1,?/;
  return text
    .split('\n')
    .filter(
      (line) => /\btest\b.*\(|^\s*['"`]/.test(line) && literals.test(line.replace(/test\(/, '')),
    )
    .join('\n');
}

const texts = [...filesUnder('test'), ...filesUnder('src')].map((path) => [path, claims(path)]);

/** `7a` is named by "Rule 7a", "Rules 7a, 27", "H7a"; also by "H7", when nothing says it exactly. */
function namedAs({ name }) {
  if (/^[TRI]/.test(name)) return [new RegExp(`\\b${name}\\b`)];
  const exact = new RegExp(`\\b(?:H|Rules? (?:\\d+[a-d]?(?:, | and ))*)${name}\\b`);
  const number = name.replace(/[a-d]$/, '');
  return number === name ? [exact] : [exact, new RegExp(`\\b(?:H|Rule )${number}\\b`)];
}

export function holdersOf(rule) {
  for (const pattern of namedAs(rule)) {
    const found = texts.filter(([, text]) => pattern.test(text)).map(([path]) => path);
    if (found.length > 0) {
      return found.toSorted((a, b) => weight(a) - weight(b)).slice(0, holdersMax);
    }
  }
  return [];
}

export function page() {
  const lines = rules.map((rule) => {
    const { name, promise, otherwise } = rule;
    const held = holdersOf(rule).map((path) => `\`${path}\``);
    const shown = /^\d/.test(name) ? `Rule ${name}` : name;
    return `| ${shown} | ${promise} | ${held.join('<br>')}${held.length > 0 && otherwise !== '' ? '<br>' : ''}${otherwise} |`;
  });
  return `# The rules, and what holds them

Every rule of replication (H1–H55 as "Rule n", T and R of the refresh, the invariants I1–I21), with up to ${holdersMax} of the tests, checkers and
assertions that name it. A rule that is kept in another way than it was first written says so, with the reason. Made by
\`node scripts/rules-md.js\`, checked by \`test/rules.test.ts\`. The decision table of the lineage (rows 0–11) is in \`src/core/lineage/decide.ts\`,
row by row, and tested over every combination of facts.

| rule | promise | held by |
|---|---|---|
${lines.join('\n')}
`;
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  writeFileSync(join(root, 'docs/rules.md'), page());
}
