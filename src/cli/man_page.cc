#include "cli/man_page.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

#include "cli/exit_codes.h"

namespace dormouse::cli {
namespace {

// No character of a text may be read as a command: backslashes, a hyphen that could become a dash, and a point or
// quote at a line's begin.
std::string escaped(std::string_view text) {
  std::string out;
  bool is_line_begin = true;
  for (const char c : text) {
    if (is_line_begin && (c == '.' || c == '\'')) out += "\\&";
    is_line_begin = c == '\n';
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

std::string_view said(Language language, std::string_view english, std::string_view chinese) {
  return language == Language::kChinese ? chinese : english;
}

void add_switch(std::string& out, const Switch& each, Language language) {
  if (each.names.empty()) return;
  out += fmt::format(".TP\n\\fB{}\\fR", escaped(fmt::format("{}", fmt::join(each.names, ", "))));
  if (each.takes == Switch::Takes::kValue) {
    const std::string choices = fmt::format("{}", fmt::join(each.choices, "|"));
    out += choices.empty() ? fmt::format(" \\fI{}\\fR", said(language, "VALUE", "值")) : " " + escaped(choices);
  }
  out += '\n' + escaped(each.description);
  // A path is the builder's own.
  if (!each.value_default.empty() && !each.value_default.starts_with('/')) {
    out += escaped(fmt::format(fmt::runtime(said(language, " [{}]", "（默认 {}）")), each.value_default));
  }
  out += '\n';
}

void add_positional(std::string& out, const Positional& each) {
  out += fmt::format(".TP\n\\fI{}\\fR\n{}\n", escaped(each.name), escaped(each.description));
}

std::string synopsis(std::string_view path, const Command& command) {
  std::string out = fmt::format("\\fB{}\\fR", escaped(path));
  if (!command.switches.empty()) out += " [\\fI...\\fR]";
  for (const Positional& each : command.positionals) {
    const std::string name =
        fmt::format("\\fI{}\\fR{}", escaped(each.name), each.count == Positional::Count::kMany ? " ..." : "");
    out += each.need == Positional::Need::kRequired ? " " + name : fmt::format(" [{}]", name);
  }
  return out;
}

bool is_help(const Switch& each) {
  return each.has_name("--help");
}

void add_command(std::string& out, const std::string& path, const Command& command, Language language) {
  out += fmt::format(".SS {}\n{}\n.PP\n{}\n", escaped(path), synopsis(path, command), escaped(command.description));
  for (const Positional& each : command.positionals) add_positional(out, each);
  for (const Switch& each : command.switches) {
    if (!is_help(each)) add_switch(out, each, language);
  }
  if (!command.footer.empty()) out += fmt::format(".PP\n.nf\n{}\n.fi\n", escaped(command.footer));
  for (const Command& verb : command.commands) add_command(out, path + " " + verb.name, verb, language);
}

}  // namespace

std::string man_page(const Command& root, std::string_view version, Language language) {
  std::string upper = root.name;
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  std::string out = fmt::format(".TH {} 1 \"\" \"{} {}\"\n", upper, root.name, version);
  out += fmt::format(".SH {}\n{} \\- {}\n", said(language, "NAME", "名称"), root.name, escaped(root.description));
  out += fmt::format(".SH {}\n\\fB{}\\fR [\\fI{}\\fR] \\fI{}\\fR ...\n", said(language, "SYNOPSIS", "概要"), root.name,
                     said(language, "OPTIONS", "选项"), said(language, "VERB", "命令"));
  out += fmt::format(".SH {}\n", said(language, "OPTIONS", "选项"));
  for (const Switch& each : root.switches) add_switch(out, each, language);
  out += fmt::format(".SH {}\n", said(language, "VERBS", "命令"));
  for (const Command& verb : root.commands) add_command(out, verb.name, verb, language);
  out += fmt::format(".SH {}\n", said(language, "EXIT STATUS", "退出码"));
  for (const ExitCode& row : exit_codes()) {
    out += fmt::format(".TP\n{}\n{}\n", row.code, escaped(said(language, row.english, row.chinese)));
  }
  out += fmt::format(".SH {}\n", said(language, "ENVIRONMENT", "环境变量"));
  out += fmt::format(".TP\n\\fBNO_COLOR\\fR\n{}\n",
                     said(language, "set to anything: no colours. Where no terminal is, there are none either.",
                          "只要设置即不使用颜色；不在终端中时本来就没有颜色。"));
  out += fmt::format(".TP\n\\fBXDG_DATA_HOME\\fR\n{}\n",
                     said(language, "the data directory is its dormouse/, unless \\-\\-data\\-dir says another.",
                          "数据目录为其下的 dormouse/，除非另用 \\-\\-data\\-dir 指定。"));
  return out;
}

}  // namespace dormouse::cli
