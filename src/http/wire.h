// HTTP/1.1 as bytes: heads and chunked bodies, parsed strictly, no I/O. Ours rather than a library's because every
// smuggling case needs a known answer: bare LF, folded lines, two lengths, two hosts, signs in numbers are errors here,
// not repaired. Fuzzed (wire_fuzz.cc). Threads: any.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "http/message.h"

namespace dormouse::http {

struct HeadLimits {
  std::size_t header_bytes = 16 * 1024;
  std::size_t header_count = 100;
  std::size_t line_bytes = 8 * 1024;  // of one field
  std::size_t uri_bytes = 4 * 1024;
};

// What to answer when the bytes are wrong: a status and a code of the error table.
struct WireError {
  int status = 400;
  std::string_view code = "malformed_request";
};
template <typename T>
using WireResult = tl::expected<T, WireError>;

struct BodyLength {
  enum class Kind { kNone, kFixed, kChunked, kUntilClose };
  Kind kind = Kind::kNone;
  std::uint64_t bytes = 0;  // kFixed
};

struct RequestHead {
  std::string method;
  std::string path;  // normalised, see Request
  std::string query;
  Headers headers;
  BodyLength body;
  bool http_1_0 = false;
  bool keep_alive = true;
  bool expect_continue = false;
};

struct ResponseHead {
  int status = 0;
  Headers headers;
  BodyLength body;  // as if the request were GET
  bool keep_alive = true;
};

// Length of the head at the start of `bytes` including its empty line; 0: not complete yet. Checks what has come as it
// comes: a bare LF, a NUL, a first line that cannot become a request or a head over its limits fails at once, so that
// nobody waits for a deadline to hear it. `scanned` remembers how far earlier calls looked (start with 0).
[[nodiscard]] WireResult<std::size_t> find_head_end(std::string_view bytes, const HeadLimits& limits,
                                                    std::size_t& scanned);

// `head`: exactly the bytes find_head_end measured.
[[nodiscard]] WireResult<RequestHead> parse_request_head(std::string_view head, const HeadLimits& limits);
[[nodiscard]] WireResult<ResponseHead> parse_response_head(std::string_view head, const HeadLimits& limits);

// Percent-decodes once, drops empty and dot segments. %2F stays as it is, so a slash somebody hid never becomes one.
// Errors: bad percent escapes, control characters, what is not UTF-8, not starting with '/'.
[[nodiscard]] WireResult<std::string> normalise_path(std::string_view raw);

// Takes chunked framing off, whatever pieces it comes in. Trailers are checked and dropped.
class ChunkDecoder {
 public:
  // Appends body bytes to `out`, at most `max_bytes` in all of the body. Returns how many bytes of `in` were used; less
  // than all only when the body is complete. Error: malformed, or 413 past max_bytes.
  [[nodiscard]] WireResult<std::size_t> push(std::string_view in, std::string& out, std::uint64_t max_bytes);
  [[nodiscard]] bool done() const { return state_ == State::kDone; }

 private:
  enum class State { kSize, kExtension, kSizeLf, kData, kDataCr, kDataLf, kTrailer, kTrailerLf, kDone };
  [[nodiscard]] bool take_control_byte(char c);

  State state_ = State::kSize;
  std::uint64_t remaining_ = 0;
  std::uint64_t total_ = 0;
  int size_digits_ = 0;
  std::size_t overhead_bytes_ = 0;  // of one chunk's extension, or of all trailers
  std::string trailer_line_;
};

enum class AfterAnswer { kKeepAlive, kClose };
// kClose adds "connection: close". A field that could break out of its line is left out.
[[nodiscard]] std::string format_response_head(int status, const Headers& headers, AfterAnswer after);
[[nodiscard]] std::string format_request_head(std::string_view method, std::string_view target, const Headers& headers);
[[nodiscard]] std::string format_chunk(std::string_view data);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

[[nodiscard]] std::string_view reason_phrase(int status);
// A name or value that cannot break out of its line.
[[nodiscard]] bool is_valid_field(std::string_view name, std::string_view value);
// True if the comma list of header `name` (all its lines) holds `token`.
[[nodiscard]] bool has_token(const Headers& headers, std::string_view name, std::string_view token);

}  // namespace dormouse::http
