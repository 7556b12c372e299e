// Goal: what a file says is read exactly, and no lie of a damaged one gets past. Method: files made by an independent
// writer; one lie each, with the field that the error must name.
#include "worker/convert/safetensors.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "worker/convert/safetensors_fixture.h"

namespace dormouse::worker {
namespace {

Result<SafetensorsFile> parse(const std::string& bytes) {
  return SafetensorsFile::parse("m.safetensors", {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
}

TEST(Safetensors, TensorsAreReadAsTheyLie) {
  const std::string file = make_safetensors(
      {{"a.weight", "F32", {1, 2}, "01234567"}, {"b", "BF16", {3}, "abcdef"}, {"c", "F16", {1, 1, 1, 2}, "ABCD"}});
  const auto got = parse(file);
  ASSERT_TRUE(got.has_value()) << got.error().message;
  ASSERT_EQ(got->tensors().size(), 3U);
  const auto check = [&](std::size_t index, const char* name, TensorType type, const std::vector<std::uint64_t>& shape,
                         std::string_view bytes) {
    const SafetensorsTensor& tensor = got->tensors()[index];
    EXPECT_EQ(tensor.name, name);
    EXPECT_EQ(tensor.type, type);
    EXPECT_EQ(tensor.shape, shape);
    EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size()), bytes);
  };
  check(0, "a.weight", TensorType::kF32, {1, 2}, "01234567");
  check(1, "b", TensorType::kBF16, {3}, "abcdef");
  check(2, "c", TensorType::kF16, {1, 1, 1, 2}, "ABCD");
}

// The header lists tensors in any order; their bytes need not lie in it.
TEST(Safetensors, TheOrderOfTheHeaderIsFree) {
  const auto got = parse(frame_safetensors(R"({"b":{"dtype":"F16","shape":[1],"data_offsets":[4,6]},)"
                                           R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                                           "0123ab"));
  ASSERT_TRUE(got.has_value()) << got.error().message;
  EXPECT_EQ(got->tensors()[0].name, "a");
  EXPECT_EQ(got->tensors()[1].name, "b");
}

TEST(Safetensors, EveryPrefixOfAFileIsDamaged) {
  const std::string file = make_safetensors({{"a", "F32", {2}, "01234567"}});
  ASSERT_TRUE(parse(file).has_value());
  for (std::size_t size = 0; size < file.size(); ++size) {
    const auto got = parse(file.substr(0, size));
    ASSERT_FALSE(got.has_value()) << size;
    EXPECT_EQ(got.error().code, Code::kDataLoss) << size;
    EXPECT_TRUE(got.error().message.starts_with("m.safetensors")) << got.error().message;
  }
  EXPECT_FALSE(parse(file + "x").has_value());
}

struct Lie {
  const char* header;
  std::size_t data_bytes;
  const char* named;  // in the error
  Code code = Code::kDataLoss;
};

TEST(Safetensors, EveryLieIsNamed) {
  const std::vector<Lie> lies{
      {R"([])", 0, "object"},
      {R"({"a":1})", 0, "a: want an object"},
      {R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4, "tensor 'a' dtype is missing", Code::kNotFound},
      {R"({"a":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}})", 4, "tensor 'a' dtype", Code::kInvalidArgument},
      {R"({"a":{"dtype":7,"shape":[4],"data_offsets":[0,4]}})", 4, "tensor 'a' dtype"},
      {R"({"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})", 4, "tensor 'a' shape"},
      {R"({"a":{"dtype":"F32","shape":[1,1,1,1,1],"data_offsets":[0,4]}})", 4, "tensor 'a' shape"},
      {R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})", 0, "tensor 'a' shape"},
      {R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, "tensor 'a' shape"},
      {R"({"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,6]}})", 6, "tensor 'a' shape"},
      // 2^62 * 4 bytes and 2^33 * 2^33: products that wrap.
      {R"({"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}})", 0, "tensor 'a' shape"},
      {R"({"a":{"dtype":"F16","shape":[8589934592,8589934592],"data_offsets":[0,0]}})", 0, "tensor 'a' shape"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4, "tensor 'a' data_offsets"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}})", 4, "tensor 'a' data_offsets"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4, "tensor 'a' data_offsets"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}})", 4, "tensor 'a' data_offsets"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}})", 8, "tensor 'a' data_offsets"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[9223372036854775803,9223372036854775807]}})", 4,
       "tensor 'a' data_offsets"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 4, "is the file whole"},
      // A hole before, a hole between, one over the other, bytes left over.
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8, "tensor 'a' begins"},
      {R"({"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},"b":{"dtype":"F16","shape":[1],"data_offsets":[4,6]}})",
       6, "tensor 'b' begins"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F16","shape":[1],"data_offsets":[2,4]}})",
       4, "tensor 'b' begins"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 8, "8 bytes of data"},
      // Given twice: the second wins, the first one's bytes are a hole.
      {R"({"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},"a":{"dtype":"F16","shape":[1],"data_offsets":[2,4]}})",
       4, "tensor 'a' begins"},
      {R"({"a\u001b[2J":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4, "not printable"},
  };
  for (const Lie& lie : lies) {
    const auto got = parse(frame_safetensors(lie.header, std::string(lie.data_bytes, 'x')));
    ASSERT_FALSE(got.has_value()) << lie.header;
    EXPECT_EQ(got.error().code, lie.code) << lie.header << ": " << got.error().message;
    EXPECT_NE(got.error().message.find(lie.named), std::string::npos) << lie.header << ": " << got.error().message;
    EXPECT_TRUE(got.error().message.starts_with("m.safetensors: ")) << got.error().message;
  }
}

TEST(Safetensors, AHeaderOverTheCapOrNestedDeepIsRefused) {
  EXPECT_EQ(parse(frame_safetensors(std::string(kSafetensorsHeaderMax + 1, ' '), "")).error().code, Code::kTooLarge);
  EXPECT_EQ(parse(frame_safetensors(std::string(1'000'000, '['), "")).error().code, Code::kDataLoss);
}

}  // namespace
}  // namespace dormouse::worker
