// Keys and values of 64 tokens in shared memory, as halves, for attend_prompt: [64 tokens][head_dim], each row's
// 16-byte chunks turned by the token (chunk ^ token % 8), so that eight rows' same chunk, which ldmatrix reads at once,
// lie in different banks.
#pragma once

#include "kernels/cuda/kv_pages.cuh"

namespace dormouse::cuda {

template <int kDim>
struct PromptTile {
  static constexpr int kRowBytes = 2 * kDim;
  static constexpr int kBytes = kPromptTokens * kRowBytes;
  unsigned char* memory;

  DEVICE unsigned char* chunk(int token, int at) const { return memory + token * kRowBytes + 16 * (at ^ token % 8); }
};

// The same for a lane's own token and odd or even chunks, in the few registers that a loop without a spare one affords.
struct LaneChunks {
  unsigned char* row;
  int turn;

  DEVICE static LaneChunks of(unsigned char* memory, int row_bytes, int token, int odd) {
    return {memory + token * row_bytes, 16 * (odd ^ token % 8)};
  }
  // Chunk 2 at + odd.
  DEVICE const unsigned char* pair(int at) const { return row + at / 4 * 128 + (turn ^ 32 * (at % 4)); }
};

// Tokens of a block, and how many of them the item's last row sees.
struct PromptBlock {
  int first;
  int left;  // from the first to the last that is there
};

// Which chunks a thread copies when a row has kChunks: one of every kStep rows, always the same column, so that all its
// addresses are two of its own and constants.
template <int kChunks>
struct CopyPlace {
  static constexpr int kStep = kAttendPromptThreads / kChunks;
  static constexpr int kTurns = kPageTokens / kStep;  // of a page
  static_assert(kStep % 8 == 0 && kTurns > 0);
  int token = thread_index() / kChunks;
  int chunk = thread_index() % kChunks;
};

// Page `half` of a block's two. Tokens that are not there may have no page either.
DEVICE const std::uint8_t* page_of(const HeadPages& pages, const PromptBlock& block, int half) {
  return half * kPageTokens < block.left ? pages.keys(block.first / kPageTokens + half) : pages.memory;
}

// fp16, in the background. Tokens that are not there become zeros: a NaN in their place would outlive a probability of
// 0.
template <int kDim>
DEVICE void begin_halves(const PromptTile<kDim>& keys, const PromptTile<kDim>& values, const HeadPages& pages,
                         const PromptBlock& block) {
  using Place = CopyPlace<kDim / 8>;
  constexpr int kRowBytes = PromptTile<kDim>::kRowBytes;
  const Place mine;
  const int to = static_cast<int>(keys.chunk(mine.token, mine.chunk) - keys.memory);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const std::uint8_t* from = page_of(pages, block, half) + mine.token * kRowBytes + 16 * mine.chunk;
#pragma unroll
    for (int i = 0; i < Place::kTurns; ++i) {
      const int token = half * kPageTokens + i * Place::kStep;
      const bool there = mine.token + token < block.left;
      const std::uint8_t* row = from + i * Place::kStep * kRowBytes;
      copy_async16(keys.memory + to + token * kRowBytes, row, there);
      copy_async16(values.memory + to + token * kRowBytes, row + pages.value_bytes, there);
    }
  }
  copy_async_commit();
}

// q8 as it comes: [64 tokens][kDim] keys, the same of values, then [64 tokens][kDim / 32] scales of each.
template <int kDim>
struct RawTile {
  static constexpr int kScaleBytes = kTokenScaleBytes<kDim>;
  unsigned char* memory;

  DEVICE unsigned char* row(int part, int token) const { return memory + (part * kPromptTokens + token) * kDim; }
  DEVICE unsigned char* scales(int part, int token) const {
    return memory + 2 * kPromptTokens * kDim + (part * kPromptTokens + token) * kScaleBytes;
  }
};

template <int kDim>
DEVICE void begin_raw(const RawTile<kDim>& raw, const HeadPages& pages, const PromptBlock& block) {
  using Place = CopyPlace<kDim / 16>;
  const Place mine;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const std::uint8_t* page = page_of(pages, block, half);
    const std::uint8_t* from = page + mine.token * kDim + 16 * mine.chunk;
#pragma unroll
    for (int i = 0; i < Place::kTurns; ++i) {
      const int token = half * kPageTokens + i * Place::kStep;
      const bool there = mine.token + token < block.left;
      copy_async16(raw.row(0, mine.token + token) + 16 * mine.chunk, from + i * Place::kStep * kDim, there);
      copy_async16(raw.row(1, mine.token + token) + 16 * mine.chunk, from + i * Place::kStep * kDim + pages.value_bytes,
                   there);
    }
    // A page's scales are 256 bytes or 128. All are read where the page is there, and those of its tokens used.
    constexpr int kScaleChunks = kPageTokens * RawTile<kDim>::kScaleBytes / 16;
    const int part = thread_index() / kScaleChunks;
    const int at = 16 * (thread_index() % kScaleChunks);
    if (part < 2) {
      copy_async16(raw.scales(part, half * kPageTokens) + at, page + part * pages.value_bytes + kPageTokens * kDim + at,
                   half * kPageTokens < block.left);
    }
  }
  copy_async_commit();
}

// Eight int8 times their scale (as both halves of a word): rounded to halves, 2^-11.
DEVICE Words4 scaled_halves(std::uint32_t a, std::uint32_t b, std::uint32_t scale) {
  const std::uint32_t both = scale | scale << 16;
  return {half2_mul(int8_to_halves<kBytes01>(a ^ kFlipSigns), both),
          half2_mul(int8_to_halves<kBytes23>(a ^ kFlipSigns), both),
          half2_mul(int8_to_halves<kBytes01>(b ^ kFlipSigns), both),
          half2_mul(int8_to_halves<kBytes23>(b ^ kFlipSigns), both)};
}

// kPart 0: keys, 1: values. Values lie in order; of keys 8 dimensions are of one scale and 8 of the next (key_place).
template <int kDim, int kPart>
DEVICE void raw_to_halves(const PromptTile<kDim>& tile, const RawTile<kDim>& raw, int left) {
  using Place = CopyPlace<kDim / 16>;
  const Place mine;
  const int c = mine.chunk;
  const int first = kPart == 0 ? c / 4 * 8 + c % 4 : 2 * c;
  const int second = kPart == 0 ? first + 4 : first + 1;
  unsigned char* to_first = tile.chunk(mine.token, first);
  unsigned char* to_second = tile.chunk(mine.token, second);
  const unsigned char* from = raw.row(kPart, mine.token) + 16 * c;
  const unsigned char* scales = raw.scales(kPart, mine.token) + first / 4 * 2;
  constexpr int kNextScale = kPart == 0 ? 1 : 0;  // both chunks of values are of one scale
#pragma unroll
  for (int i = 0; i < 2 * Place::kTurns; ++i) {
    const int token = i * Place::kStep;
    const Words4 q = *reinterpret_cast<const Words4*>(from + token * kDim);
    const auto* scale = reinterpret_cast<const std::uint16_t*>(scales + token * RawTile<kDim>::kScaleBytes);
    const bool there = mine.token + token < left;
    const std::uint32_t scale_a = there ? scale[0] : 0;
    const std::uint32_t scale_b = there ? scale[kNextScale] : 0;
    *reinterpret_cast<Words4*>(to_first + token * PromptTile<kDim>::kRowBytes) = scaled_halves(q.x, q.y, scale_a);
    *reinterpret_cast<Words4*>(to_second + token * PromptTile<kDim>::kRowBytes) = scaled_halves(q.z, q.w, scale_b);
  }
}

}  // namespace dormouse::cuda
