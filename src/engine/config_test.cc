#include "engine/config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "gguf/hostile_file.h"

namespace dormouse::engine {
namespace {

using gguf::HostileFile;
using gguf::ValueType;

struct Key {
  std::string name;
  std::function<void(HostileFile&, const std::string&)> write;
};

Key u32(const std::string& name, std::uint32_t value) {
  return {name, [value](HostileFile& f, const std::string& key) { f.key(key, ValueType::kUint32).number(value); }};
}
Key u64(const std::string& name, std::uint64_t value) {
  return {name, [value](HostileFile& f, const std::string& key) { f.key(key, ValueType::kUint64).number(value); }};
}
Key i64(const std::string& name, std::int64_t value) {
  return {name, [value](HostileFile& f, const std::string& key) { f.key(key, ValueType::kInt64).number(value); }};
}
Key f32(const std::string& name, float value) {
  return {name, [value](HostileFile& f, const std::string& key) { f.key(key, ValueType::kFloat32).number(value); }};
}
Key text(const std::string& name, const std::string& value) {
  return {name, [value](HostileFile& f, const std::string& key) { f.key(key, ValueType::kString).text(value); }};
}

std::vector<Key> valid_keys() {
  return {text("general.architecture", "qwen3"), text("general.name", "test"),
          u32("qwen3.block_count", 2),           u32("qwen3.context_length", 128),
          u32("qwen3.embedding_length", 64),     u32("qwen3.feed_forward_length", 96),
          u32("qwen3.attention.head_count", 4),  u32("qwen3.attention.head_count_kv", 2),
          u32("qwen3.attention.key_length", 32), f32("qwen3.attention.layer_norm_rms_epsilon", 1e-6F),
          f32("qwen3.rope.freq_base", 1e6F)};
}

// A file with these keys and one tensor, the embedding.
Result<ModelConfig> read(const std::vector<Key>& keys, const std::string& tensor = "token_embd.weight") {
  HostileFile out(1, keys.size());
  for (const Key& key : keys) key.write(out, key.name);
  out.tensor(tensor, {64, 8}, 0, 0);
  out.data(64 * 8 * 4);
  const auto file = gguf::File::parse(out.bytes());
  EXPECT_TRUE(file.has_value()) << file.error().message;
  if (!file) return file.error();
  return read_config(*file);
}

std::vector<Key> with(const Key& replacement) {
  std::vector<Key> out = valid_keys();
  for (Key& key : out) {
    if (key.name == replacement.name) {
      key = replacement;
      return out;
    }
  }
  out.push_back(replacement);
  return out;
}

TEST(Config, ReadsEveryField) {
  const auto config = read(valid_keys());
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(config->name, "test");
  EXPECT_EQ(config->layers, 2);
  EXPECT_EQ(config->hidden, 64);
  EXPECT_EQ(config->ffn, 96);
  EXPECT_EQ(config->heads, 4);
  EXPECT_EQ(config->kv_heads, 2);
  EXPECT_EQ(config->head_dim, 32);
  EXPECT_EQ(config->q_dim(), 128);
  EXPECT_EQ(config->kv_dim(), 64);
  EXPECT_EQ(config->vocab, 8);
  EXPECT_EQ(config->context_length, 128);
  EXPECT_FLOAT_EQ(config->rms_epsilon, 1e-6F);
  EXPECT_FLOAT_EQ(config->rope_theta, 1e6F);
  EXPECT_TRUE(config->tied_embedding);
}

// Goal: reliability S-06. Method: for each key every value outside its declared range, at its edges and far away, every
// wrong type, and the key missing, is an error that names the key; nothing is computed from it.
TEST(Config, EveryKeyOutsideItsRangeIsAnErrorThatNamesIt) {
  struct Range {
    const char* key;
    std::uint64_t min;
    std::uint64_t max;
  };
  for (const Range& range :
       {Range{"qwen3.block_count", 1, 256}, Range{"qwen3.embedding_length", 32, 32'768},
        Range{"qwen3.feed_forward_length", 32, 131'072}, Range{"qwen3.attention.head_count", 1, 256},
        Range{"qwen3.attention.head_count_kv", 1, 256}, Range{"qwen3.attention.key_length", 16, 256},
        Range{"qwen3.context_length", 1, 1 << 24}}) {
    const std::string key = range.key;
    for (const Key& bad :
         {u64(key, range.min - 1), u64(key, range.max + 1), u32(key, 0), u64(key, std::uint64_t{1} << 31),
          u64(key, std::uint64_t{1} << 63), u64(key, ~std::uint64_t{0}), i64(key, -1),
          i64(key, std::numeric_limits<std::int64_t>::min()), f32(key, 2.0F), f32(key, NAN), text(key, "2")}) {
      const auto config = read(with(bad));
      ASSERT_FALSE(config.has_value()) << key;
      EXPECT_EQ(config.error().code, Code::kDataLoss) << config.error().message;
      EXPECT_NE(config.error().message.find(key), std::string::npos) << config.error().message;
    }
  }
  for (const std::string key : {"qwen3.attention.layer_norm_rms_epsilon", "qwen3.rope.freq_base"}) {
    for (const Key& bad : {f32(key, 0), f32(key, -1), f32(key, NAN), f32(key, INFINITY), f32(key, -INFINITY),
                           f32(key, 1e30F), f32(key, 1e-38F), u32(key, 1), text(key, "1")}) {
      const auto config = read(with(bad));
      ASSERT_FALSE(config.has_value()) << key;
      EXPECT_NE(config.error().message.find(key), std::string::npos) << config.error().message;
    }
  }
  for (const Key& missing : valid_keys()) {
    if (missing.name == "general.name") continue;
    std::vector<Key> keys;
    for (const Key& key : valid_keys()) {
      if (key.name != missing.name) keys.push_back(key);
    }
    const auto config = read(keys);
    ASSERT_FALSE(config.has_value()) << missing.name;
    EXPECT_NE(config.error().message.find(missing.name), std::string::npos) << config.error().message;
  }
}

TEST(Config, FieldsThatDoNotFitEachOtherAreErrors) {
  for (const Key& bad : {u32("qwen3.attention.head_count_kv", 3), u32("qwen3.attention.key_length", 24),
                         u32("qwen3.embedding_length", 80), u32("qwen3.feed_forward_length", 100),
                         u32("qwen3.attention.value_length", 64), u32("qwen3.rope.dimension_count", 16),
                         text("qwen3.rope.scaling.type", "yarn")}) {
    EXPECT_FALSE(read(with(bad)).has_value()) << bad.name;
  }
  EXPECT_TRUE(read(with(text("qwen3.rope.scaling.type", "none"))).has_value());
  EXPECT_TRUE(read(with(u32("qwen3.attention.value_length", 32))).has_value());
}

TEST(Config, OtherArchitecturesAndMissingEmbeddingAreErrors) {
  const auto other = read(with(text("general.architecture", "llama")));
  ASSERT_FALSE(other.has_value());
  EXPECT_EQ(other.error().code, Code::kInvalidArgument);
  EXPECT_NE(other.error().message.find("llama"), std::string::npos);
  const auto missing = read(valid_keys(), "something_else.weight");
  ASSERT_FALSE(missing.has_value());
  EXPECT_NE(missing.error().message.find("token_embd.weight"), std::string::npos);
}

// Goal: a config that passes but whose tensors do not match it is an error that names the tensor.
TEST(Weights, MissingOrMisshapenTensorsAreErrorsThatNameThem) {
  struct Tensor {
    std::string name;
    std::vector<std::uint64_t> shape;
    std::uint32_t type = 0;
  };
  std::vector<Tensor> tensors = {{"token_embd.weight", {64, 8}}, {"output_norm.weight", {64}}};
  for (const std::string prefix : {"blk.0.", "blk.1."}) {
    tensors.push_back({prefix + "attn_norm.weight", {64}});
    tensors.push_back({prefix + "attn_q.weight", {64, 128}});
    tensors.push_back({prefix + "attn_k.weight", {64, 64}});
    tensors.push_back({prefix + "attn_v.weight", {64, 64}});
    tensors.push_back({prefix + "attn_q_norm.weight", {32}});
    tensors.push_back({prefix + "attn_k_norm.weight", {32}});
    tensors.push_back({prefix + "attn_output.weight", {128, 64}});
    tensors.push_back({prefix + "ffn_norm.weight", {64}});
    tensors.push_back({prefix + "ffn_gate.weight", {64, 96}});
    tensors.push_back({prefix + "ffn_up.weight", {64, 96}});
    tensors.push_back({prefix + "ffn_down.weight", {96, 64}});
  }
  const auto load = [](const std::vector<Tensor>& list) -> Status {
    const std::vector<Key> keys = valid_keys();
    HostileFile out(list.size(), keys.size());
    for (const Key& key : keys) key.write(out, key.name);
    std::uint64_t offset = 0;
    for (const Tensor& tensor : list) {
      out.tensor(tensor.name, tensor.shape, tensor.type, offset);
      std::uint64_t bytes = tensor.type == 0 ? 4 : 2;
      for (const std::uint64_t size : tensor.shape) bytes *= size;
      offset += (bytes + 31) / 32 * 32;
    }
    out.data(offset);
    const auto file = gguf::File::parse(out.bytes());
    if (!file) return file.error();
    EngineOptions options;
    options.kv_pages = 1;
    const auto engine = Engine::load(*file, nullptr, options, {});
    if (!engine) return engine.error();
    return {};
  };
  const Status valid = load(tensors);
  ASSERT_TRUE(valid.has_value()) << valid.error().message;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    std::vector<Tensor> missing = tensors;
    missing.erase(missing.begin() + static_cast<std::ptrdiff_t>(i));
    std::vector<Tensor> wider = tensors;
    wider[i].shape[0] += 32;
    std::vector<Tensor> half_norm = tensors;
    half_norm[i].type = 1;
    for (const auto& bad : {missing, wider}) {
      const Status status = load(bad);
      ASSERT_FALSE(status.has_value()) << tensors[i].name;
      EXPECT_EQ(status.error().code, Code::kDataLoss);
      EXPECT_NE(status.error().message.find(tensors[i].name), std::string::npos) << status.error().message;
    }
    EXPECT_EQ(load(half_norm).has_value(), tensors[i].shape.size() == 2) << tensors[i].name;
  }
}

}  // namespace
}  // namespace dormouse::engine
