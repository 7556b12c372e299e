// catalog/instances.toml as it was when this binary was built.
#pragma once

#include <string_view>

namespace dormouse::catalog {

[[nodiscard]] std::string_view instances_text();

}  // namespace dormouse::catalog
