/**
 * How an operation of the data path reports its end: a long-lived sink and a number that the
 * caller chose, so that nothing is allocated per request. A completion is always delivered from a
 * later turn of the host's loop, never from inside the call that started the operation.
 */
export interface CompletionSink {
  /** `result` is ≥ 0 (bytes moved, or 0) on success, −errno on failure. Runs to completion. */
  completed(tag: number, result: number): void;
}
