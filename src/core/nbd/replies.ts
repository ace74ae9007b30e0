/**
 * Replies of the transmission phase (specification, "Simple reply message" and "Structured reply
 * types"), encoded into the caller's memory: each function writes at `at` and returns where the
 * next byte goes. Nothing is allocated; read data is never touched, only its header is written.
 */
import {
  allocationContextId,
  chunkHeaderBytes,
  nbdError,
  replyFlagDone,
  replyType,
  simpleReplyBytes,
  simpleReplyMagic,
  structuredReplyMagic,
} from './constants.js';

/** Who is answered: the two words of the client's cookie. */
export interface Cookie {
  readonly cookieHigh: number;
  readonly cookieLow: number;
}

export function encodeSimpleReply(
  view: DataView,
  at: number,
  cookie: Cookie,
  error: number,
): number {
  view.setUint32(at, simpleReplyMagic);
  view.setUint32(at + 4, error);
  view.setUint32(at + 8, cookie.cookieHigh);
  view.setUint32(at + 12, cookie.cookieLow);
  return at + simpleReplyBytes;
}

/** NBD_REPLY_TYPE_NONE: the end of a reply, and success when no error came before it. */
export function encodeNoneChunk(view: DataView, at: number, cookie: Cookie): number {
  return encodeChunkHeader(view, at, cookie, true, replyType.none, 0);
}

/** The 28 bytes in front of `length` bytes of data read at `offset`. */
export function encodeDataChunk(
  view: DataView,
  at: number,
  cookie: Cookie,
  done: boolean,
  offset: number,
  length: number,
): number {
  const next = encodeChunkHeader(view, at, cookie, done, replyType.offsetData, 8 + length);
  return writeUint64(view, next, offset);
}

/** `length` bytes at `offset` read as zeroes. */
export function encodeHoleChunk(
  view: DataView,
  at: number,
  cookie: Cookie,
  done: boolean,
  offset: number,
  length: number,
): number {
  let next = encodeChunkHeader(view, at, cookie, done, replyType.offsetHole, 12);
  next = writeUint64(view, next, offset);
  view.setUint32(next, length);
  return next + 4;
}

/** `extents` holds pairs (length, flags) of `base:allocation`; `count` pairs are sent. */
export function encodeStatusChunk(
  view: DataView,
  at: number,
  cookie: Cookie,
  extents: Uint32Array,
  count: number,
): number {
  const length = 4 + 8 * count;
  let next = encodeChunkHeader(view, at, cookie, true, replyType.blockStatus, length);
  view.setUint32(next, allocationContextId);
  next += 4;
  for (let index = 0; index < 2 * count; index++, next += 4) view.setUint32(next, extents[index]!);
  return next;
}

/** NBD_REPLY_TYPE_ERROR, without a text. */
export function encodeErrorChunk(
  view: DataView,
  at: number,
  cookie: Cookie,
  error: number,
): number {
  const next = encodeChunkHeader(view, at, cookie, true, replyType.error, 6);
  view.setUint32(next, error);
  view.setUint16(next + 4, 0);
  return next + 6;
}

/** NBD_REPLY_TYPE_ERROR_OFFSET, without a text. */
export function encodeErrorOffsetChunk(
  view: DataView,
  at: number,
  cookie: Cookie,
  error: number,
  offset: number,
): number {
  const next = encodeChunkHeader(view, at, cookie, true, replyType.errorOffset, 14);
  view.setUint32(next, error);
  view.setUint16(next + 4, 0);
  return writeUint64(view, next + 6, offset);
}

/** The NBD error value for a Linux errno ("Error values"): what has none of its own is EIO. */
export function nbdErrorOf(errno: number): number {
  switch (Math.abs(errno)) {
    case 0:
      return nbdError.none;
    case 1: // EPERM
    case 13: // EACCES
    case 30: // EROFS
      return nbdError.perm;
    case 12: // ENOMEM
      return nbdError.nomem;
    case 22: // EINVAL
      return nbdError.inval;
    case 27: // EFBIG
    case 28: // ENOSPC
    case 122: // EDQUOT
      return nbdError.nospc;
    case 108: // ESHUTDOWN
      return nbdError.shutdown;
    default:
      return nbdError.io;
  }
}

function encodeChunkHeader(
  view: DataView,
  at: number,
  cookie: Cookie,
  done: boolean,
  type: number,
  length: number,
): number {
  view.setUint32(at, structuredReplyMagic);
  view.setUint16(at + 4, done ? replyFlagDone : 0);
  view.setUint16(at + 6, type);
  view.setUint32(at + 8, cookie.cookieHigh);
  view.setUint32(at + 12, cookie.cookieLow);
  view.setUint32(at + 16, length);
  return at + chunkHeaderBytes;
}

function writeUint64(view: DataView, at: number, value: number): number {
  view.setUint32(at, Math.floor(value / 2 ** 32));
  view.setUint32(at + 4, value % 2 ** 32);
  return at + 8;
}
