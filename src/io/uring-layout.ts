/**
 * The byte layout that uring.ts writes and the addon executes; native/instruction.h is its other
 * half and has the table. The addon exports its numbers and a test compares the two.
 */
export const uringLayout = {
  opRead: 1,
  opWrite: 2,
  opFlush: 3,
  opPunch: 4,
  opZeroRange: 5,
  opReceive: 6,
  opSend: 7,
  opClose: 8,
  flagDurable: 1,
  flagExtend: 2,
  instructionBytes: 48,
  pieceBytes: 16,
  completionBytes: 16,
  filesMax: 4096,
  arenasMax: 1024,
  opsMax: 4096,
} as const;

/** Positions in a record, in 32-bit words and in 64-bit floats. */
export const recordWords = uringLayout.instructionBytes / 4;
export const recordFloats = uringLayout.instructionBytes / 8;
export const wordArena = 1;
export const wordPieceCount = 2;
export const wordFirstPiece = 3;
export const wordTag = 4;
export const floatOffset = 3;
export const floatLength = 4;
export const floatMemoryOffset = 5;
