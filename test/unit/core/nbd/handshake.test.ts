/** The handshake against the specification's sentences, and against what real clients send. */
import test from 'ava';
import fc from 'fast-check';
import { Handshake, type HandshakeDecision } from '../../../../src/core/nbd/handshake.js';
import {
  catalogue,
  contextData,
  exportInfo,
  infoData,
  OPT,
  type OptionReply,
  option,
  parseOptionReplies,
  string,
  u16,
  u32,
} from '../../../helpers/nbd-bytes.js';

const ACK = 1;
const SERVER = 2;
const INFO = 3;
const CONTEXT = 4;
const ERR_UNSUP = 2 ** 31 + 1;
const ERR_INVALID = 2 ** 31 + 3;
const ERR_UNKNOWN = 2 ** 31 + 6;
const ERR_TOO_BIG = 2 ** 31 + 9;

const d0 = exportInfo({ sizeBytes: 0x1_2345_6789_a000 });
const stopped = exportInfo({ name: 'g1/d0', unavailable: 'group 1 is not started' });
const exports = catalogue(d0, stopped, exportInfo({ name: 'g2/ro', readOnly: true }));

interface Outcome {
  readonly greeting: Buffer;
  readonly output: Buffer;
  readonly decision: HandshakeDecision | undefined;
  readonly leftover: Uint8Array;
}

/** Feeds the parts one after the other, as separate receives. */
function play(...parts: readonly Uint8Array[]): Outcome {
  const handshake = new Handshake(exports);
  const greeting = Buffer.concat(handshake.takeOutput());
  const output: Uint8Array[] = [];
  for (const part of parts) {
    let more = handshake.receive(part);
    output.push(...handshake.takeOutput());
    while (more) {
      more = handshake.advance();
      output.push(...handshake.takeOutput());
    }
  }
  const { decision } = handshake;
  return { greeting, output: Buffer.concat(output), decision, leftover: handshake.takeLeftover() };
}

const modern = u32(3);

function replies(...options: readonly Uint8Array[]): OptionReply[] {
  return parseOptionReplies(play(modern, ...options).output);
}

function types(...options: readonly Uint8Array[]): number[] {
  return replies(...options).map((reply) => reply.type);
}

test('the greeting is NBDMAGIC, IHAVEOPT, fixed newstyle and no zeroes', (t) => {
  const { greeting } = play();
  t.deepEqual(greeting, Buffer.concat([Buffer.from('NBDMAGICIHAVEOPT'), u16(3)]));
});

test('libnbd and qemu: structured replies, then GO with block sizes', (t) => {
  const { output, decision, leftover } = play(
    modern,
    option(OPT.STRUCTURED_REPLY),
    option(OPT.SET_META_CONTEXT, contextData('g0/d0', ['base:allocation'])),
    option(OPT.GO, infoData('g0/d0', [3])),
  );
  const [structured, context, contextAck, size, blocks, ack] = parseOptionReplies(output);
  t.deepEqual(structured, { option: 8, type: ACK, data: Buffer.alloc(0) });
  t.is(context!.type, CONTEXT);
  t.is(context!.data.subarray(4).toString(), 'base:allocation');
  t.not(context!.data.readUInt32BE(), 0);
  t.is(contextAck!.type, ACK);
  t.is(size!.data.readUInt16BE(), 0);
  t.is(size!.data.readBigUInt64BE(2), 0x1_2345_6789_a000n);
  // HAS_FLAGS, FLUSH, FUA, TRIM, WRITE_ZEROES, DF, MULTI_CONN
  t.is(size!.data.readUInt16BE(10), 0b1_1110_1101);
  t.deepEqual(blocks!.data, Buffer.concat([u16(3), u32(1), u32(4096), u32(2 ** 25)]));
  t.is(ack!.type, ACK);
  t.deepEqual(decision, {
    kind: 'transmission',
    exportName: 'g0/d0',
    structuredReplies: true,
    metaContexts: ['base:allocation'],
  });
  t.is(leftover.length, 0);
});

test('nbdinfo: INFO with block size, name and description, then GO', (t) => {
  const info = replies(option(OPT.INFO, infoData('g0/d0', [3, 1, 2])));
  t.deepEqual(
    info.map((reply) => reply.type),
    [INFO, INFO, INFO, INFO, ACK],
  );
  const texts = info.map((reply) => reply.data.subarray(2).toString());
  t.true(texts.includes('g0/d0'));
  t.true(texts.includes('device d0 of group 0'));
  t.is(play(modern, option(OPT.INFO, infoData('g0/d0', []))).decision, undefined);
  t.deepEqual(types(option(OPT.INFO, infoData('g0/d0'))), [INFO, ACK]);
});

test('nbd-tester-client: EXPORT_NAME without NO_ZEROES gets 124 zeroes', (t) => {
  const { output, decision } = play(u32(1), option(OPT.EXPORT_NAME, Buffer.from('g0/d0')));
  t.is(output.length, 134);
  t.is(output.readBigUInt64BE(), 0x1_2345_6789_a000n);
  t.is(output.readUInt16BE(8), 0b1_0110_1101);
  t.true(output.subarray(10).equals(Buffer.alloc(124)));
  t.like(decision, { kind: 'transmission', structuredReplies: false, metaContexts: [] });
});

test('EXPORT_NAME with NO_ZEROES gets ten bytes', (t) => {
  const { output } = play(modern, option(OPT.EXPORT_NAME, Buffer.from('g0/d0')));
  t.is(output.length, 10);
});

test('nbd-tester-client -h: an unknown option is unsupported, ABORT is acknowledged', (t) => {
  const { output, decision } = play(u32(1), option(124076833), option(OPT.ABORT));
  const [unknown, aborted] = parseOptionReplies(output);
  t.like(unknown, { option: 124076833, type: ERR_UNSUP });
  t.like(aborted, { option: OPT.ABORT, type: ACK });
  t.is(decision?.kind, 'closed');
});

test('ABORT ignores data', (t) => {
  t.deepEqual(types(option(OPT.ABORT, Buffer.from('bye'))), [ACK]);
});

test('LIST names what can be used, with descriptions', (t) => {
  const list = replies(option(OPT.LIST));
  t.deepEqual(
    list.map((reply) => reply.type),
    [SERVER, SERVER, ACK],
  );
  t.deepEqual(list[0]!.data, Buffer.concat([string('g0/d0'), Buffer.from('device d0 of group 0')]));
  t.deepEqual(types(option(OPT.LIST, Buffer.from('x'))), [ERR_INVALID]);
});

test('an export that is not started says so, by name only to those who ask for it', (t) => {
  for (const code of [OPT.INFO, OPT.GO]) {
    const [refused] = replies(option(code, infoData('g1/d0')));
    t.is(refused!.type, ERR_UNKNOWN);
    t.is(refused!.data.toString(), 'group 1 is not started');
  }
  const named = play(modern, option(OPT.EXPORT_NAME, Buffer.from('g1/d0')));
  t.deepEqual([named.decision?.kind, named.output.length], ['closed', 0]);
});

test('an unknown export is refused and the client may choose another', (t) => {
  const go = play(modern, option(OPT.GO, infoData('nope')), option(OPT.GO, infoData('g2/ro')));
  t.deepEqual(
    parseOptionReplies(go.output).map((reply) => reply.type),
    [ERR_UNKNOWN, INFO, ACK],
  );
  t.like(go.decision, { exportName: 'g2/ro' });
  t.is(play(modern, option(OPT.EXPORT_NAME, Buffer.from('nope'))).decision?.kind, 'closed');
  t.is(play(modern, option(OPT.EXPORT_NAME)).decision?.kind, 'closed');
});

test('a read-only export offers neither TRIM nor WRITE_ZEROES', (t) => {
  const [size] = replies(option(OPT.INFO, infoData('g2/ro')));
  t.is(size!.data.readUInt16BE(10), 0b1_0000_1111);
});

test('TLS is unsupported, with and without data', (t) => {
  t.deepEqual(types(option(OPT.STARTTLS)), [ERR_UNSUP]);
  t.deepEqual(types(option(OPT.STARTTLS, Buffer.alloc(4))), [ERR_UNSUP]);
});

test('structured replies take no data and may be asked for twice', (t) => {
  t.deepEqual(types(option(OPT.STRUCTURED_REPLY, Buffer.alloc(1))), [ERR_INVALID]);
  t.deepEqual(types(option(OPT.STRUCTURED_REPLY), option(OPT.STRUCTURED_REPLY)), [ACK, ACK]);
});

const withStructured = (code: number, name: string, queries: string[]): number[] =>
  types(option(OPT.STRUCTURED_REPLY), option(code, contextData(name, queries))).slice(1);

test('LIST_META_CONTEXT knows wildcards, SET_META_CONTEXT only whole names', (t) => {
  const { LIST_META_CONTEXT: list, SET_META_CONTEXT: set } = OPT;
  t.deepEqual(withStructured(list, 'g0/d0', []), [CONTEXT, ACK]);
  t.deepEqual(withStructured(list, 'g0/d0', ['base:']), [CONTEXT, ACK]);
  t.deepEqual(withStructured(list, 'g0/d0', ['base:allocation']), [CONTEXT, ACK]);
  t.deepEqual(withStructured(list, 'g0/d0', ['qemu:dirty-bitmap:x']), [ACK]);
  t.deepEqual(withStructured(set, 'g0/d0', []), [ACK]);
  t.deepEqual(withStructured(set, 'g0/d0', ['base:']), [ACK]);
  t.deepEqual(withStructured(set, 'g0/d0', ['x-other:y', 'base:allocation']), [CONTEXT, ACK]);
  t.deepEqual(withStructured(set, 'nope', ['base:allocation']), [ERR_UNKNOWN]);
});

test('metadata contexts need structured replies first', (t) => {
  const data = contextData('g0/d0', ['base:allocation']);
  t.deepEqual(types(option(OPT.SET_META_CONTEXT, data)), [ERR_INVALID]);
  t.deepEqual(types(option(OPT.LIST_META_CONTEXT, data)), [ERR_INVALID]);
});

const setContext = (name: string): Buffer =>
  option(OPT.SET_META_CONTEXT, contextData(name, ['base:allocation']));

const contextsAfter = (...options: readonly Uint8Array[]): unknown => {
  const { decision } = play(modern, option(OPT.STRUCTURED_REPLY), ...options);
  return decision?.kind === 'transmission' && decision.metaContexts;
};

test('contexts count for the export they were set for, and a failed set clears them', (t) => {
  const go = option(OPT.GO, infoData('g0/d0'));
  t.deepEqual(contextsAfter(setContext('g0/d0'), go), ['base:allocation']);
  t.deepEqual(contextsAfter(setContext('g2/ro'), go), []);
  t.deepEqual(contextsAfter(setContext('g0/d0'), setContext('nope'), go), []);
  t.deepEqual(
    contextsAfter(setContext('g0/d0'), option(OPT.SET_META_CONTEXT, Buffer.alloc(1)), go),
    [],
  );
  const tooLong = option(OPT.SET_META_CONTEXT, Buffer.alloc(9000));
  t.deepEqual(contextsAfter(setContext('g0/d0'), tooLong, go), []);
});

const malformedInfo: readonly (readonly [string, Buffer])[] = [
  ['nothing', Buffer.alloc(0)],
  ['half a length', Buffer.alloc(2)],
  ['a name longer than the data', Buffer.concat([u32(100), Buffer.from('g0/d0'), u16(0)])],
  ['a name of 4 GiB', Buffer.concat([u32(0xffffffff), u16(0)])],
  ['no count', string('g0/d0')],
  ['fewer types than counted', Buffer.concat([string('g0/d0'), u16(2), u16(0)])],
  ['more types than counted', Buffer.concat([string('g0/d0'), u16(0), u16(0)])],
  ['a name that is not UTF-8', Buffer.concat([u32(2), Buffer.from([0xc3, 0x28]), u16(0)])],
];
for (const [what, data] of malformedInfo) {
  test(`INFO and GO with ${what} are invalid, and the connection lives`, (t) => {
    t.deepEqual(types(option(OPT.INFO, data), option(OPT.GO, data)), [ERR_INVALID, ERR_INVALID]);
  });
}

const malformedContext: readonly (readonly [string, Buffer])[] = [
  ['nothing', Buffer.alloc(0)],
  ['no count', string('g0/d0')],
  ['more queries than data', Buffer.concat([string('g0/d0'), u32(0xffffffff)])],
  ['a query longer than the data', Buffer.concat([string('g0/d0'), u32(1), u32(50)])],
  ['bytes behind the last query', Buffer.concat([contextData('g0/d0', ['base:']), u16(0)])],
];
for (const [what, data] of malformedContext) {
  test(`a context query with ${what} is invalid, and the connection lives`, (t) => {
    const options = [option(OPT.LIST_META_CONTEXT, data), option(OPT.SET_META_CONTEXT, data)];
    const all = types(option(OPT.STRUCTURED_REPLY), ...options);
    t.deepEqual(all, [ACK, ERR_INVALID, ERR_INVALID]);
  });
}

test('option data above the limit is skipped, far above it closes (I12)', (t) => {
  const { output, decision } = play(
    modern,
    option(OPT.INFO, Buffer.alloc(8193)),
    option(999, Buffer.alloc(65536)),
    option(OPT.LIST),
  );
  t.deepEqual(
    parseOptionReplies(output).map((reply) => reply.type),
    [ERR_TOO_BIG, ERR_TOO_BIG, SERVER, SERVER, ACK],
  );
  t.is(decision, undefined);
  const huge = play(modern, Buffer.concat([Buffer.from('IHAVEOPT'), u32(6), u32(65537)]));
  t.is(huge.decision?.kind, 'closed');
  // EXPORT_NAME has no way to say "too big".
  t.is(play(modern, option(OPT.EXPORT_NAME, Buffer.alloc(8193))).decision?.kind, 'closed');
  t.is(play(modern, option(OPT.EXPORT_NAME, Buffer.alloc(5000, 'x'))).decision?.kind, 'closed');
});

test('a client that never stops asking is closed (I12)', (t) => {
  const many = Buffer.concat(Array.from({ length: 4097 }, () => option(999)));
  const { output, decision } = play(modern, many);
  t.is(parseOptionReplies(output).length, 4096);
  t.deepEqual(decision, { kind: 'closed', why: 'too many options' });
});

test('long lists are made only as fast as they are taken (I12)', (t) => {
  const infos = Array.from({ length: 1000 }, (_, index) => exportInfo({ name: `g${index}/d0` }));
  const handshake = new Handshake(catalogue(...infos));
  handshake.receive(modern);
  handshake.takeOutput();
  let more = handshake.receive(Buffer.concat(Array.from({ length: 50 }, () => option(OPT.LIST))));
  const outputs = [Buffer.concat(handshake.takeOutput())];
  while (more) {
    more = handshake.advance();
    outputs.push(Buffer.concat(handshake.takeOutput()));
  }
  t.is(parseOptionReplies(Buffer.concat(outputs)).length, 50 * 1001);
  // The limit, and the one list that goes beyond it.
  t.true(Math.max(...outputs.map((output) => output.length)) < 65536 + 1000 * 64);
});

test('unknown client flags close', (t) => {
  t.is(play(u32(4)).decision?.kind, 'closed');
  t.is(play(u32(0x8000_0000)).decision?.kind, 'closed');
});

test('a client without fixed newstyle may name an export and nothing else', (t) => {
  const named = play(u32(0), option(OPT.EXPORT_NAME, Buffer.from('g0/d0')));
  t.is(named.decision?.kind, 'transmission');
  t.is(named.output.length, 134);
  t.is(play(u32(0), option(OPT.LIST)).decision?.kind, 'closed');
});

test('a wrong option magic closes as soon as it can be seen', (t) => {
  t.is(play(modern, Buffer.from('GET ')).decision?.kind, 'closed');
  t.is(play(modern, Buffer.from('IHAVEOPX'), Buffer.alloc(8)).decision?.kind, 'closed');
});

test('bytes behind the handshake are left over, whatever they are', (t) => {
  const behind = Buffer.from('first request');
  const together = Buffer.concat([modern, option(OPT.GO, infoData('g0/d0')), behind]);
  t.deepEqual(Buffer.from(play(together).leftover), behind);
});

// Properties.

const anyOption = fc.oneof(
  fc.constantFrom(
    option(OPT.STRUCTURED_REPLY),
    option(OPT.LIST),
    option(OPT.INFO, infoData('g0/d0', [1, 2, 3])),
    option(OPT.SET_META_CONTEXT, contextData('g0/d0', ['base:allocation'])),
    option(OPT.LIST_META_CONTEXT, contextData('g0/d0', [])),
    option(OPT.GO, infoData('g1/d0')),
    option(OPT.INFO, Buffer.alloc(9000)),
    option(124076833, Buffer.from('?')),
  ),
  fc.tuple(fc.nat(12), fc.uint8Array({ maxLength: 40 })).map(([code, data]) => option(code, data)),
);
const ending = fc.constantFrom(
  option(OPT.GO, infoData('g0/d0', [3])),
  option(OPT.EXPORT_NAME, Buffer.from('g0/d0')),
  option(OPT.ABORT),
  Buffer.alloc(0),
);
const stream = fc
  .tuple(
    fc.constantFrom(0, 1, 2, 3),
    fc.array(anyOption, { maxLength: 8 }),
    ending,
    fc.uint8Array(),
  )
  .map(([flags, options, end, rest]) => Buffer.concat([u32(flags), ...options, end, rest]));

/** Cuts at the given places, taken modulo the length. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const at = places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b);
  return [0, ...at].map((from, index) => bytes.subarray(from, at[index] ?? bytes.length));
}

test('any chunking of the same bytes gives the same replies, decision and leftover', (t) => {
  fc.assert(
    fc.property(stream, fc.array(fc.nat(), { maxLength: 30 }), (bytes, places) => {
      t.deepEqual(play(...cut(bytes, places)), play(bytes));
    }),
    { numRuns: 300 },
  );
});

test('mutated and random bytes never throw; they are answered or closed', (t) => {
  const mutated = fc
    .tuple(stream, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 }))
    .map(([bytes, changes]) => {
      for (const [at, value] of changes) bytes[at % bytes.length] = value;
      return bytes;
    });
  fc.assert(
    fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 200 })), (bytes) => {
      const { output, decision } = play(bytes);
      if (decision?.kind !== 'transmission') parseOptionReplies(output);
      t.true(['closed', 'transmission', undefined].includes(decision?.kind));
    }),
    { numRuns: 500 },
  );
});
