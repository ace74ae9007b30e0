#include "device.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "addon.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

namespace tdmf {

namespace {

constexpr unsigned kSectorBytes = 512;
constexpr unsigned kAlignmentUnknownBytes = 4096;
constexpr unsigned kLockRetryMs = 5;

struct OpenRequest {
  std::string path;
  bool write, directOnBlock, directOnFile, create;
  uint64_t createBytes, lockWaitMs;
};

// What direct I/O on this file must be aligned to: the file system says so since Linux 6.1.
unsigned directAlignment(int fd) {
#ifdef STATX_DIOALIGN
  struct statx facts = {};
  if (::syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &facts) == 0 &&
      (facts.stx_mask & STATX_DIOALIGN) != 0) {
    const unsigned needed = std::max(facts.stx_dio_mem_align, facts.stx_dio_offset_align);
    return std::max(needed, kSectorBytes);
  }
#endif
  return kAlignmentUnknownBytes;
}

class OpenJob : public Job {
 public:
  explicit OpenJob(OpenRequest request) : request_(std::move(request)) {}

  void run() override {
    if (!openPath() || !lock() || !measure() || !goDirect()) discard();
  }

  napi_value result(Napi::Env env) override {
    auto facts = Napi::Object::New(env);
    facts.Set("fd", Napi::Number::New(env, fd_));
    facts.Set("sizeBytes", Napi::Number::New(env, static_cast<double>(sizeBytes_)));
    facts.Set("logicalBlockBytes", Napi::Number::New(env, logicalBlockBytes_));
    facts.Set("alignmentBytes", Napi::Number::New(env, direct_ ? alignmentBytes_ : 1));
    facts.Set("direct", Napi::Boolean::New(env, direct_));
    facts.Set("block", Napi::Boolean::New(env, block_));
    Addon::of(env).descriptors.add(fd_);
    fd_ = -1;  // the environment closes it from now on
    return facts;
  }

  void discard() override {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  bool refuse(const char* what, int code) {
    fail(what, code);
    return false;
  }

  // O_EXCL without O_CREAT claims a block device for this file description alone; on a regular file
  // it has no meaning, so the kind is looked up first. O_NONBLOCK keeps a FIFO from hanging us.
  bool openPath() {
    const int flags = (request_.write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    for (int attempt = 0; attempt < 2; attempt++) {
      struct stat facts;
      const bool exists = ::stat(request_.path.c_str(), &facts) == 0;
      if (!exists && (errno != ENOENT || !request_.create)) return refuse("open", errno);
      if (exists && !S_ISBLK(facts.st_mode) && !S_ISREG(facts.st_mode)) {
        return refuse("open", S_ISDIR(facts.st_mode) ? EISDIR : ENOTBLK);
      }
      const bool claim = exists && S_ISBLK(facts.st_mode) && request_.write;
      const int extra = !exists ? O_CREAT | O_EXCL : claim ? O_EXCL : 0;
      fd_ = retryBusy([&] { return ::open(request_.path.c_str(), flags | extra, 0600); }, EBUSY);
      if (fd_ >= 0) return true;
      // Somebody made or removed the file in between: look once more.
      if (!(errno == EEXIST && !exists) && !(errno == ENOENT && exists)) break;
    }
    return refuse("open", errno);
  }

  bool lock() {
    struct stat facts;
    if (fstat(fd_, &facts) != 0) return refuse("fstat", errno);
    block_ = S_ISBLK(facts.st_mode);
    if (!block_ && !S_ISREG(facts.st_mode)) return refuse("open", ENOTBLK);
    if (block_) return true;
    const int kind = (request_.write ? LOCK_EX : LOCK_SH) | LOCK_NB;
    if (retryBusy([&] { return ::flock(fd_, kind); }, EWOULDBLOCK) != 0) {
      return refuse("flock", errno);
    }
    // A file that we, or a creator that died, have just made is empty. Under the lock it gets its size.
    if (request_.create && request_.createBytes > 0) {
      if (fstat(fd_, &facts) != 0) return refuse("fstat", errno);
      if (facts.st_size == 0) return giveSize();
    }
    return true;
  }

  bool giveSize() {
    if (ftruncate(fd_, request_.createBytes) != 0) return refuse("ftruncate", errno);
    if (fsync(fd_) != 0) return refuse("fsync", errno);
    return true;
  }

  bool measure() {
    logicalBlockBytes_ = kSectorBytes;
    if (!block_) {
      struct stat facts;
      if (fstat(fd_, &facts) != 0) return refuse("fstat", errno);
      sizeBytes_ = facts.st_size;
      return true;
    }
    int logical = 0;
    if (ioctl(fd_, BLKGETSIZE64, &sizeBytes_) != 0) return refuse("ioctl BLKGETSIZE64", errno);
    if (ioctl(fd_, BLKSSZGET, &logical) != 0) return refuse("ioctl BLKSSZGET", errno);
    logicalBlockBytes_ = static_cast<unsigned>(logical);
    return true;
  }

  // Sets O_DIRECT where it is wanted and drops O_NONBLOCK, which was for the open alone.
  bool goDirect() {
    direct_ = block_ ? request_.directOnBlock : request_.directOnFile;
    const int flags = fcntl(fd_, F_GETFL);
    if (flags < 0) return refuse("fcntl", errno);
    const int wanted = (flags & ~O_NONBLOCK) | (direct_ ? O_DIRECT : 0);
    if (fcntl(fd_, F_SETFL, wanted) != 0) return refuse("fcntl O_DIRECT", errno);
    alignmentBytes_ = block_ ? logicalBlockBytes_ : directAlignment(fd_);
    return true;
  }

  // The last reference of a lock may outlive its owner by milliseconds: the kernel finishes the I/O
  // of a dead process or a closed ring on its own time. So a busy answer is believed only when it
  // lasts.
  template <class Call>
  int retryBusy(Call call, int busy) {
    for (uint64_t waited = 0;; waited += kLockRetryMs) {
      const int outcome = call();
      if (outcome >= 0) return outcome;
      if (errno == EINTR) continue;
      if (errno != busy || waited >= request_.lockWaitMs) return outcome;
      const timespec pause = {0, kLockRetryMs * 1000000L};
      nanosleep(&pause, nullptr);
    }
  }

  const OpenRequest request_;
  int fd_ = -1;
  uint64_t sizeBytes_ = 0;
  unsigned logicalBlockBytes_ = 0, alignmentBytes_ = 1;
  bool block_ = false, direct_ = false;
};

}  // namespace

// openDevice(path, write, directOnBlock, directOnFile, create, createBytes, lockWaitMs)
Napi::Value openDevice(const Napi::CallbackInfo& info) {
  OpenRequest request;
  request.path = requirePath(info[0]);
  request.write = requireBoolean(info[1], "write");
  request.directOnBlock = requireBoolean(info[2], "directOnBlock");
  request.directOnFile = requireBoolean(info[3], "directOnFile");
  request.create = requireBoolean(info[4], "create");
  request.createBytes = requireUnsigned(info[5], "createBytes");
  request.lockWaitMs = requireUnsigned(info[6], "lockWaitMs", 60000);
  return startJob(info.Env(), std::make_unique<OpenJob>(std::move(request)));
}

// setIoFlusher(): 0, or the errno with which the kernel refuses (Rule 52; needs CAP_SYS_RESOURCE).
Napi::Value setIoFlusher(const Napi::CallbackInfo& info) {
  const int outcome = prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
  return Napi::Number::New(info.Env(), outcome == 0 ? 0 : errno);
}

}  // namespace tdmf
