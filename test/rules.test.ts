/** docs/rules.md is what scripts/rules-md.js makes of the tests, and no rule is held by nothing. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { packageRoot } from '../src/config/package-version.js';

interface Rule {
  readonly name: string;
  readonly promise: string;
  readonly otherwise: string;
}
interface RulesPage {
  page(): string;
  holdersOf(rule: Rule): readonly string[];
}
const script = (name: string) => join(packageRoot(), 'scripts', name);
const { page, holdersOf } = (await import(script('rules-md.js'))) as RulesPage;
const { rules } = (await import(script('rules.js'))) as { readonly rules: readonly Rule[] };

test('docs/rules.md is up to date (node scripts/rules-md.js)', (t) => {
  t.is(readFileSync(join(packageRoot(), 'docs/rules.md'), 'utf8'), page());
});

test('every rule is held by a test, a checker or an assertion, or says why it is safe without', (t) => {
  const names = new Set(rules.map(({ name }) => name));
  for (let number = 1; number <= 55; number += 1) {
    t.true(
      [...names].some((name) => name.replace(/[a-d]$/, '') === String(number)),
      `H${number}`,
    );
  }
  for (let number = 1; number <= 21; number += 1) t.true(names.has(`I${number}`), `I${number}`);
  for (let number = 1; number <= 10; number += 1) t.true(names.has(`R${number}`), `R${number}`);
  for (const rule of rules) {
    const held = holdersOf(rule).length > 0 || rule.otherwise.length > 40;
    t.true(held, `nothing holds ${rule.name}: ${rule.promise}`);
  }
});
