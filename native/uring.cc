#include "uring.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace tdmf {

namespace {

// SUBMIT_ALL: an entry that fails at once does not hold up those behind it.
constexpr unsigned kSetupFlags = IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL |
                                 IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN |
                                 IORING_SETUP_TASKRUN_FLAG;
constexpr unsigned kFeaturesNeeded =
    IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG;

int registerCall(int fd, unsigned opcode, void* argument, unsigned count) {
  return static_cast<int>(::syscall(__NR_io_uring_register, fd, opcode, argument, count));
}

}  // namespace

int Uring::open(unsigned sqEntries, unsigned cqEntries) {
  io_uring_params params = {};
  params.flags = kSetupFlags;
  params.cq_entries = cqEntries;
  fd_ = static_cast<int>(::syscall(__NR_io_uring_setup, sqEntries, &params));
  if (fd_ < 0) return errno;
  if ((params.features & kFeaturesNeeded) != kFeaturesNeeded) {
    close();
    return EOPNOTSUPP;
  }

  queuesBytes_ = std::max(params.sq_off.array + params.sq_entries * sizeof(unsigned),
                          params.cq_off.cqes + params.cq_entries * sizeof(io_uring_cqe));
  entriesBytes_ = params.sq_entries * sizeof(io_uring_sqe);
  const auto map = [&](size_t bytes, off_t at) {
    return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_, at);
  };
  void* queues = map(queuesBytes_, IORING_OFF_SQ_RING);
  void* entries = map(entriesBytes_, IORING_OFF_SQES);
  if (queues != MAP_FAILED) queues_ = static_cast<uint8_t*>(queues);
  if (entries != MAP_FAILED) entries_ = static_cast<io_uring_sqe*>(entries);
  if (queues_ == nullptr || entries_ == nullptr) {
    const int error = errno;
    close();
    return error;
  }

  const auto word = [&](unsigned at) { return reinterpret_cast<unsigned*>(queues_ + at); };
  sqHeadWord_ = word(params.sq_off.head);
  sqTailWord_ = word(params.sq_off.tail);
  sqFlagsWord_ = word(params.sq_off.flags);
  cqHeadWord_ = word(params.cq_off.head);
  cqTailWord_ = word(params.cq_off.tail);
  completions_ = reinterpret_cast<io_uring_cqe*>(queues_ + params.cq_off.cqes);
  sqMask_ = *word(params.sq_off.ring_mask);
  cqMask_ = *word(params.cq_off.ring_mask);
  sqEntries_ = params.sq_entries;
  // Entry i of the queue is always entry i of the array: the indirection is not needed.
  unsigned* array = word(params.sq_off.array);
  for (unsigned index = 0; index < sqEntries_; index++) array[index] = index;

  // Saves the lookup of the descriptor in every enter. Where the kernel has no room for it the plain
  // descriptor does the same.
  io_uring_rsrc_update update = {};
  update.offset = -1u;
  update.data = static_cast<uint64_t>(fd_);
  const bool registered = registerCall(fd_, IORING_REGISTER_RING_FDS, &update, 1) == 1;
  enterFd_ = registered ? static_cast<int>(update.offset) : fd_;
  enterFlags_ = registered ? IORING_ENTER_REGISTERED_RING : 0;
  return 0;
}

void Uring::close() {
  if (enterFlags_ != 0) {
    io_uring_rsrc_update update = {};
    update.offset = static_cast<unsigned>(enterFd_);
    registerCall(fd_, IORING_UNREGISTER_RING_FDS, &update, 1);
    enterFlags_ = 0;
  }
  if (queues_ != nullptr) munmap(queues_, queuesBytes_);
  if (entries_ != nullptr) munmap(entries_, entriesBytes_);
  if (fd_ >= 0) ::close(fd_);
  queues_ = nullptr;
  entries_ = nullptr;
  fd_ = -1;
}

io_uring_sqe* Uring::nextEntry() {
  if (unsubmitted() == sqEntries_) return nullptr;
  io_uring_sqe* entry = &entries_[sqTail_++ & sqMask_];
  memset(entry, 0, sizeof *entry);
  return entry;
}

std::vector<uint64_t> Uring::dropUnsubmitted() {
  std::vector<uint64_t> dropped;
  for (unsigned at = sqHead(); at != sqTail_; at++) {
    dropped.push_back(entries_[at & sqMask_].user_data);
  }
  sqTail_ = sqHead();
  __atomic_store_n(sqTailWord_, sqTail_, __ATOMIC_RELEASE);
  return dropped;
}

int Uring::enter() {
  __atomic_store_n(sqTailWord_, sqTail_, __ATOMIC_RELEASE);
  for (;;) {
    const int outcome = call(unsubmitted(), 0, IORING_ENTER_GETEVENTS, nullptr, 0);
    if (outcome < 0 && outcome != -EINTR) return outcome;
    if (outcome >= 0 && unsubmitted() == 0) return 0;
    if (outcome == 0) return -EAGAIN;  // took nothing and says no more
  }
}

void Uring::wait(unsigned milliseconds) {
  __kernel_timespec timeout = {milliseconds / 1000, (milliseconds % 1000) * 1000000L};
  io_uring_getevents_arg argument = {};
  argument.ts = reinterpret_cast<uint64_t>(&timeout);
  call(0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument, sizeof argument);
}

const io_uring_cqe* Uring::peek() const {
  if (cqHead_ == __atomic_load_n(cqTailWord_, __ATOMIC_ACQUIRE)) return nullptr;
  return &completions_[cqHead_ & cqMask_];
}

void Uring::advance() { __atomic_store_n(cqHeadWord_, ++cqHead_, __ATOMIC_RELEASE); }

bool Uring::workDeferred() const {
  return (__atomic_load_n(sqFlagsWord_, __ATOMIC_RELAXED) &
          (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

int Uring::cancelAll() {
  io_uring_sync_cancel_reg request = {};
  request.fd = -1;
  request.flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
  request.timeout.tv_sec = 1;  // the caller waits on for what takes longer
  const int outcome = registerCall(fd_, IORING_REGISTER_SYNC_CANCEL, &request, 1);
  return outcome < 0 ? errno : 0;
}

int Uring::limitWorkers(unsigned bounded, unsigned unbounded) {
  unsigned limits[2] = {bounded, unbounded};
  return registerCall(fd_, IORING_REGISTER_IOWQ_MAX_WORKERS, limits, 2) < 0 ? errno : 0;
}

int Uring::call(unsigned submit, unsigned waitFor, unsigned flags, void* argument, size_t size) {
  const long outcome = ::syscall(__NR_io_uring_enter, enterFd_, submit, waitFor,
                                 flags | enterFlags_, argument, size);
  return outcome < 0 ? -errno : static_cast<int>(outcome);
}

}  // namespace tdmf
