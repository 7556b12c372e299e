// Goal: who mistypes a command reads which word was wrong and what was perhaps meant, in both languages. Method: the
// program's own parser and command lines that cannot be meant; nothing is run.
#include "cli/usage_error.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/verbs.h"

namespace dormouse::cli {
namespace {

std::string said(std::vector<std::string> words, Language language = Language::kEnglish) {
  Context context;
  context.language = language;
  CLI::App app;
  build_app(app, context);
  std::reverse(words.begin(), words.end());  // as the parser takes them
  try {
    app.parse(words);
  } catch (const CLI::ParseError& error) {
    return usage_error_text(app, error, language);
  }
  return "it was accepted";
}

TEST(UsageError, NamesTheWordAndWhatIsNear) {
  EXPECT_EQ(said({"nonsense"}), "dormouse has no verb 'nonsense'\n`dormouse --help` shows how it is used\n");
  EXPECT_EQ(said({"serv"}),
            "dormouse has no verb 'serv'; did you mean serve?\n`dormouse --help` shows how it is used\n");
  EXPECT_EQ(said({"keys", "lst"}),
            "dormouse keys has no verb 'lst'; did you mean list?\n`dormouse keys --help` shows how it is used\n");
  EXPECT_EQ(said({"ps", "--formt=json"}),
            "dormouse ps has no switch --formt; did you mean --format?\n`dormouse ps --help` shows how it is used\n");
  EXPECT_EQ(said({"ps", "--data-dri", "x"}).substr(0, 59),
            "dormouse ps has no switch --data-dri; did you mean --data-d");
  EXPECT_EQ(said({"ps", "demo"}),
            "dormouse ps takes no further word: 'demo'\n`dormouse ps --help` shows how it is used\n");
  EXPECT_EQ(said({"ps", "--bad"}, Language::kChinese), "dormouse ps 没有选项 --bad\n用法见 `dormouse ps --help`\n");
}

TEST(UsageError, SaysWhatAValueMayBe) {
  EXPECT_EQ(said({"ps", "--format", "yaml"}),
            "--format: 'yaml' is none of table, json\n`dormouse ps --help` shows how it is used\n");
  EXPECT_EQ(said({"ps", "--format", "yaml"}, Language::kChinese),
            "--format：“yaml”不行，可选 table、json\n用法见 `dormouse ps --help`\n");
  EXPECT_EQ(said({"ps", "--format"}), "--format wants a value\n`dormouse ps --help` shows how it is used\n");
  EXPECT_EQ(said({"ps", "--format", "json", "--format", "json"}),
            "--format may be given once\n`dormouse ps --help` shows how it is used\n");
  EXPECT_EQ(said({"wake"}), "dormouse wake needs NAME\n`dormouse wake --help` shows how it is used\n");
  EXPECT_EQ(said({"keys", "create"}, Language::kChinese),
            "dormouse keys create 缺少 --name\n用法见 `dormouse keys create --help`\n");
  EXPECT_EQ(said({"bench", "--requests", "many"}),
            "--requests: 'many' is no number of the kind it wants\n`dormouse bench --help` shows how it is used\n");
}

TEST(UsageError, WithoutAVerbItIsTheHelp) {
  EXPECT_NE(said({}).find("\n  serve "), std::string::npos) << said({});
  EXPECT_NE(said({"keys"}).find("Usage: dormouse keys ["), std::string::npos) << said({"keys"});
  EXPECT_NE(said({"keys"}).find("\n  create "), std::string::npos) << said({"keys"});
  EXPECT_NE(said({}, Language::kChinese).find("用法: dormouse"), std::string::npos) << said({}, Language::kChinese);
}

TEST(UsageError, WordsNobodyWouldTypeAreAnsweredToo) {
  for (const std::string& word : {std::string(100'000, 'x'), std::string("-"), std::string("--"), std::string("--="),
                                  std::string("=="), std::string("\xFF"), std::string(" ")}) {
    EXPECT_FALSE(said({word}).empty()) << word.substr(0, 20);
    EXPECT_FALSE(said({"bench", "--requests", word}).empty()) << word.substr(0, 20);
  }
}

}  // namespace
}  // namespace dormouse::cli
