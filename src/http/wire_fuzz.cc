// First byte picks what is fuzzed: a request head, a response head, chunked framing. A path that passed is normal:
// doing it again changes nothing but escapes; framing gives the same body however it is cut.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "http/wire.h"

namespace {

namespace http = dormouse::http;

void fuzz_request(std::string_view bytes) {
  std::size_t scanned = 0;
  const http::HeadLimits limits;
  const auto end = http::find_head_end(bytes, limits, scanned);
  if (!end || *end == 0) return;
  const auto head = http::parse_request_head(bytes.substr(0, *end), limits);
  if (!head) return;
  if (head->path != "*" && (!head->path.starts_with('/') || head->path.find("//") != std::string::npos)) std::abort();
  if (head->headers.find("content-length") && head->headers.find("transfer-encoding")) std::abort();
  if (head->headers.all().size() > limits.header_count) std::abort();
}

void fuzz_response(std::string_view bytes) {
  std::size_t scanned = 0;
  const http::HeadLimits limits;
  const auto end = http::find_head_end(bytes, limits, scanned);
  if (end && *end > 0) static_cast<void>(http::parse_response_head(bytes.substr(0, *end), limits));
}

std::string dechunk(std::string_view bytes, std::size_t step) {
  http::ChunkDecoder decoder;
  std::string out;
  std::size_t used = 0;
  while (used < bytes.size() && !decoder.done()) {
    const auto took = decoder.push(bytes.substr(used, step), out, 1U << 20);
    if (!took) return "refused";
    used += *took;
  }
  return decoder.done() ? "done" + out : "more";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0: fuzz_request(bytes); break;
    case 1: fuzz_response(bytes); break;
    default:
      if (dechunk(bytes, bytes.size()) != dechunk(bytes, 1)) std::abort();
  }
  return 0;
}
