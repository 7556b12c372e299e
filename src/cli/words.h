// The words a person reads, in both languages; the glossary of the product. No I/O.
#pragma once

#include <string>
#include <string_view>

namespace dormouse::cli {

enum class Language { kEnglish, kChinese };

// From --lang ("zh", "en"; anything else is ignored), else LC_ALL, LC_MESSAGES, LANG as the C library ranks them.
[[nodiscard]] Language choose_language(std::string_view flag, std::string_view lc_all, std::string_view lc_messages,
                                       std::string_view lang);

// The five states a person sees: starting and loading are waking, stopping is draining, backoff is failed (and tries
// again by itself).
[[nodiscard]] std::string_view state_word(std::string_view state, Language language);

// Why something is awake: "request", "wake", "min", "load", "window".
[[nodiscard]] std::string_view reason_word(std::string_view reason, Language language);

// "8 s", "12 min", "3 h 5 min"; zh: "8 秒".
[[nodiscard]] std::string duration_words(double seconds, Language language);

}  // namespace dormouse::cli
