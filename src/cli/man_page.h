// `dormouse man`: the manual page, in the roff of man(7), made of the verbs and switches themselves. No I/O.
#pragma once

#include <string>
#include <string_view>

#include "cli/command_tree.h"
#include "cli/words.h"

namespace dormouse::cli {

[[nodiscard]] std::string man_page(const Command& root, std::string_view version, Language language);

}  // namespace dormouse::cli
