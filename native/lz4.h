// The LZ4 block format over bounds-checked ranges of memory, on the calling thread. Nothing that is
// read decides where is written without a check: any input gives an answer, never a stray byte.
#pragma once
#include "checks.h"

namespace tdmf {

Napi::Value lz4Compress(const Napi::CallbackInfo& info);
Napi::Value lz4Decompress(const Napi::CallbackInfo& info);

}  // namespace tdmf
