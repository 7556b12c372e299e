#include "text/utf8_stream.h"

#include <cstddef>

#include "text/utf8_decode.h"

namespace dormouse::text {

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// Copies what is whole, one U+FFFD for each maximal invalid subpart (as WHATWG and Python do), and returns how many
// bytes were consumed: all but an incomplete tail.
std::size_t append_whole(std::string_view bytes, std::string& out) {
  std::size_t position = 0;
  while (position < bytes.size()) {
    const Utf8Step step = decode_utf8(bytes.substr(position));
    if (step.kind == Utf8Kind::kIncomplete) break;
    if (step.kind == Utf8Kind::kCharacter) {
      out.append(bytes.substr(position, step.size));
    } else {
      out.append(kReplacement);
    }
    position += step.size;
  }
  return position;
}

}  // namespace

bool is_valid_utf8(std::string_view bytes) {
  std::size_t position = 0;
  while (position < bytes.size()) {
    const Utf8Step step = decode_utf8(bytes.substr(position));
    if (step.kind != Utf8Kind::kCharacter) return false;
    position += step.size;
  }
  return true;
}

std::string Utf8Stream::push(std::string_view bytes) {
  std::string out;
  if (pending_.empty()) {
    pending_.assign(bytes.substr(append_whole(bytes, out)));
    return out;
  }
  pending_.append(bytes);
  pending_.erase(0, append_whole(pending_, out));
  return out;
}

std::string Utf8Stream::finish() {
  // What is held back is one incomplete character, so one replacement.
  std::string out(pending_.empty() ? std::string_view{} : kReplacement);
  pending_.clear();
  return out;
}

}  // namespace dormouse::text
