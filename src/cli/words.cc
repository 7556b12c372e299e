#include "cli/words.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <utility>

namespace dormouse::cli {
namespace {

struct StateWord {
  std::string_view state;
  std::string_view english;
  std::string_view chinese;
};

constexpr std::array<StateWord, 8> kStates{{{"asleep", "asleep", "休眠"},
                                            {"starting", "waking", "唤醒中"},
                                            {"loading", "waking", "唤醒中"},
                                            {"ready", "awake", "运行中"},
                                            {"draining", "draining", "排空中"},
                                            {"stopping", "draining", "排空中"},
                                            {"backoff", "failed", "失败"},
                                            {"failed", "failed", "失败"}}};

// English words are the server's own.
constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kReasons{{{"request", "请求"},
                                                                                 {"wake", "手动唤醒"},
                                                                                 {"min", "最少实例数"},
                                                                                 {"load", "负载"},
                                                                                 {"window", "运行时段"},
                                                                                 {"leases", "请求"}}};

}  // namespace

Language choose_language(std::string_view flag, std::string_view lc_all, std::string_view lc_messages,
                         std::string_view lang) {
  if (flag.starts_with("zh")) return Language::kChinese;
  if (flag.starts_with("en")) return Language::kEnglish;
  const std::string_view locale = !lc_all.empty() ? lc_all : !lc_messages.empty() ? lc_messages : lang;
  return locale.starts_with("zh") ? Language::kChinese : Language::kEnglish;
}

std::string_view state_word(std::string_view state, Language language) {
  for (const StateWord& word : kStates) {
    if (word.state == state) return language == Language::kChinese ? word.chinese : word.english;
  }
  return state;
}

std::string_view reason_word(std::string_view reason, Language language) {
  if (language == Language::kEnglish) return reason;
  for (const auto& [english, chinese] : kReasons) {
    if (english == reason) return chinese;
  }
  return reason;
}

std::string duration_words(double seconds, Language language) {
  const bool zh = language == Language::kChinese;
  const auto total = static_cast<std::int64_t>(std::llround(seconds));
  if (total < 60) return fmt::format("{} {}", total, zh ? "秒" : "s");
  const std::int64_t minutes = total / 60;
  if (minutes < 60) return fmt::format("{} {}", minutes, zh ? "分钟" : "min");
  const std::int64_t hours = minutes / 60;
  if (minutes % 60 == 0) return fmt::format("{} {}", hours, zh ? "小时" : "h");
  return fmt::format("{} {} {} {}", hours, zh ? "小时" : "h", minutes % 60, zh ? "分钟" : "min");
}

}  // namespace dormouse::cli
