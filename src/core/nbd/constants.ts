/**
 * The numbers of the NBD protocol (doc/proto.md of NetworkBlockDevice/nbd, sections "Values" and
 * "Handshake") that this server speaks, and the limits it sets for its clients (I12).
 *
 * Only what is spoken is listed: no oldstyle, no TLS, no extended headers, no CACHE or RESIZE.
 * 64-bit magics are pairs of 32-bit words, so that nothing here needs a BigInt.
 */

export const initMagic = [0x4e42444d, 0x41474943] as const;
export const optionMagic = [0x49484156, 0x454f5054] as const;
export const optionReplyMagic = [0x0003e889, 0x045565a9] as const;
export const requestMagic = 0x25609513;
export const simpleReplyMagic = 0x67446698;
export const structuredReplyMagic = 0x668e33ef;

export const handshakeFlags = { fixedNewstyle: 1 << 0, noZeroes: 1 << 1 } as const;

export const transmissionFlags = {
  hasFlags: 1 << 0,
  readOnly: 1 << 1,
  sendFlush: 1 << 2,
  sendFua: 1 << 3,
  sendTrim: 1 << 5,
  sendWriteZeroes: 1 << 6,
  sendDf: 1 << 7,
  canMultiConn: 1 << 8,
} as const;

export const option = {
  exportName: 1,
  abort: 2,
  list: 3,
  starttls: 5,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
} as const;

export const optionReply = {
  ack: 1,
  server: 2,
  info: 3,
  metaContext: 4,
  errUnsup: 0x80000001,
  errPolicy: 0x80000002,
  errInvalid: 0x80000003,
  errUnknown: 0x80000006,
  errShutdown: 0x80000007,
  errTooBig: 0x80000009,
} as const;

export const infoType = { export: 0, name: 1, description: 2, blockSize: 3 } as const;

export const command = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  writeZeroes: 6,
  blockStatus: 7,
} as const;

export const commandFlag = {
  fua: 1 << 0,
  noHole: 1 << 1,
  df: 1 << 2,
  reqOne: 1 << 3,
} as const;

export const replyFlagDone = 1;

export const replyType = {
  none: 0,
  offsetData: 1,
  offsetHole: 2,
  blockStatus: 5,
  error: 0x8001,
  errorOffset: 0x8002,
} as const;

/** Status flags of `base:allocation`. Zero ("allocated, content unknown") is always honest. */
export const allocationState = { hole: 1 << 0, zero: 1 << 1 } as const;
export const allocationContextName = 'base:allocation';
/** The id is opaque to clients; not zero, which NBD_OPT_LIST_META_CONTEXT uses for "none". */
export const allocationContextId = 1;

/** Error values on the wire ("Error values"); they only happen to look like Linux's. */
export const nbdError = {
  none: 0,
  perm: 1,
  io: 5,
  nomem: 12,
  inval: 22,
  nospc: 28,
  overflow: 75,
  notsup: 95,
  shutdown: 108,
} as const;

export const requestHeaderBytes = 28;
export const simpleReplyBytes = 16;
export const chunkHeaderBytes = 20;
/** A chunk of read data is this header, then the data: 20 bytes of chunk, 8 of offset. */
export const dataChunkHeaderBytes = chunkHeaderBytes + 8;

/** "Strings" in the specification: names and texts are at most this long. */
export const stringBytesMax = 4096;
/** The export name and a few queries fit with room to spare; real clients stay under 100 bytes. */
export const optionDataBytesMax = 8192;
/** Option data above the limit is skipped up to here and answered ERR_TOO_BIG; beyond, closed. */
export const optionSkipBytesMax = 65536;
/** `qemu-nbd --list` asks INFO for every export on one connection; a loop of options ends here. */
export const optionCountMax = 4096;
/** A handshake with this much to send answers no further option until that is taken. */
export const optionOutputBytesMax = 65536;
/** What every client may send unasked ("Size constraints": not a denial of service up to 2^25). */
export const payloadBytesMax = 32 * 1024 * 1024;
/** The payload of a refused WRITE is read and dropped up to here; beyond, the connection closes. */
export const payloadSkipBytesMax = 64 * 1024 * 1024;
/** Extents in one BLOCK_STATUS reply; clients ask again behind the last one. */
export const extentsMax = 512;
