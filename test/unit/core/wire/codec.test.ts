import test from 'ava';
import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { controlPayloadMax, firstFramePayloadMax } from '../../../../src/core/constants.js';
import { controlKinds, decodeControl, encodeControl } from '../../../../src/core/wire/codec.js';
import type { ControlMessage, Hello } from '../../../../src/core/wire/messages.js';
import { era, samples } from './samples.js';

const packr = new Packr({ useRecords: false });
const decode = (bytes: Uint8Array) => decodeControl(bytes, 0, bytes.length);
const decodePlain = (value: object) => {
  if (Array.isArray(value)) return decode(packr.pack(value));
  const present = Object.entries(value).filter(([, field]) => field !== undefined);
  return decode(packr.pack(Object.fromEntries(present)));
};
const hex = (text: string) => decode(new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex')));

test('every message survives the way there and back', (t) => {
  t.deepEqual(Object.keys(samples).sort(), [...controlKinds].sort());
  for (const message of Object.values(samples)) {
    const bytes = encodeControl(message);
    t.deepEqual(decode(bytes), { message });
    const inside = new Uint8Array(bytes.length + 20);
    inside.set(bytes, 9);
    t.deepEqual(decodeControl(inside, 9, bytes.length), { message });
  }
});

test('every mutation of a message is a problem or another good message, never a throw', (t) => {
  const all = Object.values(samples).map((message) => encodeControl(message));
  fc.assert(
    fc.property(fc.constantFrom(...all), fc.nat(), fc.nat(255), fc.nat(), (bytes, at, to, cut) => {
      const changed = bytes.slice(0, cut % 4 === 0 ? cut % (bytes.length + 1) : bytes.length);
      if (changed.length > 0) changed[at % changed.length] = to;
      const { message, problem } = decode(changed);
      if (message !== undefined) t.deepEqual(decode(encodeControl(message)), { message });
      else t.is(typeof problem, 'string');
    }),
    { numRuns: 3000 },
  );
});

test('random bytes never throw', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), (bytes) => {
      t.is(typeof decode(bytes).problem, 'string');
    }),
    { numRuns: 1000 },
  );
});

test('a field of a wrong type, missing or unknown is a problem', (t) => {
  for (const message of Object.values(samples)) {
    for (const name of Object.keys(message)) {
      const flag = typeof message[name as keyof typeof message] === 'boolean';
      const wrong = { ...message, devices: [], [name]: flag ? 7 : false };
      if (message.kind !== 'hello') Reflect.deleteProperty(wrong, 'devices');
      t.truthy(decodePlain(wrong).problem, `${message.kind}.${name}`);
    }
    t.truthy(decodePlain({ ...message, extra: 1 }).problem, message.kind);
    if (message.kind !== 'checkpointOff') {
      t.truthy(decodePlain({ kind: message.kind }).problem, message.kind);
    }
  }
});

const refuses = test.macro({
  exec(t, value: object, what: RegExp) {
    t.regex(decodePlain(value).problem ?? 'taken', what);
  },
  title: (name) => `refuses ${name}`,
});
const { hello, mark, bye, resume } = samples;

test('an unknown kind', refuses, { kind: 'format' }, /unknown control message format/);
test('a kind that every object has', refuses, { kind: 'constructor' }, /unknown control message/);
test('a message that is no map', refuses, [1, 2], /unknown control message/);
test('a negative number', refuses, { ...mark, mark: -1 }, /not as described/);
test('a fraction', refuses, { ...mark, mark: 1.5 }, /not as described/);
test('a number beyond 2^53', refuses, { ...mark, mark: 2 ** 60 }, /not as described/);
test(
  'an era that is not 32 hex digits',
  refuses,
  { ...resume, era: `${era}00` },
  /not as described/,
);
test('an empty id', refuses, { ...mark, refreshId: '' }, /not as described/);
test('a long id', refuses, { ...mark, refreshId: 'x'.repeat(65) }, /not as described/);
test(
  'a long device name',
  refuses,
  { ...hello, devices: [['x'.repeat(32), 1, 512]] },
  /not as described/,
);
test('a device without a size', refuses, { ...hello, devices: [['d0']] }, /not as described/);
test(
  'too many devices',
  refuses,
  { ...hello, devices: Array.from({ length: 65 }, () => ['d', 1, 1]) },
  /not as described/,
);
test(
  'details that are no plain facts',
  refuses,
  { ...bye, details: { a: true } },
  /not as described/,
);
test('details of details', refuses, { ...bye, details: { a: { b: 1 } } }, /not as described/);
test('a code that is none of ours', refuses, { ...bye, code: 'rm -rf' }, /not as described/);
test('a date', refuses, { ...bye, details: new Date(0) }, /type that the protocol does not use/);
test(
  'bytes where none belong',
  refuses,
  { ...bye, details: new Uint8Array(3) },
  /not as described/,
);
test(
  'more bytes than a batch has',
  refuses,
  { ...samples.hashes, hashes: new Uint8Array(257) },
  /not as described/,
);

test('refuses nesting, huge counts, records and cut values before anything is decoded (H55)', (t) => {
  t.regex(hex('91'.repeat(1000)).problem!, /too deep/);
  t.regex(hex('dd ffff ffff').problem!, /cut short/);
  t.regex(hex('df ffff ffff').problem!, /cut short/);
  t.regex(hex('db ffff ffff 00').problem!, /cut short/);
  t.regex(hex(`dc 0fff ${'c0'.repeat(4095)}`).problem!, /too many parts/);
  t.regex(hex('d4 72 40 91 a1 61 01').problem!, /does not use/);
  t.regex(hex('81 01 02').problem!, /key is no text/);
  t.regex(hex('c0 c0').problem!, /after the message/);
});

test('refuses lengths outside the limits and the memory', (t) => {
  const bytes = new Uint8Array(controlPayloadMax + 1);
  t.regex(decodeControl(bytes, 0, controlPayloadMax + 1).problem!, /length/);
  t.regex(decodeControl(bytes, 0, 0).problem!, /length/);
  t.regex(decodeControl(bytes, 10, controlPayloadMax).problem!, /outside/);
});

test('__proto__ of a peer changes nothing', (t) => {
  const poisoned = packr.pack({ kind: 'abortB', refreshId: 'r' });
  const text = Buffer.from(poisoned).toString('latin1').replace('\xa9refreshId', '\xa9__proto__');
  t.truthy(decode(new Uint8Array(Buffer.from(text, 'latin1'))).problem);
  t.is(({} as { r?: string }).r, undefined);
});

test('the longest hello there can be fits the first frame (H55)', (t) => {
  const id = 'i'.repeat(64);
  const number = Number.MAX_SAFE_INTEGER;
  const longest: Hello = {
    ...samples.hello,
    protocol: 2 ** 32 - 1,
    features: 2 ** 32 - 1,
    version: 'v'.repeat(32),
    nodeId: id,
    launch: id,
    refreshId: id,
    heartbeatMs: 2 ** 32 - 1,
    s0: number,
    stamped: number,
    released: number,
    sentMax: number,
    lease: number,
    devices: Array.from({ length: 64 }, () => ({
      name: 'd'.repeat(31),
      sizeBytes: number,
      blockBytes: 2 ** 32 - 1,
    })),
  };
  const bytes = encodeControl(longest);
  t.true(bytes.length <= firstFramePayloadMax, `${bytes.length} bytes`);
  t.deepEqual(decode(bytes), { message: longest });
});

test('a message of our own that does not fit its description is a bug', (t) => {
  const wrong = { kind: 'flushWanted', sequence: -1 } as ControlMessage;
  t.throws(() => encodeControl(wrong), { name: 'AssertionError' });
});
