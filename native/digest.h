// Checksums over a bounds-checked range of memory, on the calling thread: CRC-32C, XXH3-128, and
// whether a range is all zeroes. Pure functions of the bytes.
#pragma once
#include "checks.h"

namespace tdmf {

Napi::Value crc32c(const Napi::CallbackInfo& info);
Napi::Value xxh3(const Napi::CallbackInfo& info);
Napi::Value isZero(const Napi::CallbackInfo& info);

}  // namespace tdmf
