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
  static constexpr int kValueBytes = kRowBytes == 64 ? 8 : 16;  // a lane's of a token at a time
  static constexpr int kSlots = attend_rows_slots(kDim, kWide ? kMostQueries : 1);
  static constexpr int kQueryBytes = query_bytes(kDim, kWide ? kMostQueries : 1);
};

struct Lane {
  int group = lane_index() / 4;
  int pair = lane_index() % 4;
};

// What one lane loads at a time.
struct Unit {
  Words4 data[4];
  std::uint32_t scales[4];  // keys: halves of token g, then of g + 8; values: of tokens 4 p + 0..3
};

// The dimension of a lane's i-th value.
template <class Shape>
DEVICE int value_dim(int group, int i) {
  if constexpr (Shape::kQ8) return Shape::kDim / 8 * group + i;
  return 64 * (i / 8) + 8 * group + i % 8;
}

// Where a lane's own bytes of page 0 begin: keys, values and the scales of both.
template <class Shape>
struct LaneBytes {
  const std::uint8_t* keys;
  const std::uint8_t* key_scales;
  const std::uint8_t* values;
  const std::uint8_t* value_scales;
  std::int32_t page_bytes;

  DEVICE static LaneBytes of(const HeadPages& pages) {
    const Lane lane;
    constexpr int kScalesAt = kPageTokens * Shape::kRowBytes;
    constexpr int kScaleBytes = kTokenScaleBytes<Shape::kDim>;
    const std::uint8_t* values = pages.memory + pages.value_bytes;
    return {pages.memory + lane.group * Shape::kRowBytes + 16 * lane.pair,
            pages.memory + kScalesAt + lane.group * kScaleBytes,
            values + 4 * lane.pair * Shape::kRowBytes + Shape::kValueBytes * lane.group,
            values + kScalesAt + 4 * lane.pair * kScaleBytes + value_dim<Shape>(lane.group, 0) / 32 * 2,
            static_cast<std::int32_t>(pages.page_bytes)};
  }
};

// A split is two pages. Those beyond the last token are not looked up.
struct SplitPlace {
  std::int32_t page[2];
  int left;  // tokens from the split's first to the sequence's last; may be negative

  DEVICE static SplitPlace of(const HeadPages& pages, int split, int left) {
    SplitPlace place = {{0, 0}, left};
    const int page = split * (kSplitTokens / kPageTokens);
    if (left > 0) place.page[0] = pages.pages[page];
    if (left > kPageTokens) place.page[1] = pages.pages[page + 1];
    return place;
  }
};

// Scales of token g (r = 0) or g + 8; `scales` are the token's.
template <class Shape>
DEVICE void load_key_scales(Unit& unit, int r, const std::uint8_t* scales) {
  if constexpr (Shape::kDim == 128) {
    const Words2 both = *reinterpret_cast<const Words2*>(scales);
    unit.scales[2 * r] = both.x;
    unit.scales[2 * r + 1] = both.y;
  } else {
    unit.scales[2 * r] = *reinterpret_cast<const std::uint32_t*>(scales);
  }
}

// Tokens after the last are not loaded: their words stay what they were, words of this sequence's own earlier tokens or
// zeros. That is harmless, since their probabilities are 0; what lies in their place may be a NaN, and would not be.
template <class Shape>
DEVICE void load_keys(Unit& unit, const LaneBytes<Shape>& bytes, const SplitPlace& place, int tile, int part) {
  const Lane lane;
  const std::int64_t page = std::int64_t{place.page[tile / 2]} * bytes.page_bytes;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int token = 16 * (tile % 2) + 8 * r;
    if (16 * tile + 8 * r >= place.left - lane.group) continue;
    const std::uint8_t* row = bytes.keys + page + token * Shape::kRowBytes;
#pragma unroll
    for (int c = 0; c < Shape::kKeyWords; ++c) {
      unit.data[2 * r + c] = *reinterpret_cast<const Words4*>(row + 64 * (2 * part + c));
    }
    if constexpr (Shape::kQ8) {
      const std::uint8_t* scales = bytes.key_scales + page + token * kTokenScaleBytes<Shape::kDim>;
      load_key_scales<Shape>(unit, r, scales);
    }
  }
}

template <class Shape>
DEVICE void load_values(Unit& unit, const LaneBytes<Shape>& bytes, const SplitPlace& place, int tile, int part) {
  const Lane lane;
  const std::int64_t page = std::int64_t{place.page[tile / 2]} * bytes.page_bytes;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    // Words of keys make no scale.
    if constexpr (Shape::kQ8) unit.scales[i] = 0;
    const int token = 16 * (tile % 2) + i;
    if (16 * tile + i >= place.left - 4 * lane.pair) continue;
    const std::uint8_t* row = bytes.values + page + token * Shape::kRowBytes + 128 * part;
    if constexpr (Shape::kValueBytes == 8) {
      const Words2 both = *reinterpret_cast<const Words2*>(row);
      unit.data[i].x = both.x;
      unit.data[i].y = both.y;
    } else {
      unit.data[i] = *reinterpret_cast<const Words4*>(row);
    }
    if constexpr (Shape::kQ8) {
      const std::uint8_t* scale = bytes.value_scales + page + token * kTokenScaleBytes<Shape::kDim>;
      unit.scales[i] = *reinterpret_cast<const std::uint16_t*>(scale);
    }
  }
}

template <class Shape>
DEVICE void load_unit(Unit& unit, const LaneBytes<Shape>& bytes, const SplitPlace& place, int index) {
  const int tile = index / Shape::kParts;
  if (tile < Shape::kTiles) {
    load_keys<Shape>(unit, bytes, place, tile, index % Shape::kParts);
  } else {
    load_values<Shape>(unit, bytes, place, tile - Shape::kTiles, index % Shape::kParts);
  }
}

// The queries as the 8-column operand, times scale * log2(e), in shared memory: two steps of a lane are 16 bytes.
// [kSteps / 2][32 lanes]; wide: again for the low parts, which otherwise are columns 4..7.
template <class Shape>
DEVICE void share_queries(Words4* to, const float* q, int queries, float scale) {
  const Lane lane;
  const int query = Shape::kWide ? lane.group : lane.group % 4;
  const bool low = !Shape::kWide && lane.group >= 4;
  const float factor = scale * kLog2OfE;
  for (int pair = warp_index(); pair < Shape::kSteps / 2; pair += thread_count() / kWarp) {
    std::uint32_t high[4];
    std::uint32_t rest[4];
#pragma unroll
    for (int s = 0; s < 2; ++s) {
      Floats4 x = {0, 0, 0, 0};
      if (query < queries) {
        x = *reinterpret_cast<const Floats4*>(q + query * Shape::kDim + 32 * pair + 8 * lane.pair + 4 * s);
      }
      x = {x.x * factor, x.y * factor, x.z * factor, x.w * factor};
      high[2 * s] = pack_halves(x.x, x.y);
      high[2 * s + 1] = pack_halves(x.z, x.w);
      rest[2 * s] = pack_halves(x.x - low_half(high[2 * s]), x.y - high_half(high[2 * s]));
      rest[2 * s + 1] = pack_halves(x.z - low_half(high[2 * s + 1]), x.w - high_half(high[2 * s + 1]));
    }
    Words4* mine = to + pair * kWarp + lane_index();
    *mine = low ? Words4{rest[0], rest[1], rest[2], rest[3]} : Words4{high[0], high[1], high[2], high[3]};
    if constexpr (Shape::kWide) mine[Shape::kSteps / 2 * kWarp] = {rest[0], rest[1], rest[2], rest[3]};
  }
}

// Two steps: 32 dimensions, which in q8 have one scale.
template <class Shape>
DEVICE void key_steps(float (&scores)[4], const std::uint32_t (&first)[4], const std::uint32_t (&second)[4],
                      const Words4* queries, int pair) {
  const Words4 q = queries[pair * kWarp + lane_index()];
  mma_f16(scores, first, q.x, q.y);
  mma_f16(scores, second, q.z, q.w);
  if constexpr (Shape::kWide) {
    const Words4 low = queries[(Shape::kSteps / 2 + pair) * kWarp + lane_index()];
    mma_f16(scores, first, low.x, low.y);
    mma_f16(scores, second, low.z, low.w);
  }
}

// Two steps of q8 keys: words of token g and of token g + 8.
template <class Shape>
DEVICE void q8_key_steps(float (&scores)[4], const Words2& a, const Words2& b, float scale_a, float scale_b,
                         const Words4* queries, int pair) {
  const std::uint32_t w[4] = {a.x ^ kFlipSigns, b.x ^ kFlipSigns, a.y ^ kFlipSigns, b.y ^ kFlipSigns};
  float sums[4] = {0, 0, 0, 0};
  key_steps<Shape>(sums,
                   {int8_to_halves<kBytes01>(w[0]), int8_to_halves<kBytes01>(w[1]), int8_to_halves<kBytes23>(w[0]),
                    int8_to_halves<kBytes23>(w[1])},
                   {int8_to_halves<kBytes01>(w[2]), int8_to_halves<kBytes01>(w[3]), int8_to_halves<kBytes23>(w[2]),
                    int8_to_halves<kBytes23>(w[3])},
                   queries, pair);
  scores[0] = fmaf(sums[0], scale_a, scores[0]);
  scores[1] = fmaf(sums[1], scale_a, scores[1]);
  scores[2] = fmaf(sums[2], scale_b, scores[2]);
  scores[3] = fmaf(sums[3], scale_b, scores[3]);
}

// Adds what one unit of keys has to the scores of its 16 tokens.
template <class Shape>
DEVICE void multiply_keys(float (&scores)[4], const Unit& unit, const Words4* queries, int part) {
#pragma unroll
  for (int c = 0; c < Shape::kKeyWords; ++c) {
    const int chunk = 2 * part + c;
    const Words4& a = unit.data[c];
    const Words4& b = unit.data[2 + c];
    if constexpr (!Shape::kQ8) {
      key_steps<Shape>(scores, {a.x, b.x, a.y, b.y}, {a.z, b.z, a.w, b.w}, queries, chunk);
    } else {
      const std::uint32_t scales_a = unit.scales[chunk];
      const std::uint32_t scales_b = unit.scales[2 + chunk];
      q8_key_steps<Shape>(scores, {a.x, a.y}, {b.x, b.y}, low_half(scales_a), low_half(scales_b), queries, 2 * chunk);
      q8_key_steps<Shape>(scores, {a.z, a.w}, {b.z, b.w}, high_half(scales_a), high_half(scales_b), queries,
                          2 * chunk + 1);
    }
  }
}

// Two dimensions (two int8 of each of four tokens, `low` and `high` are tokens 0, 1 and 2, 3 byte by byte) as a step.
template <std::uint32_t kFirst, std::uint32_t kSecond>
DEVICE void q8_value_step(float (&sums)[4], std::uint32_t low, std::uint32_t high, const std::uint32_t (&scales)[2],
                          const std::uint32_t (&p)[2]) {
  const std::uint32_t values[4] = {
      half2_mul(int8_to_halves<kFirst>(low), scales[0]), half2_mul(int8_to_halves<kSecond>(low), scales[0]),
      half2_mul(int8_to_halves<kFirst>(high), scales[1]), half2_mul(int8_to_halves<kSecond>(high), scales[1])};
  mma_f16(sums, values, p[0], p[1]);
}

// Four dimensions of four tokens, a word each: two steps.
DEVICE void q8_value_word(float (&first)[4], float (&second)[4], const std::uint32_t (&t)[4],
                          const std::uint32_t (&scales)[2], const std::uint32_t (&p)[2]) {
  constexpr std::uint32_t kLowBytes = 0x5140;  // byte 0 of both, byte 1 of both
  constexpr std::uint32_t kHighBytes = 0x7362;
  q8_value_step<kBytes01, kBytes23>(first, permute_bytes(t[0], t[1], kLowBytes) ^ kFlipSigns,
                                    permute_bytes(t[2], t[3], kLowBytes) ^ kFlipSigns, scales, p);
  q8_value_step<kBytes01, kBytes23>(second, permute_bytes(t[0], t[1], kHighBytes) ^ kFlipSigns,
                                    permute_bytes(t[2], t[3], kHighBytes) ^ kFlipSigns, scales, p);
}
// Two dimensions of four tokens: a step.
DEVICE void half_value_word(float (&sums)[4], const std::uint32_t (&t)[4], const std::uint32_t (&p)[2]) {
  mma_f16(sums,
          {permute_bytes(t[0], t[1], 0x5410), permute_bytes(t[0], t[1], 0x7632), permute_bytes(t[2], t[3], 0x5410),
           permute_bytes(t[2], t[3], 0x7632)},
          p[0], p[1]);
}

DEVICE std::uint32_t word_of(const Words4& words, int i) {
  return i == 0 ? words.x : i == 1 ? words.y : i == 2 ? words.z : words.w;
}

// Adds 16 tokens' values, weighted with p, to the sums: sums[j] are the lane's values 2 j and 2 j + 1.
template <class Shape>
DEVICE void multiply_values(float (&sums)[Shape::kSteps][4], const Unit& unit, const std::uint32_t (&p)[2], int part) {
  const std::uint32_t scales[2] = {unit.scales[0] | unit.scales[1] << 16, unit.scales[2] | unit.scales[3] << 16};
#pragma unroll
  for (int w = 0; w < Shape::kValueBytes / 4; ++w) {
    const std::uint32_t t[4] = {word_of(unit.data[0], w), word_of(unit.data[1], w), word_of(unit.data[2], w),
                                word_of(unit.data[3], w)};
    if constexpr (!Shape::kQ8) {
      half_value_word(sums[4 * part + w], t, p);
    } else {
      q8_value_word(sums[2 * w], sums[2 * w + 1], t, scales, p);
    }
  }
}

DEVICE float minus_infinity() {
  return bits_to_float(0xFF800000U);
}

// A tile's scores when all steps are done: tokens after the last get none, the maxima of the lane's columns grow.
template <class Shape>
DEVICE void finish_scores(float (&scores)[4], float (&maxima)[2], int tile, int left) {
  const Lane lane;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    float& s = scores[i];
    // High and low parts; columns 4..7 become a copy of 0..3.
    if constexpr (!Shape::kWide) s = s + shuffle_xor(s, 2);
    if (16 * tile + lane.group + 8 * (i / 2) >= left) s = minus_infinity();
    maxima[i % 2] = fmaxf(maxima[i % 2], s);
  }
}
DEVICE void share_maxima(float (&maxima)[2]) {
#pragma unroll
  for (int mask = 4; mask < kWarp; mask *= 2) {
    maxima[0] = fmaxf(maxima[0], shuffle_xor(maxima[0], mask));
    maxima[1] = fmaxf(maxima[1], shuffle_xor(maxima[1], mask));
  }
}

// A tile's probabilities, and a split's as the 8-column operand of the second product, by way of kProbabilityBytes of
// shared memory.
DEVICE void put_probabilities(unsigned char* exchange, const float (&scores)[4], const float (&maxima)[2], int tile) {
  const Lane lane;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const std::uint32_t both =
        pack_halves(fast_exp2(scores[2 * r] - maxima[0]), fast_exp2(scores[2 * r + 1] - maxima[1]));
    const int token = 16 * tile + lane.group + 8 * r;
    *reinterpret_cast<std::uint32_t*>(exchange + 16 * token + 4 * lane.pair) = both;
  }
}
template <class Shape>
DEVICE void take_probabilities(std::uint32_t (&p)[Shape::kTiles][2], const unsigned char* exchange) {
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

// Scores to probabilities in halves, and each column's maximum. `exchange` is this warp's.
template <class Shape>
DEVICE void probabilities(std::uint32_t (&p)[Shape::kTiles][2], float (&maxima)[2], float (&scores)[Shape::kTiles][4],
                          int left, unsigned char* exchange) {
  maxima[0] = minus_infinity();
  maxima[1] = minus_infinity();
#pragma unroll
  for (int t = 0; t < Shape::kTiles; ++t) finish_scores<Shape>(scores[t], maxima, t, left);
  share_maxima(maxima);
  sync_warp();  // the last split's are read
#pragma unroll
  for (int t = 0; t < Shape::kTiles; ++t) put_probabilities(exchange, scores[t], maxima, t);
  sync_warp();
  take_probabilities<Shape>(p, exchange);
}

}  // namespace dormouse::cuda
