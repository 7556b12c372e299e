// Whatever a server streams, what comes out is a stream the gateway can read, with usage on every chunk.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "http/sse.h"
#include "worker/adopt/stream_meter.h"

namespace {

using namespace std::string_view_literals;
namespace adopt = dormouse::worker::adopt;

void check(const std::string& bytes) {
  dormouse::http::SseParser parser;
  parser.push(bytes);
  while (const auto event = parser.next()) {
    if (event->data == "[DONE]"sv) continue;
    const auto chunk = dormouse::api::parse_chunk(event->data);
    if (!chunk.has_value() || !chunk->usage.has_value()) std::abort();
    if (chunk->usage->completion_tokens < 0 || chunk->usage->prompt_tokens < 0) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  adopt::OutgoingCall call;
  call.stream = true;
  call.include_usage = true;
  call.continuous_usage = true;
  adopt::StreamMeter meter(adopt::ModelNames{.served = "ours", .upstream = "theirs"}, call);
  dormouse::http::SseParser parser;
  parser.push(bytes);
  while (const auto event = parser.next()) {
    const auto frames = meter.on_event(event->data);
    if (!frames.has_value()) break;
    check(*frames);
  }
  const auto end = meter.on_end();
  if (end.has_value()) check(*end);
  // The request's side takes any bytes too.
  static_cast<void>(adopt::rewrite_call(bytes, {.served = "ours", .upstream = "theirs"}));
  static_cast<void>(adopt::rewrite_answer(bytes, {.served = "ours", .upstream = "theirs"}));
  return 0;
}
