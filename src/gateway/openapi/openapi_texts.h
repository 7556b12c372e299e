// openapi/*.json as they were when this binary was built; the first is the head of the document.
#pragma once

#include <array>
#include <string_view>

namespace dormouse::gateway {

[[nodiscard]] std::array<std::string_view, 11> openapi_texts();

}  // namespace dormouse::gateway
