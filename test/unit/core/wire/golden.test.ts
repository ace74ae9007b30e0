/**
 * Bytes of every frame kind as version 1 wrote them, kept for ever: what once went over a link must
 * stay readable, and equal. TDMF_WRITE_GOLDEN=1 writes the files that do not exist yet, to be committed.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { crc32c } from '../../../../src/core/checksum.js';
import { frameHeaderBytes } from '../../../../src/core/constants.js';
import { decodeAck, emptyAck } from '../../../../src/core/wire/ack.js';
import { decodeControl } from '../../../../src/core/wire/codec.js';
import { decodeEntry, emptyWireEntry, validateEntries } from '../../../../src/core/wire/entry.js';
import { frameKinds, type WireEntry } from '../../../../src/core/wire/messages.js';
import { FrameWriter } from '../../../../src/core/wire/writer.js';
import { dataFrame, listen, packedFrame } from './frames.js';
import { deviceSizes, nonce, sampleAck, sampleBlocks, sampleEntries, samples } from './samples.js';

const folder = join(process.cwd(), 'test/fixtures/abi/v1');
const helloFrame = () => new FrameWriter(nonce, crc32c).control(samples.hello);

/** The bytes of the file, which is the truth; `frame` is written only where there is none yet. */
function golden(name: string, frame: Uint8Array): Uint8Array {
  const path = join(folder, `${name}.bin`);
  if (process.env['TDMF_WRITE_GOLDEN'] === '1' && !existsSync(path)) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(path, frame);
  }
  return new Uint8Array(readFileSync(path));
}

/** Frame number 2 of a session: the first is always `hello`. */
function second(make: (writer: FrameWriter) => Uint8Array): Uint8Array {
  const writer = new FrameWriter(nonce, crc32c);
  writer.control(samples.hello);
  return make(writer);
}

for (const message of Object.values(samples)) {
  test(`control frame ${message.kind} of version 1`, (t) => {
    const frame = second((writer) => writer.control(message));
    const bytes = golden(`control-${message.kind}`, frame);
    t.deepEqual(bytes, frame);
    const payloadLength = bytes.length - frameHeaderBytes;
    t.deepEqual(decodeControl(bytes, frameHeaderBytes, payloadLength), { message });
  });
}

test('heartbeat frame of version 1', (t) => {
  const frame = second((writer) => writer.heartbeat());
  t.deepEqual(golden('heartbeat', frame), frame);
});

test('ack frame of version 1', (t) => {
  const frame = second((writer) => writer.ack(sampleAck));
  const bytes = golden('ack', frame);
  t.deepEqual(bytes, frame);
  const ack = emptyAck();
  t.is(decodeAck(bytes, frameHeaderBytes, ack), undefined);
  t.deepEqual(ack, sampleAck);
});

const dataOfVersion1 = test.macro(
  (t, name: 'entries' | 'blocks', entries: readonly WireEntry[]) => {
    const kind = frameKinds[name];
    const frame = second((writer) => dataFrame(writer, kind, entries));
    const bytes = golden(name, frame);
    t.deepEqual(bytes, frame);
    const { splitter, heard, errors } = listen('primary');
    splitter.push(helloFrame());
    splitter.push(bytes);
    t.deepEqual(errors, []);
    t.is(heard.length, 2);
    const payloadLength = bytes.length - frameHeaderBytes;
    const table = { kind, count: entries.length, payloadLength };
    t.is(validateEntries(bytes, frameHeaderBytes, table, deviceSizes), undefined);
    entries.forEach((entry, index) => {
      const read = emptyWireEntry();
      decodeEntry(bytes, frameHeaderBytes + index * 48, read);
      t.deepEqual(read, entry);
    });
  },
);
test('entries frame of version 1', dataOfVersion1, 'entries', sampleEntries);
test('blocks frame of version 1', dataOfVersion1, 'blocks', sampleBlocks);

test('a compressed entries frame of version 1 reads as the plain one', (t) => {
  const frame = second((writer) => packedFrame(writer, frameKinds.entries, sampleEntries));
  const bytes = golden('entries-compressed', frame);
  const plain = listen('primary');
  plain.splitter.push(helloFrame());
  plain.splitter.push(golden('entries', new Uint8Array(0)));
  const packed = listen('primary');
  packed.splitter.push(helloFrame());
  packed.splitter.push(bytes);
  t.deepEqual(packed.errors, []);
  t.deepEqual(packed.heard, plain.heard);
});
