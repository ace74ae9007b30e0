/**
 * The TDMF home ("installation directory" of the manual): where every file of a host has its name.
 * Only names here; who reads and writes them is elsewhere. The home is 0700, files with secrets 0600.
 */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

export interface Home {
  readonly directory: string;
  readonly hostConfig: string;
  readonly runDirectory: string;
  readonly controlSocket: string;
  readonly nbdSocket: string;
  readonly lock: string;
  readonly defaultPstore: string;
  /** Which pstore was used last (Rule 54b). */
  readonly pstoreSeen: string;
  /** p###.cfg, s###.cfg, p###.cur, p###.map, s###.off */
  groupFile(kind: GroupFileKind, group: number): string;
  /** A path of a .cfg file: relative ones are below the home. */
  resolve(path: string): string;
}

export type GroupFileKind = 'p.cfg' | 's.cfg' | 'p.cur' | 'p.map' | 's.off';

export function home(directory: string): Home {
  const at = resolve(directory);
  return {
    directory: at,
    hostConfig: join(at, 'tdmf.cfg'),
    runDirectory: join(at, 'run'),
    controlSocket: join(at, 'run', 'control.sock'),
    nbdSocket: join(at, 'run', 'nbd.sock'),
    lock: join(at, 'run', 'lock'),
    defaultPstore: join(at, 'pstore'),
    pstoreSeen: join(at, 'pstore.seen'),
    groupFile: (kind, group) => join(at, groupFileName(kind, group)),
    resolve: (path) => resolve(at, path),
  };
}

/** `--home`, else TDMF_HOME, else /var/lib/tdmf for root, else $XDG_STATE_HOME/tdmf. */
export function defaultHomeDirectory(env: NodeJS.ProcessEnv = process.env): string {
  if (env['TDMF_HOME']) return env['TDMF_HOME'];
  if (process.getuid?.() === 0) return '/var/lib/tdmf';
  return join(env['XDG_STATE_HOME'] ?? join(homedir(), '.local', 'state'), 'tdmf');
}

export function groupFileName(kind: GroupFileKind, group: number): string {
  const [side, suffix] = kind.split('.') as [string, string];
  return `${side}${groupDigits(group)}.${suffix}`;
}

/** Group numbers in file names have three digits, as in the manual. */
export function groupDigits(group: number): string {
  return String(group).padStart(3, '0');
}

/** The group of a name like `p007.cfg`, or undefined. */
export function groupOfFileName(kind: GroupFileKind, name: string): number | undefined {
  const [side, suffix] = kind.split('.');
  const match = new RegExp(`^${side}(\\d{3})\\.${suffix}$`).exec(name);
  return match ? Number(match[1]) : undefined;
}
