// One warp, one split: 64 tokens of one sequence's keys and values of one KV head, with all query heads that share it.
//
// Both products are made of m16n8k16 steps whose 16-row operand is the cache, straight from 16-byte loads, and whose 8
// columns are the queries: S[token, query] = K[token, dim] q[dim, query] and O[dim, query] = V^T[dim, token] P[token,
// query]. Which dimension or token a row or a column of a step stands for is ours to choose, and is chosen so that what
// a lane loads is what it needs in its registers.
//   keys    lane (g, p) = (lane / 4, lane % 4) has tokens g and g + 8 of 16; step s multiplies its dimensions
//           32 (s / 2) + 8 p + 4 (s % 2) + 0..3.
//   values  lane (g, p) has tokens 4 p + 0..3 of 16, and of each the dimensions value_dim(g, 0..): neighbours two by
//           two are rows g and g + 8 of a step.
// A query is two halves, high and low (22 bits): with up to four queries the low parts are columns 4..7, with more
// (kWide) they are a second step. A q8 key's scale multiplies the step's sum, exact; a q8 value times its scale is
// rounded to a half, as a probability is: 2^-11 each.
// Cost: 16-byte loads of whole lines; per 64 tokens of q8, head_dim 128, four queries: 70 products of matrices and some
// 1,100 other instructions for 17 KiB, a third of what a card issues while its memory delivers them.
#pragma once

#include "kernels/cuda/split_merge.cuh"

namespace dormouse::cuda {

template <int kHeadDim, bool kIsQ8, bool kIsWide>
struct SplitShape {
  static constexpr int kDim = kHeadDim;
  static constexpr bool kQ8 = kIsQ8;
  static constexpr bool kWide = kIsWide;
  static constexpr int kRowBytes = kTokenBytes<kDim, kQ8>;
  static constexpr int kSteps = kDim / 16;
  static constexpr int kTiles = kSplitTokens / 16;
  // A lane's part of 16 tokens is loaded four 16-byte words at a time: 256-byte rows in two parts.
  static constexpr int kParts = kRowBytes == 256 ? 2 : 1;
  static constexpr int kUnits = 2 * kTiles * kParts;  // keys, then values
  static constexpr int kKeyWords = kRowBytes / 64 / kParts;
  static constexpr int kSlots = kDim / 32 * (kWide ? 2 : 1);
};

struct Lane {
  int group = lane_index() / 4;
  int pair = lane_index() % 4;
};

// What one lane loads at a time.
struct Unit {
  Words4 data[4];
  std::uint32_t scales[4];  // keys: halves of token g, then of g + 8; values: of tokens 4 p + 0..3, two by two
};

// A split's place: 64 tokens are two pages. Pages beyond the last token are not looked up.
struct SplitPlace {
  const std::uint8_t* keys[2] = {nullptr, nullptr};
  int left = 0;  // tokens from the split's first to the sequence's last; may be negative

  DEVICE static SplitPlace of(const HeadPages& pages, int split, int position) {
    SplitPlace place;
    place.left = position + 1 - split * kSplitTokens;
    const int page = split * (kSplitTokens / kPageTokens);
    if (place.left > 0) place.keys[0] = pages.keys(page);
    if (place.left > kPageTokens) place.keys[1] = pages.keys(page + 1);
    return place;
  }
};

template <class Shape>
DEVICE void load_keys(Unit& unit, const SplitPlace& place, int tile, int part) {
  const Lane lane;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int token = 16 * (tile % 2) + lane.group + 8 * r;
    const bool there = 16 * (tile - tile % 2) + token < place.left;
    const std::uint8_t* page = place.keys[tile / 2];
    const std::uint8_t* row = page + token * Shape::kRowBytes + 16 * lane.pair;
#pragma unroll
    for (int c = 0; c < Shape::kKeyWords; ++c) {
      unit.data[2 * r + c] = {0, 0, 0, 0};
      if (there) unit.data[2 * r + c] = *reinterpret_cast<const Words4*>(row + 64 * (2 * part + c));
    }
    if constexpr (Shape::kQ8) {
      const std::uint8_t* scales = page + kPageTokens * Shape::kRowBytes + token * kTokenScaleBytes<Shape::kDim>;
      unit.scales[2 * r] = 0;
      unit.scales[2 * r + 1] = 0;
      if constexpr (Shape::kDim == 128) {
        if (there) {
          const Words2 both = *reinterpret_cast<const Words2*>(scales);
          unit.scales[2 * r] = both.x;
          unit.scales[2 * r + 1] = both.y;
        }
      } else {
        if (there) unit.scales[2 * r] = *reinterpret_cast<const std::uint32_t*>(scales);
      }
    }
  }
}

// The dimension of a lane's i-th value.
template <class Shape>
DEVICE int value_dim(int group, int i) {
  if constexpr (Shape::kQ8) return Shape::kDim / 8 * group + i;
  return 64 * (i / 8) + 8 * group + i % 8;
}

template <class Shape>
DEVICE void load_values(Unit& unit, const SplitPlace& place, std::int64_t value_bytes, int tile, int part) {
  const Lane lane;
  const std::uint8_t* page = place.keys[tile / 2] + value_bytes;
  std::uint32_t scales[4] = {0, 0, 0, 0};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int token = 16 * (tile % 2) + 4 * lane.pair + i;
    // Tokens that are not there are zeros: what lies in their place may be a NaN, which no probability of 0 removes.
    const bool there = 16 * (tile - tile % 2) + token < place.left;
    const std::uint8_t* row = page + token * Shape::kRowBytes;
    unit.data[i] = {0, 0, 0, 0};
    if constexpr (Shape::kRowBytes == 64) {
      if (there) {
        const Words2 both = *reinterpret_cast<const Words2*>(row + 8 * lane.group);
        unit.data[i].x = both.x;
        unit.data[i].y = both.y;
      }
    } else {
      if (there) unit.data[i] = *reinterpret_cast<const Words4*>(row + 128 * part + 16 * lane.group);
    }
    if constexpr (Shape::kQ8) {
      const std::uint8_t* at = page + kPageTokens * Shape::kRowBytes + token * kTokenScaleBytes<Shape::kDim>;
      if (there) scales[i] = reinterpret_cast<const std::uint16_t*>(at)[value_dim<Shape>(lane.group, 0) / 32];
    }
  }
  if constexpr (Shape::kQ8) {
    unit.scales[0] = scales[0] | scales[1] << 16;
    unit.scales[1] = scales[2] | scales[3] << 16;
  }
}

template <class Shape>
DEVICE void load_unit(Unit& unit, const SplitPlace& place, std::int64_t value_bytes, int index) {
  const int tile = index / Shape::kParts;
  if (tile < Shape::kTiles) {
    load_keys<Shape>(unit, place, tile, index % Shape::kParts);
  } else {
    load_values<Shape>(unit, place, value_bytes, tile - Shape::kTiles, index % Shape::kParts);
  }
}

// The queries as the 8-column operand, times scale * log2(e).
template <class Shape>
struct Queries {
  std::uint32_t high[Shape::kSteps][2];  // not wide: columns 4..7 are the low parts of 0..3
  std::uint32_t low[Shape::kWide ? Shape::kSteps : 1][2];
};
template <class Shape>
DEVICE Queries<Shape> load_queries(const float* q, int queries, float scale) {
  const Lane lane;
  const int query = Shape::kWide ? lane.group : lane.group % 4;
  const bool low = !Shape::kWide && lane.group >= 4;
  Queries<Shape> result;
#pragma unroll
  for (int s = 0; s < Shape::kSteps; ++s) {
    Floats4 x = {0, 0, 0, 0};
    if (query < queries) {
      x = *reinterpret_cast<const Floats4*>(q + query * Shape::kDim + 32 * (s / 2) + 8 * lane.pair + 4 * (s % 2));
    }
    const float factor = scale * kLog2OfE;
    x = {x.x * factor, x.y * factor, x.z * factor, x.w * factor};
    const std::uint32_t high[2] = {pack_halves(x.x, x.y), pack_halves(x.z, x.w)};
    const std::uint32_t rest[2] = {pack_halves(x.x - low_half(high[0]), x.y - high_half(high[0])),
                                   pack_halves(x.z - low_half(high[1]), x.w - high_half(high[1]))};
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      result.high[s][i] = low ? rest[i] : high[i];
      if constexpr (Shape::kWide) result.low[s][i] = rest[i];
    }
  }
  return result;
}

template <class Shape>
DEVICE void key_step(float (&scores)[4], const std::uint32_t (&keys)[4], const Queries<Shape>& queries, int step) {
  mma_f16(scores, keys, queries.high[step][0], queries.high[step][1]);
  if constexpr (Shape::kWide) mma_f16(scores, keys, queries.low[step][0], queries.low[step][1]);
}

// Adds what one unit of keys has to the scores of its 16 tokens.
template <class Shape>
DEVICE void multiply_keys(float (&scores)[4], const Unit& unit, const Queries<Shape>& queries, int part) {
#pragma unroll
  for (int c = 0; c < Shape::kKeyWords; ++c) {
    const int chunk = 2 * part + c;
    const Words4& a = unit.data[c];
    const Words4& b = unit.data[2 + c];
    if constexpr (!Shape::kQ8) {
      key_step<Shape>(scores, {a.x, b.x, a.y, b.y}, queries, 2 * chunk);
      key_step<Shape>(scores, {a.z, b.z, a.w, b.w}, queries, 2 * chunk + 1);
    } else {
      const std::uint32_t first[4] = {a.x ^ kFlipSigns, a.y ^ kFlipSigns, a.z ^ kFlipSigns, a.w ^ kFlipSigns};
      const std::uint32_t second[4] = {b.x ^ kFlipSigns, b.y ^ kFlipSigns, b.z ^ kFlipSigns, b.w ^ kFlipSigns};
#pragma unroll
      for (int half = 0; half < 2; ++half) {  // 32 dimensions under one scale
        float sums[4] = {0, 0, 0, 0};
#pragma unroll
        for (int s = 2 * half; s < 2 * half + 2; ++s) {
          key_step<Shape>(sums,
                          {int8_to_halves<kBytes01>(first[s]), int8_to_halves<kBytes01>(second[s]),
                           int8_to_halves<kBytes23>(first[s]), int8_to_halves<kBytes23>(second[s])},
                          queries, 4 * chunk + s);
        }
        const float scale_a = half == 0 ? low_half(unit.scales[chunk]) : high_half(unit.scales[chunk]);
        const float scale_b = half == 0 ? low_half(unit.scales[2 + chunk]) : high_half(unit.scales[2 + chunk]);
        scores[0] = fmaf(sums[0], scale_a, scores[0]);
        scores[1] = fmaf(sums[1], scale_a, scores[1]);
        scores[2] = fmaf(sums[2], scale_b, scores[2]);
        scores[3] = fmaf(sums[3], scale_b, scores[3]);
      }
    }
  }
}

// Two dimensions (two int8 of each of four tokens, `low` and `high` are tokens 0, 1 and 2, 3 byte by byte) as a step.
template <std::uint32_t kFirst, std::uint32_t kSecond>
DEVICE void q8_value_step(float (&sums)[4], std::uint32_t low, std::uint32_t high, const Unit& unit,
                          const std::uint32_t (&p)[2]) {
  const std::uint32_t values[4] = {half2_mul(int8_to_halves<kFirst>(low), unit.scales[0]),
                                   half2_mul(int8_to_halves<kSecond>(low), unit.scales[0]),
                                   half2_mul(int8_to_halves<kFirst>(high), unit.scales[1]),
                                   half2_mul(int8_to_halves<kSecond>(high), unit.scales[1])};
  mma_f16(sums, values, p[0], p[1]);
}

DEVICE std::uint32_t word_of(const Words4& words, int i) {
  return i == 0 ? words.x : i == 1 ? words.y : i == 2 ? words.z : words.w;
}

// Adds 16 tokens' values, weighted with p, to the sums: sums[j] are the lane's values 2 j and 2 j + 1.
template <class Shape>
DEVICE void multiply_values(float (&sums)[Shape::kSteps][4], const Unit& unit, const std::uint32_t (&p)[2], int part) {
#pragma unroll
  for (int w = 0; w < (Shape::kRowBytes == 64 ? 2 : 4); ++w) {
    const std::uint32_t t[4] = {word_of(unit.data[0], w), word_of(unit.data[1], w), word_of(unit.data[2], w),
                                word_of(unit.data[3], w)};
    if constexpr (!Shape::kQ8) {
      mma_f16(sums[4 * part + w],
              {permute_bytes(t[0], t[1], 0x5410), permute_bytes(t[0], t[1], 0x7632), permute_bytes(t[2], t[3], 0x5410),
               permute_bytes(t[2], t[3], 0x7632)},
              p[0], p[1]);
    } else {
      constexpr std::uint32_t kLowBytes = 0x5140;  // byte 0 of both, byte 1 of both
      constexpr std::uint32_t kHighBytes = 0x7362;
      q8_value_step<kBytes01, kBytes23>(sums[2 * w], permute_bytes(t[0], t[1], kLowBytes) ^ kFlipSigns,
                                        permute_bytes(t[2], t[3], kLowBytes) ^ kFlipSigns, unit, p);
      q8_value_step<kBytes01, kBytes23>(sums[2 * w + 1], permute_bytes(t[0], t[1], kHighBytes) ^ kFlipSigns,
                                        permute_bytes(t[2], t[3], kHighBytes) ^ kFlipSigns, unit, p);
    }
  }
}

// Scores to probabilities in halves: P as the 8-column operand of the second product, and each column's maximum.
// `exchange`: kProbabilityBytes of shared memory, this warp's.
template <class Shape>
DEVICE void probabilities(std::uint32_t (&p)[Shape::kTiles][2], float (&maxima)[2], float (&scores)[Shape::kTiles][4],
                          int left, unsigned char* exchange) {
  const Lane lane;
  const float minus_infinity = bits_to_float(0xFF800000U);
  maxima[0] = minus_infinity;
  maxima[1] = minus_infinity;
#pragma unroll
  for (int t = 0; t < Shape::kTiles; ++t) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float& s = scores[t][i];
      // High and low parts; columns 4..7 become a copy of 0..3.
      if constexpr (!Shape::kWide) s = s + shuffle_xor(s, 2);
      if (16 * t + lane.group + 8 * (i / 2) >= left) s = minus_infinity;
      maxima[i % 2] = fmaxf(maxima[i % 2], s);
    }
  }
#pragma unroll
  for (int mask = 4; mask < kWarp; mask *= 2) {
    maxima[0] = fmaxf(maxima[0], shuffle_xor(maxima[0], mask));
    maxima[1] = fmaxf(maxima[1], shuffle_xor(maxima[1], mask));
  }
  sync_warp();  // the last split's are read
#pragma unroll
  for (int t = 0; t < Shape::kTiles; ++t) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const std::uint32_t both =
          pack_halves(fast_exp2(scores[t][2 * r] - maxima[0]), fast_exp2(scores[t][2 * r + 1] - maxima[1]));
      const int token = 16 * t + lane.group + 8 * r;
      *reinterpret_cast<std::uint32_t*>(exchange + 16 * token + 4 * lane.pair) = both;
    }
  }
  sync_warp();
  // Matrix m of four: tile m / 2, and of each lane's four tokens the first or second two.
  const int matrix = lane_index() / 8;
  const int row = lane_index() % 8;
  const int token = 16 * (matrix / 2) + 4 * (row / 2) + 2 * (matrix % 2) + row % 2;
#pragma unroll
  for (int t = 0; t < Shape::kTiles; t += 2) {
    std::uint32_t four[4];
    ldmatrix_x4_trans(four, exchange + 16 * (16 * t + token));
    p[t][0] = four[0];
    p[t][1] = four[1];
    p[t + 1][0] = four[2];
    p[t + 1][1] = four[3];
  }
}

}  // namespace dormouse::cuda
