#include "executor.h"

#include <linux/falloc.h>
#include <linux/fs.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cstring>

#include "checks.h"

namespace tdmf {

namespace {

constexpr size_t kPiecesPerCallMax = 1024;         // IOV_MAX of the kernel
constexpr uint64_t kTransferBytesMax = 0x7ffff000;  // MAX_RW_COUNT of the kernel
constexpr size_t kPiecesKeptMax = 64;              // larger lists are given back after use

bool isTransfer(uint8_t opcode) {
  return opcode == kRead || opcode == kWrite || opcode == kReceive || opcode == kSend;
}
bool isSocketOp(uint8_t opcode) { return opcode == kReceive || opcode == kSend; }

uint8_t flagsAllowed(uint8_t opcode) {
  if (opcode == kWrite) return kFlagDurable;
  if (opcode == kZeroRange) return kFlagExtend;
  return 0;
}

uint64_t address(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

}  // namespace

Executor::Executor(const SharedTables& shared, Descriptors& descriptors)
    : shared_(shared), descriptors_(descriptors), arenas_(kArenasMax), ops_(new Op[kOpsMax]()) {
  files_.reserve(kFilesMax);
  freeOps_.reserve(kOpsMax);
  for (uint32_t index = kOpsMax; index-- > 0;) freeOps_.push_back(index);
}

// Every operation has at most one entry and one completion under way, so neither queue can overflow.
int Executor::open() { return uring_.open(kOpsMax, 2 * kOpsMax); }

int Executor::addFile(const File& file) {
  size_t index;
  if (!freeFiles_.empty()) {
    index = freeFiles_.back();
    freeFiles_.pop_back();
    files_[index] = file;
  } else {
    index = files_.size();
    if (index == kFilesMax) return -1;
    files_.push_back(file);
  }
  openFiles_++;
  return static_cast<int>(index);
}

const File* Executor::file(size_t index) const {
  if (index >= files_.size() || files_[index].fd < 0) return nullptr;
  return &files_[index];
}

unsigned Executor::submit(unsigned count) {
  assert(count <= submitMax());
  for (unsigned index = 0; index < count; index++) {
    // A copy, because the record lies in shared memory: what is checked is what is executed.
    Instruction instruction;
    memcpy(&instruction, shared_.records + index * sizeof instruction, sizeof instruction);
    start(instruction);
  }
  if (uring_.unsubmitted() > 0) uring_.enter();
  return uring_.unsubmitted();
}

void Executor::start(const Instruction& instruction) {
  Op& op = ops_[freeOps_.back()];
  freeOps_.pop_back();
  op.instruction = instruction;
  op.offset = op.total = op.done = 0;
  op.firstPiece = 0;
  op.arena = nullptr;
  op.forced = false;
  op.failure = prepare(op);
  if (op.failure == 0) {
    files_[instruction.file].inFlight++;
    if (op.arena != nullptr) op.arena->inFlight++;
  }
  push(op);
}

int Executor::prepare(Op& op) {
  const Instruction& asked = op.instruction;
  if (asked.reserved != 0 || (asked.flags & ~flagsAllowed(asked.opcode)) != 0) return -EINVAL;
  if (asked.file >= files_.size()) return -EBADF;
  File& file = files_[asked.file];
  if (file.fd < 0 || file.closing) return -EBADF;
  if (asked.opcode == kClose) return prepareClose(file);
  if (file.socket != isSocketOp(asked.opcode)) return -EINVAL;
  switch (asked.opcode) {
    case kRead:
    case kWrite:
    case kReceive:
    case kSend:
      return prepareTransfer(op, file);
    case kPunch:
    case kZeroRange:
      return prepareZero(op, file);
    case kFlush:
      return 0;
    default:
      return -EINVAL;
  }
}

int Executor::prepareTransfer(Op& op, File& file) {
  const Instruction& asked = op.instruction;
  if (asked.opcode == kWrite && !file.writable) return -EBADF;
  if (asked.arena >= arenas_.size() || arenas_[asked.arena].data == nullptr) return -EINVAL;
  op.arena = &arenas_[asked.arena];
  const int refused = takePieces(op, file);
  if (refused != 0) return refused;
  if (file.socket) return op.total == 0 ? -EINVAL : 0;
  if (!toUnsigned(asked.offset, UINT64_MAX, &op.offset)) return -EINVAL;
  return checkRange(op, file);
}

int Executor::prepareZero(Op& op, const File& file) {
  const Instruction& asked = op.instruction;
  if (!file.writable) return -EBADF;
  if ((asked.flags & kFlagExtend) != 0 && !file.growable) return -EINVAL;
  if (!toUnsigned(asked.offset, UINT64_MAX, &op.offset)) return -EINVAL;
  if (!toUnsigned(asked.length, UINT64_MAX, &op.total)) return -EINVAL;
  return checkRange(op, file);
}

int Executor::prepareClose(File& file) {
  if (file.inFlight > 0) return -EBUSY;
  // From here on the descriptor is the kernel's to close; the number may be given out again.
  descriptors_.forget(file.fd);
  file.closing = true;
  return 0;
}

// Copies the pieces out of shared memory, each checked against the bounds of its arena.
int Executor::takePieces(Op& op, const File& file) {
  const Instruction& asked = op.instruction;
  const uint64_t end = static_cast<uint64_t>(asked.firstPiece) + asked.pieceCount;
  if (asked.pieceCount != 1 && end > shared_.pieceCount) return -EINVAL;
  op.pieces.clear();
  for (uint32_t index = 0; index < asked.pieceCount; index++) {
    Piece piece = {asked.memoryOffset, asked.length};
    if (asked.pieceCount != 1) {
      memcpy(&piece, shared_.pieces + (asked.firstPiece + index) * sizeof piece, sizeof piece);
    }
    uint64_t from = 0, length = 0;
    if (!toUnsigned(piece.memoryOffset, op.arena->length, &from)) return -EINVAL;
    if (!toUnsigned(piece.length, op.arena->length - from, &length)) return -EINVAL;
    uint8_t* const memory = op.arena->data + from;
    if (file.alignmentBytes > 1 && (address(memory) | length) % file.alignmentBytes != 0) {
      return -EINVAL;
    }
    if (length > 0) op.pieces.push_back({memory, length});
    op.total += length;
  }
  return 0;
}

int Executor::checkRange(const Op& op, const File& file) const {
  const bool reads = op.instruction.opcode == kRead;
  if (file.alignmentBytes > 1 && (op.offset | op.total) % file.alignmentBytes != 0) return -EINVAL;
  if (op.total > static_cast<uint64_t>(kSafeIntegerMax) - op.offset) return -EINVAL;
  if (file.growable) return 0;
  // I20: no byte beyond the agreed size.
  if (op.offset > file.sizeBytes || op.total > file.sizeBytes - op.offset) {
    return reads ? -EINVAL : -ENOSPC;
  }
  return 0;
}

void Executor::push(Op& op) {
  io_uring_sqe* entry = uring_.nextEntry();
  assert(entry != nullptr && "the queue has a place for every operation");
  fill(op, entry);
  entry->user_data = static_cast<uint64_t>(&op - ops_.get());
}

void Executor::fill(Op& op, io_uring_sqe* entry) {
  const uint8_t opcode = op.instruction.opcode;
  entry->opcode = IORING_OP_NOP;
  // Nothing to move, or nothing allowed: the NOP brings the answer back.
  if (op.failure != 0 || (isTransfer(opcode) && op.total == 0)) return;
  const int fd = files_[op.instruction.file].fd;
  entry->fd = fd;
  if (op.forced) entry->flags = IOSQE_ASYNC;
  switch (opcode) {
    case kFlush:
      entry->opcode = IORING_OP_FSYNC;
      entry->fsync_flags = IORING_FSYNC_DATASYNC;
      return;
    case kClose:
      entry->opcode = IORING_OP_CLOSE;
      return;
    case kPunch:
    case kZeroRange:
      if (op.total == 0) return;
      entry->opcode = IORING_OP_FALLOCATE;
      entry->off = op.offset;
      entry->addr = op.total;
      entry->len = (opcode == kPunch ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE) |
                   ((op.instruction.flags & kFlagExtend) != 0 ? 0 : FALLOC_FL_KEEP_SIZE);
      return;
    default:
      fillTransfer(op, entry, fd);
  }
}

void Executor::fillTransfer(Op& op, io_uring_sqe* entry, int fd) {
  const uint8_t opcode = op.instruction.opcode;
  iovec* const pieces = op.pieces.data() + op.firstPiece;
  const size_t count = std::min(op.pieces.size() - op.firstPiece, kPiecesPerCallMax);
  const bool single = count == 1;
  entry->addr = single ? address(pieces->iov_base) : address(pieces);
  entry->len = single ? static_cast<uint32_t>(std::min<uint64_t>(pieces->iov_len, kTransferBytesMax))
                      : static_cast<uint32_t>(count);
  if (isSocketOp(opcode)) {
    const bool sends = opcode == kSend;
    entry->msg_flags = sends ? MSG_NOSIGNAL | MSG_WAITALL : 0;
    if (single) {
      entry->opcode = sends ? IORING_OP_SEND : IORING_OP_RECV;
    } else {
      op.message = {};
      op.message.msg_iov = pieces;
      op.message.msg_iovlen = count;
      entry->addr = address(&op.message);
      entry->len = 1;
      entry->opcode = sends ? IORING_OP_SENDMSG : IORING_OP_RECVMSG;
    }
    return;
  }
  entry->off = op.offset + op.done;
  if (opcode == kWrite) {
    entry->opcode = single ? IORING_OP_WRITE : IORING_OP_WRITEV;
    if ((op.instruction.flags & kFlagDurable) != 0) entry->rw_flags = RWF_DSYNC;
  } else {
    entry->opcode = single ? IORING_OP_READ : IORING_OP_READV;
  }
}

unsigned Executor::reap() {
  if (uring_.unsubmitted() > 0 || (uring_.peek() == nullptr && uring_.workDeferred())) {
    uring_.enter();
  }
  reported_ = 0;
  bool again = false;
  for (const io_uring_cqe* entry; reported_ < shared_.completionCount; uring_.advance()) {
    entry = uring_.peek();
    if (entry == nullptr) break;
    Op& op = ops_[entry->user_data];
    if (settle(op, entry->res)) continue;
    push(op);
    again = true;
  }
  if (again) uring_.enter();
  return reported_;
}

// True when the operation is finished and reported; false when its rest must be submitted.
bool Executor::settle(Op& op, int result) {
  const uint8_t opcode = op.instruction.opcode;
  const bool refused = op.failure != 0;
  if (!refused && opcode != kClose) {
    if (result == -EINTR) return false;
    // A file answers EAGAIN when it would have had to wait: a kernel thread may wait for it.
    if (result == -EAGAIN && !isSocketOp(opcode) && !op.forced) {
      op.forced = true;
      return false;
    }
  }
  double outcome = refused ? op.failure : result;
  if (!refused && isTransfer(opcode) && op.total > 0) {
    const File& file = files_[op.instruction.file];
    if (result > 0 && proceed(op, file, result)) return false;
    if (opcode == kWrite && op.done > 0) {
      outcome = static_cast<double>(op.done);  // whole, or what a write that failed had done
    } else if (result == 0 && (opcode == kWrite || opcode == kSend)) {
      outcome = -EIO;
    } else if (result >= 0) {
      outcome = static_cast<double>(op.done);
    }
  }
  const Completion completion = {static_cast<double>(op.instruction.tag), outcome};
  memcpy(shared_.completions + reported_ * sizeof completion, &completion, sizeof completion);
  reported_++;
  release(op);
  return true;
}

// Counts what was moved. True when there is a rest to move.
bool Executor::proceed(Op& op, const File& file, int result) {
  op.done += static_cast<uint64_t>(result);
  if (op.instruction.opcode == kReceive || op.done >= op.total) return false;
  // On a direct device an odd end is the end of the file.
  if (file.alignmentBytes > 1 && op.done % file.alignmentBytes != 0) return false;
  size_t moved = static_cast<size_t>(result);
  while (moved > 0) {
    iovec& piece = op.pieces[op.firstPiece];
    const size_t part = std::min(moved, piece.iov_len);
    piece.iov_base = static_cast<uint8_t*>(piece.iov_base) + part;
    piece.iov_len -= part;
    moved -= part;
    if (piece.iov_len == 0) op.firstPiece++;
  }
  return true;
}

void Executor::release(Op& op) {
  const Instruction& asked = op.instruction;
  if (op.failure == 0) {
    File& file = files_[asked.file];
    file.inFlight--;
    if (op.arena != nullptr) op.arena->inFlight--;
    const bool wrote = asked.opcode == kWrite ||
                       (asked.opcode == kZeroRange && (asked.flags & kFlagExtend) != 0);
    const uint64_t end = op.offset + (asked.opcode == kWrite ? op.done : op.total);
    if (file.growable && wrote) file.sizeBytes = std::max(file.sizeBytes, end);
    if (asked.opcode == kClose) {
      file = File();
      freeFiles_.push_back(asked.file);
      openFiles_--;
    }
  }
  if (op.pieces.capacity() > kPiecesKeptMax) std::vector<iovec>().swap(op.pieces);
  freeOps_.push_back(static_cast<uint32_t>(&op - ops_.get()));
}

void Executor::quiesce() {
  if (uring_.fd() < 0) return;
  for (const uint64_t index : uring_.dropUnsubmitted()) {
    Op& op = ops_[index];
    if (op.instruction.opcode == kClose && op.failure == 0) {
      ::close(files_[op.instruction.file].fd);
    }
    release(op);
  }
  if (inFlight() > 0) uring_.cancelAll();
  while (inFlight() > 0) {
    const io_uring_cqe* entry = uring_.peek();
    if (entry == nullptr) {
      uring_.wait(10);
      continue;
    }
    release(ops_[entry->user_data]);
    uring_.advance();
  }
}

}  // namespace tdmf
