/**
 * What `tdmfctl init` does without a tdmfd: makes the pstore, or moves it, and writes the host's
 * settings, with the node:fs adapter. Rule 54b: copy, flush, switch the pointer (tdmf.cfg, replaced
 * atomically), retire the old one.
 */
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { copyPstore, retirePstore } from '../actors/pstore-move.js';
import { isTdmfError, TdmfError } from '../core/errors.js';
import { atomicFiles } from '../io/atomic-files.js';
import { type Io, openIo } from '../io/open-io.js';
import { ensurePstore, openPstore } from './pstore-file.js';

export interface InitPlan {
  /** Where the pstore shall be, and where it is by the settings of now. */
  readonly pstore: string;
  readonly pstoreNow: string;
  /** tdmf.cfg and what it shall say. */
  readonly configFile: string;
  readonly configText: string;
}

/** `made`, `moved`, or `kept` as it was. */
export async function initHost(plan: InitPlan): Promise<'made' | 'moved' | 'kept'> {
  const { pstore, pstoreNow, configFile, configText } = plan;
  const io = openIo('threads');
  try {
    const moves = pstore !== pstoreNow && (await exists(pstoreNow));
    if (!moves) {
      const made = await ensurePstore(io, pstore);
      await atomicFiles.replace(configFile, Buffer.from(configText));
      return made ? 'made' : 'kept';
    }
    await move(io, pstoreNow, pstore, () =>
      atomicFiles.replace(configFile, Buffer.from(configText)),
    );
    return 'moved';
  } finally {
    await io.close();
  }
}

/** True when the pstore was made, false when there is one already. */
export async function makePstore(path: string): Promise<boolean> {
  const io = openIo('threads');
  try {
    return await ensurePstore(io, path);
  } finally {
    await io.close();
  }
}

async function move(
  io: Io,
  from: string,
  to: string,
  switchPointer: () => Promise<void>,
): Promise<void> {
  const old = await openPstore(io, from).catch((error: unknown) => {
    if (!isTdmfError(error) || error.code !== 'TDMF_DEVICE_BUSY') throw error;
    throw new TdmfError('TDMF_PSTORE_BUSY', { path: from }, { cause: error });
  });
  try {
    const target = await openPstore(io, to, true);
    try {
      await copyPstore(old, target);
    } finally {
      await target.device.close();
    }
    // The name too must survive a power cut before anything points at it.
    await atomicFiles.syncDirectory(dirname(to));
    await switchPointer();
    await retirePstore(old);
  } finally {
    await old.device.close();
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
