// Goal: no bytes crash the reader, and what it accepts keeps file.h's invariants. Method: one small file with one of
// everything, truncated at every byte and with every bit flipped; a table of lies, each of which must give the stated
// error; the accessors' types and ranges.
#include "gguf/file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "gguf/hostile_file.h"

namespace dormouse::gguf {
namespace {

using Bytes = std::vector<std::uint8_t>;

// The promises of file.h, checked from outside.
void expect_invariants(const File& file, std::size_t size) {
  std::set<std::string_view> names;
  std::vector<const TensorInfo*> order;
  for (const TensorInfo& tensor : file.tensors()) {
    ASSERT_TRUE(names.insert(tensor.name).second);
    ASSERT_EQ(tensor.offset % file.alignment(), 0U);
    ASSERT_LE(tensor.bytes, size);
    ASSERT_LE(tensor.offset, size - tensor.bytes);
    ASSERT_GT(tensor.bytes, 0U);
    for (const std::uint64_t dimension : tensor.shape) ASSERT_GT(dimension, 0U);
    ASSERT_EQ(tensor.row_length() % traits(tensor.type).block_elements, 0U);
    ASSERT_EQ(tensor.row_length() / traits(tensor.type).block_elements * traits(tensor.type).block_bytes *
                  tensor.rows(), tensor.bytes);
    ASSERT_EQ(file.find_tensor(tensor.name), &tensor);
    ASSERT_EQ(file.data(tensor).size(), tensor.bytes);
    order.push_back(&tensor);
  }
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) { return a->offset < b->offset; });
  for (std::size_t i = 1; i < order.size(); ++i) {
    ASSERT_LE(order[i - 1]->offset + order[i - 1]->bytes, order[i]->offset);
  }
  std::set<std::string_view> keys;
  for (const std::string_view key : file.keys()) {
    ASSERT_TRUE(keys.insert(key).second);
    ASSERT_TRUE(file.has(key));
    ASSERT_TRUE(file.raw_value(key).has_value());
  }
}

TEST(File, ReadsOneOfEverything) {
  const Bytes bytes = small_valid_file().bytes();
  const auto file = File::parse(bytes);
  ASSERT_TRUE(file.has_value()) << file.error().message;
  expect_invariants(*file, bytes.size());
  EXPECT_EQ(file->version(), 3U);
  EXPECT_EQ(file->alignment(), 32U);
  EXPECT_EQ(file->get_string("general.architecture").value(), "qwen3");
  EXPECT_EQ(file->get_uint("a.u32", 0, 100).value(), 7U);
  EXPECT_EQ(file->get_uint("a.u64", 0, std::numeric_limits<std::uint64_t>::max()).value(), ~std::uint64_t{0});
  EXPECT_FLOAT_EQ(static_cast<float>(file->get_float("a.f32", 0, 1).value()), 1e-6F);
  EXPECT_EQ(file->get_float("a.f64", 0, 3).value(), 2.5);
  EXPECT_TRUE(file->get_bool("a.flag").value());
  const StringArray words = file->get_string_array("a.words").value();
  ASSERT_EQ(words.size(), 3U);
  EXPECT_EQ(words[2], "\xE7\x9D\xA1\xE9\xBC\xA0");
  EXPECT_EQ(file->get_int_array("a.ints").value(), (std::vector<std::int64_t>{-1, 5}));
  ASSERT_EQ(file->tensors().size(), 2U);
  EXPECT_EQ(file->find_tensor("w")->type, TensorType::kQ8_0);
  EXPECT_EQ(file->find_tensor("w")->offset, file->data_offset() + 32);
  EXPECT_EQ(file->find_tensor("none"), nullptr);
  EXPECT_EQ(file->keys().front(), "general.architecture");
  EXPECT_EQ(file->mapping(), nullptr);
}

TEST(File, VersionTwoIsReadToo) {
  Bytes bytes = small_valid_file().bytes();
  bytes[4] = 2;
  EXPECT_EQ(File::parse(bytes).value().version(), 2U);
}

TEST(File, TruncationAtEveryByteIsAnError) {
  const Bytes whole = small_valid_file().bytes();
  const std::uint64_t last_byte = 32 + 34;  // the data section's padding after the last tensor may be missing
  const std::uint64_t needed = File::parse(whole)->data_offset() + last_byte;
  for (std::size_t size = 0; size < needed; ++size) {
    const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));  // exact heap size: ASan sees
    const auto file = File::parse(part);
    ASSERT_FALSE(file.has_value()) << size;
    ASSERT_TRUE(file.error().code == Code::kDataLoss || file.error().code == Code::kInvalidArgument) << size;
    ASSERT_FALSE(file.error().message.empty());
  }
  EXPECT_TRUE(File::parse(std::span(whole).first(needed)).has_value());
}

TEST(File, EverySingleBitFlipIsAnErrorOrAValidFile) {
  const Bytes whole = small_valid_file().bytes();
  std::size_t accepted = 0;
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    Bytes bytes = whole;
    bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] ^ (1U << (bit % 8)));
    const auto file = File::parse(bytes);
    if (!file.has_value()) continue;
    ++accepted;
    expect_invariants(*file, bytes.size());
    if (HasFatalFailure()) FAIL() << "bit " << bit;
    for (const std::string_view key : file->keys()) {  // every accessor on every type: a value or an error
      (void)file->get_uint(key, 1, 10);
      (void)file->get_float(key, -1, 1);
      (void)file->get_bool(key);
      (void)file->get_string(key);
      (void)file->get_string_array(key);
      (void)file->get_int_array(key);
    }
  }
  EXPECT_GT(accepted, 768U);              // at least the data section's 96 bytes
  EXPECT_LT(accepted, whole.size() * 8);  // and not everything
}

struct Lie {
  const char* what;
  std::function<HostileFile()> make;
  Code code = Code::kDataLoss;
};

HostileFile one_tensor(const std::vector<std::uint64_t>& shape, std::uint32_t type, std::uint64_t offset) {
  HostileFile file(1, 0);
  file.tensor("t", shape, type, offset).data(256);
  return file;
}

HostileFile one_key(ValueType type, const std::function<void(HostileFile&)>& value) {
  HostileFile file(0, 1);
  file.key("k", type);
  value(file);
  file.data(64);
  return file;
}

HostileFile with_alignment(std::uint32_t alignment) {
  HostileFile file(1, 1);
  file.key("general.alignment", ValueType::kUint32).number(alignment);
  file.tensor("t", {8}, 0, 0).data(256);
  return file;
}

HostileFile with_header(std::uint32_t magic, std::uint32_t version) {
  HostileFile file = small_valid_file();
  std::memcpy(file.bytes().data(), &magic, 4);
  std::memcpy(file.bytes().data() + 4, &version, 4);
  return file;
}

constexpr std::uint64_t k63 = std::uint64_t{1} << 63;
constexpr std::uint64_t kHuge = std::numeric_limits<std::uint64_t>::max();

std::vector<Lie> container_lies() {
  return {
      {"no magic", [] { return with_header(0x12345678, 3); }, Code::kInvalidArgument},
      {"big-endian magic", [] { return with_header(kMagicBigEndian, 3); }, Code::kInvalidArgument},
      {"big-endian version", [] { return with_header(kMagic, 0x03000000); }, Code::kInvalidArgument},
      {"version 0", [] { return with_header(kMagic, 0); }, Code::kInvalidArgument},
      {"version 1", [] { return with_header(kMagic, 1); }, Code::kInvalidArgument},
      {"version 4", [] { return with_header(kMagic, 4); }, Code::kInvalidArgument},
      {"2^63 keys", [] { return HostileFile(0, k63).data(999); }},
      {"2^63 tensors", [] { return HostileFile(k63, 0).data(999); }},
      {"more tensors than the bytes could hold", [] { return HostileFile(40, 0).data(999); }},
      {"more keys than the bytes could hold", [] { return HostileFile(0, 80).data(999); }},
      {"tensors over the cap", [] { return HostileFile(kMaxTensors + 1, 0).data(4U << 20); }},
  };
}

std::vector<Lie> key_lies() {
  return {
      {"type 99", [] { return one_key(static_cast<ValueType>(99), [](auto& f) { f.number(1); }); }},
      {"type 13", [] { return one_key(static_cast<ValueType>(13), [](auto& f) { f.number(1); }); }},
      {"string of 2^64-1 bytes", [] { return one_key(ValueType::kString, [](auto& f) { f.number(kHuge); }); }},
      {"string of 2^63 bytes", [] { return one_key(ValueType::kString, [](auto& f) { f.number(k63); }); }},
      {"nested array", [] { return one_key(ValueType::kArray, [](auto& f) {
         f.number(9U).number(std::uint64_t{1}).number(4U).number(std::uint64_t{1}).number(5U); }); }},
      {"array of type 99", [] { return one_key(ValueType::kArray, [](auto& f) {
         f.number(99U).number(std::uint64_t{1}); }); }},
      {"array of 2^61+1 u64", [] { return one_key(ValueType::kArray, [](auto& f) {
         f.number(10U).number((std::uint64_t{1} << 61) + 1); }); }},
      {"array of 2^63 strings", [] { return one_key(ValueType::kArray, [](auto& f) { f.number(8U).number(k63); }); }},
      {"array over the cap", [] { return one_key(ValueType::kArray, [](auto& f) {
         f.number(0U).number(kMaxArrayElements + 1); }); }},
      {"array element of 2^64-1 bytes", [] { return one_key(ValueType::kArray, [](auto& f) {
         f.number(8U).number(std::uint64_t{1}).number(kHuge); }); }},
      {"empty key", [] { HostileFile f(0, 1); f.key("", ValueType::kUint8).number(std::uint8_t{1});
         return f.data(9); }},
      {"key with a newline", [] { HostileFile f(0, 1); f.key("a\nb", ValueType::kUint8).number(std::uint8_t{1});
         return f.data(9); }},
      {"key in broken UTF-8", [] { HostileFile f(0, 1); f.key("\xC3(", ValueType::kUint8).number(std::uint8_t{1});
         return f.data(9); }},
      {"key over 65535 bytes", [] { HostileFile f(0, 1);
         f.key(std::string(65536, 'a'), ValueType::kUint8).number(std::uint8_t{1}); return f.data(9); }},
      {"the same key twice", [] { HostileFile f(0, 2);
         f.key("k", ValueType::kUint8).number(std::uint8_t{1}).key("k", ValueType::kUint8).number(std::uint8_t{1});
         return f.data(9); }},
      {"alignment 0", [] { return with_alignment(0); }},
      {"alignment 3", [] { return with_alignment(3); }},
      {"alignment 4", [] { return with_alignment(4); }},
      {"alignment 48", [] { return with_alignment(48); }},
      {"alignment 2^17", [] { return with_alignment(1U << 17); }},
      {"alignment 2^31", [] { return with_alignment(1U << 31); }},
      {"alignment as i32", [] { HostileFile f(0, 1);
         f.key("general.alignment", ValueType::kInt32).number(32); return f.data(99); }},
      {"alignment as u64", [] { HostileFile f(0, 1);
         f.key("general.alignment", ValueType::kUint64).number(std::uint64_t{32}); return f.data(99); }},
      {"alignment as a string", [] { HostileFile f(0, 1);
         f.key("general.alignment", ValueType::kString).text("32"); return f.data(99); }},
  };
}

std::vector<Lie> tensor_lies() {
  return {
      {"no dimensions", [] { return one_tensor({}, 0, 0); }},
      {"five dimensions", [] { return one_tensor({1, 1, 1, 1, 1}, 0, 0); }},
      {"2^32-1 dimensions", [] { HostileFile f(1, 0); f.text("t").number(~0U); return f.data(256); }},
      {"first dimension zero", [] { return one_tensor({0, 8}, 0, 0); }},
      {"last dimension zero", [] { return one_tensor({8, 0}, 0, 0); }},
      {"S-03: row of 2^62-1 floats", [] { return one_tensor({(std::uint64_t{1} << 62) - 1}, 0, 0); }},
      {"row of 2^62 floats: bytes wrap to 0", [] { return one_tensor({std::uint64_t{1} << 62}, 0, 0); }},
      {"product of four 2^16", [] { return one_tensor({1U << 16, 1U << 16, 1U << 16, 1U << 16}, 0, 0); }},
      {"product wraps to 8", [] { return one_tensor({(std::uint64_t{1} << 61) + 1, 8}, 0, 0); }},
      {"Q8_0 blocks wrap", [] { return one_tensor({(kHuge / 34 + 1) * 32, 1}, 8, 0); }},
      {"half a Q8_0 block", [] { return one_tensor({33}, 8, 0); }},
      {"half a Q4_K block", [] { return one_tensor({128, 2}, 12, 0); }},
      {"Q4_0, a type we do not read", [] { return one_tensor({32}, 2, 0); }, Code::kInvalidArgument},
      {"type 99", [] { return one_tensor({32}, 99, 0); }, Code::kInvalidArgument},
      {"type 2^32-1", [] { return one_tensor({32}, ~0U, 0); }, Code::kInvalidArgument},
      {"larger than the file", [] { return one_tensor({1000}, 0, 0); }},
      {"ends beyond the file", [] { return one_tensor({64}, 0, 32); }},
      {"begins beyond the file", [] { return one_tensor({8}, 0, 1U << 20); }},
      {"offset 2^64-32", [] { return one_tensor({8}, 0, kHuge - 31); }},
      {"misaligned offset", [] { return one_tensor({8}, 0, 8); }},
      {"empty name", [] { HostileFile f(1, 0); f.tensor("", {8}, 0, 0); return f.data(256); }},
      {"name of 65 bytes", [] { HostileFile f(1, 0); f.tensor(std::string(65, 'n'), {8}, 0, 0); return f.data(256); }},
      {"name with NUL", [] { HostileFile f(1, 0); f.tensor(std::string("a\0b", 3), {8}, 0, 0); return f.data(256); }},
      {"name is a surrogate", [] { HostileFile f(1, 0); f.tensor("\xED\xA0\x80", {8}, 0, 0); return f.data(256); }},
      {"name overlong", [] { HostileFile f(1, 0); f.tensor("\xC0\xAF", {8}, 0, 0); return f.data(256); }},
      {"the same name twice", [] { HostileFile f(2, 0);
         f.tensor("t", {8}, 0, 0).tensor("t", {8}, 0, 32); return f.data(256); }},
      {"the same place twice", [] { HostileFile f(2, 0);
         f.tensor("a", {8}, 0, 0).tensor("b", {8}, 0, 0); return f.data(256); }},
      {"overlap by the tail", [] { HostileFile f(2, 0);
         f.tensor("a", {8}, 0, 32).tensor("b", {9}, 0, 0); return f.data(256); }},
      {"fewer tensors than declared", [] { HostileFile f(2, 0); f.tensor("a", {8}, 0, 0); return f.data(20); }},
  };
}

TEST(File, EveryLieGivesItsError) {
  for (const auto& lies : {container_lies(), key_lies(), tensor_lies()}) {
    for (const Lie& lie : lies) {
      const Bytes bytes = lie.make().bytes();
      const auto file = File::parse(bytes);
      ASSERT_FALSE(file.has_value()) << lie.what;
      EXPECT_EQ(file.error().code, lie.code) << lie.what << ": " << file.error().message;
      EXPECT_TRUE(file.error().message.starts_with("gguf: ")) << lie.what;
    }
  }
}

// The table's frame is honest: without the lie its files open.
TEST(File, TheTablesFrameIsValid) {
  EXPECT_TRUE(File::parse(one_tensor({8}, 0, 0).bytes()).has_value());
  EXPECT_TRUE(File::parse(with_alignment(8).bytes()).has_value());
  EXPECT_TRUE(File::parse(with_alignment(64).bytes()).has_value());
  EXPECT_TRUE(File::parse(with_header(kMagic, 2).bytes()).has_value());
  EXPECT_TRUE(File::parse(one_key(ValueType::kUint32, [](auto& f) { f.number(1U); }).bytes()).has_value());
  EXPECT_TRUE(File::parse(HostileFile(0, 0).bytes()).has_value());
}

TEST(File, AccessorsNameTheKeyAndTheRange) {
  const Bytes bytes = small_valid_file().bytes();
  const File file = *File::parse(bytes);
  EXPECT_EQ(file.get_uint("none", 0, 1).error().code, Code::kNotFound);
  EXPECT_EQ(file.get_uint("a.u32", 8, 100).error().code, Code::kDataLoss);
  EXPECT_EQ(file.get_uint("a.u32", 0, 6).error().code, Code::kDataLoss);
  EXPECT_EQ(file.get_uint("a.i8", 0, 255).error().message, "gguf: key 'a.i8' is -3, want 0..255");
  EXPECT_EQ(file.get_uint("a.u64", 0, 1U << 31).error().code, Code::kDataLoss);
  EXPECT_EQ(file.get_uint("a.f32", 0, 1).error().code, Code::kDataLoss);
  EXPECT_EQ(file.get_uint("a.flag", 0, 1).error().code, Code::kDataLoss);
  EXPECT_EQ(file.get_float("a.u32", 0, 10).error().code, Code::kDataLoss);
  EXPECT_EQ(file.get_float("a.f64", 0, 2).error().code, Code::kDataLoss);
  EXPECT_EQ(file.get_bool("a.u32").error().code, Code::kDataLoss);
  EXPECT_EQ(file.get_string("a.words").error().code, Code::kDataLoss);
  EXPECT_EQ(file.get_string_array("a.ints").error().code, Code::kDataLoss);
  EXPECT_EQ(file.get_int_array("a.words").error().code, Code::kDataLoss);
  EXPECT_EQ(file.get_int_array("a.u32").error().code, Code::kDataLoss);
}

TEST(File, NonFiniteFloatsAndOddBoolsAreDamage) {
  for (const float value : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    const Bytes bytes = one_key(ValueType::kFloat32, [&](auto& f) { f.number(value); }).bytes();
    EXPECT_EQ(File::parse(bytes)->get_float("k", -1e30, 1e30).error().code, Code::kDataLoss);
  }
  const Bytes odd = one_key(ValueType::kBool, [](auto& f) { f.number(std::uint8_t{2}); }).bytes();
  EXPECT_EQ(File::parse(odd)->get_bool("k").error().code, Code::kDataLoss);
  const Bytes big = one_key(ValueType::kArray, [](auto& f) {
    f.number(10U).number(std::uint64_t{1}).number(k63);
  }).bytes();
  EXPECT_EQ(File::parse(big)->get_int_array("k").error().code, Code::kDataLoss);
}

}  // namespace
}  // namespace dormouse::gguf
