// One 4096-byte page of a file as shared memory: a store survives the death of the process at once,
// and a power cut after `syncPage`. The mapping lives as long as its ArrayBuffer: it is undone when
// that is detached (`unmapPage`), collected, or when the environment ends.
#pragma once
#include "work.h"

namespace tdmf {

constexpr size_t kPageBytes = 4096;

Napi::Value mapPage(const Napi::CallbackInfo& info);
Napi::Value syncPage(const Napi::CallbackInfo& info);
Napi::Value unmapPage(const Napi::CallbackInfo& info);
Napi::Value addressModulo(const Napi::CallbackInfo& info);

}  // namespace tdmf
