/** REFRESHRATE: the operator's limit, none for an idle group, and room for applications at work. */
import test from 'ava';
import {
  RefreshPace,
  refreshBusyBytesPerSecond,
} from '../../../../src/core/engine/refresh-pace.js';

const piece = 256 * 1024;

/** Bytes read in `seconds`, by somebody who reads whenever he may. */
function readIn(
  seconds: number,
  rateBytes: number,
  load: (ms: number) => { ios: number; writtenBytes: number },
): number {
  const pace = new RefreshPace();
  let bytes = 0;
  for (let now = 0; now < seconds * 1000; now += 0.5) {
    if (pace.wantsSample(now)) pace.sample(now, rateBytes, load(now));
    if (pace.waitMs(now) > 0) continue;
    pace.read(piece);
    bytes += piece;
  }
  return bytes;
}

const idle = () => ({ ios: 0, writtenBytes: 0 });
const near = (bytes: number, expected: number) => Math.abs(bytes - expected) < expected / 10;

test('a rate of the operator is kept on average, idle or not, however small', (t) => {
  t.true(near(readIn(10, 20 * 2 ** 20, idle), 200 * 2 ** 20));
  const busy = (ms: number) => ({ ios: ms, writtenBytes: ms * 1e6 });
  t.true(near(readIn(10, 20 * 2 ** 20, busy), 200 * 2 ** 20));
  t.is(readIn(10, 1024, idle), piece, 'one piece, paid for by waiting');
});

test('without one there is no limit while nobody uses the devices', (t) => {
  t.is(readIn(1, 0, idle), 2000 * piece);
});

test('applications at work leave it 100 MB/s, or twice what they write (Rule 43a)', (t) => {
  const reading = (ms: number) => ({ ios: ms, writtenBytes: 0 });
  t.true(near(readIn(10, 0, reading), 10 * refreshBusyBytesPerSecond));
  const writing = (ms: number) => ({ ios: ms, writtenBytes: ms * 100_000 });
  t.true(near(readIn(10, 0, writing), 2 * 1000 * 1e6));
  const hardly = (ms: number) => ({ ios: Math.floor(ms / 20), writtenBytes: 0 });
  t.is(readIn(1, 0, hardly), 2000 * piece);
});

test('what was not used is not saved up', (t) => {
  const pace = new RefreshPace();
  pace.sample(0, 2 ** 20, idle());
  pace.sample(100_000, 2 ** 20, idle());
  let bytes = 0;
  while (pace.waitMs(100_000) === 0) {
    pace.read(piece);
    bytes += piece;
  }
  t.is(bytes, piece);
});
