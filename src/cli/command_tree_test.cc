// Goal: what shells and man(1) are told is what the program does, every verb explains itself by example, and scripts
// get JSON. Method: the program's own parser, in both languages; no process, no I/O but docs/cli.md.
#include "cli/command_tree.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <functional>
#include <sstream>

#include "cli/completions.h"
#include "cli/exit_codes.h"
#include "cli/man_page.h"
#include "cli/verbs.h"

namespace dormouse::cli {
namespace {

Command whole_program(Language language) {
  Context context;
  context.language = language;
  context.data_dir = "/somewhere/of/the/builder";
  CLI::App app;
  build_app(app, context);
  return read_tree(app);
}

// Verbs without verbs of their own, with their whole names: "keys create".
void for_each_leaf(const Command& root, const std::function<void(const std::string&, const Command&)>& visit) {
  for (const Command& verb : root.commands) {
    visit(verb.name, verb);
    for (const Command& below : verb.commands) visit(verb.name + " " + below.name, below);
  }
}

std::vector<std::string> texts(const std::vector<Candidate>& candidates) {
  std::vector<std::string> out;
  for (const Candidate& each : candidates) out.push_back(each.text);
  return out;
}

std::vector<std::string> names(Names what) {
  switch (what) {
    case Names::kDeployments: return {"chat", "chatty", "demo"};
    case Names::kImages: return {"qwen3-demo:q8_0"};
    case Names::kInstanceTypes: return {"local", "t4"};
    case Names::kRuleKeys: return {"min=", "max="};
  }
  return {};
}

std::vector<std::string> completed(const std::vector<std::string>& words) {
  return texts(complete(whole_program(Language::kEnglish), words, names));
}

using Words = std::vector<std::string>;

TEST(Help, EveryVerbShowsAnExample) {
  for (const Language language : {Language::kEnglish, Language::kChinese}) {
    for_each_leaf(whole_program(language), [](const std::string& name, const Command& verb) {
      EXPECT_NE(verb.footer.find("  dormouse "), std::string::npos) << name;
    });
  }
}

TEST(Help, EverySwitchSaysWhatItIs) {
  for (const Language language : {Language::kEnglish, Language::kChinese}) {
    for_each_leaf(whole_program(language), [](const std::string& name, const Command& verb) {
      for (const Switch& each : verb.switches) EXPECT_NE(each.description, "") << name << " " << each.names.front();
    });
  }
}

TEST(Help, WhatAnswersWithFactsAnswersInJsonToo) {
  const std::vector<std::string> without{"serve", "run", "keys", "man", "completions", "alerts"};
  for_each_leaf(whole_program(Language::kEnglish), [&without](const std::string& name, const Command& verb) {
    if (std::find(without.begin(), without.end(), name) != without.end()) return;
    const auto format = std::find_if(verb.switches.begin(), verb.switches.end(),
                                     [](const Switch& each) { return each.has_name("--format"); });
    ASSERT_NE(format, verb.switches.end()) << name;
    EXPECT_NE(std::find(format->choices.begin(), format->choices.end(), "json"), format->choices.end()) << name;
  });
}

TEST(ExitCodes, TheDocumentsTableIsTheProgramsOwn) {
  std::ifstream file(DORMOUSE_SOURCE_DIR "/docs/cli.md");
  ASSERT_TRUE(file) << "docs/cli.md";
  std::stringstream text;
  text << file.rdbuf();
  std::vector<std::string> documented;
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with("| ") && line.size() > 2 && line[2] >= '0' && line[2] <= '9') documented.push_back(line);
  }
  ASSERT_EQ(documented.size(), exit_codes().size());
  for (std::size_t i = 0; i < documented.size(); ++i) {
    const ExitCode& row = exit_codes()[i];
    EXPECT_TRUE(documented[i].starts_with("| " + std::to_string(row.code) + " | " + std::string(row.english)))
        << documented[i];
  }
}

TEST(ExitCodes, AreSaidInHelp) {
  for (const Language language : {Language::kEnglish, Language::kChinese}) {
    const std::string footer = whole_program(language).footer;
    for (const ExitCode& row : exit_codes()) {
      EXPECT_NE(footer.find(std::to_string(row.code)), std::string::npos) << row.code;
    }
  }
}

TEST(Completion, VerbsAndTheirVerbs) {
  EXPECT_EQ(completed({"dep"}), Words{"deploy"});
  EXPECT_EQ(completed({"keys", "r"}), (Words{"rotate", "revoke"}));
  EXPECT_EQ(completed({"--lang", "zh", "keys", "cr"}), Words{"create"});
  EXPECT_EQ(completed({"keys", "nonsense", "cr"}), Words{});
  EXPECT_EQ(completed({}), Words{});
}

TEST(Completion, SwitchesOfTheVerbAndOfTheProgram) {
  EXPECT_EQ(completed({"usage", "--by", "week"}), Words{"weekday-hour"});
  EXPECT_EQ(completed({"usage", "--by=week"}), Words{"--by=weekday-hour"});
  EXPECT_EQ(completed({"usage", "--dep"}), Words{"--deployment"});
  EXPECT_EQ(completed({"ps", "--data"}), Words{"--data-dir"});
  EXPECT_EQ(completed({"ps", "--data-dir", ""}), Words{});  // the shell's files
  EXPECT_EQ(completed({"ps", "--no-such=", ""}), Words{});
  EXPECT_EQ(completed({"serve", "--socket-"}), Words{});  // hidden from --help
}

TEST(Completion, NamesThisMachineKnows) {
  EXPECT_EQ(completed({"wake", "ch"}), (Words{"chat", "chatty"}));
  EXPECT_EQ(completed({"wake", "chat", ""}), Words{});
  EXPECT_EQ(completed({"set", "chat", "m"}), (Words{"min=", "max="}));
  EXPECT_EQ(completed({"set", "chat", "min=1", "ma"}), Words{"max="});
  EXPECT_EQ(completed({"deploy", "qwen"}), Words{"qwen3-demo:q8_0"});
  EXPECT_EQ(completed({"deploy", "x", "--on", "t"}), Words{"t4"});
  EXPECT_EQ(completed({"usage", "--deployment=de"}), Words{"--deployment=demo"});
  EXPECT_EQ(completed({"logs", "e"}), Words{"export"});
  EXPECT_EQ(completed({"rm", "--", "dem"}), Words{"demo"});
}

TEST(Completion, ThreeShellsAskTheProgram) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const std::optional<std::string> script = completion_script(shell);
    ASSERT_TRUE(script.has_value()) << shell;
    EXPECT_NE(script->find(kCompleteWords), std::string::npos) << shell;
  }
  EXPECT_FALSE(completion_script("tcsh").has_value());
}

TEST(ManPage, HasEveryVerbAndSwitchAndNoPathOfTheBuilder) {
  for (const Language language : {Language::kEnglish, Language::kChinese}) {
    const Command root = whole_program(language);
    const std::string page = man_page(root, "1.2.3", language);
    EXPECT_TRUE(page.starts_with(".TH DORMOUSE 1 \"\" \"dormouse 1.2.3\"\n"));
    EXPECT_EQ(page.find("/somewhere"), std::string::npos);
    for_each_leaf(root, [&page](const std::string& name, const Command& verb) {
      EXPECT_NE(page.find(".SS " + name + "\n"), std::string::npos) << name;
      for (const Switch& each : verb.switches) {
        std::string roff;
        for (const char c : each.names.front()) roff += c == '-' ? std::string("\\-") : std::string(1, c);
        if (each.has_name("--help")) continue;
        EXPECT_NE(page.find("\\fB" + roff), std::string::npos) << name << " " << roff;
      }
    });
  }
}

TEST(ManPage, NoTextIsReadAsACommand) {
  Command root;
  root.name = "x";
  root.description = ".so /etc/passwd\n'quoted \\fB";
  const std::string page = man_page(root, "1", Language::kEnglish);
  EXPECT_NE(page.find("x \\- \\&.so /etc/passwd\n\\&'quoted \\efB"), std::string::npos) << page;
}

}  // namespace
}  // namespace dormouse::cli
