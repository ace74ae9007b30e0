// The state of one environment. There are no statics with state in this addon: every thread that
// loads it has its own instance, and nothing is shared between them but the kernel.
#pragma once
#include "descriptors.h"

namespace tdmf {

class Addon : public Napi::Addon<Addon> {
 public:
  Addon(Napi::Env env, Napi::Object exports);
  static Addon& of(Napi::Env env) { return *env.GetInstanceData<Addon>(); }

  Descriptors descriptors;
};

}  // namespace tdmf
