#include "catalog/pull_transfer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace dormouse::catalog {
namespace {

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t out = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (ec != std::errc() || end != text.data() + text.size() || out < 0) return std::nullopt;
  return out;
}

// In whole seconds; a date is not read.
std::chrono::milliseconds retry_after(const http::Headers& headers) {
  const auto seconds = number(headers.find("retry-after").value_or(""));
  if (!seconds.has_value()) return std::chrono::milliseconds(0);
  return std::min<std::chrono::milliseconds>(kMaxRetryDelay,
                                             std::chrono::seconds(std::min<std::int64_t>(*seconds, 3'600)));
}

bool is_for_later(int status) {
  return status == 408 || status == 429 || status >= 500;
}

}  // namespace

Transfer::Transfer(asio::io_context& io, PullWeb& web, PartFile& part, http::Url url, TransferOptions options,
                   std::function<void(std::int64_t)> on_bytes)
    : io_(io),
      web_(web),
      part_(part),
      url_(std::move(url)),
      options_(std::move(options)),
      on_bytes_(std::move(on_bytes)),
      changed_(io) {}

Transfer::End Transfer::wrong(std::string why) const {
  return {make_error(Code::kDataLoss, fmt::format("{}: {}", options_.what, why)), End::Next::kGiveUp};
}

// One range by itself first: its answer says whether there are ranges at all.
Task<Status> Transfer::run() {
  for (const ByteRange& range : part_.missing(options_.piece_bytes)) waiting_.push_back(range);
  if (waiting_.empty()) co_return Status();
  const ByteRange first = waiting_.front();
  waiting_.pop_front();
  CO_TRY_STATUS(co_await fetch(first));
  const int workers = std::min<int>(options_.connections, static_cast<int>(std::min<std::size_t>(waiting_.size(), 64)));
  for (int i = 0; i < workers; ++i) {
    ++running_;
    asio::co_spawn(io_, work(), [this](const std::exception_ptr& failure) {
      if (failure) failure_ = make_error(Code::kInternal, "a download ended by an exception");
      --running_;
      changed_.cancel();
    });
  }
  while (running_ > 0) {
    changed_.expires_at(asio::steady_timer::time_point::max());
    [[maybe_unused]] const auto [ec] = co_await changed_.async_wait(kTuple);
  }
  if (failure_.has_value()) co_return *failure_;
  co_return Status();
}

Task<void> Transfer::work() {
  while (!waiting_.empty() && !failure_.has_value()) {
    const ByteRange range = waiting_.front();
    waiting_.pop_front();
    const Status done = co_await fetch(range);
    if (!done.has_value() && !failure_.has_value()) {
      failure_ = done.error();
      web_.cancel();  // the others end, with what they have
    }
  }
}

Task<Status> Transfer::fetch(ByteRange range) {
  ByteRange left = range;
  std::chrono::milliseconds delay = options_.retry_delay;
  for (int tries = 1;; ++tries) {
    const std::int64_t from = left.begin;
    const Try ended = co_await try_once(left);
    if (!ended.has_value()) co_return Status();
    // Without ranges each try begins at the start: that is no progress.
    if (takes_ranges_ && left.begin > from) {
      tries = 1;
      delay = options_.retry_delay;
    }
    if (ended->next == End::Next::kGiveUp || tries >= kMaxTries) co_return ended->error;
    asio::steady_timer pause(io_);
    // In steps, so that a stop is not waited for.
    constexpr std::chrono::milliseconds kStep{200};
    for (auto rest = std::max(delay, ended->wait); rest.count() > 0 && !web_.is_cancelled(); rest -= kStep) {
      pause.expires_after(std::min(rest, kStep));
      [[maybe_unused]] const auto [ec] = co_await pause.async_wait(kTuple);
    }
    delay = std::min(delay * 2, kMaxRetryDelay);
  }
}

Task<Transfer::Try> Transfer::try_once(ByteRange& left) {
  const bool is_direct = direct_.has_value();
  http::Url url = is_direct ? *direct_ : url_;
  PullWeb::Ask ask;
  ask.range = left;
  Result<PullWeb::Answer> answer = co_await web_.send(std::move(url), std::move(ask));
  if (!answer.has_value()) {
    const Code code = answer.error().code;
    const bool again = code == Code::kUnavailable || code == Code::kDeadlineExceeded;
    co_return End{answer.error(), again ? End::Next::kAgain : End::Next::kGiveUp};
  }
  const std::shared_ptr<http::ClientResponse> response = std::move(answer->response);
  const int status = response->status();
  if (status != 200 && status != 206) {
    // A content network's address is good for minutes; the hub gives another.
    const bool is_stale = is_direct && status >= 400 && status < 500 && status != 429;
    if (is_direct) direct_.reset();
    const bool again = is_stale || is_for_later(status);
    co_return End{status_error(status, options_.what), again ? End::Next::kAgain : End::Next::kGiveUp,
                  retry_after(response->headers())};
  }
  Try refused = status == 206 ? check_piece(*response, left) : start_whole(*response, left);
  if (refused.has_value()) co_return refused;
  if (answer->url != url_) direct_ = answer->url;
  takes_ranges_ = takes_ranges_ || status == 206;
  const std::int64_t from = left.begin;
  Try ended = co_await receive(response, left);
  if (const Status kept = part_.mark({from, left.begin}); !kept.has_value()) {
    co_return End{kept.error(), End::Next::kGiveUp};
  }
  co_return ended;
}

// "bytes 0-15/100" must be what was asked for.
Transfer::Try Transfer::check_piece(const http::ClientResponse& response, ByteRange range) const {
  const std::string_view said = response.headers().find("content-range").value_or("");
  const std::string wanted = fmt::format("bytes {}-{}/{}", range.begin, range.end - 1, options_.bytes);
  if (said != wanted) return wrong(fmt::format("it was asked for '{}' and sends '{}'", wanted, said.substr(0, 100)));
  const auto length = response.headers().find("content-length");
  if (length.has_value() && number(*length) != range.size()) {
    return wrong(fmt::format("a piece of {} bytes is announced as {}", range.size(), length->substr(0, 100)));
  }
  return std::nullopt;
}

// A server without ranges sends all of it: then all of it is taken, by one connection, from the start.
Transfer::Try Transfer::start_whole(const http::ClientResponse& response, ByteRange& left) {
  if (takes_ranges_) return wrong("it gave pieces before, and now it does not");
  const auto length = response.headers().find("content-length");
  if (length.has_value() && number(*length) != options_.bytes) {
    return wrong(fmt::format("{} bytes are announced, {} are wanted", length->substr(0, 100), options_.bytes));
  }
  on_bytes_(-part_.done_bytes());
  if (const Status fresh = part_.restart(); !fresh.has_value()) return End{fresh.error(), End::Next::kGiveUp};
  waiting_.clear();
  left = {0, options_.bytes};
  return std::nullopt;
}

Task<Transfer::Try> Transfer::receive(std::shared_ptr<http::ClientResponse> response, ByteRange& left) {
  while (true) {
    const Result<std::optional<std::string>> piece = co_await response->read_some();
    if (!piece.has_value()) {
      const bool again = piece.error().code != Code::kCancelled;
      co_return End{piece.error(), again ? End::Next::kAgain : End::Next::kGiveUp};
    }
    if (!piece->has_value()) break;
    const std::string& data = **piece;
    if (static_cast<std::int64_t>(data.size()) > left.size()) co_return wrong("it sends more than it announced");
    const Status written = part_.write(left.begin, data);
    if (!written.has_value()) co_return End{written.error(), End::Next::kGiveUp};
    left.begin += static_cast<std::int64_t>(data.size());
    on_bytes_(static_cast<std::int64_t>(data.size()));
  }
  if (left.size() == 0) co_return std::nullopt;
  co_return End{make_error(Code::kUnavailable, fmt::format("{}: it ended {} bytes early", options_.what, left.size()))};
}

}  // namespace dormouse::catalog
