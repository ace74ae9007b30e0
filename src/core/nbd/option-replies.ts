/**
 * The server's side of option haggling as bytes (specification, "Fixed newstyle negotiation" and
 * "Option reply types"). Encoders only; which reply is due is the handshake's decision.
 */
import {
  handshakeFlags,
  infoType,
  initMagic,
  optionMagic,
  optionReplyMagic,
  stringBytesMax,
} from './constants.js';
import type { ExportInfo } from './exports.js';

const utf8 = new TextEncoder();

/** The first 18 bytes of a connection. */
export function encodeGreeting(): Uint8Array {
  return pack(18, (view) => {
    writeMagic(view, 0, initMagic);
    writeMagic(view, 8, optionMagic);
    view.setUint16(16, handshakeFlags.fixedNewstyle | handshakeFlags.noZeroes);
  });
}

export function encodeOptionReply(
  option: number,
  type: number,
  data: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const reply = pack(20 + data.length, (view) => {
    writeMagic(view, 0, optionReplyMagic);
    view.setUint32(8, option);
    view.setUint32(12, type);
    view.setUint32(16, data.length);
  });
  reply.set(data, 20);
  return reply;
}

/** The text of an error reply, for the client's user. */
export function encodeText(text: string): Uint8Array {
  return utf8.encode(text).subarray(0, stringBytesMax);
}

/** NBD_REP_SERVER: the name, then what the user may want to read about it. */
export function encodeServer(info: ExportInfo): Uint8Array {
  const name = utf8.encode(info.name);
  const description = encodeText(info.description);
  const data = pack(4 + name.length + description.length, (view) => view.setUint32(0, name.length));
  data.set(name, 4);
  data.set(description, 4 + name.length);
  return data;
}

/** NBD_INFO_EXPORT. */
export function encodeInfoExport(sizeBytes: number, flags: number): Uint8Array {
  return pack(12, (view) => {
    view.setUint16(0, infoType.export);
    writeUint64(view, 2, sizeBytes);
    view.setUint16(10, flags);
  });
}

/** NBD_INFO_NAME and NBD_INFO_DESCRIPTION. */
export function encodeInfoText(type: number, text: string): Uint8Array {
  const bytes = encodeText(text);
  const data = pack(2 + bytes.length, (view) => view.setUint16(0, type));
  data.set(bytes, 2);
  return data;
}

/** NBD_INFO_BLOCK_SIZE. */
export function encodeInfoBlockSize(info: ExportInfo): Uint8Array {
  return pack(14, (view) => {
    view.setUint16(0, infoType.blockSize);
    view.setUint32(2, info.blockMin);
    view.setUint32(6, info.blockPreferred);
    view.setUint32(10, info.blockMax);
  });
}

/** NBD_REP_META_CONTEXT. */
export function encodeMetaContext(id: number, name: string): Uint8Array {
  const bytes = utf8.encode(name);
  const data = pack(4 + bytes.length, (view) => view.setUint32(0, id));
  data.set(bytes, 4);
  return data;
}

/** The end of NBD_OPT_EXPORT_NAME, with or without its 124 reserved zeroes. */
export function encodeExportNameReply(
  sizeBytes: number,
  flags: number,
  noZeroes: boolean,
): Uint8Array {
  return pack(noZeroes ? 10 : 134, (view) => {
    writeUint64(view, 0, sizeBytes);
    view.setUint16(8, flags);
  });
}

function pack(byteCount: number, fill: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(byteCount);
  fill(new DataView(bytes.buffer));
  return bytes;
}

function writeMagic(view: DataView, at: number, magic: readonly [number, number]): void {
  view.setUint32(at, magic[0]);
  view.setUint32(at + 4, magic[1]);
}

function writeUint64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 2 ** 32));
  view.setUint32(at + 4, value % 2 ** 32);
}
