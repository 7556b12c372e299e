#include "fleet/drivers/kubernetes_api.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <charconv>
#include <fstream>
#include <memory>
#include <optional>
#include <utility>

namespace dormouse::fleet {
namespace {

namespace json = boost::json;

constexpr std::size_t kMostTokenBytes = 64 * 1024;
constexpr std::size_t kMostAnswerBytes = 32U << 20;  // a page of 500 Pods is some 5 MB
constexpr std::size_t kMostLineBytes = 4U << 20;     // etcd keeps no object over 1.5 MB
constexpr std::chrono::milliseconds kNotTold{-1};
constexpr std::chrono::milliseconds kDefaultWait{1'000};  // a 429 whose Retry-After cannot be read

// HOST:PORT of "https://HOST[:PORT]", with the trust that goes with it.
Result<http::Address> parse_server(const KubernetesAccess& access) {
  std::string_view rest = access.server;
  const bool is_tls = rest.starts_with("https://");
  if (!is_tls && !rest.starts_with("http://")) {
    return make_error(Code::kInvalidArgument, "server: https://HOST:PORT is wanted");
  }
  rest.remove_prefix(is_tls ? 8 : 7);
  if (rest.ends_with('/')) rest.remove_suffix(1);
  std::string text(rest);
  const std::size_t colon = text.rfind(':');
  const std::size_t bracket = text.rfind(']');
  const bool has_port = colon != std::string::npos && (bracket == std::string::npos || colon > bracket);
  if (!has_port) text += is_tls ? ":443" : ":80";
  Result<http::Address> address = http::Address::parse(text);
  if (!address.has_value() || address->kind != http::Address::Kind::kTcp) {
    return make_error(Code::kInvalidArgument, "server: https://HOST:PORT is wanted, got '" + access.server + "'");
  }
  if (is_tls) address->tls = http::TlsTrust{{}, access.ca_file};
  return address;
}

// Seconds; the other form, a date, the API server does not send.
std::chrono::milliseconds retry_after(const http::Headers& headers) {
  const std::optional<std::string_view> text = headers.find("retry-after");
  if (!text.has_value()) return kNotTold;
  unsigned seconds = 0;
  const auto [end, failure] = std::from_chars(text->data(), text->data() + text->size(), seconds);
  if (failure != std::errc() || end != text->data() + text->size()) return kDefaultWait;
  return std::chrono::seconds(std::min(seconds, 86'400U));
}

std::string text_of(const json::object& object, std::string_view key) {
  const json::value* const found = object.if_contains(key);
  if (found == nullptr || !found->is_string()) return {};
  const json::string& text = found->get_string();
  return std::string(text.data(), text.size());
}

Code code_of(int status) {
  switch (status) {
    case 400:
    case 422: return Code::kInvalidArgument;
    case 401: return Code::kUnauthenticated;
    case 403: return Code::kPermissionDenied;
    case 404: return Code::kNotFound;
    case 409: return Code::kAlreadyExists;
    case 429: return Code::kRateLimited;
    default: return Code::kUnavailable;
  }
}

Error closed_error() {
  return make_error(Code::kCancelled, "kubernetes: closed");
}

}  // namespace

// In waiting_ for as long as its coroutine waits.
class KubernetesApi::Waiting {
 public:
  explicit Waiting(KubernetesApi& api) : timer(api.io_), api_(api) { api_.waiting_.insert(&timer); }
  ~Waiting() { api_.waiting_.erase(&timer); }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  asio::steady_timer timer;

 private:
  KubernetesApi& api_;
};

class KubernetesApi::Sending {
 public:
  explicit Sending(KubernetesApi& api) : canceller(std::make_shared<http::Canceller>()), api_(api) {
    api_.sending_.insert(canceller.get());
  }
  ~Sending() { api_.sending_.erase(canceller.get()); }
  Sending(const Sending&) = delete;
  Sending& operator=(const Sending&) = delete;
  const std::shared_ptr<http::Canceller> canceller;

 private:
  KubernetesApi& api_;
};

Status KubernetesApi::check(const KubernetesAccess& access) {
  TRY(const http::Address address, parse_server(access));
  if (address.tls.has_value() && access.ca_file.empty()) {
    return make_error(Code::kInvalidArgument, "ca_file: needed with https");
  }
  if (!address.tls.has_value() && !address.is_loopback()) {
    return make_error(Code::kInvalidArgument, "server: http:// is for a proxy on loopback only: the token is secret");
  }
  if (access.tries < 1) return make_error(Code::kInvalidArgument, "tries: at least 1");
  return {};
}

KubernetesApi::KubernetesApi(asio::io_context& io, KubernetesAccess access)
    : io_(io), access_(std::move(access)), address_(parse_server(access_).value_or(http::Address())), client_(io) {}

KubernetesApi::~KubernetesApi() = default;

// Read each time: some microseconds, against never using one that the kubelet has replaced.
Result<std::string> KubernetesApi::read_token() const {
  if (access_.token_file.empty()) return std::string();
  std::ifstream in(access_.token_file, std::ios::binary);
  if (!in) return make_error(Code::kNotFound, "kubernetes: cannot read the token file " + access_.token_file);
  std::string token(kMostTokenBytes, '\0');
  in.read(token.data(), static_cast<std::streamsize>(token.size()));
  token.resize(static_cast<std::size_t>(in.gcount()));
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r' || token.back() == ' ')) token.pop_back();
  const auto is_odd = [](char c) { return c <= ' ' || c > '~'; };  // it becomes a header line
  if (token.empty() || token.size() == kMostTokenBytes || std::any_of(token.begin(), token.end(), is_odd)) {
    return make_error(Code::kDataLoss, "kubernetes: no token in " + access_.token_file);
  }
  return token;
}

http::ClientRequest KubernetesApi::request_of(const KubernetesCall& call, const std::string& token) const {
  http::ClientRequest request;
  request.method = call.method;
  request.target = call.target;
  request.headers.set("accept", "application/json");
  if (!call.content_type.empty()) request.headers.set("content-type", call.content_type);
  if (!token.empty()) request.headers.set("authorization", "Bearer " + token);
  request.body = call.body;
  request.connect_deadline = std::min<std::chrono::milliseconds>(access_.timeout, std::chrono::seconds(5));
  request.header_deadline = request.read_deadline = access_.timeout;
  request.max_body_bytes = kMostAnswerBytes;
  return request;
}

Task<Result<KubernetesApi::Raw>> KubernetesApi::send_once(const KubernetesCall& call, const std::string& token) {
  const Sending sending(*this);
  http::ClientRequest request = request_of(call, token);
  request.canceller = sending.canceller;
  Task<Result<std::unique_ptr<http::ClientResponse>>> task = client_.send(address_, std::move(request));
  const Result<std::unique_ptr<http::ClientResponse>> response = co_await std::move(task);
  if (!response.has_value()) co_return response.error();
  Raw out;
  out.status = (*response)->status();
  out.retry_after = retry_after((*response)->headers());
  Task<Result<std::string>> reading = (*response)->read_all();
  Result<std::string> body = co_await std::move(reading);
  if (!body.has_value()) co_return body.error();
  out.body = std::move(*body);
  co_return out;
}

// How long until the same call is worth sending again; negative: it is not.
// 1. Lost, or failed inside the server: only what may be done twice.
// 2. Put off by the server: nothing was done; as it tells.
std::chrono::milliseconds KubernetesApi::wait_before_next(const Result<Raw>& raw, IfLost if_lost, int tried) const {
  if (tried >= access_.tries) return kNotTold;
  const bool is_told = raw.has_value() && raw->retry_after != kNotTold;
  const bool put_off = raw.has_value() && (raw->status == 429 || (raw->status == 503 && is_told));
  if (put_off) return std::min(is_told ? raw->retry_after : kDefaultWait, access_.most_wait);  // 2
  const bool broken =
      !raw.has_value() && (raw.error().code == Code::kUnavailable || raw.error().code == Code::kDeadlineExceeded);
  const bool lost = broken || (raw.has_value() && raw->status >= 500);
  if (!lost || if_lost == IfLost::kGiveUp) return kNotTold;  // 1
  return std::min<std::chrono::milliseconds>(access_.first_wait * (1 << std::min(tried - 1, 10)), access_.most_wait);
}

Task<Result<KubernetesAnswer>> KubernetesApi::call(KubernetesCall call) {
  bool renewed = false;
  for (int tried = 1;; ++tried) {
    if (closed_) co_return closed_error();
    const Result<std::string> token = read_token();
    if (!token.has_value()) co_return token.error();
    Task<Result<Raw>> task = send_once(call, *token);
    const Result<Raw> raw = co_await std::move(task);
    if (closed_) co_return closed_error();
    if (raw.has_value() && raw->status == 401 && !std::exchange(renewed, true)) {
      const Result<std::string> now = read_token();
      if (now.has_value() && *now != *token) continue;
    }
    const std::chrono::milliseconds wait = wait_before_next(raw, call.if_lost, tried);
    if (wait != kNotTold) {
      Waiting waiting(*this);
      waiting.timer.expires_after(wait);
      co_await waiting.timer.async_wait(kTuple);
      continue;
    }
    if (!raw.has_value()) {
      co_return make_error(raw.error().code, fmt::format("kubernetes: {}: {}", access_.server, raw.error().message));
    }
    KubernetesAnswer out;
    out.status = raw->status;
    json::error_code failure;
    out.body = json::parse(raw->body, failure);
    if (failure || !out.body.is_object()) {
      // A proxy in between speaks HTML; its status still counts where it says that nothing was done.
      if (raw->status < 400) co_return make_error(Code::kDataLoss, "kubernetes: the answer is not a JSON object");
      out.body = json::object{{"message", one_line(raw->body)}};
    }
    co_return out;
  }
}

Task<Result<int>> KubernetesApi::stream(std::string target, std::chrono::milliseconds at_most,
                                        std::function<bool(std::string_view)> on_line) {
  if (closed_) co_return closed_error();
  const Result<std::string> token = read_token();
  if (!token.has_value()) co_return token.error();
  const Sending sending(*this);
  const KubernetesCall call{.method = "GET", .target = std::move(target), .content_type = {}, .body = {}};
  http::ClientRequest request = request_of(call, *token);
  request.canceller = sending.canceller;
  request.read_deadline = at_most + access_.timeout;
  Task<Result<std::unique_ptr<http::ClientResponse>>> task = client_.send(address_, std::move(request));
  const Result<std::unique_ptr<http::ClientResponse>> response = co_await std::move(task);
  if (!response.has_value()) co_return response.error();
  const int status = (*response)->status();
  if (status != 200) co_return status;
  std::string buffer;
  for (;;) {
    Task<Result<std::optional<std::string>>> reading = (*response)->read_some();
    const Result<std::optional<std::string>> piece = co_await std::move(reading);
    if (closed_) co_return closed_error();
    if (!piece.has_value()) co_return piece.error();
    if (!piece->has_value()) co_return status;
    buffer += **piece;
    std::size_t begin = 0;
    for (std::size_t end = buffer.find('\n'); end != std::string::npos; end = buffer.find('\n', begin)) {
      if (!on_line(std::string_view(buffer).substr(begin, end - begin))) co_return status;
      begin = end + 1;
    }
    buffer.erase(0, begin);
    if (buffer.size() > kMostLineBytes) co_return make_error(Code::kTooLarge, "kubernetes: a line without an end");
  }
}

void KubernetesApi::close() {
  closed_ = true;
  for (asio::steady_timer* const timer : waiting_) timer->cancel();
  const std::set<http::Canceller*> sending = sending_;
  for (http::Canceller* const canceller : sending) canceller->cancel();
}

Error kubernetes_error(std::string_view what, const KubernetesAnswer& answer) {
  const json::object* const status = answer.body.if_object();
  const std::string message = status == nullptr ? std::string() : one_line(text_of(*status, "message"));
  const std::string reason = status == nullptr ? std::string() : one_line(text_of(*status, "reason"));
  return make_error(code_of(answer.status), fmt::format("kubernetes: {}: {} ({}{}{})", what, message, answer.status,
                                                        reason.empty() ? "" : " ", reason));
}

std::string one_line(std::string_view text) {
  constexpr std::size_t kMost = 300;
  std::size_t size = std::min(text.size(), kMost);
  const auto is_continuation = [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; };
  while (size < text.size() && size > 0 && is_continuation(text[size])) --size;  // never half a UTF-8 character
  std::string out(text.substr(0, size));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == '"' || c == 0x7f) c = ' ';
  }
  return out;
}

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
  std::string out;
  for (const char c : text) {
    if (kPlain.find(c) != std::string_view::npos) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kHex[byte >> 4U];
    out += kHex[byte & 15U];
  }
  return out;
}

}  // namespace dormouse::fleet
