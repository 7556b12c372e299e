#include "http/wire.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

namespace dormouse::http {
namespace {

constexpr WireError kMalformed{400, "malformed_request"};
constexpr WireError kInvalidUtf8{400, "invalid_utf8"};
constexpr WireError kHeadersTooLarge{431, "headers_too_large"};
constexpr WireError kUriTooLong{414, "uri_too_long"};
constexpr WireError kNotImplemented{501, "not_implemented"};
constexpr WireError kBodyTooLarge{413, "body_too_large"};

constexpr std::size_t kMaxMethodBytes = 32;
constexpr std::size_t kMaxExtensionBytes = 256;  // of one chunk; nobody sends any
constexpr std::size_t kMaxTrailerBytes = 4096;   // of all of them
constexpr int kMaxSizeDigits = 8;                // of a chunk size: 4 GiB, over every body limit

tl::unexpected<WireError> fail(WireError error) {
  return tl::unexpected(error);
}

unsigned to_unsigned(char c) {
  return static_cast<unsigned char>(c);
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_alpha(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_token_char(char c) {
  return is_digit(c) || is_alpha(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}
bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char);
}
bool is_value_char(char c) {
  return c == '\t' || (to_unsigned(c) >= 0x20 && to_unsigned(c) != 0x7F);
}

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Well-formedness only (api has the exact one); http may not include api.
bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const unsigned lead = to_unsigned(text[i]);
    std::size_t length = 1;
    if (lead >= 0x80) {
      if (lead < 0xC2 || lead > 0xF4) return false;
      length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    }
    if (i + length > text.size()) return false;
    for (std::size_t k = 1; k < length; ++k) {
      if ((to_unsigned(text[i + k]) & 0xC0U) != 0x80U) return false;
    }
    if (length > 2) {
      const unsigned second = to_unsigned(text[i + 1]);
      if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) || (lead == 0xF0 && second < 0x90) ||
          (lead == 0xF4 && second > 0x8F)) {
        return false;
      }
    }
    i += length;
  }
  return true;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The part before CRLF; advances past it. The caller knows there is one.
std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find("\r\n");
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end + 2);
  return line;
}

bool looks_like_request_line(std::string_view line) {
  return line.ends_with(" HTTP/1.1") || line.ends_with(" HTTP/1.0");
}

WireResult<Headers> parse_fields(std::string_view text, const HeadLimits& limits) {
  Headers headers;
  while (text != "\r\n") {
    const std::string_view line = take_line(text);
    if (line.size() > limits.line_bytes || headers.all().size() == limits.header_count) return fail(kHeadersTooLarge);
    const std::size_t colon = line.find(':');
    // A line that begins with white space (obs-fold) or has some before its colon fails as a token.
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) return fail(kMalformed);
    const std::string_view value = trim(line.substr(colon + 1));
    if (!std::all_of(value.begin(), value.end(), is_value_char)) return fail(kMalformed);
    if (!is_utf8(value)) return fail(kInvalidUtf8);
    headers.add(line.substr(0, colon), value);
  }
  return headers;
}

std::size_t count(const Headers& headers, std::string_view name) {
  return static_cast<std::size_t>(std::count_if(headers.all().begin(), headers.all().end(), [&](const auto& field) {
    return equals_ignoring_case(field.first, name);
  }));
}

// Both lengths, two of one, a list, a sign: whoever sends that means two different things to two readers.
WireResult<BodyLength> body_length(const Headers& headers, bool http_1_0) {
  const std::size_t length_count = count(headers, "content-length");
  const std::size_t coding_count = count(headers, "transfer-encoding");
  if (length_count + coding_count > 1) return fail(kMalformed);
  if (coding_count == 1) {
    if (http_1_0) return fail(kMalformed);
    if (!equals_ignoring_case(*headers.find("transfer-encoding"), "chunked")) return fail(kNotImplemented);
    return BodyLength{BodyLength::Kind::kChunked, 0};
  }
  if (length_count == 0) return BodyLength{};
  const std::string_view text = *headers.find("content-length");
  std::uint64_t bytes = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), bytes);
  if (text.empty() || !std::all_of(text.begin(), text.end(), is_digit)) return fail(kMalformed);
  if (parsed.ec == std::errc::result_out_of_range) return fail(kBodyTooLarge);
  return BodyLength{BodyLength::Kind::kFixed, bytes};
}

bool is_host(std::string_view host) {
  return std::all_of(host.begin(), host.end(), [](char c) {
    return is_digit(c) || is_alpha(c) || std::string_view("-._~:[]%").find(c) != std::string_view::npos;
  });
}

WireResult<void> parse_target(std::string_view target, RequestHead& out) {
  const bool printable = std::all_of(target.begin(), target.end(),
                                     [](char c) { return to_unsigned(c) > 0x20 && to_unsigned(c) < 0x7F && c != '#'; });
  if (!printable) return fail(kMalformed);
  if (target == "*" && out.method == "OPTIONS") {
    out.path.assign(1, '*');
    return {};
  }
  // Absolute form (proxies) and authority form (CONNECT) are not for an origin server behind its own Host check.
  const std::size_t question = target.find('?');
  auto path = normalise_path(target.substr(0, question));
  if (!path) return fail(path.error());
  out.path = *std::move(path);
  if (question != std::string_view::npos) out.query = target.substr(question + 1);
  return {};
}

WireResult<void> parse_request_line(std::string_view line, const HeadLimits& limits, RequestHead& out) {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return fail(kMalformed);
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (!is_token(method) || method.size() > kMaxMethodBytes) return fail(kMalformed);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return fail(kMalformed);
  if (target.size() > limits.uri_bytes) return fail(kUriTooLong);
  out.method = method;
  out.http_1_0 = version == "HTTP/1.0";
  return parse_target(target, out);
}

// One byte of a segment at text[i]; moves i past it.
WireResult<void> append_decoded(std::string_view text, std::size_t& i, std::string& out) {
  if (text[i] != '%') {
    out += text[i++];
    return {};
  }
  if (i + 2 >= text.size()) return fail(kMalformed);
  const int high = hex_value(text[i + 1]);
  const int low = hex_value(text[i + 2]);
  if (high < 0 || low < 0) return fail(kMalformed);
  const char c = static_cast<char>(high * 16 + low);
  if (c == '/') {
    out += "%2F";
  } else if (to_unsigned(c) < 0x20 || to_unsigned(c) == 0x7F) {
    return fail(kMalformed);
  } else {
    out += c;
  }
  i += 3;
  return {};
}

}  // namespace

WireResult<std::size_t> find_head_end(std::string_view bytes, const HeadLimits& limits, std::size_t& scanned) {
  for (std::size_t i = scanned; i < bytes.size(); ++i) {
    if (i >= limits.header_bytes) {
      const bool in_first_line = bytes.substr(0, i).find('\n') == std::string_view::npos;
      return fail(in_first_line ? kUriTooLong : kHeadersTooLarge);
    }
    const char c = bytes[i];
    if (c == '\0') return fail(kMalformed);
    const bool after_cr = i > 0 && bytes[i - 1] == '\r';
    if ((c == '\n') != after_cr) return fail(kMalformed);
    if (c != '\n') continue;
    const std::size_t line_end = i - 1;
    const std::size_t previous = line_end == 0 ? std::string_view::npos : bytes.rfind('\n', line_end - 1);
    if (previous == std::string_view::npos) {
      const std::string_view line = bytes.substr(0, line_end);
      if (!looks_like_request_line(line) && !line.starts_with("HTTP/1.")) return fail(kMalformed);
    } else if (previous + 1 == line_end) {
      scanned = i + 1;
      return i + 1;
    }
  }
  scanned = bytes.size();
  if (bytes.size() > limits.uri_bytes + kMaxMethodBytes + 16 && bytes.find('\n') == std::string_view::npos) {
    return fail(kUriTooLong);
  }
  return 0;
}

WireResult<RequestHead> parse_request_head(std::string_view head, const HeadLimits& limits) {
  if (!head.ends_with("\r\n\r\n")) return fail(kMalformed);
  RequestHead out;
  const std::string_view line = take_line(head);
  if (const auto parsed = parse_request_line(line, limits, out); !parsed) return fail(parsed.error());
  auto headers = parse_fields(head, limits);
  if (!headers) return fail(headers.error());
  out.headers = *std::move(headers);
  const std::size_t hosts = count(out.headers, "host");
  if (hosts > 1 || (hosts == 0 && !out.http_1_0)) return fail(kMalformed);
  if (hosts == 1 && !is_host(*out.headers.find("host"))) return fail(kMalformed);
  const auto body = body_length(out.headers, out.http_1_0);
  if (!body) return fail(body.error());
  out.body = *body;
  if (const auto expect = out.headers.find("expect")) {
    if (!equals_ignoring_case(*expect, "100-continue")) return fail(kMalformed);
    out.expect_continue = !out.http_1_0;
  }
  // HTTP/1.0 keep-alive is an extension with its own smuggling history: those connections close.
  out.keep_alive = !out.http_1_0 && !has_token(out.headers, "connection", "close");
  return out;
}

WireResult<ResponseHead> parse_response_head(std::string_view head, const HeadLimits& limits) {
  if (!head.ends_with("\r\n\r\n")) return fail(kMalformed);
  ResponseHead out;
  const std::string_view line = take_line(head);
  const bool http_1_0 = line.starts_with("HTTP/1.0 ");
  if (line.size() < 12 || !(http_1_0 || line.starts_with("HTTP/1.1 "))) return fail(kMalformed);
  const std::string_view status = line.substr(9, 3);
  if (!std::all_of(status.begin(), status.end(), is_digit) || status[0] == '0') return fail(kMalformed);
  if (line.size() > 12 && line[12] != ' ') return fail(kMalformed);
  out.status = (status[0] - '0') * 100 + (status[1] - '0') * 10 + (status[2] - '0');
  auto headers = parse_fields(head, limits);
  if (!headers) return fail(headers.error());
  out.headers = *std::move(headers);
  const auto body = body_length(out.headers, http_1_0);
  if (!body) return fail(body.error());
  out.body = *body;
  const bool bodiless = out.status < 200 || out.status == 204 || out.status == 304;
  if (bodiless) {
    out.body = BodyLength{};
  } else if (out.body.kind == BodyLength::Kind::kNone) {
    out.body.kind = BodyLength::Kind::kUntilClose;
  }
  out.keep_alive =
      !http_1_0 && out.body.kind != BodyLength::Kind::kUntilClose && !has_token(out.headers, "connection", "close");
  return out;
}

WireResult<std::string> normalise_path(std::string_view raw) {
  if (!raw.starts_with('/')) return fail(kMalformed);
  std::vector<std::string> segments;
  bool ends_with_slash = false;
  for (std::size_t i = 0; i < raw.size();) {
    ++i;  // the slash
    std::string segment;
    while (i < raw.size() && raw[i] != '/') {
      if (const auto appended = append_decoded(raw, i, segment); !appended) return fail(appended.error());
    }
    if (!is_utf8(segment)) return fail(kInvalidUtf8);
    ends_with_slash = segment.empty() || segment == "." || segment == "..";
    if (segment == "..") {
      if (!segments.empty()) segments.pop_back();
    } else if (!ends_with_slash) {
      segments.push_back(std::move(segment));
    }
  }
  std::string path;
  for (const std::string& segment : segments) {
    path += '/';
    path += segment;
  }
  if (ends_with_slash || path.empty()) path += '/';
  return path;
}

bool ChunkDecoder::take_control_byte(char c) {
  switch (state_) {
    case State::kSize:
      if (const int digit = hex_value(c); digit >= 0) {
        remaining_ = remaining_ * 16 + static_cast<std::uint64_t>(digit);
        return ++size_digits_ <= kMaxSizeDigits;
      }
      if (size_digits_ == 0) return false;
      if (c == '\r') {
        state_ = State::kSizeLf;
      } else if (c == ';') {
        state_ = State::kExtension;
      } else {
        return false;
      }
      return true;
    case State::kExtension:
      if (c == '\r') {
        state_ = State::kSizeLf;
        return true;
      }
      return is_value_char(c) && ++overhead_bytes_ <= kMaxExtensionBytes;
    case State::kSizeLf:
      state_ = remaining_ == 0 ? State::kTrailer : State::kData;
      size_digits_ = 0;
      overhead_bytes_ = 0;
      return c == '\n';
    case State::kDataCr: state_ = State::kDataLf; return c == '\r';
    case State::kDataLf: state_ = State::kSize; return c == '\n';
    case State::kTrailer:
      if (c == '\r') {
        state_ = State::kTrailerLf;
        return true;
      }
      trailer_line_ += c;
      return ++overhead_bytes_ <= kMaxTrailerBytes;
    case State::kTrailerLf: {
      if (c != '\n') return false;
      state_ = trailer_line_.empty() ? State::kDone : State::kTrailer;
      const std::size_t colon = trailer_line_.find(':');
      const bool valid =
          trailer_line_.empty() || (colon != std::string::npos &&
                                    is_valid_field(trailer_line_.substr(0, colon), trailer_line_.substr(colon + 1)));
      trailer_line_.clear();
      return valid;
    }
    case State::kData:
    case State::kDone: return false;
  }
  return false;
}

WireResult<std::size_t> ChunkDecoder::push(std::string_view in, std::string& out, std::uint64_t max_bytes) {
  std::size_t i = 0;
  while (i < in.size() && state_ != State::kDone) {
    if (state_ == State::kData) {
      const std::size_t take = static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, in.size() - i));
      out.append(in, i, take);
      i += take;
      remaining_ -= take;
      if (remaining_ == 0) state_ = State::kDataCr;
      continue;
    }
    if (!take_control_byte(in[i++])) return fail(kMalformed);
    if (state_ == State::kData) {
      // Refused by what the chunk announces, before its bytes come.
      total_ += remaining_;
      if (total_ > max_bytes) return fail(kBodyTooLarge);
    }
  }
  return i;
}

std::string format_response_head(int status, const Headers& headers, AfterAnswer after) {
  std::string out = fmt::format("HTTP/1.1 {} {}\r\n", status, reason_phrase(status));
  for (const auto& [name, value] : headers.all()) {
    if (!is_valid_field(name, value)) continue;
    out += name;
    out += ": ";
    out += value;
    out += "\r\n";
  }
  if (after == AfterAnswer::kClose) out += "connection: close\r\n";
  out += "\r\n";
  return out;
}

std::string format_request_head(std::string_view method, std::string_view target, const Headers& headers) {
  std::string out = fmt::format("{} {} HTTP/1.1\r\n", method, target);
  for (const auto& [name, value] : headers.all()) {
    if (!is_valid_field(name, value)) continue;
    out += name;
    out += ": ";
    out += value;
    out += "\r\n";
  }
  out += "\r\n";
  return out;
}

std::string format_chunk(std::string_view data) {
  std::string out = fmt::format("{:x}\r\n", data.size());
  out.reserve(out.size() + data.size() + 2);
  out += data;
  out += "\r\n";
  return out;
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 411: return "Length Required";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 426: return "Upgrade Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return "Status";
  }
}

bool is_valid_field(std::string_view name, std::string_view value) {
  return is_token(name) && std::all_of(value.begin(), value.end(), is_value_char);
}

bool has_token(const Headers& headers, std::string_view name, std::string_view token) {
  for (const auto& [key, value] : headers.all()) {
    if (!equals_ignoring_case(key, name)) continue;
    std::string_view rest = value;
    while (!rest.empty()) {
      const std::size_t comma = rest.find(',');
      if (equals_ignoring_case(trim(rest.substr(0, comma)), token)) return true;
      rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
    }
  }
  return false;
}

}  // namespace dormouse::http
