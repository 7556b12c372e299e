// The bytes of one file into its part: several ranges at a time, each tried again where it breaks off. Threads: the
// io_context's.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "catalog/pull_part.h"
#include "catalog/pull_web.h"

namespace dormouse::catalog {

struct TransferOptions {
  std::int64_t bytes = 0;                        // of the file
  std::int64_t piece_bytes = 16 << 20;           // of one request
  int connections = 4;                           // at a time
  std::chrono::milliseconds retry_delay{1'000};  // the first; doubled each time, up to kMaxRetryDelay
  std::string what;                              // for messages: "huggingface.co: Qwen3-4B-Q4_K_M.gguf"
};

// In a row, without a byte in between; then the pull ends, and can be taken up again.
inline constexpr int kMaxTries = 5;
inline constexpr std::chrono::milliseconds kMaxRetryDelay{30'000};

class Transfer {
 public:
  // `web` and `part` are borrowed. `on_bytes`: so many more have been written (fewer, where a range is tried again).
  Transfer(asio::io_context& io, PullWeb& web, PartFile& part, http::Url url, TransferOptions options,
           std::function<void(std::int64_t)> on_bytes);

  // Until the part is whole. What is there when it ends otherwise is in the journal.
  // Errors: kCancelled, those of PullWeb and PartFile; kNotFound, kPermissionDenied, kRateLimited by the status;
  // kDataLoss (the source sends other bytes than it was asked for, or another size than it said).
  Task<Status> run();

 private:
  // How a try ended.
  struct End {
    Error error;
    enum class Next { kAgain, kGiveUp } next = Next::kAgain;
    std::chrono::milliseconds wait{0};  // that the source asks for
  };
  using Try = std::optional<End>;  // nullopt: the range is whole

  Task<void> work();
  Task<Status> fetch(ByteRange range);
  Task<Try> try_once(ByteRange& left);
  Task<Try> receive(std::shared_ptr<http::ClientResponse> response, ByteRange& left);
  [[nodiscard]] Try check_piece(const http::ClientResponse& response, ByteRange range) const;
  Try start_whole(const http::ClientResponse& response, ByteRange& left);
  [[nodiscard]] End wrong(std::string why) const;

  asio::io_context& io_;
  PullWeb& web_;
  PartFile& part_;
  const http::Url url_;
  const TransferOptions options_;
  std::function<void(std::int64_t)> on_bytes_;
  std::optional<http::Url> direct_;  // where url_ was sent to, as long as that works
  std::deque<ByteRange> waiting_;
  std::optional<Error> failure_;
  int running_ = 0;
  bool takes_ranges_ = false;  // known after the first answer
  asio::steady_timer changed_;
};

}  // namespace dormouse::catalog
