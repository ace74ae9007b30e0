import test from 'ava';
import fc from 'fast-check';
import { crc32c } from '../../../../src/core/checksum.js';
import { firstFramePayloadMax, framePayloadMax } from '../../../../src/core/constants.js';
import {
  emptyFrameHeader,
  encodeFrameHeader,
  type FrameHeader,
} from '../../../../src/core/wire/frame.js';
import { frameKinds } from '../../../../src/core/wire/messages.js';
import { sessionNonce } from '../../../../src/core/wire/session.js';
import { FrameSplitter } from '../../../../src/core/wire/splitter.js';
import { FrameWriter } from '../../../../src/core/wire/writer.js';
import { concat, dataFrame, listen, packedFrame } from './frames.js';
import { nonce, sampleAck, sampleBlocks, sampleEntries, samples } from './samples.js';

function primaryStream(): Uint8Array {
  const writer = new FrameWriter(nonce, crc32c);
  return concat(
    writer.control(samples.hello),
    writer.heartbeat(),
    dataFrame(writer, frameKinds.entries, sampleEntries),
    writer.control(samples.flushWanted),
    dataFrame(writer, frameKinds.blocks, sampleBlocks),
    writer.heartbeat(),
  );
}

function packedStream(): Uint8Array {
  const writer = new FrameWriter(nonce, crc32c);
  return concat(
    writer.control(samples.hello),
    packedFrame(writer, frameKinds.entries, sampleEntries),
    writer.control(samples.flushWanted),
    packedFrame(writer, frameKinds.blocks, sampleBlocks),
    dataFrame(writer, frameKinds.blocks, sampleBlocks),
  );
}

function headerOnly(change: Partial<FrameHeader>): Uint8Array {
  const header = { ...emptyFrameHeader(), sessionLow: nonce.low, sessionHigh: nonce.high };
  const bytes = new Uint8Array(64);
  encodeFrameHeader(bytes, 0, { ...header, payloadLength: 1, number: 1, ...change }, crc32c);
  return bytes;
}

test('a stream in one piece comes out as its frames', (t) => {
  const { splitter, heard, errors } = listen('primary');
  splitter.push(primaryStream());
  t.deepEqual(errors, []);
  t.deepEqual(
    heard.map(({ kind, number, count }) => [kind, number, count]),
    [
      [1, 1, 0],
      [5, 2, 0],
      [2, 3, 3],
      [1, 4, 0],
      [3, 5, 2],
      [5, 6, 0],
    ],
  );
  t.true(heard[2]!.payload.endsWith('01020304050607'));
});

test('any chunking gives the same frames', (t) => {
  const stream = primaryStream();
  const whole = listen('primary');
  whole.splitter.push(stream);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: stream.length }), { maxLength: 40 }), (cuts) => {
      const { splitter, heard, errors } = listen('primary');
      const edges = [0, ...cuts.sort((a, b) => a - b), stream.length];
      for (let index = 1; index < edges.length; index += 1) {
        splitter.push(stream.slice(edges[index - 1], edges[index]));
      }
      t.deepEqual(heard, whole.heard);
      t.deepEqual(errors, []);
    }),
    { numRuns: 200 },
  );
});

test('one byte at a time gives the same frames', (t) => {
  const stream = primaryStream();
  const whole = listen('primary');
  whole.splitter.push(stream);
  const { splitter, heard } = listen('primary');
  for (const byte of stream) splitter.push(Uint8Array.of(byte));
  t.deepEqual(heard, whole.heard);
});

test('any mutation of any byte is malformed, never a throw, never another frame (H55)', (t) => {
  const stream = primaryStream();
  const whole = listen('primary');
  whole.splitter.push(stream);
  for (let at = 0; at < stream.length; at += 1) {
    for (const flip of [0x01, 0x80, 0xff]) {
      const changed = stream.slice();
      changed[at] = changed[at]! ^ flip;
      const { splitter, heard, errors } = listen('primary');
      splitter.push(changed);
      if (errors.length !== 1) t.fail(`byte ${at} ^ ${flip}: ${errors.length} errors`);
      if (!heard.every((frame, index) => frame.payload === whole.heard[index]!.payload)) {
        t.fail(`byte ${at} ^ ${flip}: another frame`);
      }
    }
  }
  t.pass();
});

test('random bytes never throw and never become a frame', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      const { splitter, heard } = listen('secondary');
      splitter.push(bytes);
      t.deepEqual(heard, []);
    }),
    { numRuns: 300 },
  );
});

test('after a malformed frame the splitter is deaf', (t) => {
  const { splitter, heard, errors } = listen('primary');
  splitter.push(new Uint8Array(64));
  splitter.push(primaryStream());
  t.is(errors.length, 1);
  t.deepEqual(heard, []);
  t.true(splitter.stopped);
});

test('a sink that stops hears no further frame of the same chunk', (t) => {
  let frames = 0;
  const splitter = new FrameSplitter(
    {
      begin: () => undefined,
      frame: () => {
        frames += 1;
        splitter.stop();
      },
      malformed: (error) => t.fail(error.message),
    },
    { sender: 'primary', nonce, crc32c },
  );
  splitter.push(primaryStream());
  t.is(frames, 1);
});

test('the payload is written once, where the sink says, from shared memory on', (t) => {
  const arena = new Uint8Array(new SharedArrayBuffer(4096));
  const writer = new FrameWriter(nonce, crc32c);
  const targets: number[] = [];
  const splitter = new FrameSplitter(
    {
      // The table ends at 1000, so the data begins there.
      begin: ({ kind, count }) =>
        kind === frameKinds.entries ? { bytes: arena, offset: 1000 - count * 48 } : undefined,
      frame: ({ kind }, { offset }) => {
        if (kind === frameKinds.entries) targets.push(offset);
      },
      malformed: (error) => t.fail(error.message),
    },
    { sender: 'primary', nonce, crc32c },
  );
  splitter.push(writer.control(samples.hello));
  splitter.push(dataFrame(writer, frameKinds.entries, sampleEntries));
  t.deepEqual(targets, [1000 - 3 * 48]);
  t.deepEqual(arena.slice(1000, 1008), Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 0));
});

const refuses = test.macro({
  exec(t, bytes: Uint8Array, sender: 'primary' | 'secondary', what: RegExp, after?: Uint8Array) {
    const { splitter, heard, errors } = listen(sender);
    if (after !== undefined) splitter.push(after);
    const before = heard.length;
    splitter.push(bytes);
    t.is(heard.length, before);
    t.is(errors.length, 1);
    t.is(errors[0]!.code, 'TDMF_LINK_PROTOCOL');
    t.regex(errors[0]!.message, what);
  },
  title: (name) => `refuses ${name}`,
});

const hello = () => new FrameWriter(nonce, crc32c).control(samples.hello);
const control = frameKinds.control;
const { entries, ack, heartbeat } = frameKinds;
const second = { number: 2 };

test(
  'a first frame longer than the limit (H55)',
  refuses,
  headerOnly({ payloadLength: firstFramePayloadMax + 1 }),
  'primary',
  /first frame too long/,
);
test(
  'a first frame that is no control frame (H55)',
  refuses,
  headerOnly({ kind: heartbeat, payloadLength: 0 }),
  'primary',
  /no control frame/,
);
test(
  'a frame of another session (H26)',
  refuses,
  headerOnly({ sessionLow: 1 }),
  'primary',
  /another session/,
);
test('a repeated frame number', refuses, hello(), 'primary', /frame number/, hello());
test(
  'a frame number with a gap',
  refuses,
  headerOnly({ number: 3 }),
  'primary',
  /frame number/,
  hello(),
);
test(
  'entries from the secondary',
  refuses,
  headerOnly({ ...second, kind: entries, count: 1, payloadLength: 48 }),
  'secondary',
  /frame kind/,
  hello(),
);
test(
  'an ack from the primary',
  refuses,
  headerOnly({ ...second, kind: ack, payloadLength: 40 }),
  'primary',
  /frame kind/,
  hello(),
);
test(
  'an ack of another length',
  refuses,
  headerOnly({ ...second, kind: ack, payloadLength: 48 }),
  'secondary',
  /ack frame length/,
  hello(),
);
test(
  'a heartbeat with a payload',
  refuses,
  headerOnly({ ...second, kind: heartbeat }),
  'primary',
  /heartbeat/,
  hello(),
);
test(
  'a kind that does not exist',
  refuses,
  headerOnly({ ...second, kind: 9 }),
  'primary',
  /frame kind/,
  hello(),
);
test(
  'an empty control frame',
  refuses,
  headerOnly({ payloadLength: 0 }),
  'primary',
  /control frame length/,
);
test(
  'a control frame longer than the limit',
  refuses,
  headerOnly({ ...second, payloadLength: 65_537 }),
  'primary',
  /control frame length/,
  hello(),
);
test(
  'a control frame with entries',
  refuses,
  headerOnly({ ...second, kind: control, count: 1 }),
  'primary',
  /entry count/,
  hello(),
);
test(
  'a data frame longer than the limit (H55)',
  refuses,
  headerOnly({ ...second, kind: entries, count: 1, payloadLength: framePayloadMax + 1 }),
  'primary',
  /data frame too long/,
  hello(),
);
test(
  'a data frame with too many entries',
  refuses,
  headerOnly({ ...second, kind: entries, count: 1025, payloadLength: 1025 * 48 }),
  'primary',
  /entry count/,
  hello(),
);
test(
  'a data frame without entries',
  refuses,
  headerOnly({ ...second, kind: entries, count: 0, payloadLength: 48 }),
  'primary',
  /entry count/,
  hello(),
);
test(
  'a data frame shorter than its table',
  refuses,
  headerOnly({ ...second, kind: entries, count: 2, payloadLength: 95 }),
  'primary',
  /cut short/,
  hello(),
);
test(
  'flags that version 1 does not know',
  refuses,
  headerOnly({ ...second, flags: 1 }),
  'primary',
  /flags/,
  hello(),
);

test('refuses data for which no memory was promised', (t) => {
  const { splitter, errors } = listen('primary', false);
  splitter.push(primaryStream());
  t.regex(errors[0]!.message, /credit/);
});

test('a peer of another version is told so', (t) => {
  const { splitter, errors } = listen('primary');
  splitter.push(headerOnly({ version: 2 }));
  t.is(errors[0]!.code, 'TDMF_LINK_VERSION');
  t.deepEqual(errors[0]!.details, { theirs: 2, ours: 1 });
});

test('the two directions of a session have different nonces (H34)', (t) => {
  const secret = Uint8Array.from({ length: 32 }, (_, index) => index);
  t.deepEqual(sessionNonce(secret, 'primary'), { low: 0x03020100, high: 0x07060504 });
  t.deepEqual(sessionNonce(secret, 'secondary'), { low: 0x0b0a0908, high: 0x0f0e0d0c });
  const reflected = new FrameWriter(sessionNonce(secret, 'secondary'), crc32c);
  const { splitter, errors } = listen('primary');
  splitter.push(reflected.control(samples.welcome));
  t.regex(errors[0]!.message, /another session/);
});

test('acks and control messages of the secondary arrive', (t) => {
  const writer = new FrameWriter(nonce, crc32c);
  const { splitter, heard, errors } = listen('secondary');
  splitter.push(concat(writer.control(samples.welcome), writer.ack(sampleAck), writer.heartbeat()));
  t.deepEqual(errors, []);
  t.deepEqual(
    heard.map(({ kind }) => kind),
    [1, 4, 5],
  );
});

test('a compressed frame comes out as the frame it was, however it is cut', (t) => {
  const plain = listen('primary');
  plain.splitter.push(primaryStream());
  const payloadOf = (kind: number) => plain.heard.find((frame) => frame.kind === kind)!.payload;
  const stream = packedStream();
  for (const step of [1, 7, 64, stream.length]) {
    const { splitter, heard, errors } = listen('primary');
    for (let at = 0; at < stream.length; at += step) splitter.push(stream.slice(at, at + step));
    t.deepEqual(errors, []);
    t.deepEqual(
      heard.map(({ kind, number }) => [kind, number]),
      [
        [1, 1],
        [2, 2],
        [1, 3],
        [3, 4],
        [3, 5],
      ],
    );
    t.is(heard[1]!.payload, payloadOf(frameKinds.entries));
    t.is(heard[3]!.payload, payloadOf(frameKinds.blocks));
    t.is(heard[4]!.payload, heard[3]!.payload);
  }
});

test('Rule 55: any mutation of a compressed frame is malformed, never a throw, never another frame', (t) => {
  const stream = packedStream();
  const whole = listen('primary');
  whole.splitter.push(stream);
  for (let at = 0; at < stream.length; at += 1) {
    for (const flip of [0x01, 0x10, 0x80, 0xff]) {
      const changed = stream.slice();
      changed[at] = changed[at]! ^ flip;
      const { splitter, heard, errors } = listen('primary');
      splitter.push(changed);
      if (errors.length > 1) t.fail(`byte ${at} ^ ${flip}: ${errors.length} errors`);
      if (!heard.every((frame, index) => frame.payload === whole.heard[index]!.payload)) {
        t.fail(`byte ${at} ^ ${flip}: another frame`);
      }
    }
  }
  t.pass();
});

test('Rule 55: a raw length out of its bounds is refused before memory is asked for', (t) => {
  const compressed = { kind: frameKinds.entries, count: 1, flags: 1, number: 2 };
  const bad: readonly (readonly [Partial<FrameHeader>, RegExp])[] = [
    [{ ...compressed, payloadLength: 100, rawLength: framePayloadMax + 1 }, /raw length/],
    [{ ...compressed, payloadLength: 100, rawLength: 0xffff_ffff }, /raw length/],
    [{ ...compressed, payloadLength: 100, rawLength: 100 }, /raw length/],
    [{ ...compressed, payloadLength: 100, rawLength: 0 }, /raw length/],
    [{ ...compressed, payloadLength: 10, rawLength: 47 }, /entry table/],
    [{ ...compressed, flags: 3, payloadLength: 100, rawLength: 200 }, /frame flags/],
    [{ ...compressed, flags: 0, payloadLength: 100, rawLength: 200 }, /raw length/],
    [{ kind: frameKinds.control, flags: 1, number: 2, payloadLength: 5, rawLength: 9 }, /flags/],
  ];
  for (const [header, problem] of bad) {
    const { splitter, errors } = listen('primary');
    splitter.push(new FrameWriter(nonce, crc32c).control(samples.hello));
    splitter.push(headerOnly(header));
    t.regex(errors[0]?.message ?? '', problem, JSON.stringify(header));
  }
});

test('a side that did not say that it takes compressed frames refuses them', (t) => {
  const { splitter, heard, errors } = listen('primary', true, false);
  splitter.push(packedStream());
  t.is(heard.length, 1);
  t.regex(errors[0]!.message, /frame flags/);
});
