#include "gateway/alerts/alert_sender.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/log.h"

namespace dormouse::gateway {
namespace {

constexpr std::size_t kMostRemembered = 4'096;

}  // namespace

AlertSender::Shared::Shared(asio::io_context& context, const Clock& c, AlertSenderOptions o)
    : io(context), clock(c), options(std::move(o)), client(context) {
  for (std::size_t i = 0; i < options.webhooks.size(); ++i) queues.push_back(std::make_unique<Queue>(io));
}

AlertSender::AlertSender(asio::io_context& io, const Clock& clock, AlertSenderOptions options)
    : shared_(std::make_shared<Shared>(io, clock, std::move(options))) {}

AlertSender::~AlertSender() {
  shared_->is_over = true;
  for (const std::unique_ptr<Queue>& queue : shared_->queues) queue->pause.cancel();
}

bool AlertSender::is_news(const Alert& alert) {
  const MonoTime now = shared_->clock.now();
  const Nanoseconds quiet = shared_->options.not_again_for;
  std::erase_if(last_, [&](const auto& entry) { return now - entry.second >= quiet; });
  if (last_.size() >= kMostRemembered) return false;
  return last_.try_emplace(fmt::format("{} {}", to_string(alert.event), alert.key), now).second;
}

void AlertSender::raise(const Alert& alert) {
  if (!is_news(alert)) return;
  log_info("event=alert kind={} key=\"{}\" over={}", to_string(alert.event), alert.key, alert.is_over);
  for (std::size_t i = 0; i < shared_->queues.size(); ++i) {
    if (!shared_->options.webhooks[i].events.contains(alert.event)) continue;
    Queue& queue = *shared_->queues[i];
    if (queue.waiting.size() >= shared_->options.most_waiting) {
      queue.waiting.pop_front();
      ++shared_->lost;
    }
    queue.waiting.push_back(alert);
    if (std::exchange(queue.is_sending, true)) continue;
    Task<void> running = run(shared_, i);
    asio::co_spawn(shared_->io, std::move(running), asio::detached);
  }
}

Task<void> AlertSender::run(std::shared_ptr<Shared> shared, std::size_t index) {
  Queue& queue = *shared->queues[index];
  while (!queue.waiting.empty() && !shared->is_over) {
    Alert alert = std::move(queue.waiting.front());
    queue.waiting.pop_front();
    const bool is_delivered = co_await deliver(shared, index, std::move(alert));
    ++(is_delivered ? shared->sent : shared->lost);
  }
  queue.is_sending = false;
}

Task<bool> AlertSender::deliver(std::shared_ptr<Shared> shared, std::size_t index, Alert alert) {
  const AlertSenderOptions& options = shared->options;
  const std::string& name = options.webhooks[index].name;
  std::chrono::milliseconds pause = options.first_pause;
  for (int attempt = 1; !shared->is_over; ++attempt) {
    Alert copy = alert;
    const WebhookAnswer answer = co_await send(shared, index, std::move(copy));
    if (answer.kind == WebhookAnswer::Kind::kDelivered) co_return true;
    const bool is_last = answer.kind == WebhookAnswer::Kind::kRefused || attempt >= options.most_tries;
    log_warn("event=alert_not_delivered webhook=\"{}\" kind={} attempt={} gives_up={} said=\"{}\"", name,
             to_string(alert.event), attempt, is_last, answer.said);
    if (is_last || shared->is_over) co_return false;
    shared->queues[index]->pause.expires_after(pause);
    [[maybe_unused]] const auto [ec] = co_await shared->queues[index]->pause.async_wait(kTuple);
    pause = std::min(2 * pause, options.longest_pause);
  }
  co_return false;
}

Task<WebhookAnswer> AlertSender::send(std::shared_ptr<Shared> shared, std::size_t index, Alert alert) {
  const Webhook& webhook = shared->options.webhooks[index];
  http::ClientRequest request = write_request(webhook, alert, shared->clock.wall());
  http::Address address = webhook.address;
  const Result<std::unique_ptr<http::ClientResponse>> response =
      co_await shared->client.send(std::move(address), std::move(request));
  if (!response.has_value()) co_return WebhookAnswer{WebhookAnswer::Kind::kTryAgain, response.error().message};
  const int status = (*response)->status();
  const Result<std::string> body = co_await (*response)->read_all();
  if (!body.has_value()) co_return WebhookAnswer{WebhookAnswer::Kind::kTryAgain, body.error().message};
  co_return read_answer(webhook.kind, status, *body);
}

Task<std::vector<AlertTestRow>> AlertSender::test() {
  const std::shared_ptr<Shared> shared = shared_;
  std::vector<AlertTestRow> out;
  for (std::size_t i = 0; i < shared->queues.size(); ++i) {
    Alert alert = test_alert();
    const WebhookAnswer answer = co_await send(shared, i, std::move(alert));
    out.push_back({.webhook = shared->options.webhooks[i].name,
                   .is_delivered = answer.kind == WebhookAnswer::Kind::kDelivered,
                   .said = answer.said});
  }
  co_return out;
}

}  // namespace dormouse::gateway
