/** A directory of its own for one test, below the system's temporary one; a RAM disk may stand there. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Scratch {
  readonly path: (name: string) => string;
  remove(): Promise<void>;
}

export async function makeScratch(parent = tmpdir()): Promise<Scratch> {
  const directory = await mkdtemp(join(parent, 'tdmf-test-'));
  return {
    path: (name) => join(directory, name),
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}
