/** Randomness, as actors may use it. Real: node:crypto; simulated: a seeded generator. */
export interface Random {
  /** Fills and returns `bytes`. */
  fill(bytes: Uint8Array): Uint8Array;
  /** An integer in [0, below). */
  below(below: number): number;
}
