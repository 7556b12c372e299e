// Goal: what is believed to be in a part is on the disk, whatever ended the program before; a full disk leaves a part
// that is taken up. Method: parts opened again as a killed process leaves them, journals cut and spoilt by hand, and a
// limit on file sizes in place of a full disk (the same errors).
#include "catalog/pull_part.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/ids.h"

namespace dormouse::catalog {
namespace {

namespace fs = std::filesystem;

const std::string kHash(64, 'b');

class PartFileTest : public testing::Test {
 protected:
  PartFileTest() : directory_(fs::temp_directory_path() / ("dormouse-part-" + random_hex(6))) {
    fs::create_directories(directory_);
  }
  ~PartFileTest() override {
    std::error_code ec;
    fs::remove_all(directory_, ec);
  }
  [[nodiscard]] std::string path() const { return (directory_ / "model.gguf").string(); }
  [[nodiscard]] Result<PartFile> open(std::int64_t bytes = 100) const { return PartFile::open(path(), bytes, kHash); }
  [[nodiscard]] std::string read(const std::string& suffix) const {
    std::ifstream file(path() + suffix, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  void write(const std::string& suffix, const std::string& text) const {
    std::ofstream(path() + suffix, std::ios::binary) << text;
  }

 private:
  fs::path directory_;
};

TEST_F(PartFileTest, WhatIsKeptIsSeenWithoutOpeningIt) {
  EXPECT_EQ(PartFile::kept_bytes(path()), 0);
  {
    PartFile part = open().value();
    EXPECT_EQ(PartFile::kept_bytes(path()), 0);
    ASSERT_TRUE(part.write(40, std::string(40, 'x')).has_value());
    ASSERT_TRUE(part.mark({40, 80}).has_value());
    ASSERT_TRUE(part.mark({60, 80}).has_value());
    EXPECT_EQ(PartFile::kept_bytes(path()), 40) << "while another holds it, and twice told is once there";
  }
  write(".part.ranges", read(".part.ranges") + "80 100\n");
  EXPECT_EQ(PartFile::kept_bytes(path()), 40) << "more than the file has";
  for (const char* damaged :
       {"", "dormouse pull 1 100", "dormouse pull 2 100 b\n0 80\n", "dormouse pull 1 100 b\n0 x\n"}) {
    write(".part.ranges", damaged);
    EXPECT_EQ(PartFile::kept_bytes(path()), 0) << damaged;
  }
}

TEST_F(PartFileTest, GoesOnWhereTheJournalSays) {
  {
    PartFile part = open().value();
    EXPECT_EQ(part.missing(40), (std::vector<ByteRange>{{0, 40}, {40, 80}, {80, 100}}));
    ASSERT_TRUE(part.write(40, std::string(40, 'x')).has_value());
    ASSERT_TRUE(part.mark({40, 80}).has_value());
    ASSERT_TRUE(part.write(80, "yyy").has_value());  // written, not marked: the process dies here
  }
  PartFile part = open().value();
  EXPECT_EQ(part.done_bytes(), 40);
  EXPECT_EQ(part.missing(1'000), (std::vector<ByteRange>{{0, 40}, {80, 100}}));
  ASSERT_TRUE(part.write(0, std::string(40, 'a')).has_value());
  ASSERT_TRUE(part.mark({0, 40}).has_value());
  ASSERT_TRUE(part.write(80, std::string(20, 'b')).has_value());
  ASSERT_TRUE(part.mark({80, 100}).has_value());
  EXPECT_TRUE(part.missing(1).empty());
  ASSERT_TRUE(part.finish().has_value());
  EXPECT_EQ(read(""), std::string(40, 'a') + std::string(40, 'x') + std::string(20, 'b'));
  EXPECT_FALSE(fs::exists(path() + ".part"));
  EXPECT_FALSE(fs::exists(path() + ".part.ranges"));
}

TEST_F(PartFileTest, AJournalIsBelievedUpToItsFirstOddLine) {
  const std::string first = "dormouse pull 1 100 " + kHash + "\n";
  for (const auto& [rest, done] :
       std::vector<std::pair<std::string, std::int64_t>>{{"0 10\n20 30\n", 20},
                                                         {"0 10\n20 3", 10},  // cut off
                                                         {"0 10\nnonsense\n20 30\n", 10},
                                                         {"0 10\n30 20\n", 10},
                                                         {"0 10\n-5 5\n", 10},
                                                         {"0 10\n0 101\n", 10},  // past the end
                                                         {"0 10\n50 70\n", 10},  // past what the file has
                                                         {"0 99999999999999999999\n", 0},
                                                         {"5 15\n0 10\n10 20\n", 20}}) {
    write(".part", std::string(40, 'z'));
    write(".part.ranges", first + rest);
    Result<PartFile> part = open();
    ASSERT_TRUE(part.has_value()) << rest;
    EXPECT_EQ(part->done_bytes(), done) << rest;
    // What is appended next is read back.
    ASSERT_TRUE(part->mark({90, 95}).has_value());
    ASSERT_TRUE(part->write(99, "z").has_value());
    part = make_error(Code::kInternal, "closed");
    EXPECT_EQ(open()->done_bytes(), done + 5) << rest;
  }
}

TEST_F(PartFileTest, AnotherFilesJournalIsThrownAway) {
  for (const std::string& first : {"dormouse pull 1 100 " + std::string(64, 'c') + "\n",
                                   "dormouse pull 1 101 " + kHash + "\n", std::string("GIF89a"), std::string()}) {
    write(".part", std::string(100, 'z'));
    write(".part.ranges", first + "0 100\n");
    const Result<PartFile> part = open();
    ASSERT_TRUE(part.has_value());
    EXPECT_EQ(part->done_bytes(), 0) << first;
    EXPECT_EQ(fs::file_size(path() + ".part"), 0U);
  }
}

TEST_F(PartFileTest, OnePullAtATime) {
  const Result<PartFile> one = open();
  ASSERT_TRUE(one.has_value());
  const Result<PartFile> other = open();
  ASSERT_FALSE(other.has_value());
  EXPECT_EQ(other.error().code, Code::kAlreadyExists);
}

TEST_F(PartFileTest, ALinkInItsPlaceIsNotFollowed) {
  fs::create_symlink("/etc/passwd", path() + ".part");
  EXPECT_FALSE(open().has_value());
}

TEST_F(PartFileTest, AFullDiskLeavesWhatCame) {
  constexpr rlim_t kMostBytes = 50;
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  {
    PartFile part = open().value();
    ASSERT_TRUE(part.write(0, std::string(40, 'x')).has_value());
    ASSERT_TRUE(part.mark({0, 40}).has_value());
    const rlimit full{kMostBytes, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
    const Status refused = part.write(40, std::string(40, 'y'));
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, Code::kTooLarge);
  }
  EXPECT_EQ(open()->done_bytes(), 40);
}

}  // namespace
}  // namespace dormouse::catalog
