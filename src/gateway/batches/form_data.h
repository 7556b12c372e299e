// multipart/form-data, as browsers and SDKs upload files (RFC 7578). Views into the body; no I/O.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dormouse::gateway {

inline constexpr std::size_t kMaxFormParts = 16;
inline constexpr std::size_t kMaxFormFileName = 255;

struct FormPart {
  std::string name;
  std::string filename;      // as sent; empty: none. Never used as a path
  std::string_view content;  // into the body
};

// `content_type`: the request's header. Errors: kInvalidArgument (not multipart/form-data, no boundary, a part without
// a name or that does not end, too many parts).
[[nodiscard]] Result<std::vector<FormPart>> parse_form_data(std::string_view content_type, std::string_view body);

}  // namespace dormouse::gateway
