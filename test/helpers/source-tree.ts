/** The tracked files of the project, read once: what the house rules look at. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/config/package-version.js';

export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

export function sourceFiles(): SourceFile[] {
  const root = packageRoot();
  return execFileSync('git', ['ls-files', '-co', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  })
    .split('\n')
    .filter((path) => path !== '' && existsSync(join(root, path)))
    .filter((path) => /\.(ts|js|json|md|cc|h|yml|sh)$/.test(path) || path === '.ci/run')
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));
}
