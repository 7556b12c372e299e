// Goal: a packed file holds exactly the model's weights, in execution order, and anything wrong with it is noticed
// before a kernel reads it. Method: a small model, real files in a fresh directory, and every byte of the header
// turned.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/tensor_type.h"
#include "kernels/layout.h"
#include "pack/checksum.h"
#include "pack/packed_file.h"
#include "pack/plan.h"
#include "pack/test_model.h"

namespace dormouse::pack {
namespace {

namespace fs = std::filesystem;

void run_all(std::int32_t count, const std::function<void(std::int32_t)>& task) {
  for (std::int32_t i = 0; i < count; ++i) task(i);
}

// Opaque to the file: more than a page of them.
std::vector<std::uint8_t> some_tables() {
  std::vector<std::uint8_t> out(5000);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::uint8_t>(i * 37);
  return out;
}

class PackTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "dormouse-pack-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    write(model_path(), small_model());
  }
  void TearDown() override { fs::remove_all(folder_); }

  [[nodiscard]] std::string model_path() const { return (folder_ / "model.gguf").string(); }
  [[nodiscard]] std::string pack_path(const gguf::File& source) const {
    return packed_path(model_path(), "", source.mapping()->identity().inode);
  }
  static void write(const std::string& path, const std::vector<std::uint8_t>& bytes) {
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  static std::vector<std::uint8_t> read(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  fs::path folder_;
};

TEST_F(PackTest, HoldsEveryMatrixInExecutionOrderAndNothingElse) {
  const auto source = gguf::File::open(model_path());
  ASSERT_TRUE(source.has_value()) << source.error().message;
  ASSERT_TRUE(write_packed(*source, some_tables(), pack_path(*source), run_all, {}).has_value());
  const auto packed = PackedFile::open(pack_path(*source), *source);
  ASSERT_TRUE(packed.has_value()) << packed.error().message;
  std::vector<std::string> names;
  std::uint64_t last = 0;
  for (const Entry& entry : packed->entries()) {
    const gguf::TensorInfo& tensor = source->tensors()[entry.source_index];
    names.emplace_back(tensor.name);
    EXPECT_GT(entry.offset, last);
    last = entry.offset;
    const std::size_t row_bytes = tensor.bytes / tensor.rows();
    std::vector<std::uint8_t> row(row_bytes);
    for (std::int32_t r = 0; r < entry.rows; ++r) {
      kernels::unpack_row(tensor.type, packed->data(entry).data(), r, entry.columns, row.data());
      ASSERT_EQ(
          std::memcmp(row.data(), source->data(tensor).data() + static_cast<std::size_t>(r) * row_bytes, row_bytes), 0)
          << tensor.name << " row " << r;
    }
  }
  EXPECT_EQ(names, (std::vector<std::string>{"blk.0.attn_q.weight", "blk.0.ffn_down.weight", "token_embd.weight"}));
  EXPECT_EQ(packed->data_offset() % kDataAlignment, 0U);
  EXPECT_TRUE(std::ranges::equal(packed->tokenizer_tables(), some_tables()));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(packed->tokenizer_tables().data()) % kMatrixAlignment, 0U);
  EXPECT_TRUE(packed->verify({}).has_value());
  // Nothing but the model and its pack is left in the folder.
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 2);
}

TEST_F(PackTest, EveryTurnedHeaderByteAndEveryTruncationIsRefused) {
  const auto source = gguf::File::open(model_path());
  ASSERT_TRUE(source.has_value());
  ASSERT_TRUE(write_packed(*source, some_tables(), pack_path(*source), run_all, {}).has_value());
  const std::vector<std::uint8_t> whole = read(pack_path(*source));
  ASSERT_TRUE(PackedFile::parse(whole, *source).has_value());
  const std::size_t checked = kHeaderBytes + 3 * sizeof(Entry);
  for (std::size_t at = 0; at < checked; ++at) {
    if (at >= sizeof(Header) && at < kHeaderBytes) continue;  // unused
    std::vector<std::uint8_t> bytes = whole;
    bytes[at] ^= 0x40;
    EXPECT_FALSE(PackedFile::parse(bytes, *source).has_value()) << "byte " << at;
  }
  // The header and the directory at every byte; beyond them only the length can tell.
  for (std::size_t size = 0; size <= checked; ++size) {
    EXPECT_FALSE(PackedFile::parse(std::span(whole).first(size), *source).has_value()) << size << " bytes";
  }
  EXPECT_FALSE(PackedFile::parse(std::span(whole).first(whole.size() - 1), *source).has_value());
}

// Hostile entries with right checksums: what a program other than ours might write.
TEST_F(PackTest, EntriesThatLieAreRefused) {
  const auto source = gguf::File::open(model_path());
  ASSERT_TRUE(source.has_value());
  ASSERT_TRUE(write_packed(*source, some_tables(), pack_path(*source), run_all, {}).has_value());
  const std::vector<std::uint8_t> whole = read(pack_path(*source));
  const auto with = [&](const std::function<void(Header&, Entry&)>& change) {
    std::vector<std::uint8_t> bytes = whole;
    Header header;
    Entry entry;
    std::memcpy(&header, bytes.data(), sizeof header);
    std::memcpy(&entry, bytes.data() + kHeaderBytes, sizeof entry);
    change(header, entry);
    std::memcpy(bytes.data() + kHeaderBytes, &entry, sizeof entry);
    const std::size_t size = std::min<std::size_t>(header.entry_count, 3) * sizeof(Entry);
    header.directory_checksum = checksum(std::span(bytes).subspan(kHeaderBytes, size));
    header.header_checksum = 0;
    header.header_checksum = checksum({reinterpret_cast<const std::uint8_t*>(&header), sizeof header});
    std::memcpy(bytes.data(), &header, sizeof header);
    return PackedFile::parse(bytes, *source).has_value();
  };
  EXPECT_TRUE(with([](Header&, Entry&) {}));
  EXPECT_FALSE(with([](Header&, Entry& e) { e.source_index = 4; }));
  EXPECT_FALSE(with([](Header&, Entry& e) { e.source_index = 2; }));  // the norm
  EXPECT_FALSE(with([](Header&, Entry& e) { e.type = 8; }));
  EXPECT_FALSE(with([](Header&, Entry& e) { e.type = 77; }));
  EXPECT_FALSE(with([](Header&, Entry& e) { e.rows = 32; }));
  EXPECT_FALSE(with([](Header&, Entry& e) { e.columns = -256; }));
  EXPECT_FALSE(with([](Header&, Entry& e) { e.offset = 0; }));
  EXPECT_FALSE(with([](Header&, Entry& e) { e.offset += 64; }));
  EXPECT_FALSE(with([](Header&, Entry& e) { e.offset = ~std::uint64_t{4095}; }));
  EXPECT_FALSE(with([](Header&, Entry& e) { e.bytes += 1; }));
  EXPECT_FALSE(with([](Header& h, Entry&) { h.entry_count = 1U << 31; }));
  EXPECT_FALSE(with([](Header& h, Entry&) { h.data_offset = ~std::uint64_t{0}; }));
  EXPECT_TRUE(with([](Header& h, Entry&) { h.tables_bytes = 0; }));
  EXPECT_TRUE(with([](Header& h, Entry&) { h.tables_bytes = h.file_bytes - h.tables_offset; }));
  EXPECT_FALSE(with([](Header& h, Entry&) { h.tables_bytes = h.file_bytes - h.tables_offset + 1; }));
  EXPECT_FALSE(with([](Header& h, Entry&) { h.tables_bytes = ~std::uint64_t{0}; }));
  EXPECT_FALSE(with([](Header& h, Entry&) { h.tables_offset += 8; }));
  EXPECT_FALSE(with([](Header& h, Entry&) { h.tables_offset = 0; }));
  EXPECT_FALSE(with([](Header& h, Entry&) { h.tables_offset = ~std::uint64_t{4095}; }));
  EXPECT_FALSE(with([](Header& h, Entry&) { h.layout_version = kLayoutVersion - 1; }));
}

TEST_F(PackTest, AChangedModelMakesItsPackStale) {
  {
    const auto source = gguf::File::open(model_path());
    ASSERT_TRUE(source.has_value());
    ASSERT_TRUE(write_packed(*source, some_tables(), (folder_ / "kept").string(), run_all, {}).has_value());
  }
  const timespec times[2] = {{1'000'000'000, 0}, {1'000'000'000, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, model_path().c_str(), times, 0), 0);
  const auto touched = gguf::File::open(model_path());
  ASSERT_TRUE(touched.has_value());
  const auto packed = PackedFile::open((folder_ / "kept").string(), *touched);
  ASSERT_FALSE(packed.has_value());
  EXPECT_NE(packed.error().message.find("changed"), std::string::npos) << packed.error().message;
}

TEST_F(PackTest, DamagedWeightsAreFoundByVerification) {
  const auto source = gguf::File::open(model_path());
  ASSERT_TRUE(source.has_value());
  ASSERT_TRUE(write_packed(*source, some_tables(), pack_path(*source), run_all, {}).has_value());
  std::vector<std::uint8_t> bytes = read(pack_path(*source));
  Entry entry;
  std::memcpy(&entry, bytes.data() + kHeaderBytes + sizeof entry, sizeof entry);
  bytes[entry.offset + entry.bytes - 1] ^= 1;
  const auto packed = PackedFile::parse(bytes, *source);
  ASSERT_TRUE(packed.has_value()) << packed.error().message;
  const Status verified = packed->verify({});
  ASSERT_FALSE(verified.has_value());
  EXPECT_NE(verified.error().message.find("matrix 1"), std::string::npos) << verified.error().message;
}

TEST_F(PackTest, DamagedTablesAreFoundByVerification) {
  const auto source = gguf::File::open(model_path());
  ASSERT_TRUE(source.has_value());
  ASSERT_TRUE(write_packed(*source, some_tables(), pack_path(*source), run_all, {}).has_value());
  std::vector<std::uint8_t> bytes = read(pack_path(*source));
  bytes[bytes.size() - 4096] ^= 1;  // the last page holds their end
  const auto packed = PackedFile::parse(bytes, *source);
  ASSERT_TRUE(packed.has_value()) << packed.error().message;
  const Status verified = packed->verify({});
  ASSERT_FALSE(verified.has_value());
  EXPECT_NE(verified.error().message.find("tables"), std::string::npos) << verified.error().message;
}

TEST_F(PackTest, PacksOfOlderLayoutsAreDeletedAndNothingElse) {
  const auto source = gguf::File::open(model_path());
  ASSERT_TRUE(source.has_value());
  const std::string path = pack_path(*source);
  ASSERT_TRUE(write_packed(*source, {}, path, run_all, {}).has_value());
  std::string old = path;
  old.replace(old.rfind(".v"), std::string::npos, ".v1.dpack");
  write(old, {1});
  write(old + ".verified", {});
  write(model_path() + ".1.v1.dpack", {1});  // of another file with this name
  remove_older_versions(model_path(), "", source->mapping()->identity().inode);
  EXPECT_FALSE(fs::exists(old));
  EXPECT_FALSE(fs::exists(old + ".verified"));
  EXPECT_TRUE(fs::exists(path));
  EXPECT_TRUE(fs::exists(model_path() + ".1.v1.dpack"));
}

TEST_F(PackTest, AStoppedOrFailedWriteLeavesNothingBehind) {
  const auto source = gguf::File::open(model_path());
  ASSERT_TRUE(source.has_value());
  const Status stopped = write_packed(*source, some_tables(), pack_path(*source), run_all,
                                      [](std::uint64_t, std::uint64_t) { return false; });
  ASSERT_FALSE(stopped.has_value());
  EXPECT_EQ(stopped.error().code, Code::kCancelled);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
  EXPECT_FALSE(write_packed(*source, {}, (folder_ / "no" / "such" / "folder").string(), run_all, {}).has_value());
}

}  // namespace
}  // namespace dormouse::pack
