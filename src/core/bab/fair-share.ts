/**
 * Who may take memory of the BAB (Rule 42a, I11). Half of the chunks is promised in shares; a group
 * below its share is never refused. The other half is lent: a group may borrow while its own lent
 * use is less than what is still free of that half (α = 1), or all of it when nobody else borrows.
 *
 * Why a share can always be had: shares sum up to at most the guaranteed half, lent use to at most
 * the lent half, so a group below its share finds at least what it lacks among the free chunks.
 * Pure arithmetic over counts; pool.ts keeps the counts.
 */

/** Chunks that may be promised in shares. */
export function guaranteedChunks(chunkCount: number): number {
  return Math.floor(chunkCount / 2);
}

/** Chunks that may be borrowed. */
export function lentChunks(chunkCount: number): number {
  return chunkCount - guaranteedChunks(chunkCount);
}

export function mayPromise(promised: number, wanted: number, chunkCount: number): boolean {
  return promised + wanted <= guaranteedChunks(chunkCount);
}

/** May a group that borrows `mine` of the `lentUsed` borrowed chunks borrow one more? */
export function mayBorrow(mine: number, lentUsed: number, lentTotal: number): boolean {
  const free = lentTotal - lentUsed;
  if (free <= 0) return false;
  return mine === lentUsed || mine < free;
}
