// The gateway's end of the control channel: who is let in, and what it says.
#include <utility>

#include "base/log.h"
#include "fleet/lease_token.h"
#include "fleet/supervisor_impl.h"

namespace dormouse::fleet {

Slot* Supervisor::Impl::check_hello(const control::Hello& hello, std::string& why_not) {
  if (hello.protocol != control::kProtocolVersion) {
    why_not = "protocol";
    return nullptr;
  }
  why_not = "lease";
  for (const auto& [name, slot] : slots) {
    const auto found = slot->instances.find(hello.epoch);
    if (found == slot->instances.end()) continue;
    // Epochs are a deployment's own: another's may have the same number, so only the token decides.
    if (!equal_in_constant_time(found->second.lease_token, hello.lease)) continue;
    if (found->second.link != nullptr) {
      why_not = "connected";
      return nullptr;
    }
    return slot.get();
  }
  return nullptr;
}

// Lets a worker in by its first message. nullopt: not one of ours; why is logged.
std::optional<std::pair<std::string, policy::InstanceId>> Supervisor::Impl::admit(const std::string& text,
                                                                                  const std::shared_ptr<Link>& link,
                                                                                  const std::string& peer) {
  const Result<control::Message> message = control::decode(text);
  const control::Hello* const hello = message.has_value() ? std::get_if<control::Hello>(&*message) : nullptr;
  std::string why_not = "no_hello";
  Slot* const slot = hello != nullptr ? check_hello(*hello, why_not) : nullptr;
  if (slot == nullptr) {
    log_warn("event=worker_refused reason={} peer={}", why_not, peer);
    return std::nullopt;
  }
  const Result<http::Address> address = http::Address::parse(hello->address);
  if (!address.has_value()) {
    log_warn("event=worker_refused reason=address peer={}", peer);
    return std::nullopt;
  }
  InstanceRecord& record = slot->instances.at(hello->epoch);
  record.link = link;
  record.address = *address;
  record.pid = hello->pid;
  return std::pair(slot->spec.name, policy::InstanceId{hello->epoch});
}

Task<void> Supervisor::serve_control(http::Exchange& exchange) {
  const std::weak_ptr<Lease::Anchor> weak = impl_->anchor;
  Result<std::unique_ptr<http::WebSocket>> upgraded = co_await exchange.upgrade();
  if (!upgraded.has_value()) co_return;
  auto link = std::make_shared<Link>();
  link->socket = std::move(*upgraded);
  const Result<std::string> text = co_await link->socket->read();  // a silent peer is cut by the channel's own pings
  if (!text.has_value()) co_return;
  std::optional<std::pair<std::string, policy::InstanceId>> admitted;
  {
    const std::shared_ptr<Lease::Anchor> alive = weak.lock();
    if (alive != nullptr) admitted = alive->impl->admit(*text, link, exchange.request().peer);
  }
  if (!admitted.has_value()) {
    link->socket->close();
    co_return;
  }
  co_await Impl::run_link(weak, admitted->first, admitted->second, link);
}

Task<void> Supervisor::Impl::run_link(std::weak_ptr<Lease::Anchor> weak, std::string name, policy::InstanceId id,
                                      std::shared_ptr<Link> link) {
  while (true) {
    const Result<std::string> text = co_await link->socket->read();
    if (!text.has_value()) break;
    const Result<control::Message> message = control::decode(*text);
    if (message.has_value()) {
      const std::shared_ptr<Lease::Anchor> alive = weak.lock();
      if (alive == nullptr) co_return;
      alive->impl->hear(name, id, *message);
    } else if (message.error().code != Code::kNotFound) {  // an unknown type is a newer worker's
      log_warn("event=worker_garbage deployment={} error=\"{}\"", name, message.error().message);
      link->socket->close();
      break;
    }
  }
  const std::shared_ptr<Lease::Anchor> alive = weak.lock();
  if (alive == nullptr) co_return;
  Slot* const slot = alive->impl->find(name);
  if (slot == nullptr) co_return;
  const auto found = slot->instances.find(id);
  if (found == slot->instances.end()) co_return;
  found->second.link.reset();
  alive->impl->dispatch(name, policy::event::LinkLost{id});
}

void Supervisor::Impl::hear(const std::string& name, policy::InstanceId id, const control::Message& message) {
  Slot* const slot = find(name);
  if (slot == nullptr) return;
  const auto found = slot->instances.find(id);
  if (found == slot->instances.end()) return;
  InstanceRecord& record = found->second;
  if (const auto* progress = std::get_if<control::Progress>(&message)) {
    record.load_fraction = progress->fraction;
  } else if (const auto* ready = std::get_if<control::Ready>(&message)) {
    record.ready = *ready;
    record.load_fraction = 1;
    dispatch(name, policy::event::Ready{id, ready->max_sequences, ready->kv_tokens});
  } else if (const auto* stats = std::get_if<control::Stats>(&message)) {
    record.stats = *stats;
    dispatch(name, policy::event::Stats{id, stats->steps, stats->running + stats->waiting,
                                        stats->prompt_tokens + stats->generated_tokens});
  } else if (const auto* failed = std::get_if<control::Failed>(&message)) {
    log_error("event=worker_failed deployment={} code={} message=\"{}\"", name, failed->code, failed->message);
    const bool golden = failed->code == "golden_mismatch";
    const auto fault = golden ? policy::event::Fault::kGoldenMismatch : policy::event::Fault::kFailed;
    dispatch(name, policy::event::WorkerFailed{id, fault, failed->code + ": " + failed->message});
  }
}

}  // namespace dormouse::fleet
