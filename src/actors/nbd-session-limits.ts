/**
 * The bounds of one NBD connection (I12). At the default a connection costs 4.3 MiB of memory, one
 * large read or the driver's memory for its writes apart. A client that goes beyond a bound is not
 * refused: it waits in its own socket.
 */
export interface SessionLimits {
  /** Requests from the header to the last byte of the reply. */
  readonly requestsMax: number;
  /** Writes beside them that only wait for the secondary (sync mode, Rule 40). */
  readonly parkedMax: number;
  readonly receiveBytes: number;
  /** A payload with less than this missing is received together with what follows it. */
  readonly directBytesMin: number;
  /** How much is received behind a direct receive, where the next large payload may begin. */
  readonly peekBytes: number;
  readonly replyHeaderBytes: number;
  readonly replyPiecesMax: number;
  /** No reply is added to a send that has this much; memory is freed when all of a send is out. */
  readonly sendBytesMax: number;
  /** Memory for the data of reads. */
  readonly readBytes: number;
  /** A larger read gets memory of its own. */
  readonly pooledReadBytesMax: number;
}

export const sessionLimits: SessionLimits = {
  requestsMax: 256,
  parkedMax: 1024,
  receiveBytes: 256 * 1024,
  directBytesMin: 32 * 1024,
  peekBytes: 4096,
  replyHeaderBytes: 32 * 1024,
  replyPiecesMax: 256,
  sendBytesMax: 1024 * 1024,
  readBytes: 4 * 1024 * 1024,
  pooledReadBytesMax: 1024 * 1024,
};
