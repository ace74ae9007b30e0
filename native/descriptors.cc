#include "descriptors.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "addon.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

namespace tdmf {

namespace {

class CloseJob : public Job {
 public:
  explicit CloseJob(int fd) : fd_(fd) {}
  void run() override {
    // Linux has released the descriptor whatever close returns; EINTR is not a failure.
    if (::close(fd_) != 0 && errno != EINTR) fail("close", errno);
  }
  napi_value result(Napi::Env env) override { return env.Undefined(); }

 private:
  int fd_;
};

class FallocateJob : public Job {
 public:
  FallocateJob(int fd, int mode, off_t offset, off_t length)
      : fd_(fd), mode_(mode), offset_(offset), length_(length) {}
  void run() override {
    int outcome;
    do {
      outcome = ::fallocate(fd_, mode_, offset_, length_);
    } while (outcome != 0 && errno == EINTR);
    if (outcome != 0) fail("fallocate", errno);
  }
  napi_value result(Napi::Env env) override { return env.Undefined(); }

 private:
  int fd_, mode_;
  off_t offset_, length_;
};

// File systems known to report a hole only where a read gives zeroes (Rule 35).
bool fileSystemTellsTruth(int fd) {
  struct statfs facts;
  if (fstatfs(fd, &facts) != 0) return false;
  switch (static_cast<uint32_t>(facts.f_type)) {
    case EXT4_SUPER_MAGIC:
    case XFS_SUPER_MAGIC:
    case BTRFS_SUPER_MAGIC:
    case TMPFS_MAGIC:
      return true;
    default:
      return false;
  }
}

class SeekJob : public Job {
 public:
  SeekJob(int fd, off_t offset, off_t end) : fd_(fd), offset_(offset), end_(end) {}
  void run() override {
    next_ = end_;
    struct stat facts;
    if (fstat(fd_, &facts) != 0) return fail("fstat", errno);
    if (!S_ISREG(facts.st_mode) || !fileSystemTellsTruth(fd_)) return;
    // Rule 35: what was written but is not allocated yet must not be taken for a hole.
    if (fdatasync(fd_) != 0) return fail("fdatasync", errno);
    const off_t data = lseek(fd_, offset_, SEEK_DATA);
    if (data < 0 && errno != ENXIO) return fail("lseek", errno);
    if (data < 0 || data > offset_) {
      hole_ = true;
      if (data >= 0 && data < end_) next_ = data;
      return;
    }
    const off_t hole = lseek(fd_, offset_, SEEK_HOLE);
    if (hole < 0) return fail("lseek", errno);
    if (hole < end_) next_ = hole;
  }
  napi_value result(Napi::Env env) override {
    const double length = static_cast<double>(next_ - offset_);
    return Napi::Number::New(env, hole_ ? -length : length);
  }

 private:
  int fd_;
  off_t offset_, end_, next_ = 0;
  bool hole_ = false;
};

}  // namespace

Descriptors::~Descriptors() {
  for (const int fd : open_) ::close(fd);
}

// adoptFd(fd): from now on this environment owns the descriptor.
Napi::Value adoptFd(const Napi::CallbackInfo& info) {
  const int fd = requireDescriptor(info[0]);
  if (fcntl(fd, F_GETFD) < 0) throw systemError(info.Env(), "fcntl", errno);
  Addon::of(info.Env()).descriptors.add(fd);
  return info.Env().Undefined();
}

// dupFd(fd): another descriptor of the same open file description, owned by nobody yet.
Napi::Value dupFd(const Napi::CallbackInfo& info) {
  const int copy = fcntl(requireDescriptor(info[0]), F_DUPFD_CLOEXEC, 0);
  if (copy < 0) throw systemError(info.Env(), "fcntl", errno);
  return Napi::Number::New(info.Env(), copy);
}

// closeFd(fd): closes a descriptor that this environment owns.
Napi::Value closeFd(const Napi::CallbackInfo& info) {
  const int fd = requireDescriptor(info[0]);
  if (!Addon::of(info.Env()).descriptors.forget(fd)) {
    throw systemError(info.Env(), "close", EBADF);
  }
  return startJob(info.Env(), std::make_unique<CloseJob>(fd));
}

// prepareSocket(fd): clears O_NONBLOCK, which io_uring would honour with EAGAIN instead of waiting.
Napi::Value prepareSocket(const Napi::CallbackInfo& info) {
  const int fd = requireDescriptor(info[0]);
  struct stat facts;
  if (fstat(fd, &facts) != 0) throw systemError(info.Env(), "fstat", errno);
  if (!S_ISSOCK(facts.st_mode)) throw systemError(info.Env(), "fstat", ENOTSOCK);
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0) {
    throw systemError(info.Env(), "fcntl", errno);
  }
  return info.Env().Undefined();
}

// shutdownSocket(fd): ends both directions; operations that wait on the socket come back.
Napi::Value shutdownSocket(const Napi::CallbackInfo& info) {
  if (::shutdown(requireDescriptor(info[0]), SHUT_RDWR) != 0 && errno != ENOTCONN) {
    throw systemError(info.Env(), "shutdown", errno);
  }
  return info.Env().Undefined();
}

// fallocate(fd, punch, extend, offset, length): punches a hole, or zeroes the range.
Napi::Value fallocateRange(const Napi::CallbackInfo& info) {
  const int fd = requireDescriptor(info[0]);
  const bool punch = requireBoolean(info[1], "punch");
  const bool extend = requireBoolean(info[2], "extend");
  const uint64_t offset = requireUnsigned(info[3], "offset");
  const uint64_t length = requireUnsigned(info[4], "length");
  if (punch && extend) throw Napi::TypeError::New(info.Env(), "a hole cannot extend a file");
  const int mode = (punch ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE) |
                   (extend ? 0 : FALLOC_FL_KEEP_SIZE);
  return startJob(info.Env(), std::make_unique<FallocateJob>(fd, mode, offset, length));
}

// seekExtent(fd, offset, end): how far the extent at `offset` reaches, negative when it is a hole.
Napi::Value seekExtent(const Napi::CallbackInfo& info) {
  const int fd = requireDescriptor(info[0]);
  const uint64_t offset = requireUnsigned(info[1], "offset");
  const uint64_t end = requireUnsigned(info[2], "end");
  if (offset >= end) throw Napi::RangeError::New(info.Env(), "offset must lie before end");
  return startJob(info.Env(), std::make_unique<SeekJob>(fd, offset, end));
}

}  // namespace tdmf
