#include "http/exchange.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>

#include "base/clock.h"
#include "http/websocket_core.h"

namespace dormouse::http {
namespace {

// RFC 9110 wants a Date on every answer; it changes once a second.
std::string date_header() {
  const std::int64_t second = SystemClock().wall().us / 1'000'000;
  return fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(static_cast<std::time_t>(second)));
}

// What frames the answer is ours to say.
void drop_framing(Headers& headers) {
  headers.remove("content-length");
  headers.remove("transfer-encoding");
  headers.remove("connection");
  if (!headers.find("date")) headers.add("date", date_header());
}

bool is_bodiless(int status) {
  return status < 200 || status == 204 || status == 304;
}

Error twice() {
  return make_error(Code::kInternal, "exchange answered twice");
}

}  // namespace

ConnectionExchange::ConnectionExchange(std::shared_ptr<Connection> connection, Request request, bool http_1_0,
                                       bool keep_alive)
    : connection_(std::move(connection)), request_(std::move(request)), http_1_0_(http_1_0), keep_alive_(keep_alive) {}

AfterAnswer ConnectionExchange::after() {
  if (connection_->shared().closing) keep_alive_ = false;
  return keep_alive_ ? AfterAnswer::kKeepAlive : AfterAnswer::kClose;
}

Task<Status> ConnectionExchange::send(Response response) {
  if (state_ != State::kFresh) co_return twice();
  // A handler that asks to close is heard.
  if (has_token(response.headers, "connection", "close")) keep_alive_ = false;
  drop_framing(response.headers);
  if (!is_bodiless(response.status)) response.headers.add("content-length", std::to_string(response.body.size()));
  std::string bytes = format_response_head(response.status, response.headers, after());
  if (!is_head() && !is_bodiless(response.status)) bytes += response.body;
  state_ = State::kStreaming;
  const Status written = co_await connection_->write(std::move(bytes));
  if (written) state_ = State::kFinished;
  co_return written;
}

Task<Status> ConnectionExchange::start_stream(int status, Headers headers) {
  if (state_ != State::kFresh) co_return twice();
  drop_framing(headers);
  if (http_1_0_) {
    keep_alive_ = false;  // the end of the connection is the end of the body
  } else {
    headers.add("transfer-encoding", "chunked");
  }
  state_ = State::kStreaming;
  std::string bytes = format_response_head(status, headers, after());
  const Status written = co_await connection_->write(std::move(bytes));
  co_return written;
}

Task<Status> ConnectionExchange::write(std::string chunk) {
  if (state_ == State::kAborted) co_return make_error(Code::kCancelled, "exchange aborted");
  if (state_ != State::kStreaming) co_return make_error(Code::kInternal, "write without start_stream");
  if (is_head() || chunk.empty()) co_return Status();
  std::string bytes = http_1_0_ ? std::move(chunk) : format_chunk(chunk);
  const Status written = co_await connection_->write(std::move(bytes));
  co_return written;
}

Task<Status> ConnectionExchange::finish() {
  if (state_ == State::kAborted) co_return make_error(Code::kCancelled, "exchange aborted");
  if (state_ != State::kStreaming) co_return make_error(Code::kInternal, "finish without start_stream");
  if (!is_head() && !http_1_0_) {
    std::string last(kLastChunk);
    const Status written = co_await connection_->write(std::move(last));
    if (!written) co_return written;
  }
  state_ = State::kFinished;
  co_return Status();
}

void ConnectionExchange::abort() {
  if (state_ == State::kUpgraded) return;
  state_ = State::kAborted;
  connection_->break_off();
}

Task<Result<std::unique_ptr<WebSocket>>> ConnectionExchange::upgrade(std::chrono::milliseconds silence) {
  if (state_ != State::kFresh) co_return twice();
  if (!is_websocket_request(request_) || !connection_->stream().buffer().empty()) {
    co_return make_error(Code::kInvalidArgument, "not a WebSocket request");
  }
  state_ = State::kUpgraded;
  connection_->hand_over();
  std::shared_ptr<ServerShared> shared = connection_->shared_ptr();
  std::shared_ptr<SocketStream> stream = connection_->stream_ptr();
  stream->disarm();
  auto result = co_await accept_websocket(std::move(shared), std::move(stream), request_, silence);
  co_return result;
}

void ConnectionExchange::on_client_gone(std::function<void()> callback) {
  connection_->set_gone_callback(std::move(callback));
}

}  // namespace dormouse::http
