/**
 * The rules of the house as data and small functions: who may import whom, what pure code may not
 * name, what every file must have. `tidy.test.ts` runs them over the tree and over bad snippets.
 */
import { dirname, join, normalize } from 'node:path';
import type { SourceFile } from './source-tree.js';

export interface Problem {
  readonly path: string;
  readonly line: number;
  readonly rule: string;
}

interface Row {
  /** Folders below src (or files) that may be imported. */
  readonly folders: readonly string[];
  /** Packages and `node:` builtins; `node:*` for all of them. */
  readonly packages: readonly string[];
}

/** The import table: an arrow reads "may import"; the most specific prefix wins. */
export const importTable: Readonly<Record<string, Row>> = {
  'core/': { folders: ['core/'], packages: ['node:buffer'] },
  'core/wire/codec.ts': { folders: ['core/'], packages: ['msgpackr'] },
  'core/pstore/': { folders: ['core/'], packages: ['msgpackr'] },
  'core/meta': { folders: ['core/'], packages: ['msgpackr'] },
  'machines/': { folders: ['core/', 'machines/', 'actors/messages.ts'], packages: ['xstate'] },
  'ports/': { folders: ['core/', 'ports/'], packages: [] },
  'actors/': { folders: ['core/', 'machines/', 'ports/', 'actors/'], packages: ['xstate'] },
  'testing/': {
    folders: ['core/', 'machines/', 'ports/', 'actors/', 'testing/'],
    packages: ['node:assert'],
  },
  // The door of the simulator, which runs seeds on several threads.
  'testing/main.ts': { folders: ['testing/'], packages: ['node:worker_threads'] },
  'io/': {
    folders: ['core/', 'ports/', 'io/', 'config/package-version.ts'],
    packages: ['node:*', 'pino'],
  },
  'runtime/': {
    folders: ['core/', 'ports/', 'actors/', 'machines/', 'runtime/'],
    packages: ['node:*', 'piscina', 'comlink', 'msgpackr'],
  },
  'config/': { folders: ['core/', 'config/'], packages: ['node:*', 'yaml', 'zod'] },
  'server/': {
    folders: [
      'core/',
      'machines/',
      'ports/',
      'actors/',
      'io/',
      'runtime/',
      'config/',
      'server/',
      'info.ts',
      'events.ts',
      'tdmf.ts',
    ],
    packages: ['node:*', 'hono', 'hono/streaming', '@hono/node-server', 'zod'],
  },
  'daemon/': {
    folders: ['core/', 'config/', 'server/', 'io/', 'ports/', 'tdmf.ts'],
    packages: ['node:*'],
  },
  'cli/': {
    folders: ['core/', 'config/', 'cli/', 'info.ts', 'server/offline-init.ts'],
    packages: ['node:*', 'commander', 'yaml'],
  },
  'demo/': { folders: ['config/'], packages: ['node:*'] },
  'info.ts': { folders: ['actors/messages.ts'], packages: [] },
  'events.ts': { folders: ['actors/group-events.ts', 'core/', 'info.ts'], packages: [] },
  'tdmf.ts': {
    folders: ['core/', 'ports/', 'config/', 'server/', 'info.ts', 'events.ts'],
    packages: ['node:*'],
  },
  'index.ts': {
    folders: ['tdmf.ts', 'info.ts', 'events.ts', 'core/errors.ts', 'server/event-log.ts'],
    packages: [],
  },
};

const importPattern =
  /(?:^|\n)\s*(?:import|export)\s(?:type\s)?[^;'"]*?from\s+'([^']+)'|import\('([^']+)'\)|(?:^|\n)import\s+'([^']+)'/g;

export function importProblems(file: SourceFile): Problem[] {
  const place = file.path.replace(/^src\//, '');
  const row = Object.entries(importTable)
    .filter(([prefix]) => place.startsWith(prefix))
    .toSorted(([a], [b]) => b.length - a.length)[0]?.[1];
  if (row === undefined) return [problem(file, 0, `${place} has no row in the import table`)];
  return [...file.text.matchAll(importPattern)].flatMap((match) => {
    const specifier = match[1] ?? match[2] ?? match[3] ?? '';
    const allowed = specifier.startsWith('.')
      ? row.folders.some((folder) => targetOf(place, specifier).startsWith(folder))
      : row.packages.some((name) =>
          name === 'node:*'
            ? specifier.startsWith('node:')
            : specifier === name || specifier.startsWith(`${name}/`),
        );
    return allowed ? [] : [problem(file, match.index + 1, `may not import '${specifier}'`)];
  });
}

function targetOf(place: string, specifier: string): string {
  return normalize(join(dirname(place), specifier)).replace(/\.js$/, '.ts');
}

/** What pure folders may not name (house rules 3.3), with what to use instead. */
const impure: readonly (readonly [RegExp, string])[] = [
  [/\b(?:await|async)\b|\bPromise\b/, 'pure code is synchronous; waiting belongs to actors'],
  [/\bDate\b|\bperformance\./, 'time is an argument; use the clock port'],
  [/Math\.random|\bcrypto\./, 'chance is an argument; use the random port'],
  [/\b(?:setTimeout|setInterval|setImmediate|queueMicrotask)\b/, 'timers belong to the clock port'],
  [/\bprocess\.|\bconsole\./, 'pure code has no surroundings'],
];

/** What no source file may contain, with what to use instead. */
const banned: readonly (readonly [RegExp, string, RegExp?])[] = [
  [/\bTODO\b|\bFIXME\b/, 'unknowns go to an issue or docs/decisions'],
  [/\bconsole\.(?:log|error)/, 'use the log port', /^src\/(?:demo|cli)\/|\/main\.ts$/],
  [/^export default/m, 'export by name'],
  [/\bas any\b|: any\b/, 'decode the value, or use unknown'],
  [/@ts-ignore|@ts-expect-error|eslint-disable|oxlint-disable/, 'mend the code instead'],
  [/\bDate\.now\b/, 'use the clock port', /^src\/(?:io|demo)\//],
  [/Math\.random/, 'use the random port'],
  [
    /\bsetTimeout\(/,
    'use the clock port',
    /^src\/(?:io|runtime|demo|daemon|server)\/|machine-clock/,
  ],
  [/\bsetImmediate\(/, 'use the clock port', /^src\/(?:io|runtime)\/|^src\/testing\/world\.ts$/],
];

export function purityProblems(file: SourceFile): Problem[] {
  return matches(
    file,
    impure.map(([pattern, advice]) => [pattern, advice]),
  );
}

export function bannedProblems(file: SourceFile): Problem[] {
  const rules = banned.filter(([, , except]) => !except?.test(file.path));
  return matches(
    file,
    rules.map(([pattern, advice]) => [pattern, advice]),
  );
}

/** Every source file says first what it is and where it stands. */
export function headerProblems(file: SourceFile): Problem[] {
  return file.text.startsWith('/**')
    ? []
    : [problem(file, 0, 'begins with a comment that says what it is')];
}

function matches(file: SourceFile, rules: readonly (readonly [RegExp, string])[]): Problem[] {
  const code = withoutComments(file.text);
  return rules.flatMap(([pattern, advice]) => {
    const match = pattern.exec(code);
    return match ? [problem(file, match.index, `'${match[0].trim()}': ${advice}`)] : [];
  });
}

/** Comments and strings become blanks, so that positions stay and words in prose do not count. */
export function withoutComments(text: string): string {
  return text.replace(
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g,
    (found) => (/^\/\/.*\b(?:TODO|FIXME)\b/.test(found) ? found : found.replace(/[^\n]/g, ' ')),
  );
}

function problem(file: SourceFile, index: number, rule: string): Problem {
  return { path: file.path, line: file.text.slice(0, index).split('\n').length, rule };
}
