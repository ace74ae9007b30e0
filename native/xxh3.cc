#include "xxh3.h"

#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tdmf {

namespace {

using u128 = unsigned __int128;

constexpr uint64_t kPrime32A = 0x9E3779B1, kPrime32B = 0x85EBCA77, kPrime32C = 0xC2B2AE3D;
constexpr uint64_t kPrime64A = 0x9E3779B185EBCA87, kPrime64B = 0xC2B2AE3D27D4EB4F,
                   kPrime64C = 0x165667B19E3779F9, kPrime64D = 0x85EBCA77C2B2AE63,
                   kPrime64E = 0x27D4EB2F165667C5;
constexpr uint64_t kMixA = 0x165667919E3779F9, kMixB = 0x9FB21C651E98DF25;

constexpr size_t kSecretBytes = 192;
constexpr size_t kStripeBytes = 64;
constexpr size_t kSecretStep = 8;
constexpr size_t kStripesPerBlock = (kSecretBytes - kStripeBytes) / kSecretStep;
constexpr size_t kBlockBytes = kStripesPerBlock * kStripeBytes;
constexpr size_t kLanes = kStripeBytes / sizeof(uint64_t);

alignas(64) constexpr uint8_t kSecret[kSecretBytes] = {
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
    0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
    0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
    0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
    0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
    0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
    0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
    0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
    0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
    0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e};

uint32_t read32(const uint8_t* data) {
  uint32_t word;
  memcpy(&word, data, sizeof word);
  return word;
}
uint64_t read64(const uint8_t* data) {
  uint64_t word;
  memcpy(&word, data, sizeof word);
  return word;
}
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are read as little endian");

uint32_t rotate32(uint32_t value, int by) { return value << by | value >> (32 - by); }

uint64_t multiplyFold(uint64_t left, uint64_t right) {
  const u128 product = static_cast<u128>(left) * right;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

uint64_t avalanche(uint64_t hash) {
  hash = (hash ^ hash >> 37) * kMixA;
  return hash ^ hash >> 32;
}
uint64_t avalanche64(uint64_t hash) {
  hash = (hash ^ hash >> 33) * kPrime64B;
  hash = (hash ^ hash >> 29) * kPrime64C;
  return hash ^ hash >> 32;
}

Hash128 hashEmpty(uint64_t seed) {
  return {avalanche64(seed ^ read64(kSecret + 64) ^ read64(kSecret + 72)),
          avalanche64(seed ^ read64(kSecret + 80) ^ read64(kSecret + 88))};
}

Hash128 hash1to3(const uint8_t* data, size_t length, uint64_t seed) {
  const uint32_t low = static_cast<uint32_t>(data[0]) << 16 |
                       static_cast<uint32_t>(data[length >> 1]) << 24 | data[length - 1] |
                       static_cast<uint32_t>(length) << 8;
  const uint32_t high = rotate32(__builtin_bswap32(low), 13);
  const uint64_t flipLow = (read32(kSecret) ^ read32(kSecret + 4)) + seed;
  const uint64_t flipHigh = (read32(kSecret + 8) ^ read32(kSecret + 12)) - seed;
  return {avalanche64(low ^ flipLow), avalanche64(high ^ flipHigh)};
}

Hash128 hash4to8(const uint8_t* data, size_t length, uint64_t seed) {
  seed ^= static_cast<uint64_t>(__builtin_bswap32(static_cast<uint32_t>(seed))) << 32;
  const uint64_t input = read32(data) + (static_cast<uint64_t>(read32(data + length - 4)) << 32);
  const uint64_t flip = (read64(kSecret + 16) ^ read64(kSecret + 24)) + seed;
  const u128 product = static_cast<u128>(input ^ flip) * (kPrime64A + (length << 2));
  uint64_t low = static_cast<uint64_t>(product), high = static_cast<uint64_t>(product >> 64);
  high += low << 1;
  low ^= high >> 3;
  low = (low ^ low >> 35) * kMixB;
  return {low ^ low >> 28, avalanche(high)};
}

Hash128 hash9to16(const uint8_t* data, size_t length, uint64_t seed) {
  const uint64_t flipLow = (read64(kSecret + 32) ^ read64(kSecret + 40)) - seed;
  const uint64_t flipHigh = (read64(kSecret + 48) ^ read64(kSecret + 56)) + seed;
  uint64_t inputHigh = read64(data + length - 8);
  const u128 product = static_cast<u128>(read64(data) ^ inputHigh ^ flipLow) * kPrime64A;
  uint64_t low = static_cast<uint64_t>(product), high = static_cast<uint64_t>(product >> 64);
  low += static_cast<uint64_t>(length - 1) << 54;
  inputHigh ^= flipHigh;
  high += inputHigh + (inputHigh & 0xffffffff) * (kPrime32B - 1);
  low ^= __builtin_bswap64(high);
  const u128 mixed = static_cast<u128>(low) * kPrime64B;
  return {avalanche(static_cast<uint64_t>(mixed)),
          avalanche(static_cast<uint64_t>(mixed >> 64) + high * kPrime64B)};
}

uint64_t mix16(const uint8_t* data, const uint8_t* secret, uint64_t seed) {
  return multiplyFold(read64(data) ^ (read64(secret) + seed),
                      read64(data + 8) ^ (read64(secret + 8) - seed));
}

void mix32(Hash128& sum, const uint8_t* one, const uint8_t* two, const uint8_t* secret,
           uint64_t seed) {
  sum.low += mix16(one, secret, seed);
  sum.low ^= read64(two) + read64(two + 8);
  sum.high += mix16(two, secret + 16, seed);
  sum.high ^= read64(one) + read64(one + 8);
}

Hash128 finishMiddle(const Hash128& sum, size_t length, uint64_t seed) {
  const uint64_t high =
      sum.low * kPrime64A + sum.high * kPrime64D + (length - seed) * kPrime64B;
  return {avalanche(sum.low + sum.high), 0 - avalanche(high)};
}

Hash128 hash17to128(const uint8_t* data, size_t length, uint64_t seed) {
  Hash128 sum = {length * kPrime64A, 0};
  for (size_t pair = (length - 1) / 32 + 1; pair-- > 0;) {
    mix32(sum, data + 16 * pair, data + length - 16 * (pair + 1), kSecret + 32 * pair, seed);
  }
  return finishMiddle(sum, length, seed);
}

Hash128 hash129to240(const uint8_t* data, size_t length, uint64_t seed) {
  constexpr size_t kStart = 3, kLast = 103;
  Hash128 sum = {length * kPrime64A, 0};
  for (size_t at = 0; at < 128; at += 32) mix32(sum, data + at, data + at + 16, kSecret + at, seed);
  sum = {avalanche(sum.low), avalanche(sum.high)};
  for (size_t at = 128; at + 32 <= length; at += 32) {
    mix32(sum, data + at, data + at + 16, kSecret + kStart + at - 128, seed);
  }
  mix32(sum, data + length - 16, data + length - 32, kSecret + kLast, 0 - seed);
  return finishMiddle(sum, length, seed);
}

using Lanes = uint64_t[kLanes];

void accumulateScalar(Lanes& lanes, const uint8_t* data, const uint8_t* secret, size_t stripes) {
  for (; stripes > 0; stripes--, data += kStripeBytes, secret += kSecretStep) {
    for (size_t lane = 0; lane < kLanes; lane++) {
      const uint64_t word = read64(data + 8 * lane);
      const uint64_t keyed = word ^ read64(secret + 8 * lane);
      lanes[lane ^ 1] += word;
      lanes[lane] += (keyed & 0xffffffff) * (keyed >> 32);
    }
  }
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) void accumulateAvx2(Lanes& lanes, const uint8_t* data,
                                                    const uint8_t* secret, size_t stripes) {
  __m256i sums[2];
  memcpy(sums, lanes, sizeof sums);
  for (; stripes > 0; stripes--, data += kStripeBytes, secret += kSecretStep) {
    for (size_t half = 0; half < 2; half++) {
      const __m256i word = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(data) + half);
      const __m256i key = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(secret) + half);
      const __m256i keyed = _mm256_xor_si256(word, key);
      const __m256i product = _mm256_mul_epu32(keyed, _mm256_srli_epi64(keyed, 32));
      const __m256i swapped = _mm256_shuffle_epi32(word, 0x4e);
      sums[half] = _mm256_add_epi64(sums[half], _mm256_add_epi64(product, swapped));
    }
  }
  memcpy(lanes, sums, sizeof sums);
}
#endif

void accumulate(Lanes& lanes, const uint8_t* data, const uint8_t* secret, size_t stripes) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return accumulateAvx2(lanes, data, secret, stripes);
#endif
  accumulateScalar(lanes, data, secret, stripes);
}

void scramble(Lanes& lanes, const uint8_t* secret) {
  for (size_t lane = 0; lane < kLanes; lane++) {
    const uint64_t value = lanes[lane];
    lanes[lane] = (value ^ value >> 47 ^ read64(secret + 8 * lane)) * kPrime32A;
  }
}

uint64_t mergeLanes(const Lanes& lanes, const uint8_t* secret, uint64_t start) {
  for (size_t pair = 0; pair < kLanes / 2; pair++) {
    start += multiplyFold(lanes[2 * pair] ^ read64(secret + 16 * pair),
                          lanes[2 * pair + 1] ^ read64(secret + 16 * pair + 8));
  }
  return avalanche(start);
}

Hash128 hashLong(const uint8_t* data, size_t length, uint64_t seed) {
  uint8_t secret[kSecretBytes];
  for (size_t at = 0; at < kSecretBytes; at += 16) {
    const uint64_t low = read64(kSecret + at) + seed, high = read64(kSecret + at + 8) - seed;
    memcpy(secret + at, &low, sizeof low);
    memcpy(secret + at + 8, &high, sizeof high);
  }
  Lanes lanes = {kPrime32C, kPrime64A, kPrime64B, kPrime64C,
                 kPrime64D, kPrime32B, kPrime64E, kPrime32A};
  const size_t blocks = (length - 1) / kBlockBytes;
  for (size_t block = 0; block < blocks; block++) {
    accumulate(lanes, data + block * kBlockBytes, secret, kStripesPerBlock);
    scramble(lanes, secret + kSecretBytes - kStripeBytes);
  }
  const size_t rest = (length - 1) - blocks * kBlockBytes;
  accumulate(lanes, data + blocks * kBlockBytes, secret, rest / kStripeBytes);
  accumulate(lanes, data + length - kStripeBytes, secret + kSecretBytes - kStripeBytes - 7, 1);
  return {mergeLanes(lanes, secret + 11, length * kPrime64A),
          mergeLanes(lanes, secret + kSecretBytes - kStripeBytes - 11, ~(length * kPrime64B))};
}

}  // namespace

Hash128 xxh3Hash128(const uint8_t* data, size_t length, uint64_t seed) {
  if (length == 0) return hashEmpty(seed);
  if (length <= 3) return hash1to3(data, length, seed);
  if (length <= 8) return hash4to8(data, length, seed);
  if (length <= 16) return hash9to16(data, length, seed);
  if (length <= 128) return hash17to128(data, length, seed);
  if (length <= 240) return hash129to240(data, length, seed);
  return hashLong(data, length, seed);
}

}  // namespace tdmf
