#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/test_data.h"
#include "quant/half.h"

namespace dormouse::kernels {
namespace {

constexpr KvType kKvTypes[] = {KvType::kF16, KvType::kQ8};

const char* name(KvType type) {
  return type == KvType::kF16 ? "fp16" : "q8";
}

// A value as the cache keeps it: the nearest half, or int8 with a half as the scale of 32 neighbours.
std::vector<float> as_kept(KvType type, const std::vector<float>& row) {
  std::vector<float> out(row);
  for (std::size_t begin = 0; begin < row.size(); begin += 32) {
    float amax = 0;
    const std::size_t end = std::min(begin + 32, row.size());
    for (std::size_t i = begin; i < end; ++i) amax = std::max(amax, std::abs(row[i]));
    const float scale = quant::half_to_float(quant::float_to_half(amax / 127.0F));
    for (std::size_t i = begin; i < end; ++i) {
      out[i] = type == KvType::kF16 ? quant::half_to_float(quant::float_to_half(row[i]))
                                    : scale * std::nearbyint(row[i] * (127.0F / amax));
    }
  }
  return out;
}

// A cache of one layer and one KV head, pages in shuffled order; unwritten places hold NaNs, so that reading beyond the
// visible tokens shows.
struct Cache {
  KvType type;
  std::int32_t head_dim;
  std::vector<std::int32_t> pages;
  std::vector<std::uint16_t> memory;
  std::vector<float> keys;    // [tokens, head_dim], as kept
  std::vector<float> values;  // [tokens, head_dim]

  Cache(const KernelTable& table, KvType kv_type, std::int32_t tokens, std::int32_t dim, std::mt19937& random,
        Row row = Row::kNormal)
      : type(kv_type), head_dim(dim) {
    const std::int32_t count = (tokens + kKvPageTokens - 1) / kKvPageTokens;
    pages.resize(static_cast<std::size_t>(count));
    std::iota(pages.begin(), pages.end(), 0);
    std::shuffle(pages.begin(), pages.end(), random);
    memory.assign(static_cast<std::size_t>(count * page_stride()), 0x7E00);
    for (std::int32_t t = 0; t < tokens; ++t) {
      const std::vector<float> key = make_row(row, dim, random);
      const std::vector<float> value = make_row(row, dim, random);
      for (const float x : as_kept(type, key)) keys.push_back(x);
      for (const float x : as_kept(type, value)) values.push_back(x);
      std::uint16_t* page = memory.data() + pages[static_cast<std::size_t>(t / kKvPageTokens)] * page_stride();
      table.kv(type).store(page, page + page_stride() / 2, key.data(), value.data(), dim, t % kKvPageTokens);
    }
  }
  [[nodiscard]] std::int64_t page_stride() const { return 2 * kv_head_halves(type, head_dim); }

  std::vector<float> attend(const KernelTable& table, const std::vector<float>& q, std::int32_t tokens) const {
    std::vector<float> out(q.size(), -1.0F);
    table.kv(type).attention(args(out, q, tokens));
    return out;
  }
  AttentionArgs args(std::vector<float>& out, const std::vector<float>& q, std::int32_t tokens) const {
    return {.out = out.data(),
            .q = q.data(),
            .queries = static_cast<std::int32_t>(q.size()) / head_dim,
            .head_dim = head_dim,
            .token_count = tokens,
            .kv = memory.data(),
            .page_stride = page_stride(),
            .v_offset = page_stride() / 2,
            .pages = pages.data(),
            .scale = 1.0F / std::sqrt(static_cast<float>(head_dim))};
  }
};

// Goal: the paged, running softmax is attention. Method: double arithmetic over keys and values as the cache keeps
// them. Tolerance: values are about 1; scores' rounding (head_dim * 2^-24 of about 4) moves probabilities by that much.
TEST(Attention, ScalarEqualsDoubleSoftmaxOverPages) {
  std::mt19937 random(test_seed());
  const KernelTable& scalar = *supported_kernels().front();
  for (const auto& [type, dim] :
       {std::pair{KvType::kF16, 16}, {KvType::kF16, 48}, {KvType::kF16, 128}, {KvType::kQ8, 32}, {KvType::kQ8, 128}}) {
    const Cache cache(scalar, type, 100, dim, random);
    for (const std::int32_t tokens : {1, 31, 32, 33, 64, 100}) {
      const std::vector<float> q = make_row(Row::kNormal, 3 * dim, random);
      const std::vector<float> got = cache.attend(scalar, q, tokens);
      for (std::int32_t query = 0; query < 3; ++query) {
        std::vector<double> p(static_cast<std::size_t>(tokens));
        double sum = 0;
        for (std::int32_t t = 0; t < tokens; ++t) {
          double score = 0;
          for (std::int32_t d = 0; d < dim; ++d) {
            score += static_cast<double>(q[static_cast<std::size_t>(query * dim + d)]) *
                     static_cast<double>(cache.keys[static_cast<std::size_t>(t * dim + d)]);
          }
          p[static_cast<std::size_t>(t)] = std::exp(score / std::sqrt(static_cast<double>(dim)));
          sum += p[static_cast<std::size_t>(t)];
        }
        for (std::int32_t d = 0; d < dim; ++d) {
          double want = 0;
          for (std::int32_t t = 0; t < tokens; ++t) {
            want += p[static_cast<std::size_t>(t)] / sum *
                    static_cast<double>(cache.values[static_cast<std::size_t>(t * dim + d)]);
          }
          EXPECT_NEAR(got[static_cast<std::size_t>(query * dim + d)], want, 1e-5) << name(type) << " tokens " << tokens;
        }
      }
    }
  }
}

TEST(Attention, EveryTableEqualsScalarToTheBit) {
  std::mt19937 random(test_seed());
  const std::vector<const KernelTable*> tables = supported_kernels();
  std::vector<std::pair<KvType, std::int32_t>> cases;
  for (const std::int32_t dim : {16, 32, 80, 128, 256}) cases.emplace_back(KvType::kF16, dim);
  for (const std::int32_t dim : {32, 96, 128, 256}) cases.emplace_back(KvType::kQ8, dim);
  for (const auto& [type, dim] : cases) {
    const Cache cache(*tables.front(), type, 131, dim, random);
    for (const KernelTable* table : tables) {  // the same halves, whoever wrote them
      for (const Row row : kAllRows) {
        std::mt19937 same(7);
        std::mt19937 again(7);
        EXPECT_EQ(Cache(*table, type, 70, dim, same, row).memory,
                  Cache(*tables.front(), type, 70, dim, again, row).memory)
            << table->name << " " << name(type) << " row " << static_cast<int>(row);
      }
    }
    for (const std::int32_t queries : {1, 2, 3, 4, 5, 8}) {
      for (const std::int32_t tokens : {1, 5, 8, 31, 32, 33, 64, 127, 131}) {
        std::vector<float> q = make_row(Row::kNormal, queries * dim, random);
        if (tokens == 127) q = make_row(Row::kHuge, queries * dim, random);
        const std::vector<float> want = cache.attend(*tables.front(), q, tokens);
        for (const KernelTable* table : tables) {
          EXPECT_TRUE(all_same_bits(cache.attend(*table, q, tokens), want))
              << table->name << " " << name(type) << " dim " << dim << " queries " << queries << " tokens " << tokens
              << " seed " << test_seed();
        }
      }
    }
  }
}

// Goal: a walk in parts gives the bits of the whole, wherever it is cut.
TEST(Attention, PartsGiveTheBitsOfTheWhole) {
  std::mt19937 random(test_seed());
  for (const KernelTable* table : supported_kernels()) {
    for (const KvType type : kKvTypes) {
      const Cache cache(*table, type, 203, 64, random);
      for (const std::int32_t queries : {1, 4, 7}) {
        for (const std::int32_t tokens : {1, 32, 33, 160, 203}) {
          const std::vector<float> q = make_row(Row::kNormal, queries * 64, random);
          std::vector<float> out(q.size(), -1.0F);
          std::vector<float> state(static_cast<std::size_t>(2 * queries), -7.0F);
          AttentionArgs args = cache.args(out, q, tokens);
          args.state = state.data();
          const std::int32_t pages = (tokens + kKvPageTokens - 1) / kKvPageTokens;
          for (args.page_begin = 0; args.page_begin < pages; args.page_begin = args.page_end) {
            args.page_end = args.page_begin + 1 + static_cast<std::int32_t>(random() % 3);
            table->kv(type).attention(args);
          }
          EXPECT_TRUE(all_same_bits(out, cache.attend(*table, q, tokens)))
              << table->name << " " << name(type) << " queries " << queries << " tokens " << tokens;
        }
      }
    }
  }
}

// Goal: prompt attention is attention within bf16, and a row does not depend on which rows share the call.
// Tolerance: queries, keys, values and probabilities are rounded to 8 bits of mantissa (2^-9 relative each); scores of
// normal data at head_dim 128 are about 1 after scaling, so their error is about sqrt(2) * 2^-9 and so is a
// probability's; averaged over many tokens an output of size 1 keeps some 2^-8, at few tokens the value's own 2^-9:
// 0.02 holds for all.
TEST(Attention, PromptRowsAreCloseAndDoNotDependOnTheCall) {
  std::mt19937 random(test_seed());
  std::vector<std::pair<const KernelTable*, KvType>> cases;
  for (const KernelTable* table : supported_kernels()) {
    for (const KvType type : kKvTypes) {
      if (table->kv(type).prompt_attention != nullptr) cases.emplace_back(table, type);
    }
  }
  for (const auto& [table_pointer, type] : cases) {
    const KernelTable* table = table_pointer;
    const std::int32_t dim = kPromptHeadDim;
    const std::int32_t tokens = 203;
    const Cache cache(*table, type, tokens, dim, random);
    const KvKernels& kv = table->kv(type);
    for (const std::int32_t queries : {1, 2, 4, 5}) {
      const std::int64_t stride = std::int64_t{queries} * dim + 16;
      std::vector<float> q = make_row(Row::kNormal, static_cast<std::int32_t>(tokens * stride), random);
      AlignedBytes scratch(kMatmulScratchBytes);
      const auto attend = [&](std::int32_t first, std::int32_t positions, std::vector<float>& out) {
        kv.prompt_attention({.out = out.data() + first * stride,
                             .q = q.data() + first * stride,
                             .row_stride = stride,
                             .first_position = first,
                             .positions = positions,
                             .queries = queries,
                             .kv = cache.memory.data(),
                             .page_stride = cache.page_stride(),
                             .v_offset = cache.page_stride() / 2,
                             .pages = cache.pages.data(),
                             .scale = 1.0F / std::sqrt(static_cast<float>(dim)),
                             .scratch = scratch.data()});
      };
      std::vector<float> one_by_one(q.size());
      for (std::int32_t t = 0; t < tokens; ++t) attend(t, 1, one_by_one);
      std::vector<float> pieces(q.size());
      for (std::int32_t t = 0; t < tokens;) {
        const std::int32_t most = std::min(kPromptQueryRows / queries, tokens - t);
        const std::int32_t count = 1 + static_cast<std::int32_t>(random() % static_cast<unsigned>(most));
        attend(t, count, pieces);
        t += count;
      }
      EXPECT_TRUE(all_same_bits(pieces, one_by_one))
          << table->name << " " << name(cache.type) << " queries " << queries;
      for (const std::int32_t t : {0, 1, 31, 32, 63, 64, 130, 202}) {
        const std::vector<float> row(q.begin() + t * stride, q.begin() + t * stride + queries * dim);
        const std::vector<float> want = cache.attend(*table, row, t + 1);
        for (std::size_t i = 0; i < want.size(); ++i) {
          EXPECT_NEAR(one_by_one[static_cast<std::size_t>(t * stride) + i], want[i], 0.02) << "position " << t;
        }
      }
    }
  }
}

}  // namespace
}  // namespace dormouse::kernels
