// The byte layout that TypeScript and this addon share (src/io/uring-layout.ts is its other half; a
// test compares the two). One instruction is 48 bytes:
//
//   offset | type | meaning
//        0 | u8   | opcode
//        1 | u8   | flags
//        2 | u16  | file: index in the ring's table of open files
//        4 | u32  | arena: number of the memory all pieces lie in
//        8 | u32  | pieceCount; 1 = the piece stands in this record, else in the piece table
//       12 | u32  | firstPiece: row of the piece table
//       16 | u32  | tag: comes back with the completion
//       20 | u32  | reserved, 0
//       24 | f64  | offset on the device
//       32 | f64  | length in bytes (of the single piece, or of the range to zero)
//       40 | f64  | memory offset of the single piece
//
// A row of the piece table is (f64 memory offset, f64 length); a completion is (f64 tag, f64 result).
#pragma once
#include <napi.h>

#include <cstdint>

namespace tdmf {

enum Opcode : uint8_t {
  kRead = 1,
  kWrite = 2,
  kFlush = 3,
  kPunch = 4,
  kZeroRange = 5,
  kReceive = 6,
  kSend = 7,
  kClose = 8,
};

constexpr uint8_t kFlagDurable = 1;  // kWrite: durable when it completes (RWF_DSYNC)
constexpr uint8_t kFlagExtend = 2;   // kZeroRange: may make a growable file longer

struct Instruction {
  uint8_t opcode;
  uint8_t flags;
  uint16_t file;
  uint32_t arena;
  uint32_t pieceCount;
  uint32_t firstPiece;
  uint32_t tag;
  uint32_t reserved;
  double offset;
  double length;
  double memoryOffset;
};
static_assert(sizeof(Instruction) == 48, "the layout is shared with TypeScript");

struct Piece {
  double memoryOffset;
  double length;
};

struct Completion {
  double tag;
  double result;
};

constexpr unsigned kFilesMax = 4096;   // open files and sockets of one ring
constexpr unsigned kArenasMax = 1024;  // memories one ring knows
constexpr unsigned kOpsMax = 4096;     // operations in flight

Napi::Object instructionConstants(Napi::Env env);

}  // namespace tdmf
