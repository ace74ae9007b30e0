// The kernel's side of io_uring: its descriptor, its two queues mapped into memory, and the three
// system calls. Raw calls, no liburing. Knows nothing of files, arenas or JavaScript.
//
// COOP_TASKRUN: the kernel does not interrupt JavaScript to finish an operation; it waits for the
// thread's next system call, or wakes it from its poll. (DEFER_TASKRUN was measured too: its rings do
// not wake a poll on their descriptor, and the eventfd it needs instead costs a read per wake-up.)
#pragma once
#include <linux/io_uring.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tdmf {

class Uring {
 public:
  // 0, or the errno with which the kernel refuses.
  int open(unsigned sqEntries, unsigned cqEntries);
  void close();
  int fd() const { return fd_; }

  // A zeroed entry, or nullptr when the submission queue is full.
  io_uring_sqe* nextEntry();
  // Entries written and not yet taken by the kernel.
  unsigned unsubmitted() const { return sqTail_ - sqHead(); }
  // Takes them back; returns their user data.
  std::vector<uint64_t> dropUnsubmitted();
  // Submits everything written and runs what the kernel has deferred. 0, or −errno.
  int enter();
  // Waits up to `milliseconds` for a completion.
  void wait(unsigned milliseconds);

  // The oldest completion, or nullptr. `advance` gives its place back.
  const io_uring_cqe* peek() const;
  void advance();
  // The kernel has completions that only `enter` brings in.
  bool workDeferred() const;

  // Asks for the end of everything in flight. 0, or errno.
  int cancelAll();
  int limitWorkers(unsigned bounded, unsigned unbounded);

 private:
  unsigned sqHead() const { return __atomic_load_n(sqHeadWord_, __ATOMIC_ACQUIRE); }
  int call(unsigned submit, unsigned waitFor, unsigned flags, void* argument, size_t size);

  int fd_ = -1;
  int enterFd_ = -1;
  unsigned enterFlags_ = 0;
  uint8_t* queues_ = nullptr;
  size_t queuesBytes_ = 0;
  io_uring_sqe* entries_ = nullptr;
  size_t entriesBytes_ = 0;
  unsigned *sqHeadWord_ = nullptr, *sqTailWord_ = nullptr, *sqFlagsWord_ = nullptr;
  unsigned *cqHeadWord_ = nullptr, *cqTailWord_ = nullptr;
  io_uring_cqe* completions_ = nullptr;
  unsigned sqMask_ = 0, cqMask_ = 0, sqEntries_ = 0, sqTail_ = 0, cqHead_ = 0;
};

}  // namespace tdmf
