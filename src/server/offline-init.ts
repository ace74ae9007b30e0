/** What `tdmfctl init` does without a tdmfd: makes the pstore with the node:fs adapter. */
import { openIo } from '../io/open-io.js';
import { ensurePstore } from './pstore-file.js';

/** True when the pstore was made, false when there is one already. */
export async function makePstore(path: string): Promise<boolean> {
  const io = openIo('threads');
  try {
    return await ensurePstore(io, path);
  } finally {
    await io.close();
  }
}
