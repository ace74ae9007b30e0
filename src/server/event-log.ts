/**
 * The stream of events of a block server: numbered, kept in a ring, followed by any number of
 * readers (tdmfctl events, the library, the console). `since` resumes behind a sequence number; when
 * the ring no longer holds what came after it, a `log.gap` event says so instead of silence.
 */

export interface EventRecord {
  readonly seq: number;
  /** ISO 8601, UTC. */
  readonly ts: string;
  readonly kind: 'exists' | 'change';
  readonly type: string;
  readonly group?: number;
  readonly [field: string]: unknown;
}

const keptMax = 10_000;

export class EventLog {
  readonly #kept: EventRecord[] = [];
  readonly #readers = new Set<(event: EventRecord) => void>();
  readonly #wallNow: () => number;
  #seq = 0;

  constructor(wallNow: () => number) {
    this.#wallNow = wallNow;
  }

  get lastSeq(): number {
    return this.#seq;
  }

  publish(type: string, payload: Readonly<Record<string, unknown>>): EventRecord {
    const event: EventRecord = { ...payload, ...this.#stamp('change', type) };
    this.#kept.push(event);
    if (this.#kept.length > keptMax) this.#kept.splice(0, keptMax / 10);
    for (const reader of this.#readers) reader(event);
    return event;
  }

  /** A line of a dump: the present state of something, not kept. */
  exists(type: string, payload: Readonly<Record<string, unknown>>): EventRecord {
    return {
      ...payload,
      seq: this.#seq,
      ts: this.#time(),
      kind: 'exists',
      type,
    };
  }

  /** Events after `seq` that are still kept, oldest first. */
  after(seq: number): EventRecord[] {
    // A number that was never given is of a tdmfd before this one, whose events are gone.
    if (seq > this.#seq) {
      return [this.exists('log.gap', { from: seq + 1, restarted: true }), ...this.#kept];
    }
    const oldest = this.#kept[0]?.seq ?? this.#seq + 1;
    const events = this.#kept.filter((event) => event.seq > seq);
    if (seq + 1 < oldest && seq < this.#seq) {
      return [this.exists('log.gap', { from: seq + 1, to: oldest - 1 }), ...events];
    }
    return events;
  }

  /** Calls `reader` for every event from now on, until the returned function is called. */
  follow(reader: (event: EventRecord) => void): () => void {
    this.#readers.add(reader);
    return () => this.#readers.delete(reader);
  }

  #stamp(kind: EventRecord['kind'], type: string) {
    this.#seq++;
    return { seq: this.#seq, ts: this.#time(), kind, type };
  }

  #time(): string {
    return new Date(this.#wallNow()).toISOString();
  }
}
