// Goal: the access log keeps to its bound and is read whole and once, even while it is renamed. Method: small limits, a
// folder in /tmp.
#include "gateway/access_file.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "base/ids.h"

namespace dormouse::gateway {
namespace {

namespace fs = std::filesystem;

class AccessFileTest : public testing::Test {
 protected:
  AccessFileTest() : root_((fs::temp_directory_path() / ("dormouse-access-" + random_hex(6))).string()) {
    fs::create_directories(root_);
  }
  ~AccessFileTest() override {
    std::error_code ec;
    fs::remove_all(root_, ec);
  }
  static std::string line(std::int64_t us) {
    return fmt::format("{}{},\"id\":\"{:0>30}\"}}", kAccessLineBegin, us, us);
  }
  // Every line from `since` on, page after page; `between` runs between two.
  static std::string all(const AccessFile& file, std::int64_t since, std::int64_t page,
                         const std::function<void()>& between = {}) {
    std::string out;
    std::string cursor;
    do {
      Result<AccessFile::Page> got = file.read(WallTime{since}, cursor, page);
      EXPECT_TRUE(got.has_value());
      out += got->lines;
      cursor = got->cursor;
      if (between) between();
    } while (!cursor.empty());
    return out;
  }
  [[nodiscard]] std::int64_t bytes() const {
    std::int64_t out = 0;
    for (const auto& entry : fs::directory_iterator(root_)) out += static_cast<std::int64_t>(entry.file_size());
    return out;
  }
  std::string root_;
};

TEST_F(AccessFileTest, StaysWithinItsBoundAndKeepsTheNewest) {
  AccessFile file(root_, {.file_bytes = 1'000, .files = 3});
  std::string expected;
  for (std::int64_t i = 1; i <= 1'000; ++i) file.append(line(i));
  EXPECT_LE(bytes(), 3'000);
  EXPECT_GT(bytes(), 2'000);
  const std::string kept = all(file, 0, 1 << 20);
  EXPECT_TRUE(kept.ends_with(line(1'000) + "\n"));
  for (std::int64_t i = 1'000; i > 0 && expected.size() < kept.size(); --i) expected.insert(0, line(i) + "\n");
  EXPECT_EQ(kept, expected) << "whole lines, in order, none missing";
  EXPECT_EQ(file.lost(), 0U);
}

TEST_F(AccessFileTest, SmallPagesGiveTheSameAsOneLargeOne) {
  AccessFile file(root_, {.file_bytes = 1'000, .files = 4});
  for (std::int64_t i = 1; i <= 60; ++i) file.append(line(i));
  const std::string whole = all(file, 0, 1 << 20);
  EXPECT_EQ(all(file, 0, 100), whole);
  EXPECT_EQ(all(file, 0, 137), whole);
  const std::string late = all(file, 50, 137);
  EXPECT_EQ(late.find(line(50)), 0U);
  EXPECT_TRUE(whole.ends_with(late));
  EXPECT_EQ(all(file, 61, 100), "");
}

TEST_F(AccessFileTest, IsFollowedWhileItIsRenamed) {
  AccessFile file(root_, {.file_bytes = 1'000, .files = 20});
  std::int64_t next = 1;
  for (; next <= 60; ++next) file.append(line(next));
  int pages = 0;
  const std::string got = all(file, 0, 100, [&] {
    // The files are renamed under the reader's feet, until there is an end to it.
    for (int i = 0; ++pages < 40 && i < 3; ++i) file.append(line(next++));
  });
  std::string expected;
  for (std::int64_t i = 1; i < next; ++i) expected += line(i) + "\n";
  EXPECT_EQ(got, expected) << "no line twice, none lost";
}

TEST_F(AccessFileTest, GoesOnWhereAnEarlierStartEnded) {
  { AccessFile(root_).append(line(1)); }
  AccessFile file(root_);
  file.append(line(2));
  EXPECT_EQ(all(file, 0, 1 << 20), line(1) + "\n" + line(2) + "\n");
}

TEST_F(AccessFileTest, WhatIsNoLineOfOursIsSkippedAndAStrangeCursorRefused) {
  AccessFile file(root_);
  file.append(line(1));
  std::ofstream(root_ + "/access.jsonl", std::ios::app) << "cut off in the mid\n{\"time_us\":2,\"unfinished";
  EXPECT_EQ(all(file, 0, 1 << 20), line(1) + "\n");
  for (const char* bad : {"x", "1", "1:", "1:-5", "1:2x", ":"}) {
    EXPECT_EQ(file.read(WallTime{0}, bad).error().code, Code::kInvalidArgument) << bad;
  }
  EXPECT_EQ(file.read(WallTime{0}, "999999999:5").value().lines, line(1) + "\n") << "that file was dropped";
}

TEST_F(AccessFileTest, NoFolderLosesLinesAndNothingElse) {
  AccessFile file(root_ + "/nowhere");
  file.append(line(1));
  EXPECT_EQ(file.lost(), 1U);
  EXPECT_EQ(all(file, 0, 100), "");
}

}  // namespace
}  // namespace dormouse::gateway
