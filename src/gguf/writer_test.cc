// Goal: what the writer publishes the reader opens, byte for byte the same; until then, and after any failure, nothing
// is there. Method: real files in a fresh directory.
#include "gguf/writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "gguf/file.h"

namespace dormouse::gguf {
namespace {

namespace fs = std::filesystem;

class WriterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "dormouse-gguf-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    path_ = (directory_ / "model.gguf").string();
  }
  void TearDown() override { fs::remove_all(directory_); }

  [[nodiscard]] std::size_t files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(directory_), fs::directory_iterator()));
  }

  fs::path directory_;
  std::string path_;
};

std::vector<std::uint8_t> counted(std::size_t count, std::uint8_t first) {
  std::vector<std::uint8_t> out(count);
  std::iota(out.begin(), out.end(), first);
  return out;
}

void declare(Writer& writer) {
  writer.add_string("general.architecture", "qwen3");
  writer.add_uint32("qwen3.block_count", 36);
  writer.add_float32("qwen3.rope.freq_base", 1e6F);
  writer.add_bool("tokenizer.ggml.add_bos_token", false);
  const std::vector<std::string> tokens{"a", "", "\xC4\xA0the"};
  writer.add_string_array("tokenizer.ggml.tokens", tokens);
  const std::array<std::int32_t, 3> types{1, 3, -5};
  writer.add_int32_array("tokenizer.ggml.token_type", types);
  const std::array<float, 2> scores{0.5F, -1.0F};
  writer.add_float32_array("tokenizer.ggml.scores", scores);
  writer.add_tensor("a", TensorType::kF32, std::array<std::uint64_t, 1>{3});
  writer.add_tensor("b", TensorType::kQ4_K, std::array<std::uint64_t, 2>{512, 3});
  writer.add_tensor("c", TensorType::kF16, std::array<std::uint64_t, 3>{5, 2, 2});
}

TEST_F(WriterTest, WhatIsWrittenIsReadBack) {
  const auto a = counted(12, 1);
  const auto b = counted(6 * 144, 7);
  const auto c = counted(40, 99);
  Writer writer;
  declare(writer);
  ASSERT_TRUE(writer.begin(path_).has_value());
  EXPECT_FALSE(fs::exists(path_));
  ASSERT_TRUE(writer.append(a).has_value());
  ASSERT_TRUE(writer.append(std::span(b).first(100)).has_value());
  ASSERT_TRUE(writer.append(std::span(b).subspan(100)).has_value());
  ASSERT_TRUE(writer.append(c).has_value());
  ASSERT_TRUE(writer.finish().has_value());
  EXPECT_EQ(files(), 1U);
  EXPECT_EQ(fs::file_size(path_), writer.file_bytes());

  const auto file = File::open(path_);
  ASSERT_TRUE(file.has_value()) << file.error().message;
  EXPECT_NE(file->mapping(), nullptr);
  EXPECT_EQ(file->get_string("general.architecture").value(), "qwen3");
  EXPECT_EQ(file->get_uint("qwen3.block_count", 1, 512).value(), 36U);
  EXPECT_EQ(file->get_float("qwen3.rope.freq_base", 1, 1e9).value(), 1e6);
  EXPECT_FALSE(file->get_bool("tokenizer.ggml.add_bos_token").value());
  EXPECT_EQ(file->get_string_array("tokenizer.ggml.tokens").value()[2], "\xC4\xA0the");
  EXPECT_EQ(file->get_int_array("tokenizer.ggml.token_type").value(), (std::vector<std::int64_t>{1, 3, -5}));
  const auto bytes_of = [&](const char* name) {
    const auto data = file->data(*file->find_tensor(name));
    return std::vector<std::uint8_t>(data.begin(), data.end());
  };
  EXPECT_EQ(bytes_of("a"), a);
  EXPECT_EQ(bytes_of("b"), b);
  EXPECT_EQ(bytes_of("c"), c);
  EXPECT_EQ(file->find_tensor("c")->shape, (std::array<std::uint64_t, 4>{5, 2, 2, 1}));
}

TEST_F(WriterTest, RawValuesAreCopiedUnchanged) {
  {
    Writer writer;
    declare(writer);
    ASSERT_TRUE(writer.begin(path_).has_value());
    ASSERT_TRUE(writer.append(counted(12 + 6 * 144 + 40, 0)).has_value());
    ASSERT_TRUE(writer.finish().has_value());
  }
  const File source = File::open(path_).value();
  const std::string copy_path = path_ + ".copy";
  Writer copy;
  for (const std::string_view key : source.keys()) copy.add_raw(key, *source.raw_value(key));
  for (const TensorInfo& tensor : source.tensors()) {
    const auto shape = std::span(tensor.shape).first(static_cast<std::size_t>(tensor.dimensions));
    copy.add_tensor(tensor.name, tensor.type, shape);
  }
  ASSERT_TRUE(copy.begin(copy_path).has_value());
  for (const TensorInfo& tensor : source.tensors()) ASSERT_TRUE(copy.append(source.data(tensor)).has_value());
  ASSERT_TRUE(copy.finish().has_value());
  const File again = File::open(copy_path).value();
  ASSERT_EQ(again.bytes().size(), source.bytes().size());
  EXPECT_TRUE(std::equal(again.bytes().begin(), again.bytes().end(), source.bytes().begin()));
}

TEST_F(WriterTest, AbandonedWritesLeaveNothingAndKeepTheOldFile) {
  std::ofstream(path_) << "old";
  {
    Writer writer;
    declare(writer);
    ASSERT_TRUE(writer.begin(path_).has_value());
    EXPECT_EQ(files(), 2U);
    ASSERT_TRUE(writer.append(counted(12, 0)).has_value());
    EXPECT_EQ(writer.finish().error().code, Code::kInternal);  // tensors are missing
  }
  EXPECT_EQ(files(), 1U);
  EXPECT_EQ(fs::file_size(path_), 3U);
}

TEST_F(WriterTest, TwoWritersOfOnePathDoNotMix) {
  Writer first;
  declare(first);
  ASSERT_TRUE(first.begin(path_).has_value());
  {
    Writer second;
    declare(second);
    EXPECT_EQ(second.begin(path_).error().code, Code::kAlreadyExists);
  }
  ASSERT_TRUE(first.append(counted(12 + 6 * 144 + 40, 0)).has_value());
  ASSERT_TRUE(first.finish().has_value());
  EXPECT_TRUE(File::open(path_).has_value());
}

TEST_F(WriterTest, APartialFileOfAKilledProcessIsTakenOver) {
  std::ofstream(path_ + ".partial") << std::string(100'000, 'x');
  Writer writer;
  declare(writer);
  ASSERT_TRUE(writer.begin(path_).has_value());
  ASSERT_TRUE(writer.append(counted(12 + 6 * 144 + 40, 0)).has_value());
  ASSERT_TRUE(writer.finish().has_value());
  EXPECT_TRUE(File::open(path_).has_value());
  EXPECT_EQ(fs::file_size(path_), writer.file_bytes());
}

TEST_F(WriterTest, WhatNoReaderTakesIsRefusedBeforeAnythingIsCreated) {
  const auto refused = [&](auto&& declare_badly) {
    Writer writer;
    declare_badly(writer);
    const Status status = writer.begin(path_);
    return !status.has_value() && status.error().code == Code::kInvalidArgument && files() == 0;
  };
  const std::array<std::uint64_t, 1> row{256};
  EXPECT_TRUE(refused([](Writer& w) { w.add_uint32("k", 1); w.add_uint32("k", 2); }));
  EXPECT_TRUE(refused([](Writer& w) { w.add_uint32("", 1); }));
  EXPECT_TRUE(refused([](Writer& w) { w.add_uint32("general.alignment", 64); }));
  EXPECT_TRUE(refused([&](Writer& w) {
    w.add_tensor("t", TensorType::kF32, row);
    w.add_tensor("t", TensorType::kF32, row);
  }));
  EXPECT_TRUE(refused([&](Writer& w) { w.add_tensor(std::string(65, 'n'), TensorType::kF32, row); }));
  EXPECT_TRUE(refused([](Writer& w) { w.add_tensor("t", TensorType::kQ4_K, std::array<std::uint64_t, 1>{100}); }));
  EXPECT_TRUE(refused([](Writer& w) { w.add_tensor("t", TensorType::kF32, std::array<std::uint64_t, 2>{4, 0}); }));
  EXPECT_TRUE(refused([](Writer& w) {
    w.add_tensor("t", TensorType::kF32, std::array<std::uint64_t, 5>{1, 1, 1, 1, 1});
  }));
  EXPECT_TRUE(refused([](Writer& w) {
    w.add_tensor("t", TensorType::kF32, std::array<std::uint64_t, 2>{std::uint64_t{1} << 40, std::uint64_t{1} << 40});
  }));
}

TEST_F(WriterTest, MissingAndForbiddenFilesAreTypedErrors) {
  EXPECT_EQ(File::open(path_).error().code, Code::kNotFound);
  EXPECT_EQ(File::open(directory_.string()).error().code, Code::kInvalidArgument);
  std::ofstream(path_) << "GGUF";
  EXPECT_EQ(File::open(path_).error().code, Code::kDataLoss);
  Writer writer;
  EXPECT_EQ(writer.begin((directory_ / "none" / "x.gguf").string()).error().code, Code::kNotFound);
}

// Random headers, written and read: the same names, types, shapes and bytes. The seed is printed.
TEST_F(WriterTest, RandomFilesRoundTrip) {
  const auto seed = static_cast<std::uint32_t>(std::random_device{}());
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  constexpr std::array kTypes{TensorType::kF32, TensorType::kF16, TensorType::kQ8_0, TensorType::kQ6_K};
  for (int round = 0; round < 30; ++round) {
    Writer writer;
    std::vector<std::vector<std::uint8_t>> data;
    const std::size_t count = random() % 8;
    for (std::size_t i = 0; i < count; ++i) {
      const TensorType type = kTypes[random() % kTypes.size()];
      const std::array<std::uint64_t, 2> shape{traits(type).block_elements * (1 + random() % 3), 1 + random() % 5};
      writer.add_tensor(fmt::format("t{}", i), type, shape);
      data.push_back(counted(Writer::tensor_bytes(type, shape), static_cast<std::uint8_t>(random())));
    }
    ASSERT_TRUE(writer.begin(path_).has_value());
    for (const auto& bytes : data) ASSERT_TRUE(writer.append(bytes).has_value());
    ASSERT_TRUE(writer.finish().has_value());
    const auto file = File::open(path_);
    ASSERT_TRUE(file.has_value()) << file.error().message;
    ASSERT_EQ(file->tensors().size(), count);
    for (std::size_t i = 0; i < count; ++i) {
      const auto bytes = file->data(file->tensors()[i]);
      ASSERT_TRUE(std::equal(bytes.begin(), bytes.end(), data[i].begin(), data[i].end()));
    }
  }
}

}  // namespace
}  // namespace dormouse::gguf
