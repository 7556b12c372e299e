// Goal: whatever a crash left of a result file, its whole lines count, each once, and the next line begins a line.
// Method: files written by hand.
#include "gateway/batches/result_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/ids.h"
#include "gateway/batches/batch.h"

namespace dormouse::gateway {
namespace {

namespace fs = std::filesystem;

std::string line(const std::string& custom_id, const std::string& request_id) {
  return result_line({.custom_id = custom_id,
                      .request_id = request_id,
                      .status = 200,
                      .response_body = R"({"x":1})",
                      .code = {},
                      .message = {}});
}

class ResultFileTest : public ::testing::Test {
 protected:
  void SetUp() override { fs::create_directories(directory_); }
  void TearDown() override { fs::remove_all(directory_); }
  [[nodiscard]] std::string content() const {
    std::ifstream file(path_);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  std::set<std::string> read(std::int64_t expected_count) const {
    std::set<std::string> done;
    std::int64_t count = 0;
    EXPECT_TRUE(read_results(path_, done, count).has_value());
    EXPECT_EQ(count, expected_count);
    return done;
  }

  const std::string directory_ = (fs::temp_directory_path() / ("dormouse-results-" + random_hex(6))).string();
  const std::string path_ = directory_ + "/r.data";
};

TEST_F(ResultFileTest, WholeLinesCountAndATornOneIsCutOff) {
  EXPECT_TRUE(read(0).empty()) << "no file, no results";
  ASSERT_TRUE(append_durably(path_, line("a", "1")).has_value());
  ASSERT_TRUE(append_durably(path_, line("b", "2")).has_value());
  const std::string whole = content();
  const std::string third = line("c", "3");
  for (std::size_t bytes = 1; bytes < third.size(); ++bytes) {
    std::ofstream(path_, std::ios::app) << third.substr(0, bytes);
    EXPECT_EQ(read(2), (std::set<std::string>{"a", "b"})) << bytes;
    EXPECT_EQ(content(), whole) << bytes;
  }
  ASSERT_TRUE(append_durably(path_, third).has_value());
  EXPECT_EQ(read(3).size(), 3U);
  ASSERT_TRUE(append_durably(path_, line("a", "4")).has_value());
  EXPECT_EQ(read(3).size(), 3U) << "one of them twice";
}

TEST_F(ResultFileTest, WhatWasGivenBackIsTakenOut) {
  EXPECT_TRUE(drop_results(path_, {"1"}).has_value());
  for (const auto& [custom_id, request_id] : {std::pair("a", "1"), std::pair("b", "2"), std::pair("c", "3")}) {
    ASSERT_TRUE(append_durably(path_, line(custom_id, request_id)).has_value());
  }
  ASSERT_TRUE(drop_results(path_, {"9"}).has_value());
  EXPECT_EQ(read(3).size(), 3U);
  ASSERT_TRUE(drop_results(path_, {"3", "1", "9"}).has_value());
  EXPECT_EQ(content(), line("b", "2"));
}

}  // namespace
}  // namespace dormouse::gateway
