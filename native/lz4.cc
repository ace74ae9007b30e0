// LZ4 blocks: pieces of (token, literals, offset, match), after the published description of the
// format. The compressor is greedy with one table of recent positions; the decompressor checks every
// length against what is left on both sides before it moves a byte, and reads each of them once.
//
//   token │ more literal length │ literals │ offset (2) │ more match length     the last: literals only
//
// src/core/wire/lz4.ts is the same in TypeScript; each is tested against the other.
#include "lz4.h"

#include <algorithm>
#include <cstring>

namespace tdmf {
namespace {

constexpr size_t kMatchMin = 4;
constexpr size_t kDistanceMax = 65535;
// The format wants the last five bytes as literals, and no match to begin in the last twelve.
constexpr size_t kTailLiterals = 5;
constexpr size_t kTailNoMatch = 12;
constexpr unsigned kTableBits = 14;

uint32_t load32(const uint8_t* at) {
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

uint64_t load64(const uint8_t* at) {
  uint64_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

uint32_t slotOf(uint32_t value) { return value * 2654435761u >> (32 - kTableBits); }

size_t lengthBytes(size_t length) { return length < 15 ? 0 : (length - 15) / 255 + 1; }

uint8_t* putLength(uint8_t* out, size_t length) {
  if (length < 15) return out;
  for (length -= 15; length >= 255; length -= 255) *out++ = 255;
  *out++ = static_cast<uint8_t>(length);
  return out;
}

// Bytes that are equal at `a` and `b`, before `end` of b's side.
size_t equalBytes(const uint8_t* a, const uint8_t* b, const uint8_t* end) {
  const uint8_t* start = b;
  while (end - b >= 8) {
    const uint64_t difference = load64(a) ^ load64(b);
    if (difference != 0) return b - start + (__builtin_ctzll(difference) >> 3);
    a += 8;
    b += 8;
  }
  while (b < end && *a == *b) a++, b++;
  return b - start;
}

// Literals and, unless it is the last piece, a match. Null: no room.
uint8_t* putPiece(uint8_t* out, const uint8_t* outEnd, const uint8_t* literals, size_t count,
                  size_t distance, size_t match) {
  const size_t more = match == 0 ? 0 : 2 + lengthBytes(match - kMatchMin);
  const size_t needed = 1 + lengthBytes(count) + count + more;
  if (needed > static_cast<size_t>(outEnd - out)) return nullptr;
  const size_t matchNibble = match == 0 ? 0 : std::min<size_t>(match - kMatchMin, 15);
  *out++ = static_cast<uint8_t>(std::min<size_t>(count, 15) << 4 | matchNibble);
  out = putLength(out, count);
  if (count > 0) memcpy(out, literals, count);
  out += count;
  if (match == 0) return out;
  *out++ = distance & 0xff;
  *out++ = distance >> 8;
  return putLength(out, match - kMatchMin);
}

size_t compress(const uint8_t* in, size_t length, uint8_t* out, size_t room) {
  thread_local uint32_t table[1u << kTableBits];
  uint8_t* const start = out;
  const uint8_t* const outEnd = out + room;
  size_t anchor = 0;
  if (length > kTailNoMatch) {
    memset(table, 0, sizeof table);
    const size_t lastMatch = length - kTailNoMatch;
    const uint8_t* const matchEnd = in + length - kTailLiterals;
    size_t at = 1;
    // The longer nothing repeats, the larger the steps.
    for (size_t misses = 64; at <= lastMatch;) {
      const uint32_t value = load32(in + at);
      const uint32_t slot = slotOf(value);
      size_t from = table[slot];
      table[slot] = static_cast<uint32_t>(at);
      if (at - from > kDistanceMax || load32(in + from) != value) {
        at += misses++ >> 6;
        continue;
      }
      misses = 64;
      while (at > anchor && from > 0 && in[at - 1] == in[from - 1]) at--, from--;
      const size_t match =
          kMatchMin + equalBytes(in + from + kMatchMin, in + at + kMatchMin, matchEnd);
      out = putPiece(out, outEnd, in + anchor, at - anchor, at - from, match);
      if (out == nullptr) return 0;
      at += match;
      anchor = at;
      if (at <= lastMatch) table[slotOf(load32(in + at - 2))] = static_cast<uint32_t>(at - 2);
    }
  }
  out = putPiece(out, outEnd, in + anchor, length - anchor, 0, 0);
  return out == nullptr ? 0 : out - start;
}

// A length that goes on behind its nibble, at most `max`; false: the input ends, or it is larger.
bool takeLength(const uint8_t** in, const uint8_t* inEnd, size_t max, size_t* length) {
  if (*length < 15) return *length <= max;
  for (;;) {
    if (*in == inEnd) return false;
    const uint8_t more = *(*in)++;
    *length += more;
    if (*length > max) return false;
    if (more != 255) return true;
  }
}

bool decompress(const uint8_t* in, size_t length, uint8_t* out, size_t rawLength) {
  const uint8_t* const inEnd = in + length;
  size_t done = 0;
  while (in < inEnd) {
    const uint8_t token = *in++;
    size_t count = token >> 4;
    if (!takeLength(&in, inEnd, rawLength - done, &count)) return false;
    if (count > static_cast<size_t>(inEnd - in)) return false;
    if (count > 0) memcpy(out + done, in, count);
    in += count;
    done += count;
    if (in == inEnd) return done == rawLength;
    if (inEnd - in < 2) return false;
    size_t distance = in[0] | in[1] << 8;
    in += 2;
    if (distance == 0 || distance > done) return false;
    size_t match = token & 15;
    if (rawLength - done < kMatchMin) return false;
    if (!takeLength(&in, inEnd, rawLength - done - kMatchMin, &match)) return false;
    match += kMatchMin;
    // A match may overlap what it makes: then it repeats, and each round doubles what is there.
    for (; match > distance; distance *= 2) {
      memcpy(out + done, out + done - distance, distance);
      done += distance;
      match -= distance;
    }
    memcpy(out + done, out + done - distance, match);
    done += match;
  }
  return false;
}

struct Ranges {
  const uint8_t* in;
  size_t length;
  uint8_t* out;
  size_t room;
};

// (memory, offset, length, out, outOffset, outLength): both ranges, which must not overlap.
Ranges requireRanges(const Napi::CallbackInfo& info) {
  Ranges ranges;
  ranges.in = requireRange(requireBytes(info[0], "memory"), info[1], info[2], &ranges.length);
  const Bytes out = requireBytes(info[3], "out");
  ranges.out = const_cast<uint8_t*>(requireRange(out, info[4], info[5], &ranges.room));
  if (ranges.length > INT32_MAX || ranges.room > INT32_MAX) {
    throw Napi::RangeError::New(info.Env(), "a block has less than 2 GiB");
  }
  if (ranges.in < ranges.out + ranges.room && ranges.out < ranges.in + ranges.length) {
    throw Napi::RangeError::New(info.Env(), "the ranges overlap");
  }
  return ranges;
}

}  // namespace

// lz4Compress(memory, offset, length, out, outOffset, outMax): bytes written; 0 when they do not fit.
Napi::Value lz4Compress(const Napi::CallbackInfo& info) {
  const Ranges r = requireRanges(info);
  return Napi::Number::New(info.Env(), compress(r.in, r.length, r.out, r.room));
}

// lz4Decompress(memory, offset, length, out, outOffset, rawLength): whether exactly that came out.
Napi::Value lz4Decompress(const Napi::CallbackInfo& info) {
  const Ranges r = requireRanges(info);
  return Napi::Boolean::New(info.Env(), decompress(r.in, r.length, r.out, r.room));
}

}  // namespace tdmf
