/** Replies byte for byte, read back by a decoder that was written from the specification alone. */
import test from 'ava';
import {
  encodeDataChunk,
  encodeErrorChunk,
  encodeErrorOffsetChunk,
  encodeHoleChunk,
  encodeNoneChunk,
  encodeSimpleReply,
  encodeStatusChunk,
  nbdErrorOf,
} from '../../../../src/core/nbd/replies.js';
import { parseReplies } from '../../../helpers/nbd-bytes.js';

const cookie = { cookieHigh: 0xfedcba98, cookieLow: 0x76543210 };
const cookieNumber = 0xfedcba9876543210n;

/** Encodes at an odd place of a dirty buffer; returns what was written. */
function encode(write: (view: DataView, at: number) => number): Buffer {
  const bytes = Buffer.alloc(256, 0xaa);
  const end = write(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 3);
  checkSurroundings(bytes, end);
  return bytes.subarray(3, end);
}

function checkSurroundings(bytes: Buffer, end: number): void {
  const around = Buffer.concat([bytes.subarray(0, 3), bytes.subarray(end)]);
  if (!around.every((byte) => byte === 0xaa)) throw new Error('it wrote outside of its reply');
}

test('a simple reply', (t) => {
  const bytes = encode((view, at) => encodeSimpleReply(view, at, cookie, 28));
  t.is(bytes.toString('hex'), '674466980000001cfedcba9876543210');
});

test('a chunk without payload ends a reply', (t) => {
  const bytes = encode((view, at) => encodeNoneChunk(view, at, cookie));
  t.is(bytes.toString('hex'), '668e33ef00010000fedcba987654321000000000');
});

test('the header of data counts the data and its offset', (t) => {
  const header = encode((view, at) => encodeDataChunk(view, at, cookie, false, 2 ** 40 + 5, 3));
  t.is(header.length, 28);
  t.is(header.readUInt32BE(16), 11);
  const [chunk] = parseReplies(Buffer.concat([header, Buffer.from('abc')]));
  t.like(chunk, { kind: 'data', cookie: cookieNumber, done: false, offset: 2n ** 40n + 5n });
  t.is(chunk!.data!.toString(), 'abc');
});

test('a hole', (t) => {
  const bytes = encode((view, at) => encodeHoleChunk(view, at, cookie, true, 2 ** 33, 0xffffffff));
  t.is(bytes.length, 32);
  t.like(parseReplies(bytes)[0], {
    kind: 'hole',
    done: true,
    offset: 2n ** 33n,
    extents: [0xffffffff],
  });
});

test('block status carries the context id and its extents', (t) => {
  const extents = new Uint32Array([4096, 0, 8192, 3, 77, 77]);
  const bytes = encode((view, at) => encodeStatusChunk(view, at, cookie, extents, 2));
  t.is(bytes.length, 20 + 4 + 16);
  t.is(bytes.readUInt32BE(20), 1);
  t.like(parseReplies(bytes)[0], { kind: 'status', done: true, extents: [4096, 0, 8192, 3] });
});

test('errors, with and without an offset', (t) => {
  const error = encode((view, at) => encodeErrorChunk(view, at, cookie, 5));
  t.is(error.length, 26);
  t.like(parseReplies(error)[0], { kind: 'error', error: 5, done: true, cookie: cookieNumber });
  const at = encode((view, start) => encodeErrorOffsetChunk(view, start, cookie, 28, 2 ** 40));
  t.is(at.length, 34);
  t.like(parseReplies(at)[0], { kind: 'error offset', error: 28, offset: 2n ** 40n });
});

test('every errno becomes one of the values of the specification', (t) => {
  const allowed = [1, 5, 12, 22, 28, 75, 95, 108];
  for (let errno = 1; errno < 200; errno++) t.true(allowed.includes(nbdErrorOf(-errno)));
  t.is(nbdErrorOf(0), 0);
  t.is(nbdErrorOf(-28), 28);
  t.is(nbdErrorOf(-122), 28);
  t.is(nbdErrorOf(-30), 1);
  t.is(nbdErrorOf(-5), 5);
  t.is(nbdErrorOf(-110), 5);
});
