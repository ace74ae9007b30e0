import test from 'ava';
import fc from 'fast-check';
import { ringHeaderBytes, ringMemoryBytes, writtenWord } from '../../src/core/ring/layout.js';
import { RingReader } from '../../src/core/ring/reader.js';
import { RingWriter } from '../../src/core/ring/writer.js';

/** The model: a queue of messages. Whether there is room is the ring's business. */
interface Model {
  queue: Uint8Array[];
  unreleased: number;
}
interface Real {
  writer: RingWriter;
  reader: RingReader;
  capacityBytes: number;
}

class Write implements fc.Command<Model, Real> {
  readonly message: Uint8Array;
  constructor(message: Uint8Array) {
    this.message = message;
  }
  check(): boolean {
    return true;
  }
  run(model: Model, real: Real): void {
    if (real.writer.write(this.message)) model.queue.push(this.message);
    else if (model.queue.length === 0 && model.unreleased === 0) {
      throw new Error('an empty ring takes every message up to the limit');
    }
  }
  toString(): string {
    return `write(${this.message.length})`;
  }
}

class Read implements fc.Command<Model, Real> {
  check(): boolean {
    return true;
  }
  run(model: Model, real: Real): void {
    const expected = model.queue.shift();
    const actual = real.reader.read();
    if (Buffer.compare(Buffer.from(actual ?? []), Buffer.from(expected ?? [])) !== 0) {
      throw new Error(`read ${actual?.length}, expected ${expected?.length}`);
    }
    if ((actual === undefined) !== (expected === undefined)) throw new Error('empty or not?');
    if (actual !== undefined) model.unreleased++;
  }
  toString(): string {
    return 'read';
  }
}

class Release implements fc.Command<Model, Real> {
  check(): boolean {
    return true;
  }
  run(model: Model, real: Real): void {
    real.reader.release();
    model.unreleased = 0;
  }
  toString(): string {
    return 'release';
  }
}

class Starve implements fc.Command<Model, Real> {
  check(): boolean {
    return true;
  }
  run(model: Model, real: Real): void {
    const room = real.writer.starve();
    if (room) {
      // Half is free: the largest message must fit, whatever the tail looks like.
      const largest = new Uint8Array(real.writer.messageBytesMax).fill(7);
      if (!real.writer.write(largest)) throw new Error('half free, yet no room for the largest');
      model.queue.push(largest);
      return;
    }
    while (real.reader.read() !== undefined) model.queue.shift();
    if (!real.reader.release()) throw new Error('a starved writer must be woken when it empties');
    if (model.queue.length !== 0) throw new Error('messages were lost');
    model.unreleased = 0;
  }
  toString(): string {
    return 'starve';
  }
}

test('the ring equals a queue of messages, wherever its cursors stand, also when they wrap', (t) => {
  const capacityBytes = 256;
  const messages = fc
    .uint8Array({ minLength: 0, maxLength: capacityBytes / 4 - 4 })
    .map((bytes) => new Write(bytes));
  const commands = fc.commands(
    [
      messages,
      messages,
      fc.constant(new Read()),
      fc.constant(new Release()),
      fc.constant(new Starve()),
    ],
    { size: 'large', maxCommands: 120 },
  );
  fc.assert(
    fc.property(fc.integer({ min: -64, max: 64 }), commands, (start, run) => {
      fc.modelRun(() => {
        const memory = new ArrayBuffer(ringMemoryBytes(capacityBytes));
        // The cursors begin near the wrap of u32, so that every run crosses it.
        new Int32Array(memory, 0, ringHeaderBytes / 4).fill(start * 4, writtenWord, 17);
        return {
          model: { queue: [], unreleased: 0 },
          real: { writer: new RingWriter(memory), reader: new RingReader(memory), capacityBytes },
        };
      }, run);
    }),
    { numRuns: 400 },
  );
  t.pass();
});

test('a message beyond a quarter of the ring is refused with an assertion', (t) => {
  const writer = new RingWriter(new ArrayBuffer(ringMemoryBytes(256)));
  t.true(writer.write(new Uint8Array(60)));
  t.throws(() => writer.write(new Uint8Array(61)), { message: /quarter/ });
});

test('a capacity that is no power of two is refused', (t) => {
  t.throws(() => new RingWriter(new ArrayBuffer(ringMemoryBytes(300))), {
    message: /power of two/,
  });
});

test('a record that claims to reach beyond the cursor is an assertion, not a read outside', (t) => {
  const memory = new ArrayBuffer(ringMemoryBytes(256));
  const writer = new RingWriter(memory);
  writer.write(new Uint8Array(8));
  new Uint32Array(memory, ringHeaderBytes)[0] = 50;
  t.throws(() => new RingReader(memory).read(), { message: /written cursor/ });
});
