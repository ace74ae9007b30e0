/** What is compressed, what goes as it is, and what is not even tried. */
import test from 'ava';
import { frameHeaderBytes } from '../../../../src/core/constants.js';
import { FrameCompressor } from '../../../../src/core/engine/frame-compressor.js';
import { lz4Compress, lz4Decompress } from '../../../../src/core/wire/lz4.js';
import { Prng } from '../../../../src/testing/prng.js';

function bench() {
  let tries = 0;
  const compressor = new FrameCompressor((...range) => {
    tries += 1;
    return lz4Compress(...range);
  });
  compressor.enabled = true;
  return { compressor, tries: () => tries };
}

const text = new Uint8Array(10_000).fill(65);
const noise = new Prng(1).fill(new Uint8Array(10_000));

test('a payload that shrinks is a block behind room for a header, in memory of its own', (t) => {
  const { compressor } = bench();
  const one = compressor.pack(text, 1000, 5000)!;
  const other = compressor.pack(text, 0, 600)!;
  t.not(one.buffer, other.buffer);
  const raw = new Uint8Array(5000);
  const length = one.length - frameHeaderBytes;
  t.true(lz4Decompress(one, frameHeaderBytes, length, raw, 0, 5000));
  t.deepEqual(raw, text.slice(0, 5000));
});

test('what does not get 6 % smaller goes as it is, and soon most of it is not tried', (t) => {
  const { compressor, tries } = bench();
  for (let count = 0; count < 500; count += 1) {
    t.is(compressor.pack(noise, 0, noise.length), undefined);
  }
  t.true(tries() < 40, `${tries()} tries`);
  let packed = 0;
  for (let count = 0; count < 40; count += 1) {
    if (compressor.pack(text, 0, text.length) !== undefined) packed += 1;
  }
  t.true(packed >= 23, 'one try that succeeds ends it');
});

test('nothing is compressed when it is off, or hardly longer than a header', (t) => {
  const { compressor, tries } = bench();
  t.is(compressor.pack(text, 0, 511), undefined);
  compressor.enabled = false;
  t.is(compressor.pack(text, 0, 5000), undefined);
  t.is(tries(), 0);
});
