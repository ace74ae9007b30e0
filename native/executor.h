// Instructions in, completions out. Checks every instruction against the table of open files and the
// table of arenas, turns it into an entry of the io_uring, carries a short transfer on until it is
// whole, and reports each instruction exactly once. Holds no policy and knows no JavaScript.
//
//   records ──check──► Op ──► submission queue ══ kernel ══ completion queue ──► completions
//                       ▲                                        │
//                       └── the rest of a short transfer ────────┘
//
// An instruction that may not be executed still goes through the kernel, as a NOP, so that its error
// comes back the same way and at the same time as any other.
#pragma once
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "descriptors.h"
#include "instruction.h"
#include "uring.h"

namespace tdmf {

struct File {
  int fd = -1;
  bool socket = false, writable = false, growable = false, closing = false;
  uint64_t sizeBytes = 0;
  uint32_t alignmentBytes = 1;
  uint32_t inFlight = 0;
};

struct Arena {
  uint8_t* data = nullptr;
  size_t length = 0;
  uint32_t inFlight = 0;
};

struct Op {
  Instruction instruction;
  int failure;  // the instruction is refused with this −errno
  uint64_t offset, total, done;
  size_t firstPiece;  // pieces before it are transferred
  std::vector<iovec> pieces;
  msghdr message;
  Arena* arena;
  bool forced;  // a kernel thread does it, because it would have had to wait
};

// The memory shared with TypeScript.
struct SharedTables {
  const uint8_t* records;
  size_t recordCount;
  const uint8_t* pieces;
  size_t pieceCount;
  uint8_t* completions;
  size_t completionCount;
};

class Executor {
 public:
  Executor(const SharedTables& shared, Descriptors& descriptors);

  int open();  // 0 or errno
  int fd() const { return uring_.fd(); }
  int limitWorkers(unsigned bounded, unsigned unbounded) {
    return uring_.limitWorkers(bounded, unbounded);
  }

  int addFile(const File& file);  // its index, or −1 when the table is full
  const File* file(size_t index) const;
  void setArena(size_t number, uint8_t* data, size_t length) { arenas_[number] = {data, length, 0}; }
  const Arena& arena(size_t number) const { return arenas_[number]; }

  unsigned opsFree() const { return static_cast<unsigned>(freeOps_.size()); }
  unsigned inFlight() const { return kOpsMax - opsFree(); }
  unsigned openFiles() const { return openFiles_; }

  unsigned submitMax() const {
    return static_cast<unsigned>(std::min<size_t>(shared_.recordCount, opsFree()));
  }
  // Executes the first `count` records (at most submitMax). Returns how many entries the kernel has
  // not taken yet; a later submit or reap offers them again.
  unsigned submit(unsigned count);
  // Writes finished operations into the completions; returns how many.
  unsigned reap();
  // Cancels everything and waits until nothing is in flight: afterwards the kernel touches no memory
  // of ours (H22). Waits as long as it takes; a device that never answers is never let go.
  void quiesce();
  void shut() { uring_.close(); }

 private:
  void start(const Instruction& instruction);
  int prepare(Op& op);
  int prepareTransfer(Op& op, File& file);
  int prepareZero(Op& op, const File& file);
  int prepareClose(File& file);
  int takePieces(Op& op, const File& file);
  int checkRange(const Op& op, const File& file) const;

  void push(Op& op);
  void fill(Op& op, io_uring_sqe* entry);
  void fillTransfer(Op& op, io_uring_sqe* entry, int fd);
  bool settle(Op& op, int result);
  bool proceed(Op& op, const File& file, int result);
  void release(Op& op);

  const SharedTables shared_;
  Descriptors& descriptors_;
  Uring uring_;
  std::vector<File> files_;
  std::vector<size_t> freeFiles_;
  std::vector<Arena> arenas_;
  std::unique_ptr<Op[]> ops_;
  std::vector<uint32_t> freeOps_;
  unsigned openFiles_ = 0;
  unsigned reported_ = 0;
};

}  // namespace tdmf
