// What JavaScript sees. Lists the exports and nothing else; README.md describes each of them.
#include "addon.h"

#include "device.h"
#include "digest.h"
#include "instruction.h"
#include "lz4.h"
#include "page.h"
#include "ring.h"

namespace tdmf {

Addon::Addon(Napi::Env env, Napi::Object exports) {
  const auto call = [&](const char* name, Napi::Value (*run)(const Napi::CallbackInfo&)) {
    exports.Set(name, Napi::Function::New(env, run, name));
  };
  exports.Set("Ring", Ring::define(env));
  exports.Set("constants", instructionConstants(env));
  call("probe", probe);

  call("openDevice", openDevice);
  call("setIoFlusher", setIoFlusher);

  call("adoptFd", adoptFd);
  call("dupFd", dupFd);
  call("closeFd", closeFd);
  call("fallocate", fallocateRange);
  call("seekExtent", seekExtent);
  call("prepareSocket", prepareSocket);
  call("shutdownSocket", shutdownSocket);

  call("mapPage", mapPage);
  call("syncPage", syncPage);
  call("unmapPage", unmapPage);
  call("addressModulo", addressModulo);

  call("crc32c", crc32c);
  call("xxh3", xxh3);
  call("isZero", isZero);
  call("lz4Compress", lz4Compress);
  call("lz4Decompress", lz4Decompress);
}

}  // namespace tdmf

using tdmf::Addon;
NODE_API_ADDON(Addon)
