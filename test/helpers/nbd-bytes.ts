/**
 * NBD as a client writes and reads it, built independently of the server's own encoders: plain
 * Buffers and BigInts, straight from the specification's tables.
 */
import type { ExportCatalogue, ExportInfo } from '../../src/core/nbd/exports.js';

export const OPT = {
  EXPORT_NAME: 1,
  ABORT: 2,
  LIST: 3,
  STARTTLS: 5,
  INFO: 6,
  GO: 7,
  STRUCTURED_REPLY: 8,
  LIST_META_CONTEXT: 9,
  SET_META_CONTEXT: 10,
} as const;

export const CMD = {
  READ: 0,
  WRITE: 1,
  DISC: 2,
  FLUSH: 3,
  TRIM: 4,
  CACHE: 5,
  WRITE_ZEROES: 6,
  BLOCK_STATUS: 7,
} as const;

export const FLAG = { FUA: 1, NO_HOLE: 2, DF: 4, REQ_ONE: 8, FAST_ZERO: 16 } as const;

export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function u64(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

export function string(text: string): Buffer {
  return Buffer.concat([u32(Buffer.byteLength(text)), Buffer.from(text)]);
}

export function option(code: number, data: Uint8Array = Buffer.alloc(0)): Buffer {
  return Buffer.concat([Buffer.from('IHAVEOPT'), u32(code), u32(data.length), data]);
}

export function infoData(name: string, types: readonly number[] = []): Buffer {
  return Buffer.concat([string(name), u16(types.length), ...types.map(u16)]);
}

export function contextData(name: string, queries: readonly string[]): Buffer {
  return Buffer.concat([string(name), u32(queries.length), ...queries.map(string)]);
}

export interface OptionReply {
  readonly option: number;
  readonly type: number;
  readonly data: Buffer;
}

export function parseOptionReplies(bytes: Uint8Array): OptionReply[] {
  const all = Buffer.from(bytes);
  const replies: OptionReply[] = [];
  for (let at = 0; at < all.length; ) {
    if (all.readBigUInt64BE(at) !== 0x3e889045565a9n) throw new Error(`no option reply at ${at}`);
    const length = all.readUInt32BE(at + 16);
    const data = all.subarray(at + 20, at + 20 + length);
    if (data.length !== length) throw new Error('an option reply is cut');
    replies.push({ option: all.readUInt32BE(at + 8), type: all.readUInt32BE(at + 12), data });
    at += 20 + length;
  }
  return replies;
}

export interface RequestFields {
  readonly command: number;
  readonly flags?: number;
  readonly cookie?: bigint;
  readonly offset?: number | bigint;
  readonly length?: number;
  readonly payload?: Uint8Array;
  readonly magic?: number;
}

export function request(fields: RequestFields): Buffer {
  const payload = fields.payload ?? Buffer.alloc(0);
  return Buffer.concat([
    u32(fields.magic ?? 0x25609513),
    u16(fields.flags ?? 0),
    u16(fields.command),
    u64(fields.cookie ?? 0n),
    u64(fields.offset ?? 0),
    u32(fields.length ?? payload.length),
    payload,
  ]);
}

/** A reply in either form: `simple`, or the name of the chunk's type. */
export interface Reply {
  readonly kind: 'simple' | 'none' | 'data' | 'hole' | 'status' | 'error' | 'error offset';
  readonly cookie: bigint;
  readonly error: number;
  readonly done: boolean;
  readonly offset?: bigint;
  readonly data?: Buffer;
  /** Pairs (length, flags) of a status chunk; the length of a hole. */
  readonly extents?: number[];
}

/** `readLengths`: what each read asked for, by cookie; needed to find the end of simple replies. */
export function parseReplies(
  bytes: Uint8Array,
  readLengths: ReadonlyMap<bigint, number> = new Map(),
): Reply[] {
  const all = Buffer.from(bytes);
  const replies: Reply[] = [];
  for (let at = 0; at < all.length; ) {
    const magic = all.readUInt32BE(at);
    const reply =
      magic === 0x67446698 ? parseSimple(all.subarray(at), readLengths) : parseChunk(all, at);
    replies.push(reply.value);
    at += reply.size;
  }
  return replies;
}

function parseSimple(
  bytes: Buffer,
  readLengths: ReadonlyMap<bigint, number>,
): { value: Reply; size: number } {
  const error = bytes.readUInt32BE(4);
  const cookie = bytes.readBigUInt64BE(8);
  const length = error === 0 ? (readLengths.get(cookie) ?? 0) : 0;
  if (bytes.length < 16 + length) throw new Error('the data of a simple reply is cut');
  const value: Reply = { kind: 'simple', cookie, error, done: true };
  const data = bytes.subarray(16, 16 + length);
  return { value: length > 0 ? { ...value, data } : value, size: 16 + length };
}

function parseChunk(all: Buffer, at: number): { value: Reply; size: number } {
  if (all.readUInt32BE(at) !== 0x668e33ef) throw new Error(`no reply at ${at}`);
  const done = all.readUInt16BE(at + 4) === 1;
  const type = all.readUInt16BE(at + 6);
  const cookie = all.readBigUInt64BE(at + 8);
  const length = all.readUInt32BE(at + 16);
  const payload = all.subarray(at + 20, at + 20 + length);
  if (payload.length !== length) throw new Error('a chunk is cut');
  const base = { cookie, done, error: 0 };
  const size = 20 + length;
  switch (type) {
    case 0:
      return { value: { ...base, kind: 'none' }, size };
    case 1: {
      const offset = payload.readBigUInt64BE();
      return { value: { ...base, kind: 'data', offset, data: payload.subarray(8) }, size };
    }
    case 2: {
      const offset = payload.readBigUInt64BE();
      return { value: { ...base, kind: 'hole', offset, extents: [payload.readUInt32BE(8)] }, size };
    }
    case 5: {
      const extents: number[] = [];
      for (let from = 4; from < length; from += 4) extents.push(payload.readUInt32BE(from));
      return { value: { ...base, kind: 'status', extents }, size };
    }
    case 0x8001:
      return { value: { ...base, kind: 'error', error: payload.readUInt32BE() }, size };
    case 0x8002: {
      const offset = payload.readBigUInt64BE(6 + payload.readUInt16BE(4));
      const error = payload.readUInt32BE();
      return { value: { ...base, kind: 'error offset', error, offset }, size };
    }
    default:
      throw new Error(`unknown chunk type ${type}`);
  }
}

export function exportInfo(fields: Partial<ExportInfo> = {}): ExportInfo {
  return {
    name: 'g0/d0',
    sizeBytes: 2 ** 20,
    readOnly: false,
    canMultiConn: true,
    canTrim: true,
    blockMin: 1,
    blockPreferred: 4096,
    blockMax: 2 ** 25,
    description: 'device d0 of group 0',
    ...fields,
  };
}

export function catalogue(...infos: readonly ExportInfo[]): ExportCatalogue {
  return { list: () => infos, find: (name) => infos.find((info) => info.name === name) };
}
