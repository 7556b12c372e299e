// Goal: what is written fits the terminal, and colours come only where they are wanted. Method: tables; no terminal.
#include "cli/terminal.h"

#include <gtest/gtest.h>

#include <sstream>

#include "cli/table.h"

namespace dormouse::cli {
namespace {

TEST(Terminal, ColoursAreForTerminalsThatWantThem) {
  EXPECT_EQ(choose_colours(Colours::kOn, "", "xterm"), Colours::kOn);
  EXPECT_EQ(choose_colours(Colours::kOff, "", "xterm"), Colours::kOff);
  EXPECT_EQ(choose_colours(Colours::kOn, "0", "xterm"), Colours::kOff);  // anything at all
  EXPECT_EQ(choose_colours(Colours::kOn, "", "dumb"), Colours::kOff);
  EXPECT_EQ(painted("x", Colour::kRed, Colours::kOn), "\x1b[31mx\x1b[0m");
  EXPECT_EQ(painted("x", Colour::kRed, Colours::kOff), "x");
}

Table long_table() {
  Table table({"NAME", "STATE", "N"}, {Table::Align::kLeft, Table::Align::kLeft, Table::Align::kRight});
  table.add({"chat", "failed: not enough GPU memory (needs 1.4 GB, 0.9 free)", "12"});
  table.add({"demo", "失败：显存不足，需要 1.4 GB，只有 0.9 GB 可用", "3"});
  return table;
}

TEST(Table, WideCellsGoOnInTheLinesBelow) {
  EXPECT_EQ(long_table().fitted(0), long_table().text());
  EXPECT_EQ(long_table().fitted(200), long_table().text());
  std::istringstream lines(long_table().fitted(40));
  std::string joined;
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(display_width(line), 40U) << line;
    joined += line;
  }
  // Nothing is lost.
  for (const char* word : {"failed:", "enough", "memory", "(needs", "free)", "显存不足", "可用", "12"}) {
    EXPECT_NE(joined.find(word), std::string::npos) << word;
  }
}

TEST(Table, WordsAreNotBrokenWhereItIsTooNarrow) {
  const std::string text = long_table().fitted(10);
  EXPECT_NE(text.find("memory"), std::string::npos) << text;
}

}  // namespace
}  // namespace dormouse::cli
