// Goal: whole characters only, whatever the cuts. Method: every cut of a table whose answers are Python's
// bytes.decode('utf-8', 'replace'); all strings of up to three critical bytes, cut everywhere.
#include "text/utf8_stream.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace dormouse::text {
namespace {

const std::string kReplacement = "\xEF\xBF\xBD";

std::string at_once(const std::string& bytes) {
  Utf8Stream stream;
  std::string out = stream.push(bytes);
  return out + stream.finish();
}

TEST(Utf8Stream, ReplacesMaximalSubpartsAsPythonDoes) {
  const std::string r = kReplacement;
  const std::vector<std::pair<std::string, std::string>> table = {
      {"", ""},
      {"abc", "abc"},
      {"\xe6\x9c\x88", "月"},
      {"\xf0\x9f\x98\x80", "😀"},
      {"\xff", r},
      {"\x80\x80", r + r},
      {"\xc0\x80", r + r},
      {"\xc3", r},
      {"\xc3(", r + "("},
      {"\xe6\x9c", r},
      {"\xe6\x9c!", r + "!"},
      {"\xe0\x80\x80", r + r + r},
      {"\xed\xa0\x80", r + r + r},
      {"\xf0\x80\x80\x80", r + r + r + r},
      {"\xf0\x9f\x98", r},
      {"\xf0\x9f\x98\xf0\x9f\x98\x80", r + "😀"},
      {"\xf4\x90\x80\x80", r + r + r + r},
      {"\xf5\x80", r + r},
  };
  for (const auto& [bytes, want] : table) {
    EXPECT_EQ(at_once(bytes), want);
    EXPECT_EQ(is_valid_utf8(bytes), bytes == want);
  }
}

TEST(Utf8Stream, TheTotalDoesNotDependOnTheCuts) {
  const std::string critical = "A\x80\xbf\x9f\xa0\xc2\xe0\xed\xf0\xf4\x90\xff";
  std::vector<std::string> inputs = {
      "a月😀é\xe6\x9c"
      "b\xf0\x9f\x98月\xed\xa0\x80\xff"};
  for (const char a : critical) {
    for (const char b : critical) {
      for (const char c : critical) inputs.push_back({a, b, c, '\xbf', 'z'});
    }
  }
  for (const std::string& bytes : inputs) {
    const std::string want = at_once(bytes);
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
      Utf8Stream stream;
      std::string got = stream.push(bytes.substr(0, cut));
      ASSERT_TRUE(is_valid_utf8(got));
      got += stream.push(bytes.substr(cut));
      ASSERT_EQ(got + stream.finish(), want);
    }
    Utf8Stream stream;
    std::string got;
    for (const char byte : bytes) {
      const std::string part = stream.push({&byte, 1});
      ASSERT_TRUE(is_valid_utf8(part));
      got += part;
    }
    ASSERT_EQ(got + stream.finish(), want);
  }
}

TEST(Utf8Stream, HoldsBackHalfACharacterAndNothingElse) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("ab\xe6"), "ab");
  EXPECT_EQ(stream.push("\x9c"), "");
  EXPECT_EQ(stream.push("\x88"
                        "c"),
            "月c");
  EXPECT_EQ(stream.finish(), "");
  EXPECT_EQ(stream.push("\xf0\x9f\x98"), "");
  EXPECT_EQ(stream.finish(), kReplacement);
  EXPECT_EQ(stream.push("x"), "x");  // finish() starts anew
}

}  // namespace
}  // namespace dormouse::text
