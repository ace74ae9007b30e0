/**
 * Assertions, on in production: a broken promise of the code stops the actor that found it, its
 * supervisor decides, and the group falls to the safe side (dirt is kept). Operating errors
 * (disk full, link lost) are never asserted; they are `TdmfError`s.
 */

export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

/** Throws when `condition` is false. The message names the rule or invariant it guards. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** Marks a branch that the types exclude; reaching it is a bug. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${JSON.stringify(value)}`);
}
