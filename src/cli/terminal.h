// What the terminal behind standard output can take: colours, and how many columns. Threads: any.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace dormouse::cli {

enum class Colours { kOff, kOn };
enum class Colour { kRed, kYellow, kGreen, kDim };

// Off where there is no terminal, where NO_COLOR is set to anything (no-color.org) and on a TERM that is "dumb".
[[nodiscard]] Colours choose_colours(Colours of_terminal, std::string_view no_color, std::string_view term);
[[nodiscard]] Colours stdout_colours();
[[nodiscard]] std::string painted(std::string_view text, Colour colour, Colours colours);

// 0: no terminal, so nothing is to be cut or wrapped.
[[nodiscard]] std::size_t stdout_columns();

}  // namespace dormouse::cli
