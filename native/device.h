// Opening a data device: the exclusive lock on the very file description that will do the I/O
// (Rule 22), O_DIRECT, and what the kernel knows of its geometry. Opening may hang for as long as a
// dead network disk likes, so it runs on the pool. Which flags to ask for is decided by the caller.
#pragma once
#include "work.h"

namespace tdmf {

Napi::Value openDevice(const Napi::CallbackInfo& info);
Napi::Value setIoFlusher(const Napi::CallbackInfo& info);

}  // namespace tdmf
