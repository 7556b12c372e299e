// Goal: a device's name is what it says, and a GPU's memory is counted before it is taken. Method: tables; the tiny
// model of the goldens.
#include "engine/placement.h"

#include <gtest/gtest.h>

#include "engine/golden_model.h"

namespace dormouse::engine {
namespace {

using Kind = DeviceName::Kind;

TEST(Placement, NamesOfDevices) {
  EXPECT_EQ(parse_device("cpu")->kind, Kind::kCpu);
  EXPECT_EQ(parse_device("auto")->kind, Kind::kAuto);
  EXPECT_EQ(parse_device("cuda")->kind, Kind::kCuda);
  EXPECT_EQ(parse_device("cuda")->ordinal, 0);
  EXPECT_EQ(parse_device("cuda:12")->kind, Kind::kCuda);
  EXPECT_EQ(parse_device("cuda:12")->ordinal, 12);
  for (const char* wrong : {"", "gpu", "cuda:", "cuda:-1", "cuda:1x", "cuda:64", "cuda:99999999999", "CPU", "cuda0"}) {
    const Result<DeviceName> refused = parse_device(wrong);
    ASSERT_FALSE(refused.has_value()) << wrong;
    EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
  }
}

TEST(Placement, WhetherADeviceSamples) {
  EXPECT_EQ(*parse_device_sampling("auto"), DeviceSampling::kAuto);
  EXPECT_EQ(*parse_device_sampling("on"), DeviceSampling::kOn);
  EXPECT_EQ(*parse_device_sampling("off"), DeviceSampling::kOff);
  for (const char* wrong : {"", "ON", "yes", "auto "}) {
    EXPECT_EQ(parse_device_sampling(wrong).error().code, Code::kInvalidArgument) << wrong;
  }
}

TEST(Placement, PathsOfADevice) {
  EXPECT_EQ(*parse_device_paths("auto"), std::nullopt);
  EXPECT_EQ(**parse_device_paths("none"), DevicePaths{});
  const DevicePaths all = {
      .one_row = true, .shared_prefixes = true, .whole_step = true, .wide_products = true, .small_stacks = true};
  EXPECT_EQ(**parse_device_paths("all"), all);
  EXPECT_EQ(**parse_device_paths("whole-step"), DevicePaths{.whole_step = true});
  EXPECT_EQ(**parse_device_paths("wide-products"), DevicePaths{.wide_products = true});
  EXPECT_EQ(**parse_device_paths("whole-step,one-row"), (DevicePaths{.one_row = true, .whole_step = true}));
  for (const DevicePaths& paths : {all, DevicePaths{}, DevicePaths{.shared_prefixes = true}}) {
    EXPECT_EQ(**parse_device_paths(names_of(paths)), paths);
  }
  for (const char* wrong : {"", ",", "one-row,", "ALL", "all,one-row", "one row", "auto,all"}) {
    EXPECT_EQ(parse_device_paths(wrong).error().code, Code::kInvalidArgument) << wrong;
  }
}

TEST(Placement, WeightsBuffersAndLogitsAreCounted) {
  const Result<gguf::File> file = gguf::File::open(golden_path("model.gguf"));
  ASSERT_TRUE(file.has_value()) << file.error().message;
  const ModelConfig config = *read_config(*file);
  EngineOptions options;
  const std::uint64_t all = gpu_bytes_beside_kv(*file, config, options);
  EXPECT_GT(all, file->bytes().size() - file->data_offset());
  options.max_logits_rows += 10;
  const std::uint64_t more_logits = gpu_bytes_beside_kv(*file, config, options);
  // Each row's logits, and 64 pairs of a logit and an id: for every 4,096 ids begun, and once.
  const auto vocab = static_cast<std::uint64_t>(config.vocab);
  EXPECT_EQ(more_logits - all, 10 * (vocab * sizeof(float) + 64 * 8 * ((vocab + 4095) / 4096 + 1)));
  options.max_batch_tokens += 1;
  EXPECT_GE(gpu_bytes_beside_kv(*file, config, options) - more_logits,
            static_cast<std::uint64_t>(2 * config.hidden + 2 * config.q_dim() + 2 * config.ffn) * sizeof(float));
}

// A build or a machine without a GPU says so in one sentence, and `auto` goes on without.
TEST(Placement, WithoutAGpuCudaIsRefusedAndAutoIsTheCpu) {
  const Result<gguf::File> file = gguf::File::open(golden_path("model.gguf"));
  ASSERT_TRUE(file.has_value()) << file.error().message;
  EngineOptions options;
  options.kv_pages = 2;
  options.device = "cuda:63";  // on a machine with GPUs there are fewer
  const auto refused = Engine::load(*file, nullptr, options, {});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kNotFound) << refused.error().message;
  options.device = "gpu";
  EXPECT_EQ(Engine::load(*file, nullptr, options, {}).error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace dormouse::engine
