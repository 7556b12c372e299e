// However a stream is cut, the same events come out and the parser's memory stays bounded.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "http/sse.h"

namespace {

std::string events_of(std::string_view bytes, std::size_t step) {
  dormouse::http::SseParser parser;
  std::string all;
  for (std::size_t i = 0; i < bytes.size(); i += step) {
    parser.push(bytes.substr(i, step));
    while (const auto event = parser.next()) all += event->event + '\0' + event->data + '\0';
  }
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (events_of(bytes, size) != events_of(bytes, 1)) std::abort();
  return 0;
}
