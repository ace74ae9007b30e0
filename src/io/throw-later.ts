/**
 * A callback of somebody else threw. Its error becomes an uncaught exception of its own a moment
 * later, as from any callback of Node, so that it does not take the operations behind it with it.
 * Actors guard their callbacks (`ActorContext.guard`), so this is for what slipped through.
 */
export function throwLater(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}
