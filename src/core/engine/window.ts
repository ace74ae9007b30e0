/**
 * The credit of one session: payload bytes of data frames that were sent and whose memory the
 * secondary has not freed yet. Never more than the window is under way, so the memory of the
 * secondary is bounded by its own word (I12). Starts at nothing with every session.
 */
export class Window {
  readonly windowBytes: number;
  sentBytes = 0;
  freedBytes = 0;

  constructor(windowBytes: number) {
    this.windowBytes = windowBytes;
  }

  /** Payload bytes that may be sent now. */
  get creditBytes(): number {
    return this.windowBytes - (this.sentBytes - this.freedBytes);
  }

  get underWayBytes(): number {
    return this.sentBytes - this.freedBytes;
  }

  /** Cumulative, from an acknowledgement. False: it cannot be true. */
  freed(totalBytes: number): boolean {
    if (totalBytes < this.freedBytes || totalBytes > this.sentBytes) return false;
    this.freedBytes = totalBytes;
    return true;
  }
}
