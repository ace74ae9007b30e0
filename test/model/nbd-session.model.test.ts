/**
 * The session against a model of five lines: an array, and requests executed one after the other.
 * The stream is cut anywhere, memory is scarce, the client may vanish at any byte, and bytes may be
 * changed on the way: what is answered must be right, and everything must be given back.
 */
import test from 'ava';
import fc from 'fast-check';
import { CMD, parseReplies, type RequestFields, request } from '../helpers/nbd-bytes.js';
import { type Bench, type BenchOptions, pattern, startBench } from '../helpers/session-bench.js';

const sizeBytes = 65536;

const small: BenchOptions = {
  driver: { sizeBytes, payloadBytes: 49152, chunkBytes: 1024 },
  limits: {
    requestsMax: 5,
    receiveBytes: 4096,
    directBytesMin: 2000,
    peekBytes: 512,
    replyHeaderBytes: 8192,
    replyPiecesMax: 4,
    sendBytesMax: 10_000,
    readBytes: 24_576,
    pooledReadBytesMax: 12_000,
  },
};

const range = fc
  .tuple(fc.nat(sizeBytes - 1), fc.oneof(fc.nat(200), fc.nat(30_000)))
  .map(([offset, length]) => ({ offset, length: Math.min(length, sizeBytes - offset) }));

const anyRequest = fc.oneof(
  { weight: 4, arbitrary: range.map((at) => ({ command: CMD.READ, ...at })) },
  {
    weight: 4,
    arbitrary: fc.tuple(range, fc.nat(250)).map(([{ offset, length }, seed]) => ({
      command: CMD.WRITE,
      offset,
      payload: pattern(length, seed),
    })),
  },
  range.map((at) => ({ command: CMD.WRITE_ZEROES, ...at })),
  range.map((at) => ({ command: CMD.TRIM, ...at })),
  fc.constant({ command: CMD.FLUSH }),
  range.map((at) => ({ command: CMD.BLOCK_STATUS, ...at })),
  fc.constant({ command: CMD.READ, offset: sizeBytes, length: 1 }),
  fc.nat(5000).map((length) => ({
    command: CMD.WRITE,
    offset: sizeBytes,
    payload: pattern(length + 1),
  })),
  fc.constant({ command: 4711 }),
);

const script = fc
  .array<RequestFields>(anyRequest, { minLength: 1, maxLength: 30 })
  .map((requests) => requests.map((fields, index) => ({ ...fields, cookie: BigInt(index) })));

const chunks = fc.array(
  fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 5000 })),
  {
    minLength: 1,
  },
);

function start(sizes: readonly number[], structuredReplies: boolean): Bench {
  let turn = 0;
  return startBench({
    ...small,
    rules: { structuredReplies, allocationContext: structuredReplies },
    stream: { chunk: () => sizes[turn++ % sizes.length]! },
  });
}

/** What the requests answer, executed in order on an array: the data, or the error. */
function model(requests: readonly RequestFields[]): { disk: Buffer; answers: (Buffer | number)[] } {
  const disk = Buffer.alloc(sizeBytes);
  const answers = requests.map(
    ({ command, offset = 0, payload, length = payload?.length ?? 0 }) => {
      const from = Number(offset);
      if (command === 4711) return 22;
      if (from + length > sizeBytes) return command === CMD.WRITE ? 28 : 22;
      if (command === CMD.READ) return Buffer.from(disk.subarray(from, from + length));
      if (command === CMD.WRITE) disk.set(payload!, from);
      if (command === CMD.WRITE_ZEROES || command === CMD.TRIM) disk.fill(0, from, from + length);
      return 0;
    },
  );
  return { disk, answers };
}

async function finish(bench: Bench): Promise<boolean> {
  bench.stream.clientEnds();
  await bench.clock.run();
  return bench.ends.length === 1 && bench.driver.idle && bench.arenas.liveCount === 1;
}

test('every request is answered once and rightly, however the bytes arrive', async (t) => {
  await fc.assert(
    fc.asyncProperty(script, chunks, fc.boolean(), async (requests, sizes, structured) => {
      const bench = start(sizes, structured);
      await bench.ask(...requests);
      const replies = bench.replies();
      const { disk, answers } = model(requests);
      t.deepEqual(
        replies.map((reply) => reply.cookie).sort((left, right) => Number(left - right)),
        requests.map((fields) => fields.cookie),
      );
      for (const { kind, cookie, error, data, extents } of replies) {
        const { command, length = 0 } = requests[Number(cookie)]!;
        const expected = answers[Number(cookie)]!;
        if (command === CMD.BLOCK_STATUS) {
          const allowed = structured && length > 0;
          t.is(kind, allowed ? 'status' : structured ? 'error' : 'simple');
        } else if (typeof expected === 'number') t.is(error, expected);
        else if (kind === 'hole') t.true(expected.equals(Buffer.alloc(extents![0]!)));
        else t.true(expected.equals(data ?? Buffer.alloc(0)));
      }
      t.true(disk.equals(bench.driver.disk));
      t.true(await finish(bench));
    }),
    { numRuns: 150 },
  );
});

test('a client that vanishes at any byte leaves whole writes only, and no memory (H23)', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      script,
      chunks,
      fc.double({ min: 0, max: 1, noNaN: true }),
      async (requests, sizes, part) => {
        const bench = start(sizes, true);
        const bytes = Buffer.concat(requests.map(request));
        const end = Math.floor(bytes.length * part);
        bench.stream.clientWrites(bytes.subarray(0, end));
        let whole = 0;
        for (let sum = 0; whole < requests.length; whole++) {
          sum += request(requests[whole]!).length;
          if (sum > end) break;
        }
        t.true(await finish(bench));
        t.true(model(requests.slice(0, whole)).disk.equals(bench.driver.disk));
      },
    ),
    { numRuns: 100 },
  );
});

test('changed bytes never harm the session: answers or an end, and everything given back', async (t) => {
  const change = fc.tuple(fc.nat(), fc.nat(255));
  const changes = fc.array(change, { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(script, chunks, changes, async (requests, sizes, mutations) => {
      // Small chunks of many bytes take long and show no more.
      const bench = start(
        sizes.map((size) => size + 200),
        true,
      );
      const bytes = Buffer.concat(requests.map(request));
      for (const [at, value] of mutations) bytes[at % bytes.length] = value;
      bench.stream.clientWrites(bytes);
      await bench.clock.run();
      parseReplies(bench.stream.takeReplies());
      t.true(await finish(bench));
    }),
    { numRuns: 100 },
  );
});
