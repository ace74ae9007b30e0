// Slow system calls leave the JavaScript thread here: a Job runs on libuv's pool and settles a
// promise. A plain struct is filled on the JavaScript thread, executed off it, and converted back.
//
// A worker may be terminated while its job runs. Node waits for the job, but then no JavaScript can
// be entered any more: `settle` is skipped and `discard` undoes what the job had acquired.
#pragma once
#include "checks.h"

#include <memory>

namespace tdmf {

class Job {
 public:
  virtual ~Job() = default;
  virtual void run() = 0;                                // on the pool; no JavaScript here
  virtual napi_value result(Napi::Env env) = 0;          // on the JavaScript thread
  virtual void discard() {}                              // nobody will ever see the result

  int error = 0;  // errno, with the call that gave it
  const char* syscall = "";

 protected:
  void fail(const char* what, int code) {
    syscall = what;
    error = code;
  }
};

Napi::Value startJob(Napi::Env env, std::unique_ptr<Job> job);

}  // namespace tdmf
