/** Time, as actors may know it. Real: io/system-clock.ts, the only reader of time; simulated: SimClock. */

export interface TimerHandle {
  cancel(): void;
}

export interface Clock {
  /** Monotonic milliseconds with fraction; differences only. */
  now(): number;
  /** Milliseconds since 1970, for records and events. */
  wallNow(): number;
  /** Calls `fire` once, not earlier than after `delayMs`. */
  after(delayMs: number, fire: () => void): TimerHandle;
  /** Calls `run` at the end of the current turn of the host's loop: where batches are submitted. */
  endOfTurn(run: () => void): void;
}
