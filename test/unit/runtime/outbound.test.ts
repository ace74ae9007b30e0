import test from 'ava';
import type { ActorCell } from '../../../src/actors/cell.js';
import { ringMemoryBytes } from '../../../src/core/ring/layout.js';
import { type Envelope, encodeEnvelope, envelopeKinds } from '../../../src/runtime/envelope.js';
import { Inbound } from '../../../src/runtime/inbound.js';
import { Outbound, parkedMax } from '../../../src/runtime/outbound.js';

/** Both ends of one ring in one thread, so that every moment can be chosen. */
function pair() {
  const memory = new SharedArrayBuffer(ringMemoryBytes(1024));
  const rings = { reader: 0, writer: 0 };
  const outbound = new Outbound(memory, { ring: () => void rings.reader++ });
  const inbound = new Inbound(3, memory, { ring: () => void rings.writer++ });
  const received: unknown[] = [];
  const scratch = new Uint8Array(1024);
  let room = Number.POSITIVE_INFINITY;
  const deliver = ({ body }: Envelope): boolean => {
    if (room === 0) return false;
    room--;
    received.push(body);
    return true;
  };
  return {
    outbound,
    inbound,
    rings,
    received,
    drain: () => inbound.drain(scratch, deliver),
    drainAll: () => inbound.drainAll(scratch, deliver),
    roomFor: (count: number) => {
      room = count;
    },
  };
}

const bytes = (body: unknown): Uint8Array => encodeEnvelope(1, envelopeKinds.tell, 0, body);

/** As far as the outbound side knows an actor: somebody to call when there is room. */
function sender(writable: () => void): ActorCell {
  return { writable } as unknown as ActorCell;
}

function fill(outbound: Outbound): number {
  let count = 0;
  while (outbound.tell(bytes(count), undefined)) count++;
  return count;
}

test('a full ring refuses, the reader rings back, and the refused sender is called once (H47)', (t) => {
  const { outbound, drain, rings, received } = pair();
  let calls = 0;
  const actor = sender(() => calls++);
  const count = fill(outbound);
  t.true(count > 10);
  t.false(outbound.tell(bytes('refused'), actor));
  t.false(outbound.tell(bytes('refused again'), actor));
  t.true(outbound.hungry);
  outbound.resume();
  t.is(calls, 0, 'there is no room yet');
  t.false(drain());
  t.is(rings.writer, 1);
  outbound.resume();
  t.is(calls, 1);
  t.false(outbound.hungry);
  t.deepEqual(received, [...Array(count).keys()]);
});

test('what is parked keeps its order, and nothing told later overtakes it', (t) => {
  const { outbound, drain, received } = pair();
  const count = fill(outbound);
  t.true(outbound.send(bytes('parked 1')));
  t.true(outbound.send(bytes('parked 2')));
  drain();
  t.false(
    outbound.tell(bytes('too early'), undefined),
    'the ring has room, but two wait before it',
  );
  outbound.resume();
  t.true(outbound.tell(bytes('in its turn'), undefined));
  drain();
  t.deepEqual(received.slice(count), ['parked 1', 'parked 2', 'in its turn']);
});

test('the queue of parked envelopes has a limit (I12)', (t) => {
  const { outbound } = pair();
  fill(outbound);
  for (let i = 0; i < parkedMax; i++) outbound.send(bytes(i));
  t.false(outbound.send(bytes('one too many')));
});

test('the bell is rung once per flush, and not at all when nothing was written', (t) => {
  const { outbound, rings } = pair();
  outbound.flush();
  t.is(rings.reader, 0);
  outbound.tell(bytes(1), undefined);
  outbound.tell(bytes(2), undefined);
  outbound.flush();
  outbound.flush();
  t.is(rings.reader, 1);
});

test('an envelope whose mailbox is full waits in front, and none behind it overtakes', (t) => {
  const { outbound, drain, received, roomFor } = pair();
  for (let i = 0; i < 4; i++) outbound.tell(bytes(i), undefined);
  roomFor(2);
  t.true(drain(), 'there is more');
  t.true(drain());
  t.deepEqual(received, [0, 1]);
  roomFor(9);
  t.false(drain());
  t.deepEqual(received, [0, 1, 2, 3]);
});

test('what a dead thread had sent is still heard, as far as there is room', (t) => {
  const { outbound, drainAll, received, roomFor } = pair();
  for (let i = 0; i < 4; i++) outbound.tell(bytes(i), undefined);
  roomFor(2);
  drainAll();
  t.deepEqual(received, [0, 1]);
});
