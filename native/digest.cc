#include "digest.h"

#include <array>
#include <cstring>

#include "xxh3.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tdmf {

namespace {

// CRC-32C in the reflected form: bit 31 is the coefficient of x^0.
constexpr uint32_t kPolynomial = 0x82f63b78;
constexpr uint32_t kOne = 1u << 31;

constexpr uint32_t timesX(uint32_t value) {
  return (value & 1) != 0 ? (value >> 1) ^ kPolynomial : value >> 1;
}

constexpr uint32_t multiply(uint32_t left, uint32_t right) {
  uint32_t product = 0;
  for (uint32_t bit = kOne; bit != 0; bit >>= 1) {
    if ((left & bit) != 0) product ^= right;
    right = timesX(right);
  }
  return product;
}

// x^(8n): multiplying a checksum by it is what n zero bytes do to it.
constexpr uint32_t zeroBytes(uint32_t n) {
  uint32_t result = kOne, power = kOne >> 8;
  for (; n != 0; n >>= 1) {
    if ((n & 1) != 0) result = multiply(result, power);
    power = multiply(power, power);
  }
  return result;
}

// table[k][b]: the checksum of byte b followed by k zero bytes.
using SliceTable = std::array<std::array<uint32_t, 256>, 8>;
constexpr SliceTable makeSliceTable() {
  SliceTable table = {};
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t value = byte;
    for (int bit = 0; bit < 8; bit++) value = timesX(value);
    table[0][byte] = value;
  }
  for (uint32_t byte = 0; byte < 256; byte++) {
    for (size_t k = 1; k < 8; k++) {
      table[k][byte] = (table[k - 1][byte] >> 8) ^ table[0][table[k - 1][byte] & 0xff];
    }
  }
  return table;
}
constexpr SliceTable kSlices = makeSliceTable();

uint64_t loadWord(const uint8_t* data) {
  uint64_t word;
  memcpy(&word, data, sizeof word);
  return word;
}

uint32_t crcSoftware(uint32_t crc, const uint8_t* data, size_t length) {
  for (; length >= 8; data += 8, length -= 8) {
    const uint64_t word = loadWord(data) ^ crc;
    crc = 0;
    for (size_t k = 0; k < 8; k++) crc ^= kSlices[7 - k][(word >> (8 * k)) & 0xff];
  }
  for (; length > 0; data++, length--) crc = (crc >> 8) ^ kSlices[0][(crc ^ *data) & 0xff];
  return crc;
}

#if defined(__x86_64__)
// The instruction has a latency of three and a throughput of one: three independent streams keep it
// busy. Their checksums are joined by advancing the first over the length of the next.
constexpr size_t kStreamBytes = 1024;
using ShiftTable = std::array<std::array<uint32_t, 256>, 4>;
constexpr ShiftTable makeShiftTable() {
  constexpr uint32_t factor = zeroBytes(kStreamBytes);
  ShiftTable table = {};
  for (size_t k = 0; k < 4; k++) {
    for (uint32_t byte = 0; byte < 256; byte++) table[k][byte] = multiply(byte << (8 * k), factor);
  }
  return table;
}
constexpr ShiftTable kShifts = makeShiftTable();

uint32_t shiftStream(uint32_t crc) {
  return kShifts[0][crc & 0xff] ^ kShifts[1][(crc >> 8) & 0xff] ^ kShifts[2][(crc >> 16) & 0xff] ^
         kShifts[3][crc >> 24];
}

__attribute__((target("sse4.2"))) uint32_t crcHardware(uint32_t crc, const uint8_t* data,
                                                       size_t length) {
  for (; length >= 3 * kStreamBytes; data += 3 * kStreamBytes, length -= 3 * kStreamBytes) {
    uint64_t first = crc, second = 0, third = 0;
    for (size_t at = 0; at < kStreamBytes; at += 8) {
      first = _mm_crc32_u64(first, loadWord(data + at));
      second = _mm_crc32_u64(second, loadWord(data + kStreamBytes + at));
      third = _mm_crc32_u64(third, loadWord(data + 2 * kStreamBytes + at));
    }
    crc = shiftStream(static_cast<uint32_t>(first)) ^ static_cast<uint32_t>(second);
    crc = shiftStream(crc) ^ static_cast<uint32_t>(third);
  }
  uint64_t wide = crc;
  for (; length >= 8; data += 8, length -= 8) wide = _mm_crc32_u64(wide, loadWord(data));
  crc = static_cast<uint32_t>(wide);
  for (; length > 0; data++, length--) crc = _mm_crc32_u8(crc, *data);
  return crc;
}
#endif

uint32_t crc(uint32_t seed, const uint8_t* data, size_t length) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return ~crcHardware(~seed, data, length);
#endif
  return ~crcSoftware(~seed, data, length);
}

void putBigEndian(uint8_t* out, uint64_t value) {
  for (int index = 7; index >= 0; index--, value >>= 8) out[index] = value & 0xff;
}

}  // namespace

// crc32c(memory, offset, length, seed, software): `software` asks for the portable form (tests).
Napi::Value crc32c(const Napi::CallbackInfo& info) {
  size_t length;
  const uint8_t* data = requireRange(requireBytes(info[0], "memory"), info[1], info[2], &length);
  const uint32_t seed =
      info[3].IsUndefined() ? 0 : static_cast<uint32_t>(requireUnsigned(info[3], "seed", UINT32_MAX));
  const bool software = !info[4].IsUndefined() && requireBoolean(info[4], "software");
  return Napi::Number::New(
      info.Env(), software ? ~crcSoftware(~seed, data, length) : crc(seed, data, length));
}

// xxh3(memory, offset, length, out, outOffset, seedLow, seedHigh): 16 bytes, canonical.
Napi::Value xxh3(const Napi::CallbackInfo& info) {
  size_t length;
  const uint8_t* data = requireRange(requireBytes(info[0], "memory"), info[1], info[2], &length);
  const Bytes out = requireBytes(info[3], "out");
  const uint64_t at = requireUnsigned(info[4], "outOffset", out.length);
  if (out.length - at < 16) throw Napi::RangeError::New(info.Env(), "out must have room for 16 bytes");
  const auto half = [&](size_t index, const char* name) {
    return info[index].IsUndefined() ? 0 : requireUnsigned(info[index], name, UINT32_MAX);
  };
  const uint64_t seed = half(5, "seedLow") | half(6, "seedHigh") << 32;
  const Hash128 hash = xxh3Hash128(data, length, seed);
  putBigEndian(out.data + at, hash.high);
  putBigEndian(out.data + at + 8, hash.low);
  return info.Env().Undefined();
}

// isZero(memory, offset, length): a range that equals itself moved by one byte has one value throughout.
Napi::Value isZero(const Napi::CallbackInfo& info) {
  size_t length;
  const uint8_t* data = requireRange(requireBytes(info[0], "memory"), info[1], info[2], &length);
  const bool zero = length == 0 || (data[0] == 0 && memcmp(data, data + 1, length - 1) == 0);
  return Napi::Boolean::New(info.Env(), zero);
}

}  // namespace tdmf
