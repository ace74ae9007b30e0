/** Dependencies: all of them run on the oldest Node we promise, and none runs a script at install. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { packageRoot } from '../src/config/package-version.js';

interface LockEntry {
  readonly version?: string;
  readonly engines?: { readonly node?: string };
  readonly hasInstallScript?: boolean;
}

const read = (name: string) =>
  JSON.parse(readFileSync(join(packageRoot(), name), 'utf8')) as unknown;
const lock = read('package-lock.json') as { packages: Record<string, LockEntry> };
const root = read('package.json') as { allowScripts: Record<string, boolean> };

type Version = readonly [number, number, number];
const floor: Version = [20, 19, 0];

/** Whether `range` (comparators, caret, alternatives with ||) admits `version`. */
function admits(range: string, version: Version): boolean {
  return range.split('||').some((alternative) =>
    [
      ...alternative.matchAll(/(>=|<=|>|<|\^|~|=)?\s*v?(\d+|\*|x)(?:\.(\d+|x))?(?:\.(\d+|x))?/g),
    ].every(([, operator = '^', major = '', minor = '0', patch = '0']) => {
      if (major === '*' || major === 'x') return true;
      const bound: Version = [Number(major), Number(minor) || 0, Number(patch) || 0];
      const order = compare(version, bound);
      if (operator === '>=') return order >= 0;
      if (operator === '>') return order > 0;
      if (operator === '<') return order < 0;
      if (operator === '<=') return order <= 0;
      return order >= 0 && version[0] === bound[0];
    }),
  );
}

function compare(a: Version, b: Version): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
}

test('the range reader knows what it reads', (t) => {
  t.true(admits('^18 || ^20 || >= 21', floor));
  t.true(admits('>=20.19.0', floor));
  t.true(admits('^20.17.0 || >=22.9.0', floor));
  t.false(admits('>=22', floor));
  t.false(admits('^22.20 || ^24.12 || >=26', floor));
  t.false(admits('>=20.19.1', floor));
});

test('every dependency admits the oldest Node that we promise', (t) => {
  const excluded = Object.entries(lock.packages)
    .filter(([path, { engines }]) => path !== '' && engines?.node && !admits(engines.node, floor))
    .map(([path, { engines }]) => `${path}: ${engines?.node}`);
  t.deepEqual(excluded, []);
});

test('no dependency runs a script at install', (t) => {
  const scripted = Object.entries(lock.packages)
    .filter(([, entry]) => entry.hasInstallScript)
    .map(([path]) => path.replace(/^.*node_modules\//, ''));
  t.deepEqual(
    scripted.filter((name) => root.allowScripts[name] !== false),
    [],
  );
});

test('the lock file names no registry host', (t) => {
  t.false(readFileSync(join(packageRoot(), 'package-lock.json'), 'utf8').includes('://registry'));
  t.true(existsSync(join(packageRoot(), '.npmrc')));
});
