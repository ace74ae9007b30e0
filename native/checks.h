// Arguments in, errors out. Every number that comes from JavaScript passes through here before it is
// used: NaN, infinities, fractions, negatives and anything above its limit are refused. Failures of
// the system leave as an Error with `code` ("EACCES"), `errno` (negative, as libuv has it) and
// `syscall`, which is what node:fs does, so that callers treat both alike.
#pragma once
#include <napi.h>
#include <uv.h>

#include <cassert>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <string>

#ifdef NDEBUG
#error "assertions stay on: do not build with NDEBUG"
#endif

namespace tdmf {

constexpr double kSafeIntegerMax = 9007199254740991.0;  // 2^53 − 1

inline bool toUnsigned(double value, uint64_t max, uint64_t* out) {
  if (!(value >= 0) || value > kSafeIntegerMax || value != std::floor(value)) return false;
  *out = static_cast<uint64_t>(value);
  return *out <= max;
}

inline uint64_t requireUnsigned(const Napi::Value& value, const char* name,
                                uint64_t max = static_cast<uint64_t>(kSafeIntegerMax)) {
  uint64_t result = 0;
  if (!value.IsNumber() || !toUnsigned(value.As<Napi::Number>().DoubleValue(), max, &result)) {
    throw Napi::RangeError::New(value.Env(),
                                std::string(name) + " must be an integer from 0 to " +
                                    std::to_string(max));
  }
  return result;
}

inline bool requireBoolean(const Napi::Value& value, const char* name) {
  if (!value.IsBoolean()) {
    throw Napi::TypeError::New(value.Env(), std::string(name) + " must be a boolean");
  }
  return value.As<Napi::Boolean>().Value();
}

inline int requireDescriptor(const Napi::Value& value) {
  return static_cast<int>(requireUnsigned(value, "fd", INT32_MAX));
}

inline std::string requirePath(const Napi::Value& value) {
  std::string path;
  if (value.IsString()) path = value.As<Napi::String>().Utf8Value();
  if (path.empty() || path.find('\0') != std::string::npos) {
    throw Napi::TypeError::New(value.Env(), "path must be a string that is not empty");
  }
  return path;
}

struct Bytes {
  uint8_t* data;
  size_t length;
};

inline Bytes requireBytes(const Napi::Value& value, const char* name) {
  if (!value.IsTypedArray() ||
      value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    throw Napi::TypeError::New(value.Env(), std::string(name) + " must be a Uint8Array");
  }
  auto array = value.As<Napi::Uint8Array>();
  return {array.Data(), array.ByteLength()};
}

// The same over a SharedArrayBuffer only. Shared memory can neither move nor be detached, which is
// what makes it safe to keep a pointer into it while JavaScript runs.
inline Bytes requireSharedBytes(const Napi::Value& value, const char* name) {
  const Bytes bytes = requireBytes(value, name);
  napi_value buffer = nullptr;
  bool plain = true;
  napi_get_typedarray_info(value.Env(), value, nullptr, nullptr, nullptr, &buffer, nullptr);
  napi_is_arraybuffer(value.Env(), buffer, &plain);
  if (plain) {
    throw Napi::TypeError::New(value.Env(),
                               std::string(name) + " must lie in a SharedArrayBuffer");
  }
  return bytes;
}

// The range (offset, length) of `bytes`, checked against its bounds.
inline const uint8_t* requireRange(const Bytes& bytes, const Napi::Value& offset,
                                   const Napi::Value& length, size_t* lengthOut) {
  const uint64_t from = requireUnsigned(offset, "offset", bytes.length);
  *lengthOut = requireUnsigned(length, "length", bytes.length - from);
  return bytes.data + from;
}

inline Napi::Error systemError(Napi::Env env, const char* syscall, int error) {
  const char* code = uv_err_name(-error);
  auto result = Napi::Error::New(
      env, std::string(code) + ": " + uv_strerror(-error) + ", " + syscall);
  result.Set("code", Napi::String::New(env, code));
  result.Set("errno", Napi::Number::New(env, -error));
  result.Set("syscall", Napi::String::New(env, syscall));
  return result;
}

}  // namespace tdmf
