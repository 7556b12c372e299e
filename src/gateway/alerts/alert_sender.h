// Brings alerts to the webhooks, beside the requests and never before them: each webhook has its own short queue, tries
// a few times with growing pauses, and gives up in the log. The same alert goes out once an hour at most. What the log
// says of a webhook is its name. Owner: the house. Threads: the loop's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "gateway/alerts/alert_test_row.h"
#include "gateway/alerts/webhook.h"
#include "http/client.h"

namespace dormouse::gateway {

struct AlertSenderOptions {
  std::vector<Webhook> webhooks;
  std::size_t most_waiting = 256;  // a webhook; beyond it the oldest is dropped
  int most_tries = 8;
  std::chrono::milliseconds first_pause{1'000};  // doubled at each try
  std::chrono::milliseconds longest_pause{60'000};
  Nanoseconds not_again_for = std::chrono::hours(1);
};

class AlertSender {
 public:
  AlertSender(asio::io_context& io, const Clock& clock, AlertSenderOptions options);
  ~AlertSender();
  AlertSender(const AlertSender&) = delete;
  AlertSender& operator=(const AlertSender&) = delete;

  // Returns at once.
  void raise(const Alert& alert);
  // One to every webhook, whatever its events; once, without a second try.
  Task<std::vector<AlertTestRow>> test();

  [[nodiscard]] std::uint64_t sent() const { return shared_->sent; }
  [[nodiscard]] std::uint64_t lost() const { return shared_->lost; }  // dropped or given up

 private:
  struct Queue {
    explicit Queue(asio::io_context& io) : pause(io) {}
    std::deque<Alert> waiting;
    asio::steady_timer pause;
    bool is_sending = false;
  };
  // Outlives the sender in the frames of its coroutines.
  struct Shared {
    Shared(asio::io_context& io, const Clock& c, AlertSenderOptions o);
    asio::io_context& io;
    const Clock& clock;
    const AlertSenderOptions options;
    http::Client client;
    std::vector<std::unique_ptr<Queue>> queues;  // one a webhook
    std::uint64_t sent = 0;
    std::uint64_t lost = 0;
    bool is_over = false;
  };
  static Task<void> run(std::shared_ptr<Shared> shared, std::size_t index);
  static Task<WebhookAnswer> send(std::shared_ptr<Shared> shared, std::size_t index, Alert alert);
  static Task<bool> deliver(std::shared_ptr<Shared> shared, std::size_t index, Alert alert);
  [[nodiscard]] bool is_news(const Alert& alert);

  std::shared_ptr<Shared> shared_;
  std::map<std::string, MonoTime> last_;  // by event and key
};

}  // namespace dormouse::gateway
