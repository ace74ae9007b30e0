/** The session between a scripted client and a driver of an array: every promise of its header. */
import test from 'ava';
import { CMD, request as encode, FLAG } from '../../helpers/nbd-bytes.js';
import { type Bench, pattern, startBench } from '../../helpers/session-bench.js';

const { READ, WRITE, DISC, FLUSH, TRIM, WRITE_ZEROES, BLOCK_STATUS } = CMD;

/** Everything was given back: chunks of the driver, the session's arena, the reads' memory. */
function nothingIsLeft(bench: Bench): boolean {
  return bench.driver.idle && bench.arenas.liveCount === 1;
}

test('a write is answered after the driver executed it, and read back', async (t) => {
  const bench = startBench();
  const payload = pattern(10_000);
  await bench.ask({ command: WRITE, flags: FLAG.FUA, cookie: 1n, offset: 300, payload });
  t.deepEqual(bench.replies(), [{ kind: 'simple', cookie: 1n, error: 0, done: true }]);
  t.deepEqual(bench.driver.log, ['write 300+10000 fua']);
  await bench.ask({ command: READ, cookie: 2n ** 64n - 1n, offset: 300, length: 10_000 });
  const [read] = bench.replies();
  t.like(read, { kind: 'data', cookie: 2n ** 64n - 1n, done: true, offset: 300n });
  t.true(payload.equals(read!.data!));
});

test('without structured replies a read is one simple reply', async (t) => {
  const bench = startBench({ rules: { structuredReplies: false } });
  bench.driver.load(pattern(5000));
  await bench.ask({ command: READ, cookie: 9n, length: 5000 });
  const [read] = bench.replies();
  t.like(read, { kind: 'simple', cookie: 9n, error: 0 });
  t.true(pattern(5000).equals(read!.data!));
});

test('flush, trim and zeroes reach the driver with their flags', async (t) => {
  const bench = startBench();
  await bench.ask(
    { command: FLUSH, cookie: 1n },
    { command: TRIM, cookie: 2n, offset: 512, length: 1024 },
    { command: WRITE_ZEROES, cookie: 3n, flags: FLAG.NO_HOLE, length: 4096 },
    { command: WRITE_ZEROES, cookie: 4n, flags: FLAG.FUA, offset: 8192, length: 2 ** 19 },
  );
  t.deepEqual(bench.driver.log, [
    'flush 0+0',
    'trim 512+1024',
    'zero 0+4096 nohole',
    'zero 8192+524288 fua',
  ]);
  t.deepEqual(
    bench.replies().map((reply) => [reply.cookie, reply.error]),
    [1n, 2n, 3n, 4n].map((cookie) => [cookie, 0]),
  );
});

test('what the driver cannot do comes back as its error, in the form the request needs', async (t) => {
  const bench = startBench();
  bench.driver.error = 28;
  await bench.ask(
    { command: WRITE, cookie: 1n, payload: pattern(100) },
    { command: READ, cookie: 2n, length: 100 },
    { command: BLOCK_STATUS, cookie: 3n, length: 100 },
    { command: FLUSH, cookie: 4n },
  );
  t.deepEqual(
    bench.replies().map(({ kind, cookie, error }) => ({ kind, cookie, error })),
    [
      { kind: 'simple', cookie: 1n, error: 28 },
      { kind: 'error', cookie: 2n, error: 28 },
      { kind: 'error', cookie: 3n, error: 28 },
      { kind: 'simple', cookie: 4n, error: 28 },
    ],
  );
});

test('a hole is sent as a hole, unless the client wants the data in one piece', async (t) => {
  const bench = startBench();
  await bench.ask(
    { command: READ, cookie: 1n, offset: 4096, length: 8192 },
    { command: READ, cookie: 2n, flags: FLAG.DF, offset: 4096, length: 8192 },
  );
  const [hole, data] = bench.replies();
  t.like(hole, { kind: 'hole', offset: 4096n, extents: [8192], done: true });
  t.like(data, { kind: 'data', offset: 4096n, done: true });
  t.true(data!.data!.equals(Buffer.alloc(8192)));
});

test('block status merges neighbours, ends with the range, and may be one extent', async (t) => {
  const bench = startBench();
  await bench.ask({ command: WRITE, offset: 8192, payload: pattern(5000) });
  bench.replies();
  await bench.ask(
    { command: BLOCK_STATUS, cookie: 1n, offset: 100, length: 30_000 },
    { command: BLOCK_STATUS, cookie: 2n, flags: FLAG.REQ_ONE, offset: 100, length: 30_000 },
    { command: BLOCK_STATUS, cookie: 3n, flags: FLAG.REQ_ONE, offset: 9000, length: 10 },
  );
  t.deepEqual(
    bench.replies().map((reply) => reply.extents),
    [
      [8092, 3, 8192, 0, 13_716, 3],
      [8092, 3],
      [10, 0],
    ],
  );
});

test('block status with more extents than fit stops early and makes progress', async (t) => {
  const bench = startBench({ driver: { sizeBytes: 2 ** 23 } });
  for (let block = 0; block < 2048; block += 2) {
    await bench.ask({ command: WRITE, offset: block * 4096, payload: Buffer.alloc(1) });
  }
  bench.replies();
  await bench.ask({ command: BLOCK_STATUS, length: 2 ** 23 });
  const [status] = bench.replies();
  t.is(status!.extents!.length, 2 * 512);
});

test('a bad request gets its error and the connection lives (design.md 2.2)', async (t) => {
  const bench = startBench();
  await bench.ask(
    { command: 77, cookie: 1n },
    { command: READ, cookie: 2n, offset: 2 ** 20, length: 1 },
    { command: WRITE, cookie: 3n, offset: 2 ** 20 - 1, payload: pattern(20_000) },
    { command: WRITE, cookie: 4n, flags: 0x40, payload: pattern(40) },
    { command: WRITE, cookie: 5n, payload: pattern(50) },
  );
  t.deepEqual(
    bench.replies().map(({ kind, cookie, error }) => ({ kind, cookie, error })),
    [
      { kind: 'simple', cookie: 1n, error: 22 },
      { kind: 'error', cookie: 2n, error: 22 },
      { kind: 'simple', cookie: 3n, error: 28 },
      { kind: 'simple', cookie: 4n, error: 22 },
      { kind: 'simple', cookie: 5n, error: 0 },
    ],
  );
  t.deepEqual(bench.driver.log, ['write 0+50']);
  t.deepEqual(bench.ends, []);
});

test('a refused write is answered behind its payload, not before', async (t) => {
  const bench = startBench();
  const whole = encode({ command: WRITE, offset: 2 ** 20, payload: pattern(3000) });
  bench.stream.clientWrites(whole.subarray(0, 2000));
  await bench.clock.run();
  t.deepEqual(bench.replies(), []);
  bench.stream.clientWrites(whole.subarray(2000));
  await bench.clock.run();
  t.is(bench.replies()[0]!.error, 28);
});

test('a client that leaves inside the payload of a refused write leaves nothing', async (t) => {
  const bench = startBench();
  const whole = encode({ command: WRITE, offset: 2 ** 20, payload: pattern(3000) });
  bench.stream.clientWrites(whole.subarray(0, 2000));
  bench.stream.clientEnds();
  await bench.clock.run();
  t.is(bench.ends.length, 1);
  t.true(nothingIsLeft(bench));
});

test('a payload too large to skip ends the connection (I12)', async (t) => {
  const bench = startBench();
  await bench.ask({ command: WRITE, length: 2 ** 26 + 1 });
  t.deepEqual(bench.ends, ['payload too large']);
  t.true(nothingIsLeft(bench));
});

test('empty requests are answered without the driver', async (t) => {
  const bench = startBench();
  await bench.ask(
    { command: READ, cookie: 1n },
    { command: WRITE, cookie: 2n },
    { command: TRIM, cookie: 3n },
    { command: WRITE_ZEROES, cookie: 4n },
  );
  t.deepEqual(
    bench.replies().map((reply) => reply.kind),
    ['none', 'simple', 'simple', 'simple'],
  );
  t.deepEqual(bench.driver.log, []);
});

test('bytes that came behind the handshake are the first requests', async (t) => {
  const first = encode({ command: WRITE, cookie: 1n, payload: pattern(64) });
  const bench = startBench({ leftover: first.subarray(0, 50) });
  bench.stream.clientWrites(first.subarray(50));
  await bench.clock.run();
  t.is(bench.replies()[0]!.error, 0);
  t.true(pattern(64).equals(bench.driver.disk.subarray(0, 64)));
});

test('a wrong magic number ends this connection, after what came before it is answered', async (t) => {
  const bench = startBench({ driver: { held: true } });
  await bench.ask(
    { command: WRITE, cookie: 1n, payload: pattern(64) },
    { command: READ, cookie: 2n, magic: 0x12560953, length: 1 },
    { command: FLUSH, cookie: 3n },
  );
  t.deepEqual(bench.ends, []);
  bench.driver.execute();
  await bench.clock.run();
  t.deepEqual(
    bench.replies().map((reply) => reply.cookie),
    [1n],
  );
  t.deepEqual(bench.ends, ['wrong magic']);
  t.true(bench.stream.closed);
  t.true(nothingIsLeft(bench));
});

test('DISC answers what is in flight, then closes', async (t) => {
  const bench = startBench({ driver: { held: true } });
  await bench.ask(
    { command: WRITE, cookie: 1n, payload: pattern(64) },
    { command: READ, cookie: 2n, length: 64 },
    { command: DISC },
  );
  t.false(bench.stream.closed);
  bench.driver.execute();
  await bench.clock.run();
  t.false(bench.stream.closed);
  bench.driver.execute();
  await bench.clock.run();
  t.deepEqual(
    bench.replies().map((reply) => reply.cookie),
    [1n, 2n],
  );
  t.deepEqual(bench.ends, ['the client disconnected']);
  t.true(nothingIsLeft(bench));
});

test('a client that stops inside a payload never enters the order of writes (H23)', async (t) => {
  for (const length of [3000, 300_000]) {
    const bench = startBench();
    const whole = encode({ command: WRITE, offset: 4096, payload: pattern(length) });
    bench.stream.clientWrites(whole.subarray(0, whole.length - 1));
    await bench.clock.run();
    t.deepEqual(bench.driver.log, []);
    bench.stream.clientEnds(104);
    await bench.clock.run();
    t.deepEqual(bench.driver.log, [`abandon 4096+${length}`]);
    t.deepEqual(bench.ends, ['receive: errno 104']);
    t.true(nothingIsLeft(bench));
  }
});

test('memory a receive may still write into is not given back before that receive ended', async (t) => {
  const bench = startBench();
  const whole = encode({ command: WRITE, payload: pattern(200_000) });
  bench.stream.clientWrites(whole.subarray(0, 100_000));
  await bench.clock.run();
  const closed = bench.session.close();
  t.deepEqual(bench.driver.log, []);
  await bench.clock.run();
  await closed;
  t.deepEqual(bench.driver.log, ['abandon 0+200000']);
  t.true(nothingIsLeft(bench));
});

test('close resolves only when the driver gave every request back', async (t) => {
  const bench = startBench({ driver: { held: true } });
  await bench.ask(
    { command: WRITE, cookie: 1n, payload: pattern(64) },
    { command: READ, cookie: 2n, length: 60_000 },
  );
  let closed = false;
  const closing = bench.session.close().then(() => {
    closed = true;
  });
  await bench.clock.run();
  t.true(bench.stream.closed);
  t.false(closed);
  bench.driver.execute(1);
  await bench.clock.run();
  t.false(closed);
  bench.driver.execute();
  await closing;
  t.true(nothingIsLeft(bench));
  t.deepEqual(bench.ends, ['closed by this side']);
  t.deepEqual(bench.replies(), []);
  await bench.session.close();
});

test('drain answers what is in flight and does not wait for a payload that may never come', async (t) => {
  const bench = startBench({ driver: { held: true } });
  const unfinished = encode({ command: WRITE, cookie: 2n, payload: pattern(100_000) });
  await bench.ask({ command: FLUSH, cookie: 1n });
  bench.stream.clientWrites(unfinished.subarray(0, 50_000));
  await bench.clock.run();
  bench.session.drain('the group stops');
  bench.driver.execute();
  await bench.clock.run();
  t.deepEqual(
    bench.replies().map((reply) => reply.cookie),
    [1n],
  );
  t.deepEqual(bench.ends, ['the group stops']);
  t.true(nothingIsLeft(bench));
});

test('a connection that breaks while requests are in flight waits for them', async (t) => {
  const bench = startBench({ driver: { held: true } });
  await bench.ask({ command: WRITE, payload: pattern(64) }, { command: READ, length: 64 });
  bench.stream.clientEnds(104);
  await bench.clock.run();
  t.deepEqual(bench.ends, []);
  bench.driver.execute();
  bench.driver.execute();
  await bench.clock.run();
  t.deepEqual(bench.ends, ['receive: errno 104']);
  t.true(nothingIsLeft(bench));
});

test('replies that are ready in one turn leave in one send', async (t) => {
  const bench = startBench({ driver: { held: true } });
  bench.driver.load(pattern(8192));
  const requests = Array.from({ length: 20 }, (_, index) =>
    index % 2 === 0
      ? { command: WRITE, cookie: BigInt(index), offset: 65536, payload: pattern(512) }
      : { command: READ, cookie: BigInt(index), flags: FLAG.DF, length: 512 },
  );
  await bench.ask(...requests);
  for (let count = 0; count < 20; count++) bench.driver.execute();
  await bench.clock.run();
  t.is(bench.replies().length, 20);
  t.deepEqual(bench.stream.sendSizes, [10 * 16 + 10 * (28 + 512)]);
});

test('a send is bounded, so that the memory of its reads comes back soon', async (t) => {
  const bench = startBench({ driver: { held: true }, limits: { sendBytesMax: 10_000 } });
  bench.driver.load(pattern(4096));
  const requests = Array.from({ length: 12 }, () => ({ command: READ, length: 4096 }));
  await bench.ask(...requests);
  while (bench.driver.waiting.length > 0) bench.driver.execute();
  await bench.clock.run();
  t.deepEqual(
    bench.stream.sendSizes,
    Array.from({ length: 4 }, () => 3 * (28 + 4096)),
  );
  t.is(bench.replies().length, 12);
});

test('long block status answers share a small region for headers', async (t) => {
  const bench = startBench({ driver: { held: true }, limits: { replyHeaderBytes: 4608 } });
  for (let block = 0; block < 200; block += 2) bench.driver.load(pattern(4096), block * 4096);
  const requests = Array.from({ length: 20 }, (_, index) =>
    index % 4 === 0
      ? { command: READ, cookie: BigInt(index), length: 4096 }
      : { command: BLOCK_STATUS, cookie: BigInt(index), length: 200 * 4096 },
  );
  await bench.ask(...requests);
  while (bench.driver.waiting.length > 0) bench.driver.execute();
  await bench.clock.run();
  const replies = bench.replies();
  t.is(replies.length, 20);
  for (const { kind, data, extents } of replies) {
    if (kind === 'data') t.true(pattern(4096).equals(data!));
    else t.is(extents!.length, 2 * 200);
  }
});

test('a pooled request remembers nothing of the one before', async (t) => {
  const bench = startBench({ limits: { requestsMax: 1 } });
  bench.driver.load(pattern(4096), 4096);
  for (const end of [16384, 12288]) {
    await bench.ask(
      { command: BLOCK_STATUS, length: end },
      { command: READ, length: 4096 },
      { command: READ, offset: 2 ** 20, length: 1 },
      { command: READ, offset: 4096, length: 4096 },
    );
    t.deepEqual(
      bench.replies().map(({ kind, extents }) => [kind, extents]),
      [
        ['status', [4096, 3, 4096, 0, end - 8192, 3]],
        ['hole', [4096]],
        ['error', undefined],
        ['data', undefined],
      ],
    );
  }
});

test('a client that does not read is not received from, and gets everything in the end (I12)', async (t) => {
  const bench = startBench({ limits: { requestsMax: 8, receiveBytes: 4096 } });
  bench.stream.clientReads = false;
  const requests = Array.from({ length: 400 }, (_, index) => ({
    command: READ,
    cookie: BigInt(index),
    length: 512,
  }));
  await bench.ask(...requests);
  t.is(bench.driver.log.length, 8);
  t.is(bench.stream.waitingBytes, 400 * 28 - 4096);
  bench.stream.clientReads = true;
  await bench.clock.run();
  t.is(new Set(bench.replies().map((reply) => reply.cookie)).size, 400);
  await bench.ask({ command: DISC });
  t.true(nothingIsLeft(bench));
});

test('reads wait for memory: what is in flight never exceeds the bound (I12)', async (t) => {
  const bench = startBench({ driver: { held: true }, limits: { readBytes: 65536 } });
  const requests = Array.from({ length: 40 }, (_, index) => ({
    command: READ,
    cookie: BigInt(index),
    flags: FLAG.DF,
    length: 20_000,
  }));
  await bench.ask(...requests);
  t.is(bench.driver.waiting.length, 3);
  for (let done = 0; done < 40; done++) {
    bench.driver.execute();
    await bench.clock.run();
    t.true(bench.driver.waiting.length <= 3);
  }
  t.is(bench.replies().length, 40);
});

test('one large read at a time gets memory of its own, and gives it back', async (t) => {
  for (const structuredReplies of [true, false]) {
    const bench = startBench({ driver: { held: true }, rules: { structuredReplies } });
    bench.driver.load(pattern(200_000), 1000);
    await bench.ask(
      { command: READ, cookie: 1n, offset: 1000, length: 200_000 },
      { command: READ, cookie: 2n, offset: 1000, length: 200_000 },
      { command: FLUSH, cookie: 3n },
    );
    t.is(bench.driver.waiting.length, 1);
    t.is(bench.arenas.liveCount, 3);
    bench.driver.held = false;
    bench.driver.execute();
    await bench.clock.run();
    const replies = bench.replies();
    t.deepEqual(
      replies.map((reply) => reply.cookie),
      [1n, 2n, 3n],
    );
    for (const { data } of replies.slice(0, 2)) t.true(pattern(200_000).equals(data!));
    await bench.ask({ command: DISC });
    t.true(nothingIsLeft(bench));
  }
});

test('a large read that fails sends no data', async (t) => {
  const bench = startBench({ rules: { structuredReplies: false } });
  bench.driver.error = 5;
  bench.stream.clientWrites(encode({ command: READ, cookie: 1n, length: 200_000 }));
  await bench.clock.run();
  t.is(bench.stream.takeReplies().length, 16);
  t.is(bench.arenas.liveCount, 2);
});

test('a write waits while the driver has no memory, and nothing is lost (H42c)', async (t) => {
  const bench = startBench({ driver: { held: true, payloadBytes: 16384 } });
  const requests = Array.from({ length: 10 }, (_, index) => ({
    command: WRITE,
    cookie: BigInt(index),
    offset: index * 8192,
    payload: pattern(8192, index),
  }));
  await bench.ask(...requests);
  t.is(bench.driver.waiting.length, 2);
  while (bench.driver.waiting.length > 0) {
    bench.driver.execute();
    await bench.clock.run();
  }
  t.deepEqual(
    bench.replies().map((reply) => reply.cookie),
    requests.map((fields) => fields.cookie),
  );
  for (const { offset, payload } of requests) {
    t.true(payload.equals(bench.driver.disk.subarray(offset, offset + 8192)));
  }
});

test('the rest of a large payload is received straight into the memory of the driver', async (t) => {
  const bench = startBench();
  const payload = pattern(300_000);
  await bench.ask(
    { command: WRITE, cookie: 1n, payload },
    { command: WRITE, cookie: 2n, offset: 400_000, payload },
  );
  t.is(bench.replies().length, 2);
  t.true(payload.equals(bench.driver.disk.subarray(0, 300_000)));
  t.true(payload.equals(bench.driver.disk.subarray(400_000, 700_000)));
  // 300 000 bytes lie in 74 chunks; one receive takes up to 64 pieces.
  t.true(bench.stream.receives.some(({ pieceCount }) => pieceCount > 60));
});

test('behind a large payload only a little is received, so that the next is not copied', async (t) => {
  const limits = { receiveBytes: 16384, directBytesMin: 8192, peekBytes: 2048 };
  const bench = startBench({ limits });
  await bench.ask({ command: WRITE, payload: pattern(100_000) });
  t.is(bench.stream.receives.at(-1)!.byteCount, 2048);
  // A batch of small requests that fills the little room opens it again.
  await bench.ask(...Array.from({ length: 200 }, () => ({ command: FLUSH })));
  t.is(bench.stream.receives.at(-1)!.byteCount, 16384);
});

test('a driver that uses a larger vector keeps it, and small requests still work', async (t) => {
  const bench = startBench({ limits: { requestsMax: 1 } });
  await bench.ask(
    { command: WRITE, cookie: 1n, payload: pattern(500_000) },
    { command: READ, cookie: 2n, offset: 499_000, length: 1000 },
    { command: WRITE, cookie: 3n, payload: pattern(10) },
  );
  t.deepEqual(
    bench.replies().map((reply) => reply.cookie),
    [1n, 2n, 3n],
  );
});

test('a send that fails ends the connection without waiting for the client', async (t) => {
  const bench = startBench({ driver: { held: true } });
  await bench.ask({ command: FLUSH, cookie: 1n }, { command: FLUSH, cookie: 2n });
  bench.stream.clientEnds(104);
  await bench.clock.run();
  t.false(bench.stream.closed);
  bench.driver.execute();
  await bench.clock.run();
  t.true(bench.stream.closed);
  t.deepEqual(bench.ends, []);
  bench.driver.execute();
  await bench.clock.run();
  t.deepEqual(bench.ends, ['receive: errno 104']);
  t.true(nothingIsLeft(bench));
});

test('Rule 40: requests whose answer is held back leave their place to others, up to a bound', async (t) => {
  const bench = startBench({ driver: { held: true }, limits: { requestsMax: 3, parkedMax: 4 } });
  const write = (index: number) => ({
    command: WRITE,
    cookie: BigInt(index),
    offset: 512 * index,
    payload: pattern(512, index),
  });
  await bench.ask(...Array.from({ length: 12 }, (_, index) => write(index)));
  t.is(bench.driver.waiting.length, 3);
  const parked = [];
  for (let count = 0; count < 7; count++) {
    const request = bench.driver.waiting[count]!;
    request.session.parked(request);
    parked.push(request);
    await bench.clock.run();
    t.is(bench.driver.waiting.length, Math.min(3 + count + 1, 7));
  }
  while (bench.driver.waiting.length > 0) {
    bench.driver.execute();
    await bench.clock.run();
  }
  t.is(bench.replies().length, 12);
  bench.stream.clientEnds();
  await bench.clock.run();
  t.true(nothingIsLeft(bench));
});
