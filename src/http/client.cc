#include "http/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <utility>
#include <vector>

#include "http/socket_stream.h"
#include "http/wire.h"

namespace dormouse::http {
namespace {

constexpr std::size_t kMaxPooled = 64;  // idle connections an address; more are closed
constexpr std::chrono::seconds kWriteProgress{60};

using StreamPtr = std::shared_ptr<SocketStream>;

// Nothing arrived while it lay in the pool: anything (the end above all) means the peer is done with it.
bool is_still_open(SocketStream& stream) {
  return stream.receive() == SocketStream::Arrival::kNothing;
}

class Pool {
 public:
  StreamPtr take(const std::string& address) {
    const auto entry = idle_.find(address);
    if (entry == idle_.end()) return nullptr;
    while (!entry->second.empty()) {
      const StreamPtr stream = std::move(entry->second.back());
      entry->second.pop_back();
      if (is_still_open(*stream)) return stream;
      stream->close();
    }
    return nullptr;
  }
  void give(const std::string& address, const StreamPtr& stream) {
    const auto [entry, is_new] = idle_.try_emplace(address);
    if (entry->second.size() >= kMaxPooled) return stream->close();
    entry->second.push_back(stream);
    if (is_new) sweep();
  }
  void forget(const std::string& address) {
    const auto entry = idle_.find(address);
    if (entry == idle_.end()) return;
    for (const StreamPtr& stream : entry->second) stream->close();
    idle_.erase(entry);
  }
  void clear() {
    for (const auto& [address, streams] : idle_) {
      for (const StreamPtr& stream : streams) stream->close();
    }
    idle_.clear();
  }

 private:
  // Workers come and go, each with an address of its own: connections to one that has gone must not pile up. Looked
  // for when a new one comes.
  void sweep() {
    for (auto& [address, streams] : idle_) {
      std::erase_if(streams, [](const StreamPtr& stream) {
        const bool is_over = !is_still_open(*stream);
        if (is_over) stream->close();
        return is_over;
      });
    }
    std::erase_if(idle_, [](const auto& entry) { return entry.second.empty(); });
  }
  std::map<std::string, std::vector<StreamPtr>> idle_;
};

// What a response needs besides its connection.
struct Expectation {
  std::string address;
  std::weak_ptr<Pool> pool;
  std::chrono::milliseconds read_deadline;
  std::size_t max_body_bytes = 0;
  std::shared_ptr<Canceller> canceller;
};

Error broken() {
  return make_error(Code::kUnavailable, "upstream broke off in the middle of its answer");
}

class PooledResponse final : public ClientResponse {
 public:
  PooledResponse(StreamPtr stream, ResponseHead head, Expectation expectation)
      : stream_(std::move(stream)), head_(std::move(head)), expectation_(std::move(expectation)) {
    remaining_ = head_.body.bytes;
    if (head_.body.kind == BodyLength::Kind::kNone || (is_fixed() && remaining_ == 0)) end();
  }
  ~PooledResponse() override {
    if (stream_) stream_->close();
  }
  PooledResponse(const PooledResponse&) = delete;
  PooledResponse& operator=(const PooledResponse&) = delete;

  int status() const override { return head_.status; }
  const Headers& headers() const override { return head_.headers; }

  Task<Result<std::optional<std::string>>> read_some() override {
    for (;;) {
      if (cancelled_) co_return make_error(Code::kCancelled, "response cancelled");
      if (failure_) co_return *failure_;
      if (!stream_) co_return std::optional<std::string>();
      std::string piece;
      if (!take(piece)) {
        fail(make_error(Code::kUnavailable, "upstream sent malformed framing"));
        continue;
      }
      if (!piece.empty()) co_return std::optional<std::string>(std::move(piece));
      if (!stream_) continue;
      // A local copy: cancel() may let go of ours while we wait.
      const StreamPtr stream = stream_;
      stream->arm(expectation_.read_deadline);
      const Result<std::size_t> got = co_await stream->fill();
      stream->disarm();
      if (!got) {
        fail(got.error().code == Code::kUnavailable ? broken() : got.error());
      } else if (*got == 0) {
        const bool complete = head_.body.kind == BodyLength::Kind::kUntilClose;
        if (complete) {
          end();
        } else {
          fail(broken());
        }
      }
    }
  }

  Task<Result<std::string>> read_all() override {
    std::string body;
    for (;;) {
      Result<std::optional<std::string>> piece = co_await read_some();
      if (!piece) co_return piece.error();
      if (!*piece) co_return body;
      if (body.size() + (*piece)->size() > expectation_.max_body_bytes) {
        fail(make_error(Code::kTooLarge, "upstream's answer is too large"));
        co_return *failure_;
      }
      body += **piece;
    }
  }

  void cancel() override {
    cancelled_ = true;
    if (stream_) stream_->cancel();
  }

 private:
  [[nodiscard]] bool is_fixed() const { return head_.body.kind == BodyLength::Kind::kFixed; }

  // Moves what the buffer holds of the body into `piece`. False: malformed.
  bool take(std::string& piece) {
    std::string& buffer = stream_->buffer();
    switch (head_.body.kind) {
      case BodyLength::Kind::kNone: end(); return true;
      case BodyLength::Kind::kUntilClose: piece = std::exchange(buffer, {}); return true;
      case BodyLength::Kind::kFixed: {
        const std::size_t count = static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, buffer.size()));
        piece = buffer.substr(0, count);
        buffer.erase(0, count);
        remaining_ -= count;
        if (remaining_ == 0) end();
        return true;
      }
      case BodyLength::Kind::kChunked: {
        // No limit on a stream read piece by piece; read_all has its own.
        const auto used = decoder_.push(buffer, piece, std::numeric_limits<std::uint64_t>::max());
        if (!used) return false;
        buffer.erase(0, *used);
        if (decoder_.done()) end();
        return true;
      }
    }
    return false;
  }

  // The body is whole: the connection goes back to the pool, unless something is odd about it.
  void end() {
    const StreamPtr stream = std::exchange(stream_, nullptr);
    if (expectation_.canceller) expectation_.canceller->attach(nullptr);
    const auto pool = expectation_.pool.lock();
    if (pool && head_.keep_alive && stream->buffer().empty() && !cancelled_) {
      pool->give(expectation_.address, stream);
    } else {
      stream->close();
    }
  }

  void fail(Error error) {
    failure_ = std::move(error);
    if (stream_) std::exchange(stream_, nullptr)->close();
  }

  StreamPtr stream_;  // null after the end
  ResponseHead head_;
  Expectation expectation_;
  ChunkDecoder decoder_;
  std::uint64_t remaining_ = 0;
  std::optional<Error> failure_;
  bool cancelled_ = false;
};

// A pinned peer's connection is never another's, should both have had the same address one after the other.
std::string pool_key(const Address& address, const std::optional<Proxy>& proxy) {
  std::string out = address.to_string();
  if (proxy.has_value()) out += " by " + proxy->address.to_string();
  if (address.tls.has_value()) out += " tls " + address.tls->fingerprint + address.tls->ca_file;
  if (address.tls.has_value() && address.tls->system_cas) out += "system";
  return out;
}

std::string format_request(const Address& address, const ClientRequest& request) {
  Headers headers = request.headers;
  if (!headers.find("host")) {
    headers.set("host", address.kind == Address::Kind::kUnix ? "localhost" : address.to_string());
  }
  const bool has_body = !request.body.empty() || request.method == "POST" || request.method == "PUT";
  if (has_body) headers.set("content-length", std::to_string(request.body.size()));
  return format_request_head(request.method, request.target, headers) + request.body;
}

// Answers larger in the header than any honest one are refused.
HeadLimits response_limits() {
  HeadLimits limits;
  limits.header_bytes = 64 * 1024;
  limits.line_bytes = 32 * 1024;
  limits.header_count = 256;
  limits.uri_bytes = limits.header_bytes;
  return limits;
}

// Nothing of an answer came back: the request may go to a fresh connection.
struct HeadFailure {
  Error error;
  bool before_first_byte = false;
};

Task<tl::expected<ResponseHead, HeadFailure>> exchange_heads(StreamPtr stream, std::string bytes, std::string method,
                                                             std::chrono::milliseconds deadline) {
  const Status written = co_await stream->write_all(std::move(bytes), kWriteProgress);
  if (!written) {
    co_return tl::unexpected(HeadFailure{written.error(), written.error().code == Code::kUnavailable});
  }
  const HeadLimits limits = response_limits();
  std::string& buffer = stream->buffer();
  stream->arm(deadline);
  for (;;) {
    std::size_t scanned = 0;
    std::size_t end = 0;
    while (end == 0) {
      const auto found = find_head_end(buffer, limits, scanned);
      if (!found) {
        co_return tl::unexpected(
            HeadFailure{make_error(Code::kUnavailable, "upstream sent a malformed answer"), false});
      }
      end = *found;
      if (end > 0) break;
      const Result<std::size_t> got = co_await stream->fill();
      if (!got) {
        const bool may_retry = buffer.empty() && got.error().code == Code::kUnavailable;
        co_return tl::unexpected(HeadFailure{got.error(), may_retry});
      }
      if (*got == 0) {
        Error ended = make_error(Code::kUnavailable, "upstream closed the connection before its answer");
        co_return tl::unexpected(HeadFailure{std::move(ended), buffer.empty()});
      }
    }
    auto head = parse_response_head(std::string_view(buffer).substr(0, end), limits);
    buffer.erase(0, end);
    if (!head) {
      co_return tl::unexpected(HeadFailure{make_error(Code::kUnavailable, "upstream sent a malformed answer"), false});
    }
    if (head->status >= 100 && head->status < 200) continue;  // 100 Continue and its like
    stream->disarm();
    if (method == "HEAD") head->body = BodyLength{};
    co_return *std::move(head);
  }
}

// A connection to `address` that the proxy passes on.
Task<Result<StreamPtr>> connect_through(asio::io_context& io, Address address, Proxy proxy,
                                        std::chrono::milliseconds deadline, ConnectHooks hooks) {
  CO_TRY(StreamPtr stream, co_await connect_stream(io, proxy.address, deadline, hooks));
  Headers headers;
  const std::string target = address.to_string();
  headers.set("host", target);
  if (!proxy.authorization.empty()) headers.set("proxy-authorization", proxy.authorization);
  std::string head = format_request_head("CONNECT", target, headers);
  std::string method = "HEAD";  // an answer without a body, as CONNECT's is
  auto answer = co_await exchange_heads(stream, std::move(head), std::move(method), deadline);
  if (!answer.has_value()) co_return answer.error().error;
  const bool is_through = answer->status >= 200 && answer->status < 300 && stream->buffer().empty();
  if (!is_through) {
    stream->close();
    co_return make_error(Code::kUnavailable, fmt::format("the proxy {} does not connect to {}: HTTP {}",
                                                         proxy.address.to_string(), target, answer->status));
  }
  CO_TRY_STATUS(co_await start_tls(stream, address, deadline));
  co_return stream;
}

}  // namespace

void Canceller::cancel() {
  cancelled_ = true;
  if (const auto stream = stream_.lock()) stream->cancel();
}

void Canceller::attach(const std::shared_ptr<SocketStream>& stream) {
  stream_ = stream;
  if (cancelled_ && stream) stream->cancel();
}

struct Client::Impl {
  explicit Impl(asio::io_context& io_context) : io(io_context), pool(std::make_shared<Pool>()) {}

  static Task<Result<std::unique_ptr<ClientResponse>>> send(std::shared_ptr<Impl> self, Address address,
                                                            ClientRequest request);

  asio::io_context& io;
  std::shared_ptr<Pool> pool;
};

Task<Result<std::unique_ptr<ClientResponse>>> Client::Impl::send(std::shared_ptr<Impl> self, Address address,
                                                                 ClientRequest request) {
  const std::string key = pool_key(address, request.proxy);
  const std::shared_ptr<Canceller> canceller = request.canceller ? request.canceller : std::make_shared<Canceller>();
  for (int attempt = 0;; ++attempt) {
    if (canceller->is_cancelled()) co_return make_error(Code::kCancelled, "request cancelled");
    StreamPtr stream = attempt == 0 ? self->pool->take(key) : nullptr;
    const bool is_pooled = stream != nullptr;
    if (is_pooled) {
      canceller->attach(stream);
    } else {
      ConnectHooks hooks;
      hooks.on_open = [canceller](const StreamPtr& opened) { canceller->attach(opened); };
      if (request.proxy.has_value()) {
        CO_TRY(stream, co_await connect_through(self->io, address, *request.proxy, request.connect_deadline, hooks));
      } else {
        hooks.admit = request.admit;
        CO_TRY(stream, co_await connect_stream(self->io, address, request.connect_deadline, hooks));
      }
    }
    std::string bytes = format_request(address, request);
    auto head = co_await exchange_heads(stream, std::move(bytes), request.method, request.header_deadline);
    if (head) {
      Expectation expectation{key, self->pool, request.read_deadline, request.max_body_bytes, canceller};
      std::unique_ptr<ClientResponse> response =
          std::make_unique<PooledResponse>(std::move(stream), *std::move(head), std::move(expectation));
      co_return response;
    }
    stream->close();
    if (!is_pooled || !head.error().before_first_byte) co_return head.error().error;
  }
}

Client::Client(asio::io_context& io) : impl_(std::make_shared<Impl>(io)) {}
Client::~Client() {
  impl_->pool->clear();
}

Task<Result<std::unique_ptr<ClientResponse>>> Client::send(Address address, ClientRequest request) {
  return Impl::send(impl_, std::move(address), std::move(request));
}

void Client::forget(const Address& address) {
  impl_->pool->forget(pool_key(address, std::nullopt));
}

}  // namespace dormouse::http
