// XXH3 with 128 bits of result, written from the published specification of the algorithm
// (xxhash.com, doc/xxhash_spec.md). Not a cryptographic hash; a seed makes collisions that were
// crafted for another seed useless (Rule 17).
#pragma once
#include <cstddef>
#include <cstdint>

namespace tdmf {

struct Hash128 {
  uint64_t low, high;
};

Hash128 xxh3Hash128(const uint8_t* data, size_t length, uint64_t seed);

}  // namespace tdmf
