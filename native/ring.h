// The ring as JavaScript sees it, and its life: one libuv poll on the io_uring's descriptor calls one
// JavaScript function per wake-up; the poll keeps the loop alive only while the ring has open files or
// operations in flight.
//
// The end (H22), whether asked for or because the worker is terminated: stop the poll, take back what
// was not submitted, cancel, wait for the rest, close the poll, and only then unmap and close. The
// arenas are referenced until after that, because the kernel writes into them until then.
#pragma once
#include <uv.h>

#include "executor.h"

namespace tdmf {

class RingCore;

class Ring : public Napi::ObjectWrap<Ring> {
 public:
  static Napi::Function define(Napi::Env env);
  // new Ring(records, pieces, completions, wake)
  explicit Ring(const Napi::CallbackInfo& info);
  ~Ring() override;

 private:
  friend class RingCore;

  Napi::Value addDevice(const Napi::CallbackInfo& info);
  Napi::Value addSocket(const Napi::CallbackInfo& info);
  Napi::Value fileSize(const Napi::CallbackInfo& info);
  Napi::Value setArena(const Napi::CallbackInfo& info);
  Napi::Value clearArena(const Napi::CallbackInfo& info);
  Napi::Value submit(const Napi::CallbackInfo& info);
  Napi::Value reap(const Napi::CallbackInfo& info);
  Napi::Value limitWorkers(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  RingCore& core(Napi::Env env) const;
  Napi::Value add(Napi::Env env, const File& file);

  RingCore* core_ = nullptr;
  Napi::FunctionReference wake_;
  std::vector<Napi::ObjectReference> memory_;  // records, pieces, completions
  std::vector<Napi::ObjectReference> arenas_;
};

// probe(): 0, or the errno with which the kernel refuses an io_uring here.
Napi::Value probe(const Napi::CallbackInfo& info);

}  // namespace tdmf
