/** Decoding and judging requests: one row for each sentence of "Request types" and "Error values". */
import test from 'ava';
import fc from 'fast-check';
import {
  decodeRequest,
  judgeRequest,
  payloadBytes,
  RequestHeader,
  type TransmissionRules,
} from '../../../../src/core/nbd/requests.js';
import { CMD, FLAG, type RequestFields, request } from '../../../helpers/nbd-bytes.js';

const EPERM = 1;
const EINVAL = 22;
const ENOSPC = 28;
const EOVERFLOW = 75;

const size = 2 ** 40;
const writable: TransmissionRules = {
  sizeBytes: size,
  readOnly: false,
  canTrim: true,
  blockMin: 1,
  blockMax: 2 ** 25,
  structuredReplies: true,
  allocationContext: true,
};
const readOnly = { ...writable, readOnly: true };
const simple = { ...writable, structuredReplies: false, allocationContext: false };
const coarse = { ...writable, blockMin: 512 };
const noTrim = { ...writable, canTrim: false };

function decode(bytes: Uint8Array): RequestHeader | undefined {
  const header = new RequestHeader();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return decodeRequest(view, 0, header) ? header : undefined;
}

test('a header is decoded where it lies', (t) => {
  const fields = { command: 1, flags: 5, cookie: 0xfedcba9876543210n, offset: 2 ** 40 + 7 };
  const bytes = Buffer.concat([Buffer.from('xyz'), request({ ...fields, length: 0xfffffffe })]);
  const header = new RequestHeader();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  t.true(decodeRequest(view, 3, header));
  t.like(header, {
    flags: 5,
    command: 1,
    cookieHigh: 0xfedcba98,
    cookieLow: 0x76543210,
    offset: 2 ** 40 + 7,
    length: 0xfffffffe,
  });
});

test('a wrong magic number is no request', (t) => {
  t.is(decode(request({ command: 0, magic: 0x25609512 })), undefined);
  t.is(decode(request({ command: 0, magic: 0x21e41c71 })), undefined);
});

test('only a write has a payload', (t) => {
  for (const command of [0, 2, 3, 4, 5, 6, 7, 99]) {
    t.is(payloadBytes(decode(request({ command, length: 77 }))!), 0);
  }
  t.is(payloadBytes(decode(request({ command: 1, flags: 0xff00, length: 77 }))!), 77);
});

type Row = readonly [what: string, rules: TransmissionRules, fields: RequestFields, error: number];

const { READ, WRITE, DISC, FLUSH, TRIM, CACHE, WRITE_ZEROES, BLOCK_STATUS } = CMD;
const beyond = { offset: size - 511, length: 512 };
const above = { length: 2 ** 25 + 1 };
const rows: readonly Row[] = [
  ['a read up to the end', writable, { command: READ, offset: size - 1, length: 1 }, 0],
  ['a read of the maximum', writable, { command: READ, length: 2 ** 25 }, 0],
  ['an empty read at the end', writable, { command: READ, offset: size, length: 0 }, 0],
  ['a read beyond the end', writable, { command: READ, ...beyond }, EINVAL],
  ['an offset of 2^64 − 1', writable, { command: READ, offset: 2n ** 64n - 1n, length: 1 }, EINVAL],
  [
    'an offset that would wrap',
    writable,
    { command: READ, offset: 2n ** 64n - 512n, length: 1024 },
    EINVAL,
  ],
  ['a read above the maximum', writable, { command: READ, ...above }, EOVERFLOW],
  ['a simple read above the maximum', simple, { command: READ, ...above }, EINVAL],
  ['a read of a read-only export', readOnly, { command: READ, length: 512 }, 0],
  ['an unaligned read', coarse, { command: READ, offset: 1, length: 512 }, EINVAL],
  ['a read of an odd length', coarse, { command: READ, offset: 0, length: 513 }, EINVAL],
  ['an aligned read', coarse, { command: READ, offset: 512, length: 512 }, 0],
  ['a read with FUA', writable, { command: READ, flags: FLAG.FUA, length: 1 }, 0],
  ['a read with DF', writable, { command: READ, flags: FLAG.DF, length: 1 }, 0],
  ['a simple read with DF', simple, { command: READ, flags: FLAG.DF, length: 1 }, EINVAL],
  ['a read with REQ_ONE', writable, { command: READ, flags: FLAG.REQ_ONE, length: 1 }, EINVAL],
  ['a write', writable, { command: WRITE, length: 512 }, 0],
  ['a write with FUA', writable, { command: WRITE, flags: FLAG.FUA, length: 512 }, 0],
  ['a write with NO_HOLE', writable, { command: WRITE, flags: FLAG.NO_HOLE, length: 1 }, EINVAL],
  [
    'a write with the payload-length flag',
    writable,
    { command: WRITE, flags: 32, length: 1 },
    EINVAL,
  ],
  ['a write beyond the end', writable, { command: WRITE, ...beyond }, ENOSPC],
  ['a write above the maximum', writable, { command: WRITE, ...above }, EINVAL],
  ['a write to a read-only export', readOnly, { command: WRITE, length: 512 }, EPERM],
  ['an unaligned write', coarse, { command: WRITE, offset: 7, length: 512 }, EINVAL],
  ['a flush', writable, { command: FLUSH }, 0],
  ['a flush with FUA', writable, { command: FLUSH, flags: FLAG.FUA }, 0],
  ['a flush of a range', writable, { command: FLUSH, offset: 0, length: 512 }, EINVAL],
  ['a flush at an offset', writable, { command: FLUSH, offset: 512, length: 0 }, EINVAL],
  ['a flush of a read-only export', readOnly, { command: FLUSH }, 0],
  ['a trim of 4 GiB', writable, { command: TRIM, length: 0xffffffff }, 0],
  ['a trim beyond the end', writable, { command: TRIM, ...beyond }, EINVAL],
  ['a trim of a read-only export', readOnly, { command: TRIM, length: 512 }, EPERM],
  ['a trim where it is not offered', noTrim, { command: TRIM, length: 512 }, EINVAL],
  ['a trim with NO_HOLE', writable, { command: TRIM, flags: FLAG.NO_HOLE, length: 1 }, EINVAL],
  ['zeroes of 4 GiB', writable, { command: WRITE_ZEROES, length: 0xffffffff }, 0],
  ['zeroes with NO_HOLE and FUA', writable, { command: WRITE_ZEROES, flags: 3, length: 1 }, 0],
  [
    'zeroes with FAST_ZERO',
    writable,
    { command: WRITE_ZEROES, flags: FLAG.FAST_ZERO, length: 1 },
    EINVAL,
  ],
  ['zeroes beyond the end', writable, { command: WRITE_ZEROES, ...beyond }, ENOSPC],
  ['zeroes on a read-only export', readOnly, { command: WRITE_ZEROES, length: 1 }, EPERM],
  ['block status', writable, { command: BLOCK_STATUS, length: 512 }, 0],
  [
    'block status of one extent',
    writable,
    { command: BLOCK_STATUS, flags: FLAG.REQ_ONE, length: 1 },
    0,
  ],
  ['block status of nothing', writable, { command: BLOCK_STATUS, length: 0 }, EINVAL],
  ['block status without a context', simple, { command: BLOCK_STATUS, length: 512 }, EINVAL],
  ['block status beyond the end', writable, { command: BLOCK_STATUS, ...beyond }, EINVAL],
  ['a disconnect with any flags', writable, { command: DISC, flags: 0xffff }, 0],
  ['cache, which is not offered', writable, { command: CACHE, length: 512 }, EINVAL],
  ['resize, which is not offered', writable, { command: 8, length: 512 }, EINVAL],
  ['an unknown command', writable, { command: 65535 }, EINVAL],
];
for (const [what, rules, fields, error] of rows) {
  test(`${what} is judged ${error}`, (t) => {
    t.is(judgeRequest(decode(request(fields))!, rules), error);
  });
}

test('no header whatever is allowed to reach beyond the end, or to write a read-only export', (t) => {
  const small = { ...writable, sizeBytes: 10_000 };
  const header = fc.record({
    command: fc.oneof(fc.nat(9), fc.nat(65535)),
    flags: fc.oneof(fc.constant(0), fc.nat(65535)),
    offset: fc.oneof(
      fc.bigInt({ min: 0n, max: 12_000n }),
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    ),
    length: fc.oneof(fc.nat(12_000), fc.nat(0xffffffff)),
    readOnly: fc.boolean(),
  });
  fc.assert(
    fc.property(header, ({ readOnly, ...fields }) => {
      const judged = judgeRequest(decode(request(fields))!, { ...small, readOnly });
      if (judged !== 0) return;
      t.true(fields.command === DISC || fields.offset + BigInt(fields.length) <= 10_000n);
      t.false(readOnly && [WRITE, TRIM, WRITE_ZEROES].some((code) => code === fields.command));
    }),
    { numRuns: 1000 },
  );
});
