#include "cli/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>

#include "base/environment.h"

namespace dormouse::cli {
namespace {

// SGR codes, in Colour's order.
constexpr std::array<std::string_view, 4> kCodes{"31", "33", "32", "2"};

}  // namespace

Colours choose_colours(Colours of_terminal, std::string_view no_color, std::string_view term) {
  return no_color.empty() && term != "dumb" ? of_terminal : Colours::kOff;
}

Colours stdout_colours() {
  const Colours of_terminal = ::isatty(STDOUT_FILENO) == 1 ? Colours::kOn : Colours::kOff;
  return choose_colours(of_terminal, environment_variable("NO_COLOR"), environment_variable("TERM"));
}

std::string painted(std::string_view text, Colour colour, Colours colours) {
  if (colours == Colours::kOff) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", kCodes[static_cast<std::size_t>(colour)], text);
}

std::size_t stdout_columns() {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

}  // namespace dormouse::cli
