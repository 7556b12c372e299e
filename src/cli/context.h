// What every verb starts from. Made once by cli.cc; verbs read it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/words.h"

namespace dormouse::cli {

struct Context {
  Language language = Language::kEnglish;
  std::string data_dir;     // absolute
  std::string program;      // this executable, absolute
  std::string program_dir;  // its directory
  bool terminal = false;    // stdout is one
  std::vector<std::string> worker_environment;
  int exit_code = 0;

  // The sentence in the reader's language.
  [[nodiscard]] std::string_view say(std::string_view english, std::string_view chinese) const {
    return language == Language::kChinese ? chinese : english;
  }
  [[nodiscard]] std::string admin_socket() const;
};

// Exit codes, documented in --help: 0 done, 1 failed, 2 wrong usage, 3 no server is running, 78 refused to listen so
// openly (EX_CONFIG of sysexits.h, which service managers know as "do not restart"), 130 ended by Ctrl-C (128 + SIGINT,
// as shells say it).
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitNoServer = 3;
inline constexpr int kExitConfig = 78;
inline constexpr int kExitInterrupted = 130;

}  // namespace dormouse::cli
