// Goal: the text Python's json.dumps would write. Method: goldens by Python itself (make_chat_golden.py), and refusals.
#include "text/python_json.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>

#include "text/vocabulary_fixture.h"

namespace dormouse::text {
namespace {

TEST(PythonJson, GivesWhatPythonGives) {
  const auto golden =
      boost::json::parse(read_whole_file(std::string(DORMOUSE_SOURCE_DIR) + "/tests/golden/text/json_golden.json"));
  ASSERT_GT(golden.as_array().size(), 40U);
  for (const auto& row : golden.as_array()) {
    const auto got = python_json(std::string_view(row.at("in").as_string()));
    ASSERT_TRUE(got.has_value()) << row.at("in") << got.error().message;
    EXPECT_EQ(*got, std::string_view(row.at("out").as_string()));
  }
}

TEST(PythonJson, RefusesWhatIsNotJson) {
  for (const std::string_view text :
       {"",         " ",          "{",           "[",      "}",        "[1,]",      "[,1]",  "[1 2]", "{\"a\"}",
        "{\"a\":}", "{\"a\":1,}", "{a:1}",       "{1:1}",  "[1}",      "{\"a\":1]", "01",    "1.",    ".5",
        "-",        "+1",         "1e",          "1e400",  "NaN",      "Infinity",  "tru",   "\"",    "\"\\\"",
        "\"\\x\"",  "\"\\u12\"",  "\"\\u12g4\"", "\"\n\"", "\"\xff\"", "1 1",       "[] []", "'a'"}) {
    EXPECT_FALSE(python_json(text).has_value()) << text;
  }
  EXPECT_FALSE(python_json(std::string(100000, '[')).has_value());
  EXPECT_FALSE(python_json(std::string(5000, '9')).has_value());
  EXPECT_TRUE(python_json(std::string(64, '[') + std::string(64, ']')).has_value());
  EXPECT_FALSE(python_json(std::string(65, '[') + std::string(65, ']')).has_value());
}

TEST(PythonJson, LoneSurrogatesAreReplaced) {
  EXPECT_EQ(*python_json(R"("\ud83c")"), "\"\xEF\xBF\xBD\"");
  EXPECT_EQ(*python_json(R"("\ud83cx\udf19")"), "\"\xEF\xBF\xBDx\xEF\xBF\xBD\"");
  EXPECT_EQ(*python_json(R"("\ud83c\ud83c\udf19")"), "\"\xEF\xBF\xBD🌙\"");
}

}  // namespace
}  // namespace dormouse::text
