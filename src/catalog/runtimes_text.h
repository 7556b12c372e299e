// catalog/runtimes.toml as it was when this binary was built.
#pragma once

#include <string_view>

namespace dormouse::catalog {

[[nodiscard]] std::string_view runtimes_text();

}  // namespace dormouse::catalog
