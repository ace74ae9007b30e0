/** Builds whole frames and records what a splitter makes of bytes. */
import { crc32c } from '../../../../src/core/checksum.js';
import { frameHeaderBytes, wireEntryBytes } from '../../../../src/core/constants.js';
import type { TdmfError } from '../../../../src/core/errors.js';
import { encodeEntry, entryDataLength } from '../../../../src/core/wire/entry.js';
import { lz4Compress, lz4Decompress } from '../../../../src/core/wire/lz4.js';
import { frameKinds, type WireEntry } from '../../../../src/core/wire/messages.js';
import type { Sender } from '../../../../src/core/wire/session.js';
import { FrameSplitter, type PayloadTarget } from '../../../../src/core/wire/splitter.js';
import { FrameWriter } from '../../../../src/core/wire/writer.js';
import { nonce } from './samples.js';

/** A data frame whose data is 1, 2, 3, … */
export function dataFrame(
  writer: FrameWriter,
  kind: typeof frameKinds.entries | typeof frameKinds.blocks,
  entries: readonly WireEntry[],
): Uint8Array {
  const table = entries.length * wireEntryBytes;
  const data = entries.reduce((sum, entry) => sum + entryDataLength(entry), 0);
  const frame = new Uint8Array(frameHeaderBytes + table + data);
  entries.forEach((entry, index) => {
    encodeEntry(frame, frameHeaderBytes + index * wireEntryBytes, entry);
  });
  for (let index = 0; index < data; index += 1) {
    frame[frameHeaderBytes + table + index] = index + 1;
  }
  const crc = crc32c(frame, frameHeaderBytes, table + data, 0);
  writer.dataHeader(frame, 0, kind, entries.length, table + data, crc);
  return frame;
}

/** The same with its payload compressed. */
export function packedFrame(
  writer: FrameWriter,
  kind: typeof frameKinds.entries | typeof frameKinds.blocks,
  entries: readonly WireEntry[],
): Uint8Array {
  const payload = dataFrame(new FrameWriter(nonce, crc32c), kind, entries).subarray(
    frameHeaderBytes,
  );
  const out = new Uint8Array(frameHeaderBytes + payload.length);
  const room = payload.length;
  const length = lz4Compress(payload, 0, payload.length, out, frameHeaderBytes, room);
  if (length === 0) throw new Error('a sample that shrinks is needed');
  const crc = crc32c(payload, 0, payload.length, 0);
  writer.dataHeader(out, 0, kind, entries.length, length, crc, payload.length);
  return out.subarray(0, frameHeaderBytes + length);
}

export interface Heard {
  readonly kind: number;
  readonly number: number;
  readonly count: number;
  readonly payload: string;
}

export interface Split {
  readonly heard: Heard[];
  readonly errors: TdmfError[];
  readonly splitter: FrameSplitter;
}

/** A splitter that hears everything; data payloads go 7 bytes into an arena of their own. */
export function listen(sender: Sender, credit = true, compression = true): Split {
  const heard: Heard[] = [];
  const errors: TdmfError[] = [];
  const splitter = new FrameSplitter(
    {
      begin({ kind, payloadLength }): PayloadTarget | undefined {
        const data = kind === frameKinds.entries || kind === frameKinds.blocks;
        if (!data || !credit) return undefined;
        return { bytes: new Uint8Array(payloadLength + 7), offset: 7 };
      },
      frame({ kind, number, count, payloadLength }, { bytes, offset }) {
        const payload = Buffer.from(bytes.slice(offset, offset + payloadLength)).toString('hex');
        heard.push({ kind, number, count, payload });
      },
      malformed(error) {
        errors.push(error);
      },
    },
    { sender, nonce, crc32c, ...(compression && { lz4Decompress }) },
  );
  return { heard, errors, splitter };
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
