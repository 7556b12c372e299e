// The gateway's end of the control channel: who is let in, and what it says.
#include <algorithm>
#include <utility>

#include "base/log.h"
#include "fleet/lease_token.h"
#include "fleet/supervisor_impl.h"
#include "http/tls.h"

namespace dormouse::fleet {
namespace {

constexpr std::chrono::seconds kHelloDeadline{10};  // of a caller that is let in and says nothing
constexpr std::size_t kMaxNameInLog = 64;
constexpr std::chrono::microseconds kSlowestStep = std::chrono::minutes(10);

// In bounds, whatever it says.
Nanoseconds slow_step_of(const control::Stats& stats) {
  return std::clamp(std::chrono::microseconds(stats.slow_step_us), std::chrono::microseconds(0), kSlowestStep);
}

// Where requests go. Only a remote worker's certificate counts: what is local needs none, what is not local must have
// one. Errors: kInvalidArgument.
Result<http::Address> data_address(const control::Hello& hello, WorkerDoor door, const std::string& peer) {
  TRY(http::Address address, http::Address::parse(hello.address));
  if (door == WorkerDoor::kLocal) {
    if (!address.is_loopback()) return make_error(Code::kInvalidArgument, "a local worker with a foreign address");
    return address;
  }
  if (address.kind != http::Address::Kind::kTcp) {
    return make_error(Code::kInvalidArgument, "a remote worker without HOST:PORT");
  }
  TRY(std::string fingerprint, http::parse_fingerprint(hello.tls_fingerprint));
  if (address.host == "0.0.0.0" || address.host == "::") {  // it does not know its own: it called from there
    TRY(const http::Address from, http::Address::parse(peer));
    address.host = from.host;
  }
  address.tls = http::TlsTrust{std::move(fingerprint), {}};
  return address;
}

}  // namespace

Slot* Supervisor::Impl::check_hello(const control::Hello& hello, std::string& why_not) {
  if (hello.protocol != control::kProtocolVersion) {
    why_not = "protocol";
    return nullptr;
  }
  why_not = "lease";
  const std::string lease_sha256 = sha256_hex(hello.lease);
  for (const auto& [name, slot] : slots) {
    const auto found = slot->instances.find(hello.epoch);
    if (found == slot->instances.end()) continue;
    // Epochs are a deployment's own: another's may have the same number, so only the token decides.
    if (!equal_in_constant_time(found->second.lease_sha256, lease_sha256)) continue;
    if (found->second.link != nullptr || found->second.is_stopping) {
      why_not = found->second.is_stopping ? "ended" : "connected";
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
  const Result<http::Address> address = data_address(*hello, link->door, peer);
  if (!address.has_value()) {
    log_warn("event=worker_refused reason=address peer={} error=\"{}\"", peer, address.error().message);
    return std::nullopt;
  }
  InstanceRecord& record = slot->instances.at(hello->epoch);
  record.link = link;
  record.lease_token = hello->lease;
  record.address = *address;
  record.pid = hello->pid;
  if (!record.hello_at.has_value()) record.hello_at = options.clock->now();
  find_driver(record.driver)->worker_joined(record.instance_id);
  return std::pair(slot->spec.name, policy::InstanceId{hello->epoch});
}

// Half the shortest lease: a worker that calls again must find that its old link is known to be lost.
std::chrono::milliseconds Supervisor::Impl::link_silence(WorkerDoor door) const {
  std::chrono::milliseconds out = http::kWebSocketSilence;
  if (door == WorkerDoor::kLocal) return out;  // the kernel tells
  for (const auto& [name, slot] : slots) {
    if (!is_local(slot->spec.driver)) out = std::min<std::chrono::milliseconds>(out, slot->spec.lease_time_to_live / 2);
  }
  return out;
}

Task<void> Supervisor::serve_control(http::Exchange& exchange, WorkerDoor door) {
  const std::weak_ptr<Lease::Anchor> weak = impl_->anchor;
  Result<std::unique_ptr<http::WebSocket>> upgraded = co_await exchange.upgrade(impl_->link_silence(door));
  if (!upgraded.has_value()) co_return;
  auto link = std::make_shared<Link>();
  link->socket = std::move(*upgraded);
  link->door = door;
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer deadline(executor, kHelloDeadline);  // pings keep a silent caller alive, so they do not do
  deadline.async_wait([weak_link = std::weak_ptr<Link>(link)](const boost::system::error_code& ec) {
    const std::shared_ptr<Link> waiting = weak_link.lock();
    if (!ec && waiting != nullptr) waiting->socket->close();
  });
  const Result<std::string> text = co_await link->socket->read();
  deadline.cancel();
  if (!text.has_value()) co_return;
  std::optional<std::pair<std::string, policy::InstanceId>> admitted;
  {
    const std::shared_ptr<Lease::Anchor> alive = weak.lock();
    if (alive != nullptr) admitted = alive->impl->admit(*text, link, exchange.request().peer);
    if (admitted.has_value()) alive->impl->welcome(admitted->first, admitted->second, link);
  }
  if (!admitted.has_value()) {
    link->socket->close();
    co_return;
  }
  co_await Impl::run_link(weak, admitted->first, admitted->second, link);
}

void Supervisor::Impl::welcome(const std::string& name, policy::InstanceId id, const std::shared_ptr<Link>& link) {
  if (link->door == WorkerDoor::kLocal) return;  // it cannot have been away
  send(link, control::Welcome{});
  dispatch(name, policy::event::LinkBack{id});
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
  if (found == slot->instances.end() || found->second.link != link) co_return;
  found->second.link.reset();
  const bool is_remote = link->door == WorkerDoor::kRemote;
  log_info("event=link_lost deployment={} instance={} remote={}", name, found->second.instance_id, is_remote);
  const auto where = is_remote ? policy::event::Whereabouts::kRemote : policy::event::Whereabouts::kLocal;
  alive->impl->dispatch(name, policy::event::LinkLost{id, where});
}

// The two ways news comes by, driver and channel, have no order between them: a stage is never less than nothing.
void Supervisor::Impl::note_ready(InstanceRecord& record, const std::string& deployment) const {
  constexpr Nanoseconds kPromised = std::chrono::seconds(30);
  const MonoTime now = options.clock->now();
  const MonoTime hello = record.hello_at.value_or(now);
  const MonoTime up = std::min(record.up_at.value_or(hello), hello);
  record.note.clear();
  record.wake = {.provider = up - record.asked_at, .boot = hello - up, .load = now - hello};
  const auto ms = [](Nanoseconds d) { return d.count() / 1'000'000; };
  log_info("event=wake deployment={} instance={} provider_ms={} boot_ms={} load_ms={}", deployment, record.instance_id,
           ms(record.wake.provider), ms(record.wake.boot), ms(record.wake.load));
  if (options.observer.on_wake) options.observer.on_wake(deployment, record.cause, record.wake);
  if (record.wake.whole() <= kPromised) return;
  log_warn("event=slow_wake deployment={} driver={} seconds={}", deployment, record.driver,
           ms(record.wake.whole()) / 1000);
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
    if (ready->model != name) {
      // It would answer every request as something it is not.
      const std::string lie = "model_mismatch: the worker serves '" + ready->model.substr(0, kMaxNameInLog) + "'";
      log_error("event=worker_lies deployment={} error=\"{}\"", name, lie);
      return dispatch(name, policy::event::WorkerFailed{id, policy::event::Fault::kFailed, lie});
    }
    // Not what its progress says: the last word of a load may be 100 %.
    if (!record.has_been_ready) note_ready(record, name);
    record.has_been_ready = true;
    record.ready = *ready;
    record.load_fraction = 1;
    dispatch(name, policy::event::Ready{id, ready->max_sequences, ready->kv_tokens});
  } else if (const auto* stats = std::get_if<control::Stats>(&message)) {
    record.stats = *stats;
    dispatch(name, policy::event::Stats{id, stats->steps, stats->running + stats->waiting,
                                        stats->prompt_tokens + stats->generated_tokens, slow_step_of(*stats)});
  } else if (const auto* ended = std::get_if<control::Ended>(&message)) {
    ends_told.put(*ended);
  } else if (const auto* failed = std::get_if<control::Failed>(&message)) {
    log_error("event=worker_failed deployment={} code={} message=\"{}\"", name, failed->code, failed->message);
    const bool golden = failed->code == "golden_mismatch";
    const auto fault = golden                            ? policy::event::Fault::kGoldenMismatch
                       : failed->code == "out_of_memory" ? policy::event::Fault::kOutOfMemory
                                                         : policy::event::Fault::kFailed;
    dispatch(name, policy::event::WorkerFailed{id, fault, failed->code + ": " + failed->message});
  }
}

}  // namespace dormouse::fleet
