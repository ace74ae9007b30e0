// The file descriptors that this environment (main thread or worker) owns: opened or adopted through
// the addon and not yet closed. What is left when the environment ends is closed then, after its
// rings are quiet (H22), so that a terminated worker leaks nothing and its locks are released.
//
// Also the small calls on a bare descriptor: duplicate, prepare a socket, shut it down, fallocate,
// look for holes.
#pragma once
#include "work.h"

#include <set>

namespace tdmf {

class Descriptors {
 public:
  ~Descriptors();
  void add(int fd) { open_.insert(fd); }
  bool owns(int fd) const { return open_.count(fd) != 0; }
  bool forget(int fd) { return open_.erase(fd) != 0; }

 private:
  std::set<int> open_;
};

Napi::Value adoptFd(const Napi::CallbackInfo& info);
Napi::Value dupFd(const Napi::CallbackInfo& info);
Napi::Value closeFd(const Napi::CallbackInfo& info);
Napi::Value prepareSocket(const Napi::CallbackInfo& info);
Napi::Value shutdownSocket(const Napi::CallbackInfo& info);
Napi::Value fallocateRange(const Napi::CallbackInfo& info);
Napi::Value seekExtent(const Napi::CallbackInfo& info);

}  // namespace tdmf
