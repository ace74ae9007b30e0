#include "page.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tdmf {

namespace {

void undoMapping(napi_env, void* data, void*) { munmap(data, kPageBytes); }

class MapJob : public Job {
 public:
  explicit MapJob(std::string path) : path_(std::move(path)) {}

  void run() override {
    const int fd = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return fail("open", errno);
    mapFile(fd);
    ::close(fd);  // the mapping keeps the file
  }

  napi_value result(Napi::Env env) override {
    napi_value buffer = nullptr;
    if (napi_create_external_arraybuffer(env, page_, kPageBytes, undoMapping, nullptr, &buffer) !=
        napi_ok) {
      throw Napi::Error::New(env, "the page could not be shown to JavaScript");
    }
    page_ = nullptr;
    return Napi::Uint8Array::New(env, kPageBytes, Napi::ArrayBuffer(env, buffer), 0);
  }

  void discard() override {
    if (page_ != nullptr) munmap(page_, kPageBytes);
    page_ = nullptr;
  }

 private:
  void mapFile(int fd) {
    struct stat facts;
    if (fstat(fd, &facts) != 0) return fail("fstat", errno);
    if (!S_ISREG(facts.st_mode)) return fail("open", EINVAL);
    if (facts.st_size < static_cast<off_t>(kPageBytes) && ftruncate(fd, kPageBytes) != 0) {
      return fail("ftruncate", errno);
    }
    // Space is allocated now: a store into a page without a block behind it is a SIGBUS on a full disk.
    if (const int full = posix_fallocate(fd, 0, kPageBytes)) return fail("fallocate", full);
    if (fsync(fd) != 0) return fail("fsync", errno);
    void* page = mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) return fail("mmap", errno);
    page_ = page;
  }

  const std::string path_;
  void* page_ = nullptr;
};

// Holds the array while the pool works on its memory.
class SyncJob : public Job {
 public:
  SyncJob(Napi::Object array, uint8_t* page) : array_(Napi::Persistent(array)), page_(page) {}
  void run() override {
    if (msync(page_, kPageBytes, MS_SYNC) != 0) fail("msync", errno);
  }
  napi_value result(Napi::Env env) override { return env.Undefined(); }

 private:
  Napi::ObjectReference array_;
  uint8_t* page_;
};

Bytes requirePage(const Napi::Value& value) {
  const Bytes bytes = requireBytes(value, "page");
  if (bytes.length != kPageBytes || reinterpret_cast<uintptr_t>(bytes.data) % kPageBytes != 0) {
    throw Napi::RangeError::New(value.Env(), "not a page that mapPage gave");
  }
  return bytes;
}

}  // namespace

// mapPage(path): makes the file, zeroed, when it is missing.
Napi::Value mapPage(const Napi::CallbackInfo& info) {
  return startJob(info.Env(), std::make_unique<MapJob>(requirePath(info[0])));
}

Napi::Value syncPage(const Napi::CallbackInfo& info) {
  const Bytes page = requirePage(info[0]);
  return startJob(info.Env(),
                  std::make_unique<SyncJob>(info[0].As<Napi::Object>(), page.data));
}

// unmapPage(page): the array is empty afterwards. The caller has awaited its syncs.
Napi::Value unmapPage(const Napi::CallbackInfo& info) {
  requirePage(info[0]);
  auto buffer = info[0].As<Napi::Uint8Array>().ArrayBuffer();
  if (!buffer.IsArrayBuffer()) {
    throw Napi::RangeError::New(info.Env(), "not a page that mapPage gave");
  }
  buffer.Detach();
  return info.Env().Undefined();
}

// addressModulo(bytes, modulo): where the memory lies; with 2^48 the whole address, to tell whether two
// views show the same memory.
Napi::Value addressModulo(const Napi::CallbackInfo& info) {
  const Bytes bytes = requireBytes(info[0], "bytes");
  const uint64_t modulo = requireUnsigned(info[1], "modulo", 1ull << 48);
  if (modulo == 0) throw Napi::RangeError::New(info.Env(), "modulo must not be 0");
  return Napi::Number::New(info.Env(),
                           static_cast<double>(reinterpret_cast<uintptr_t>(bytes.data) % modulo));
}

}  // namespace tdmf
