// Is a text from outside UTF-8? For what goes into a file that others read as such. Pure.
#pragma once

#include <string_view>

#include "text/utf8_decode.h"

namespace dormouse::worker {

[[nodiscard]] inline bool is_utf8(std::string_view bytes) {
  while (!bytes.empty()) {
    const text::Utf8Step step = text::decode_utf8(bytes);
    if (step.kind != text::Utf8Kind::kCharacter) return false;
    bytes.remove_prefix(step.size);
  }
  return true;
}

}  // namespace dormouse::worker
